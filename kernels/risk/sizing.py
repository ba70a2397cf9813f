"""How much to hold: fractional Kelly, volatility target, caps, and the lots of one trade.

Weights are signed fractions of equity. Kelly fractions maximise the expected growth rate of log wealth:
binary bet (gain b with p, lose a with q = 1 - p, of the stake) f* = p / a - q / b; geometric Brownian motion with
excess drift mu and variance sigma^2 per time f* = mu / sigma^2; several assets w* = Sigma^-1 mu. Half of it keeps
3/4 of the growth at half the volatility.
Source: Kelly (1956), A New Interpretation of Information Rate, Bell System Technical Journal 35; Thorp (2006), The
Kelly Criterion in Blackjack, Sports Betting, and the Stock Market, section 7; Merton (1969) for several assets.
"""

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np

from kernels import checks as check
from kernels.risk.caps import Caps, project_into, scale_into

MAX_CONDITION: Final = 1e12  # Sigma^-1 mu has lost all but four digits beyond


class CapMethod(IntEnum):
    """How weights are brought within their caps."""

    SCALE = 1  # all by one factor: the mix stays
    PROJECT = 2  # to the nearest weights within: what is below its cap may stay


class TargetedWeights(NamedTuple):
    """Weights after a volatility target."""

    weights: np.ndarray  # float64[N], of equity
    volatility_frac: float  # a year, of equity; below the target where leverage bound
    leverage_frac: float  # sum of |weights|
    capped: bool  # the leverage cap bound


class TradeBound(IntEnum):
    """What limited a trade's size."""

    LOSS = 1
    POSITION = 2


class TradeLimits(NamedTuple):
    """Limits of one trade in basis points of equity."""

    max_loss_bps: int = 200  # lost from the entry down to the stop
    max_position_bps: int = 1_000

    def checked(self) -> "TradeLimits":
        """Return the limits; ValueError names the field that is no whole number from 0 to 1,000,000."""
        for name, value in self._asdict().items():
            check.whole(name, value, 0, 1_000_000)
        return self


class TradeSize(NamedTuple):
    """The largest position that a trade's limits allow."""

    lots: int  # a multiple of the lot step, at least 0
    bound: TradeBound


def kelly_binary(win_prob_frac: float, gain_frac: float, loss_frac: float = 1.0) -> float:
    """Return the Kelly stake of a bet that gains `gain_frac` of the stake or loses `loss_frac`; 0 without an edge.

    f* = max(p / a - (1 - p) / b, 0). ValueError unless 0 < p < 1 and both payoffs are above 0.
    """
    probability = check.number("win_prob_frac", win_prob_frac, 0, 1, open_low=True)
    if probability == 1:
        raise ValueError("win_prob_frac is 1, expected below 1: a bet that cannot lose has no Kelly stake")
    gain = check.number("gain_frac", gain_frac, 0, open_low=True)
    loss = check.number("loss_frac", loss_frac, 0, open_low=True)
    return check.number("Kelly stake", max(probability / loss - (1 - probability) / gain, 0.0))


def kelly_gaussian(excess_mean: float, variance: float, fraction: float = 0.5) -> float:
    """Return `fraction` x mu / sigma^2, both over the same time; negative is short.

    ValueError unless variance > 0 and 0 < fraction <= 1 (above 1 costs growth and adds risk).
    """
    mean = check.number("excess_mean", excess_mean)
    spread = check.number("variance", variance, 0, open_low=True)
    return check.number("Kelly weight", check.number("fraction", fraction, 0, 1, open_low=True) * mean / spread)


def kelly_weights(
    excess_mean: Any,
    covariance: Any,
    fraction: float = 0.5,
    caps: Caps | None = None,
    method: CapMethod = CapMethod.SCALE,
) -> np.ndarray:
    """Return fraction x Sigma^-1 mu within the caps, float64[N].

    excess_mean[N], covariance[N, N], over the same time. ValueError where the covariance is singular or worse
    conditioned than 1e12: the optimum is then unbounded, or noise.
    """
    mean = check.vector("excess_mean", excess_mean)
    sigma = check.covariance("covariance", covariance, mean.size)
    share = check.number("fraction", fraction, 0, 1, open_low=True)
    bounds = (caps or Caps()).checked()
    # Scaled to correlations, so that assets of very different volatility are not taken for a singular matrix.
    volatility = np.sqrt(np.diag(sigma))
    if not (volatility > 0).all() or np.linalg.cond(sigma / np.outer(volatility, volatility)) > MAX_CONDITION:
        raise ValueError("covariance is singular or nearly so: the Kelly weights are unbounded")
    scaled = np.linalg.solve(sigma / np.outer(volatility, volatility), mean / volatility)
    weights = check.vector("Kelly weights", share * scaled / volatility)
    return (project_into if CapMethod(method) is CapMethod.PROJECT else scale_into)(weights, bounds)


def volatility_frac(weights: Any, covariance: Any, periods_per_year: float = 1.0) -> float:
    """Return sqrt(w' Sigma w x periods a year): the portfolio's volatility a year, of equity."""
    held = check.vector("weights", weights)
    sigma = check.covariance("covariance", covariance, held.size)
    periods = check.number("periods_per_year", periods_per_year, 0, open_low=True)
    return float(np.sqrt(max(held @ sigma @ held, 0.0) * periods))


def target_volatility(
    weights: Any,
    covariance: Any,
    target_frac: float = 0.12,
    max_leverage_frac: float = 3.0,
    periods_per_year: float = 1.0,
) -> TargetedWeights:
    """Scale weights to a volatility a year, or as far up as the leverage cap allows.

    weights[N] any scale, covariance[N, N] per period. ValueError where the portfolio has no volatility: no factor
    reaches the target, and a riskless portfolio is more likely a broken estimate.
    """
    held = check.vector("weights", weights)
    target = check.number("target_frac", target_frac, 0, open_low=True)
    leverage_cap = check.number("max_leverage_frac", max_leverage_frac, 0, open_low=True)
    now = volatility_frac(held, covariance, periods_per_year)
    # Below this the volatility is what rounding leaves of weights that cancel.
    rounding = np.abs(held) @ np.sqrt(np.abs(np.diag(np.asarray(covariance, np.float64)))) * 1e-7
    if now <= rounding * np.sqrt(periods_per_year):
        raise ValueError("weights have no volatility under covariance: nothing can be scaled to target_frac")
    wanted = check.vector("weights scaled to target_frac", held * (target / now))
    within = scale_into(wanted, Caps(gross_frac=leverage_cap, net_frac=leverage_cap, asset_frac=leverage_cap))
    leverage = float(np.abs(within).sum())
    capped = bool(np.abs(wanted).sum() > leverage_cap)
    return TargetedWeights(within, volatility_frac(within, covariance, periods_per_year), leverage, capped)


def trade_lots(
    equity_e8: int,
    entry_tick: int,
    stop_tick: int,
    tick_value_e8: int,
    lot_step: int = 1,
    limits: TradeLimits | None = None,
) -> TradeSize:
    """Return the most lots whose loss down to the stop and whose value stay within their shares of equity.

    Exact integers: equity and tick value (one lot moving one tick) in 1e-8 quote units; the value of a lot is
    |entry| x tick value. The side is that of the stop: below the entry long, above short. A gap through the stop
    loses more. ValueError for equity below 0, a stop at the entry, or an entry at price 0.
    """
    equity = check.whole("equity_e8", equity_e8, 0)
    entry, stop = (check.whole("entry_tick", entry_tick, -(2**61)), check.whole("stop_tick", stop_tick, -(2**61)))
    value, step = check.whole("tick_value_e8", tick_value_e8, 1), check.whole("lot_step", lot_step, 1)
    bounds = (limits or TradeLimits()).checked()
    if entry in (stop, 0):
        raise ValueError(f"entry_tick {entry} and stop_tick {stop} give no size: expected two prices, entry not 0")
    by_loss = equity * bounds.max_loss_bps // (10_000 * abs(entry - stop) * value)
    by_position = equity * bounds.max_position_bps // (10_000 * abs(entry) * value)
    bound = TradeBound.LOSS if by_loss <= by_position else TradeBound.POSITION
    return TradeSize(min(by_loss, by_position) // step * step, bound)
