"""Can a classifier tell windows of generated messages from recorded ones?

Gradient-boosted trees on summaries of WINDOW successive messages, cross-validated by block of market time: all windows
of a fold lie in a stretch of time of their own, in either market, so that neighbouring windows are never on both sides.
The AUC is that of the out-of-fold scores (Mann-Whitney); its interval resamples blocks of time. 0.5: cannot tell.
"""

from typing import Any, NamedTuple

import numpy as np

from market_models.datasets.recording import FULL_CANCEL, NEW, VISIBLE_EXECUTION
from market_models.scorecard.distances import draw_weights, interval
from market_models.scorecard.statistics import NUM_LEVELS, inter_arrival
from market_models.scorecard.tape import Stretch, Tape

WINDOW = 100
FOLDS = 5
BLOCKS = 20  # of market time in either market, a fold is four of them
MIN_WINDOWS = 40
TELLS_APART = 0.7
RESAMPLES = 200
FEATURES = (
    *("new_frac", "full_cancel_frac", "execution_frac", "buy_frac", "wait_mean", "wait_std", "wait_short_frac"),
    *("lots_mean", "lots_std", "hundred_frac", "spread_mean", "spread_std", "bid_lots", "ask_lots", "depth_lots"),
    *("imbalance_mean", "imbalance_std", "mid_range", "mid_moves_frac"),
)


class Verdict(NamedTuple):
    """How well windows are told apart; `auc` is None where there are too few, and `reason` says so."""

    auc: float | None
    ci_low: float | None
    ci_high: float | None
    windows_recorded: int
    windows: int
    strongest: tuple[str, ...] = ()  # features by AUC of their own, strongest first
    reason: str = ""

    @property
    def tells_apart(self) -> bool:
        """Whether the AUC is above TELLS_APART."""
        return self.auc is not None and self.auc > TELLS_APART


def window_features(s: Stretch) -> tuple[np.ndarray, np.ndarray]:
    """Return float64[W, len(FEATURES)] of successive windows of WINDOW messages and their market times float64[W]."""
    first = np.flatnonzero(~np.isnan(s.mid_tick))[1:]  # a wait needs the row before
    count = len(first) // WINDOW
    row = first[: count * WINDOW].reshape(count, WINDOW)
    if not count:
        return np.zeros((0, len(FEATURES))), np.zeros(0)
    kind, lots, mid = s.kind[row], np.log(s.lots[row]), s.mid_tick[row]
    wait = np.concatenate([[0.0], inter_arrival(s)[0]])[row]
    touch, depth = s.book[row, :, 0], np.log1p(s.book[row, :, :NUM_LEVELS, 1].sum((2, 3)))
    gap, held = touch[..., 1, 0] - touch[..., 0, 0], touch[..., 1]
    tilt = (held[..., 0] - held[..., 1]) / held.sum(-1)
    columns = [
        *((kind == code).mean(1) for code in (NEW, FULL_CANCEL, VISIBLE_EXECUTION)),
        *((s.side[row] == 0).mean(1), wait.mean(1), wait.std(1), (wait < -3).mean(1)),
        *(lots.mean(1), lots.std(1), (s.lots[row] == 100).mean(1), gap.mean(1), gap.std(1)),
        *(np.log(held[..., 0]).mean(1), np.log(held[..., 1]).mean(1), depth.mean(1), tilt.mean(1), tilt.std(1)),
        *(np.ptp(mid, axis=1), (np.diff(mid, axis=1) != 0).mean(1)),
    ]
    return np.stack(columns, 1).astype(np.float64), s.at_s[row[:, 0]]


def tell_apart(recorded: Tape, contender: Tape, seed: int = 0) -> Verdict:
    """Return how well a classifier tells a contender's windows from the recorded ones."""
    features, blocks = zip(*(_windows(tape) for tape in (recorded, contender)), strict=True)
    counts = [len(part) for part in features]
    if min(counts) < MIN_WINDOWS:
        why = f"{counts[0]} recorded and {counts[1]} windows of {WINDOW} messages, needed are {MIN_WINDOWS} of each"
        return Verdict(None, None, None, counts[0], counts[1], reason=why)
    x, block = np.concatenate(features), np.concatenate(blocks)
    y = np.repeat([0, 1], counts)
    chance = out_of_fold(x, y, block * FOLDS // BLOCKS, seed)
    point = weighted_auc(chance, y, np.ones(len(y)))
    rng = np.random.default_rng(seed)
    draws = np.stack([draw_weights(BLOCKS, RESAMPLES, rng) for _ in range(2)])
    replicates = np.array([weighted_auc(chance, y, draws[y, r, block]) for r in range(RESAMPLES)])
    own = np.array([abs(weighted_auc(column, y, np.ones(len(y))) - 0.5) for column in x.T])
    strongest = tuple(FEATURES[i] for i in np.argsort(-own)[:3])
    low, high = interval(replicates)
    return Verdict(point, low, high, counts[0], counts[1], strongest)


def _windows(tape: Tape) -> tuple[np.ndarray, np.ndarray]:
    parts = [window_features(s) for s in tape.stretches]
    features, at_s = (np.concatenate(column) for column in zip(*parts, strict=True))
    return features, np.minimum((at_s / tape.duration_s * BLOCKS).astype(np.int64), BLOCKS - 1)


def out_of_fold(x: np.ndarray, y: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    """Return the chance of class 1 float64[W] by models that never saw a window of the same fold."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    chance = np.full(len(y), 0.5)
    with threadpool_limits(1):  # idle threads spin: on busy cores four times slower than one thread
        for held in np.unique(fold):
            train = fold != held
            if len(np.unique(y[train])) < 2:
                continue
            model: Any = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=8, random_state=seed)
            chance[~train] = model.fit(x[train], y[train]).predict_proba(x[~train])[:, 1]
    return chance


def weighted_auc(value: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Return the chance that a class-1 value exceeds a class-0 value, ties half; 0.5 where a class has no weight."""
    level = np.unique(value, return_inverse=True)[1]
    zero, one = (np.bincount(level, weight * (y == c)) for c in (0, 1))
    below = np.cumsum(zero) - zero
    total = zero.sum() * one.sum()
    return float((one * (below + zero / 2)).sum() / total) if total > 0 else 0.5
