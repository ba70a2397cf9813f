"""Worlds of bars with a known truth: who should earn in them is known before anybody plays."""

import numpy as np

from agents.bar_episodes import BarMarkets
from agents.statistics import bootstrap_mean
from kernels.features.bars import WARM_UP_BARS
from market_models.prices import cointegration
from sim.bars.paths import make_paths
from sim.bars.trading import BarTrading
from sim.bars.types import BarConfig, BarParams

PULLED = cointegration.EXAMPLE._replace(short_run=np.zeros((0, 2, 2)))
APART = PULLED._replace(loadings=np.zeros((2, 1)), covariance=np.diag([4e-4, 5e-4]))


def one_asset(logs, split="test", levels=(), **fields):
    """Trading of one asset whose log prices are `logs` [P, warm-up + T + 1]."""
    paths = make_paths(np.exp(logs)[..., None], np.eye(1), np.zeros(1))
    params = BarParams(max_steps_in_episode=paths.num_bars, num_paths=paths.num_paths, **fields)
    return BarMarkets(split, BarTrading(paths, params, BarConfig(levels), "trading"))


def length(bars):
    """The number of prices of a path of so many bars."""
    return WARM_UP_BARS + 1 + bars


def drifting_logs(paths, bars, seed, *, sd=0.01, share=0.3, persistence=0.97):
    """Log prices whose drift is an Ornstein-Uhlenbeck process of deviation `share` x sd: they trend."""
    rng = np.random.default_rng(seed)
    drift, moves = np.zeros(paths), np.zeros((paths, length(bars)))
    for t in range(1, length(bars)):
        drift = persistence * drift + share * sd * np.sqrt(1 - persistence**2) * rng.standard_normal(paths)
        moves[:, t] = drift + sd * rng.standard_normal(paths)
    return moves.cumsum(1)


def two_regime_logs(paths, bars, seed, *, stay=0.995, sd_calm=0.006, sd_wild=0.02):
    """Log prices that trend while calm and bounce about a fixed level while wild; both last 1 / (1 - stay) bars."""
    rng, count = np.random.default_rng(seed), length(bars)
    wild, drift, away = rng.random(paths) < 0.5, np.zeros(paths), np.zeros(paths)
    moves = np.zeros((paths, count))
    for t in range(1, count):
        switch = rng.random(paths) > stay
        wild, away = wild ^ switch, np.where(switch, 0.0, away)
        drift = 0.97 * drift + 0.5 * sd_calm * np.sqrt(1 - 0.97**2) * rng.standard_normal(paths)
        bounced = np.exp(-0.3) * away + sd_wild * rng.standard_normal(paths)
        moves[:, t] = np.where(wild, bounced - away, drift + sd_calm * rng.standard_normal(paths))
        away = np.where(wild, bounced, away)
    return moves.cumsum(1)


def earned(results, row=0):
    """PnL float64[P] of one strategy."""
    return np.asarray(results.pnl_frac[row], np.float64)


def interval(values):
    """The ends of the 95 % bootstrap interval of the mean."""
    found = bootstrap_mean(values, seed=1, resamples=2000)
    return found.low, found.high
