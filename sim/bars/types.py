"""Configuration, parameters and state of the environments that trade bars."""

import math
from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from flax import struct
from gymnax.environments import environment

from kernels.features.bars import BarHistory
from market_models.impact import ImpactState, LinearImpact
from market_models.slippage import FixedTicks

LEVELS = (-1.0, -0.5, 0.0, 0.5, 1.0)


class BarConfig(NamedTuple):
    """Static shape of the environment; hashable."""

    levels: tuple[float, ...] = ()  # positions a discrete action chooses from, in -1..1; (): continuous actions
    reward: Literal["utility", "differential_sharpe"] = "utility"
    anchored: bool = False  # whether the gap of a signal to its anchor is observed


@struct.dataclass
class BarParams(environment.EnvParams):
    """Traced parameters; a population may sweep every one. Scalars unless an axis is given; S signals, N assets."""

    max_steps_in_episode: int = 128  # bars
    max_gross_frac: Any = 2.0  # sum of |weights|; more is scaled down
    fee_bps: Any = 1.0  # of the notional traded
    slippage: Any = FixedTicks()  # market_models/slippage.py; a tick is one unit of the price
    impact: Any = LinearImpact()  # market_models/impact.py; a lot is one unit of the asset
    spread_bps: Any = 0.0  # of the price, what slippage models see as the spread
    volume_lots: Any = 1e9  # market volume of a bar, what slippage models see
    lot_size: Any = 0.0  # units that are traded at least and in multiples of; 0: any amount
    borrow_bps: Any = 0.0  # of the short notional, a bar
    latency_bars: int = 0  # 0: an action trades at the price that it saw; 1: at the next bar's
    bar_s: Any = 60.0  # length of a bar, for impact that decays
    start_equity: Any = 1e6  # in units of the price
    ruin_frac: Any = 0.2  # an episode ends where equity falls to this share of the start
    risk_aversion: Any = 1.0  # of the utility of a bar's return: 0 linear, 1 logarithm
    sharpe_decay: Any = 0.01  # of the running moments of the differential Sharpe ratio
    drawdown_penalty: Any = 0.0  # reward lost for each unit by which the drawdown deepens
    reward_scale: Any = 100.0
    liquidate: int = 0  # 1: the end closes all positions at cost and terminates; 0: it is cut off at the mark
    first_path: int = 0  # a reset draws its path from first_path ..
    num_paths: int = 1  # .. first_path + num_paths - 1


class Moments(NamedTuple):
    """Running first and second moment of the returns, float32[]."""

    mean: jax.Array
    square: jax.Array


@struct.dataclass
class BarState(environment.EnvState):
    """One market with one learner in it; float32 unless said."""

    time: jax.Array  # int32[] bars of this episode
    path: jax.Array  # int32[]
    history: BarHistory  # [S, ...]
    gap: jax.Array  # [S]
    impact: ImpactState  # [N, ...]
    displacement: jax.Array  # [N] of the price by our own trades
    units: jax.Array  # [N] held
    equity: jax.Array  # [] in units of the price
    wanted: jax.Array  # [N] weights that wait for the next bar
    peak: jax.Array  # [] highest equity
    drawdown_frac: jax.Array  # [] deepest fall below the peak
    moments: Moments
    costs_frac: jax.Array  # [] of the starting equity, paid so far
    turnover_frac: jax.Array  # [] notional traded so far over the starting equity


_RANGES = {
    "max_steps_in_episode": (1, 2**24),
    "max_gross_frac": (0.0, 100.0),
    "fee_bps": (-100.0, 10_000.0),
    "spread_bps": (0.0, 10_000.0),
    "volume_lots": (0.0, math.inf),
    "lot_size": (0.0, math.inf),
    "borrow_bps": (0.0, 10_000.0),
    "latency_bars": (0, 1),
    "bar_s": (1e-6, math.inf),
    "start_equity": (1e-6, math.inf),
    "ruin_frac": (0.0, 0.99),
    "risk_aversion": (0.0, 100.0),
    "sharpe_decay": (1e-6, 1.0),
    "drawdown_penalty": (0.0, math.inf),
    "reward_scale": (1e-12, math.inf),
    "liquidate": (0, 1),
    "first_path": (0, 2**30),
    "num_paths": (1, 2**30),
}
_WHOLE = ("max_steps_in_episode", "latency_bars", "liquidate", "first_path", "num_paths")


def validate_config(config: BarConfig) -> BarConfig:
    """Return `config`, or raise ValueError naming the field and what would be valid."""
    if config.reward not in ("utility", "differential_sharpe"):
        raise ValueError(f"reward {config.reward!r} is not one of ['differential_sharpe', 'utility']")
    levels = config.levels
    if levels and (len(levels) < 2 or list(levels) != sorted(set(levels)) or min(levels) < -1 or max(levels) > 1):
        raise ValueError(f"levels {levels} is not at least two increasing positions in -1..1")
    return config


def check_fields(params: Any, ranges: Mapping[str, tuple[float, float]], whole: Collection[str]) -> dict[str, Any]:
    """Return the fields that `ranges` names as int32 (those in `whole`) or float32; ValueError names one outside."""
    fields: dict[str, Any] = {}
    for name, (low, high) in ranges.items():
        value = np.asarray(getattr(params, name))
        if not np.issubdtype(value.dtype, np.number) or not np.isfinite(value).all():
            raise ValueError(f"{name} {getattr(params, name)!r} is not a finite number")
        if (value < low).any() or (value > high).any() or (name in whole and value.dtype.kind not in "iu"):
            raise ValueError(f"{name} {value} is not {'a whole number ' if name in whole else ''}in {low}..{high}")
        fields[name] = value.astype(np.int32 if name in whole else np.float32)
    return fields


def validate_params(params: BarParams, num_paths: int, num_bars: int) -> BarParams:
    """Return concrete `params` as NumPy arrays, or raise ValueError naming the field and its range."""
    fields = check_fields(params, _RANGES, _WHOLE)
    if (fields["max_steps_in_episode"] > num_bars).any():
        raise ValueError(f"max_steps_in_episode {fields['max_steps_in_episode']} passes the paths' {num_bars} bars")
    if (fields["first_path"] + fields["num_paths"] > num_paths).any():
        raise ValueError(f"first_path + num_paths passes the {num_paths} paths")
    costs = {name: jax.tree.map(np.float32, getattr(params, name)) for name in ("slippage", "impact")}
    return params.replace(**fields, **costs)  # pyright: ignore[reportAttributeAccessIssue]
