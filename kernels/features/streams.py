"""Whole streams through the steps of `signals.py`, checked first: what training data and reports call.

A stream may be cut anywhere: the state that one call leaves is where the next goes on, with the same numbers.
"""

from typing import Any

import numpy as np

from kernels.features import signals as sg


def ofi_stream(state: np.ndarray, touch: Any) -> np.ndarray:
    """Return e of each event, int64[N], from the touch int[N, 4]: bid tick and lots, ask tick and lots, after it.

    ValueError where a number is not whole or beyond 2^53, or a side has fewer than 1 lot.
    """
    rows = np.asarray(touch)
    if rows.ndim != 2 or rows.shape[1] != 4 or not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(f"touch is {rows.dtype}{list(rows.shape)}, it must be whole numbers [N, 4]")
    if len(rows) and (np.abs(rows) > 2**53).any():
        raise ValueError("touch has a number beyond 2^53")
    if (rows[:, [1, 3]] < 1).any():
        raise ValueError("touch has a side of fewer than 1 lot; give events while both sides are there")
    return sg.ofi_run(state, np.ascontiguousarray(rows, np.int64))


def vpin_stream(state: np.ndarray, lots: Any, sign: Any) -> np.ndarray:
    """Return VPIN after each of N trades, float64[N]: lots above 0, sign 1 (taker bought) or -1."""
    volume, side = _finite("lots", lots), _signs(sign)
    _same(volume, side, "lots", "sign")
    if (volume <= 0).any():
        raise ValueError("lots has a value that is not above 0")
    if len(volume) and volume.max() > 2**40 * state[sg.VPIN_SIZE]:
        raise ValueError(f"lots has {volume.max()}, more than 2^40 buckets of {state[sg.VPIN_SIZE]}")
    return sg.vpin_run(state, volume, side)


def kyle_stream(state: np.ndarray, price_change: Any, signed_lots: Any) -> np.ndarray:
    """Return Kyle's lambda after each of N intervals, float64[N]; values are finite and below 1e100 in size."""
    change, lots = _finite("price_change", price_change), _finite("signed_lots", signed_lots)
    _same(change, lots, "price_change", "signed_lots")
    for name, values in (("price_change", change), ("signed_lots", lots)):
        if len(values) and np.abs(values).max() > 1e100:
            raise ValueError(f"{name} has a value beyond 1e100: its square would overflow")
    return sg.kyle_run(state, change, lots)


def trade_stream(state: np.ndarray, at_s: Any, sign: Any) -> np.ndarray:
    """Return trades per second and mean sign after each of N trades, float64[N, 2]; ValueError where time goes back."""
    time, side = _finite("at_s", at_s), _signs(sign)
    _same(time, side, "at_s", "sign")
    before = state[sg.TRADE_AT_S] if state[sg.TRADE_EVENTS] > 0 else (time[0] if len(time) else 0.0)
    steps = np.diff(time, prepend=before)
    if (steps < 0).any():
        raise ValueError(f"at_s goes back at {int(np.argmax(steps < 0))}")
    return sg.trade_run(state, time, side)


def volatility_stream(state: np.ndarray, price: Any) -> np.ndarray:
    """Return exponential, realised and bipower variance after each of N prices above 0, float64[N, 3]."""
    values = _finite("price", price)
    if (values <= 0).any():
        raise ValueError("price has a value that is not above 0")
    return sg.volatility_run(state, values)


def _finite(name: str, values: Any) -> np.ndarray:
    array = np.ascontiguousarray(values, np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}, it must be one axis")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has a value at {int(np.argmin(np.isfinite(array)))} that is not finite")
    return array


def _signs(sign: Any) -> np.ndarray:
    side = _finite("sign", sign)
    if (np.abs(side) != 1).any():
        raise ValueError("sign has a value that is neither 1 nor -1")
    return side


def _same(first: np.ndarray, second: np.ndarray, name: str, other: str) -> None:
    if len(first) != len(second):
        raise ValueError(f"{name} has {len(first)} values and {other} {len(second)}")
