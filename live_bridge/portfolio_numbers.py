"""The portfolio's numbers at one observation, from kernels/risk: VaR and ES, exposures, correlation, sizing, hedge.

Pure: nothing of the turn is changed here. ValueError from a kernel means that the number does not exist.
"""

from typing import NamedTuple

import numpy as np

from kernels.risk import exposure, sizing
from kernels.risk.caps import scale_into
from kernels.risk.correlation import correlation_breaches
from kernels.risk.exposure import Book
from kernels.risk.filtered import ewma_filter, filtered_risk
from kernels.risk.stops import suggest_hedge
from kernels.risk.tails import TailRisk
from kernels.risk.var import historical_risk
from live_bridge.controls import OWN, PortfolioConfig, SizingRule, VarLimits
from live_bridge.core_state import CoreConfig, Turn
from live_bridge.risk_types import CutReason, HedgeSuggestion, PortfolioRisk

E8 = 10**8
MILLION = 10**6
MAX_E8 = 2**62


class Market(NamedTuple):
    """All assets at one observation, the session's own first."""

    names: tuple[str, ...]
    quantities: tuple[float, ...]  # signed units; the own ones are lots
    marks: tuple[float, ...]  # quote units a unit
    equity: float  # quote units


class Judged(NamedTuple):
    """What an observation says; breaches as (code, detail, action)."""

    risk: PortfolioRisk | None  # None while the window is filling
    breaches: tuple[tuple[str, str, str], ...]
    scale: float | None  # None: not known yet
    scale_by: CutReason
    hedge: HedgeSuggestion | None


def judge(config: CoreConfig, portfolio: PortfolioConfig, turn: Turn, market: Market) -> Judged:
    """Return numbers and breaches; ValueError where one that is configured cannot be had."""
    book = _exposures(portfolio, market)
    returns = np.array(turn.controls.returns, np.float64).reshape(-1, len(market.names))
    tail = TailRisk(0.0, 0.0)
    if portfolio.var is not None and len(returns) >= portfolio.var.needed():
        tail = tail_risk(portfolio.var, returns, market)
    scale, scale_by = None, CutReason.VOLATILITY
    if portfolio.sizing is not None and len(returns) >= portfolio.sizing.min_observations:
        cap_value = config.inventory_cap_lots * market.marks[0]
        scale, scale_by = sized(portfolio.sizing, returns[:, 0], cap_value, market)
    ready = len(returns) >= portfolio.needed()
    risk = _report(turn, len(returns), market, book, tail, scale) if ready else None
    return Judged(
        risk, _breaches(portfolio, turn, book, tail), scale, scale_by, _hedge(portfolio, turn, returns, market)
    )


def _report(
    turn: Turn, observations: int, market: Market, book: Book, tail: TailRisk, scale: float | None
) -> PortfolioRisk:
    return PortfolioRisk(
        observations=observations,
        equity_e8=_whole(market.equity * E8),
        gross_e8=_whole(book.whole.gross * E8),
        net_e8=_whole(book.whole.net * E8),
        var_e8=_whole(tail.var * E8),
        es_e8=_whole(tail.es * E8),
        drawdown_bps=_lost_bps(turn, "peak_e8"),
        daily_loss_bps=_lost_bps(turn, "base_e8"),
        scale_ppm=int((1.0 if scale is None else scale) * MILLION),
        event_ns=turn.now_ns,
    )


def _exposures(portfolio: PortfolioConfig, market: Market) -> Book:
    groups = {OWN: portfolio.group} | {each.asset: each.group for each in portfolio.holdings}
    quantities = dict(zip(market.names, market.quantities, strict=True))
    return exposure.exposures(quantities, dict(zip(market.names, market.marks, strict=True)), groups, market.equity)


def tail_risk(limits: VarLimits, returns: np.ndarray, market: Market) -> TailRisk:
    """Return VaR and ES in quote units of today's positions over returns[T, N]; both 0 where nothing is held."""
    values = np.array(market.quantities) * np.array(market.marks)
    if not values.any():
        return TailRisk(0.0, 0.0)
    pnl = returns @ values
    if limits.method == "ewma":
        return filtered_risk(ewma_filter(pnl, limits.decay), limits.tail_frac)
    return historical_risk(pnl, limits.tail_frac)


def sized(rule: SizingRule, returns: np.ndarray, cap_value: float, market: Market) -> tuple[float, CutReason]:
    """Return the share of the inventory cap that caps and the volatility target leave, at most 1, and which binds.

    The cap's value as a weight of equity, w; scaled into the caps, then to the target: scale = min(1, w'/w).
    """
    weight = np.array([cap_value / market.equity])
    capped = float(scale_into(weight, rule.caps)[0])
    variance = np.array([[float(returns.var(ddof=1))]])
    leverage = max(float(weight[0]), 1.0)  # the caps are judged above; the target alone decides here
    target = sizing.target_volatility(weight, variance, rule.target_volatility_frac, leverage, rule.periods_per_year)
    wanted = float(target.weights[0])
    share = min(capped, wanted) / float(weight[0])
    return min(max(share, 0.0), 1.0), CutReason.CAPS if capped < wanted else CutReason.VOLATILITY


def _breaches(portfolio: PortfolioConfig, turn: Turn, book: Book, tail: TailRisk) -> tuple[tuple[str, str, str], ...]:
    found, actions = [], portfolio.actions
    if portfolio.var is not None:
        for code, loss, limit in (("VAR", tail.var, portfolio.var.var_frac), ("ES", tail.es, portfolio.var.es_frac)):
            if loss > limit * book.equity:
                said = f"{loss / book.equity:.6f} of equity, limit {limit:.6f}"
                found.append((f"PORTFOLIO_{code}", said, actions.var))
    if portfolio.exposure is not None:
        for each in exposure.exposure_breaches(book, portfolio.exposure):
            said = f"{each.name or 'book'}: {each.value_frac:.6f} of equity, limit {each.limit_frac:.6f}"
            found.append((f"EXPOSURE_{each.kind.name}", said, actions.exposure))
    if portfolio.correlation is not None and turn.controls.correlation is not None:
        for each in correlation_breaches(portfolio.correlation_config(), turn.controls.correlation):
            said = f"{each.name}: {each.value_frac:.6f}, limit {each.limit_frac:.6f}"
            found.append(("CORRELATION", said, actions.correlation))
    return tuple(found)


def _hedge(portfolio: PortfolioConfig, turn: Turn, returns: np.ndarray, market: Market) -> HedgeSuggestion | None:
    rule = portfolio.hedge
    if rule is None or len(returns) < rule.min_observations:
        return None
    place, lots = market.names.index(rule.asset), turn.account.position_lots
    found = suggest_hedge(returns[:, 0] * market.marks[0], returns[:, place] * market.marks[place], lots)
    if abs(found.hedge_lots - turn.controls.hedge_quantity) < rule.min_change:
        return None
    ratio, kept = _whole(found.ratio * MILLION), _whole(found.variance_kept * MILLION)
    return HedgeSuggestion(rule.asset, found.hedge_lots, ratio, kept, lots, turn.now_ns)


def _lost_bps(turn: Turn, reference: str) -> int:
    """Return the loss since peak or day's base, in basis points of it; 0 where drawdown is off."""
    state = turn.controls.drawdown
    if state is None:
        return 0
    base = getattr(state, reference)
    return max(base - state.equity_e8, 0) * 10_000 // base if base > 0 else 0


def _whole(value: float) -> int:
    if not abs(value) < MAX_E8:
        raise ValueError(f"{value} is outside what the journal holds")
    return round(value)
