"""Price paths that episodes run along: drawn once from a price process, or cut from recorded bars.

The first WARM_UP_BARS bars of a path fill the features' history; an episode starts behind them.
"""

from typing import Any, NamedTuple

import numpy as np

from kernels.features.bars import WARM_UP_BARS, BarHistory, history_of
from market_models.prices.registry import get_price_model


class Paths(NamedTuple):
    """P paths of T bars of N assets, float32, and what S signals have been when they start."""

    price: Any  # [P, T + 1, N] in the process's own units, above 0
    change: Any  # [P, T, N] simple return of each bar
    history: BarHistory  # [P, S, ...] at bar 0
    gap: Any  # [P, S] signal less its anchor at bar 0
    directions: Any  # [S, N] signals as sums of log prices; also the weights of equity at a position of 1 in each

    @property
    def num_paths(self) -> int:
        """Number of paths P."""
        return int(self.price.shape[0])

    @property
    def num_bars(self) -> int:
        """Bars T of one path, the longest episode."""
        return int(self.change.shape[1])


def sample_prices(model: str, params: Any, num_bars: int, num_paths: int, seed: int) -> np.ndarray:
    """Draw prices float64[P, warm-up + T + 1, N] of a registered process; `params` None takes its example.

    T is `num_bars`. ValueError names a bad argument.
    """
    process = get_price_model(model)
    prices = process.sample(process.example if params is None else params, num_bars + WARM_UP_BARS, num_paths, seed)
    return prices[..., None] if prices.ndim == 2 else prices


def cut_prices(prices: np.ndarray, num_bars: int, num_paths: int, seed: int) -> np.ndarray:
    """Cut recorded prices [T, N] into P windows [P, warm-up + num_bars + 1, N] that start at random bars.

    Windows overlap where there are more than the recording holds: results of their episodes are then not independent.
    """
    length = num_bars + WARM_UP_BARS + 1
    if prices.ndim != 2 or len(prices) < length:
        raise ValueError(f"prices has shape {prices.shape}, expected [T, N] with T at least {length}")
    generator = np.random.Generator(np.random.Philox(seed))
    starts = generator.integers(0, len(prices) - length + 1, num_paths)
    return np.stack([prices[start : start + length] for start in starts])


def make_paths(prices: np.ndarray, directions: np.ndarray, anchors: np.ndarray) -> Paths:
    """Return paths of prices [P, warm-up + T + 1, N]; signals are `directions` [S, N] of log prices.

    `anchors` [S] is what a signal returns to. ValueError names what is not finite, not above 0 or misshapen.
    """
    prices = np.asarray(prices, np.float64)
    if prices.ndim != 3 or prices.shape[1] < WARM_UP_BARS + 2:
        raise ValueError(f"prices has shape {prices.shape}, expected [P, T, N] with T above {WARM_UP_BARS + 1}")
    if not np.isfinite(prices).all() or prices.min() <= 0:
        raise ValueError("prices holds a value that is not finite and above 0: weights and returns need such prices")
    if directions.ndim != 2 or directions.shape[1] != prices.shape[2] or anchors.shape != (len(directions),):
        shapes = f"directions {directions.shape} and anchors {anchors.shape}"
        raise ValueError(f"{shapes} do not fit prices of {prices.shape[2]} assets: expected [S, N] and [S]")
    signals = np.log(prices[:, : WARM_UP_BARS + 1]) @ directions.T
    kept = prices[:, WARM_UP_BARS:]
    return Paths(
        price=kept.astype(np.float32),
        change=(np.diff(kept, axis=1) / kept[:, :-1]).astype(np.float32),
        history=history_of(np.diff(signals, axis=1).swapaxes(0, 1)),
        gap=(signals[:, -1] - anchors).astype(np.float32),
        directions=directions.astype(np.float32),
    )
