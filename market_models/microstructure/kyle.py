"""Kyle's lambda: how far the price moves for each lot of net buying, estimated and in equilibrium.

Source: Kyle 1985, "Continuous auctions and insider trading", Econometrica 53(6), section 2 (one auction).
"""

from typing import Any, NamedTuple

import numpy as np

from kernels import checks as check
from market_models.microstructure.price_impact import Regression, regress


class Equilibrium(NamedTuple):
    """The linear equilibrium: the insider trades beta (v - p0), the price is p0 + lambda (their lots + the noise's)."""

    impact: float  # lambda = sigma_v / (2 sigma_u), price per lot
    aggressiveness: float  # beta = sigma_u / sigma_v, lots per price
    insider_profit: float  # expected, sigma_v sigma_u / 2
    posterior_variance: float  # of v once the price is known, sigma_v^2 / 2


class Auctions(NamedTuple):
    """N independent auctions in equilibrium."""

    value: np.ndarray  # float64[N] less p0
    insider_lots: np.ndarray  # float64[N]
    net_lots: np.ndarray  # float64[N] what the market maker sees
    price: np.ndarray  # float64[N] less p0


def kyle_equilibrium(value_std: float, noise_lots_std: float) -> Equilibrium:
    """Return the equilibrium of an auction of a value with `value_std` and noise traders of `noise_lots_std` lots."""
    v = check.number("value_std", value_std, 0, open_low=True)
    u = check.number("noise_lots_std", noise_lots_std, 0, open_low=True)
    return Equilibrium(v / (2 * u), u / v, v * u / 2, v * v / 2)


def simulate_auctions(value_std: float, noise_lots_std: float, count: int, seed: int) -> Auctions:
    """Draw `count` auctions played in equilibrium."""
    rule = kyle_equilibrium(value_std, noise_lots_std)
    normal = np.random.default_rng(seed).standard_normal((2, check.whole("count", count, 1)))
    value, noise = value_std * normal[0], noise_lots_std * normal[1]
    insider = rule.aggressiveness * value
    return Auctions(value, insider, insider + noise, rule.impact * (insider + noise))


def kyle_lambda(price_change: Any, signed_lots: Any, *, newey_west_lags: int | None = None) -> Regression:
    """Fit price change = intercept + `lambda` * signed lots over N equal intervals; see `regress` for the errors."""
    columns = {"lambda": check.vector("signed_lots", signed_lots)}
    return regress(check.vector("price_change", price_change), columns, newey_west_lags=newey_west_lags)
