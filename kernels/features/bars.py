"""Features of bars for directional, portfolio and pairs agents: one text for the simulator and for live.

A signal is a log price, or a weighted sum of log prices (a spread). Three horizons n, each an exponential mean with
weight a = 1 - exp(-1 / n) on the newest bar. `xp` is numpy or jax.numpy; any leading batch axes; float32.
| columns of a signal | formula |
|---|---|
| LAGS last moves | r / s |
| 3 trends | sqrt(n) x mean of r / s |
| 2 volatility ratios | log(sd of n / s), n the shorter two |
| 3 distances | (signal - its mean of n) / (sqrt(n) s) |
r is the move of the signal in one bar, s the root of the longest mean of r^2, at least MIN_SD. All clipped to CLIP.
Source: exponential means as usual; trend over volatility: Moskowitz, Ooi, Pedersen 2012, time series momentum.
"""

from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np

HORIZONS: Final = (8.0, 32.0, 128.0)  # bars
LAGS: Final = 4
MIN_SD: Final = 1e-6
CLIP: Final = 5.0
COLUMNS_PER_SIGNAL: Final = LAGS + 3 * len(HORIZONS) - 1
WARM_UP_BARS: Final = 256  # after which what came before has a weight below 14 % in the longest mean

_WEIGHTS: Final = (-np.expm1(-1.0 / np.array(HORIZONS))).astype(np.float32)
_ROOTS: Final = np.sqrt(np.array(HORIZONS)).astype(np.float32)


class BarHistory(NamedTuple):
    """What the columns remember of S signals, float32."""

    lags: Any  # [..., S, LAGS] moves, newest first
    trend: Any  # [..., S, 3] mean move
    square: Any  # [..., S, 3] mean squared move
    distance: Any  # [..., S, 3] signal less its mean


def start_bars(xp: ModuleType, batch: tuple[int, ...]) -> BarHistory:
    """Return the history of signals [*batch] that have never moved."""
    horizons = xp.zeros((*batch, len(HORIZONS)), xp.float32)
    return BarHistory(xp.zeros((*batch, LAGS), xp.float32), horizons, horizons, horizons)


def advance_bars(xp: ModuleType, history: BarHistory, move: Any) -> BarHistory:
    """Take in the moves float32[..., S] of one bar; what is not finite is the caller's to refuse."""
    now = xp.asarray(move, xp.float32)[..., None]
    return BarHistory(
        lags=xp.concatenate([now, history.lags[..., :-1]], axis=-1),
        trend=history.trend + _WEIGHTS * (now - history.trend),
        square=history.square + _WEIGHTS * (now * now - history.square),
        distance=(1 - _WEIGHTS) * (history.distance + now),
    )


def bar_columns(xp: ModuleType, history: BarHistory) -> Any:
    """Return float32[..., S, COLUMNS_PER_SIGNAL] in the table's order."""
    sd = xp.maximum(xp.sqrt(history.square), MIN_SD)
    slow = sd[..., -1:]
    parts = [
        history.lags / slow,
        _ROOTS * history.trend / slow,
        xp.log(sd[..., :-1] / slow),
        history.distance / (_ROOTS * slow),
    ]
    return xp.clip(xp.concatenate(parts, axis=-1), -CLIP, CLIP).astype(xp.float32)


def history_of(moves: np.ndarray) -> BarHistory:
    """Return the history after moves [T, ..., S], oldest first (NumPy); ValueError where one is not finite."""
    if not np.isfinite(moves).all():
        raise ValueError("moves holds a value that is not finite; drop or fill the gap first")
    history = start_bars(np, moves.shape[1:])
    for move in moves:
        history = advance_bars(np, history, move)
    return history
