"""What `hawkes.pack` refuses, field by field."""

from typing import Any

import numpy as np

from market_models import hawkes as hk
from market_models.zero_intelligence import MAX_DISTANCES, NUM_SIZES


def check_rates(rates: hk.Rates) -> None:
    """Raise ValueError with a sentence that names the field and what is valid."""
    _check_edges("spread_edge_tick", rates.spread_edge_tick, hk.MAX_SPREADS - 1, 1)
    _check_edges("depth_edge_lots", rates.depth_edge_lots, hk.MAX_DEPTHS - 1, 0)
    decay = _finite("decay_rate", rates.decay_rate)
    if decay.ndim != 1 or not 1 <= len(decay) <= hk.MAX_DECAYS:
        raise ValueError(f"decay_rate has shape {decay.shape}, expected [1..{hk.MAX_DECAYS}]")
    if (decay < hk.MIN_DECAY).any() or (decay > hk.MAX_DECAY).any():
        raise ValueError(f"decay_rate is {decay}, not {hk.MIN_DECAY}..{hk.MAX_DECAY:g} per second")
    kinds = hk.NUM_KINDS
    _shaped("base_rate", rates.base_rate, (len(rates.spread_edge_tick) + 1, len(rates.depth_edge_lots) + 1, kinds))
    _shaped("jump_rate", rates.jump_rate, (len(decay), 2, kinds, kinds))
    _shaped("far_cancel_rate", rates.far_cancel_rate, ())
    for name in ("window_tick", "empty_spread_tick"):
        _whole(name, np.asarray(getattr(rates, name)), 1, 2**20, ())
    for name in ("limit_lots", "market_lots"):
        _whole(name, np.asarray(getattr(rates, name)), 1, 2**30, (NUM_SIZES,))
    for name in ("limit_mark", "market_mark"):
        if (_shaped(name, getattr(rates, name), (NUM_SIZES,)) > 2**14).any():
            raise ValueError(f"{name} holds a mark above 2^14")
    if (_shaped("inside_frac", rates.inside_frac, (NUM_SIZES,)) >= 1).any():
        raise ValueError("inside_frac holds a place that is not in [0, 1)")
    weight = _finite("behind_weight", rates.behind_weight)
    if weight.ndim != 1 or not 1 <= len(weight) <= MAX_DISTANCES or (weight < 0).any() or not weight.sum() > 0:
        raise ValueError(f"behind_weight is not 1..{MAX_DISTANCES} non-negative weights that are not all 0")
    if np.asarray(rates.base_rate)[..., hk.BEHIND].min() < hk.MIN_BASE:
        raise ValueError("base_rate of limit_behind is below 1/128 per second: the clock would overflow")
    ratio = hk.branching_ratio(rates)
    if not ratio < 1:
        raise ValueError(f"jump_rate has a branching matrix of spectral radius {ratio:.4f}, not below 1")


def _finite(name: str, value: Any) -> np.ndarray:
    values = np.asarray(value, np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds a number that is not finite")
    return values


def _shaped(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    values = _finite(name, value)
    if values.shape != shape:
        raise ValueError(f"{name} has shape {values.shape}, expected {shape}")
    if (values < 0).any():
        raise ValueError(f"{name} holds a negative number")
    return values


def _whole(name: str, values: np.ndarray, low: int, high: int, shape: tuple[int, ...]) -> None:
    if values.shape != shape or not ((values >= low) & (values <= high)).all() or (values != np.rint(values)).any():
        raise ValueError(
            f"{name} is not {'whole numbers' if shape else 'a whole number'} of shape {shape} in {low}..{high}"
        )


def _check_edges(name: str, value: Any, most: int, low: int) -> None:
    edges = np.asarray(value)
    whole = edges.ndim == 1 and len(edges) <= most and np.isfinite(edges).all() and (edges == np.rint(edges)).all()
    if not whole or (np.diff(edges, prepend=low - 1) < 1).any() or (len(edges) and edges[-1] > 2**30):
        raise ValueError(f"{name} is not 0..{most} increasing whole numbers from {low} to 2^30")
