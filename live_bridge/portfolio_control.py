"""Portfolio level, inside the step: observations by event time, the numbers, and what a breach leads to.

An observation is taken at the first book or timer after the interval. Returns need two complete observations in a row.
Where a number that is configured cannot be had (a mark is missing, old or impossible, a kernel refuses), nothing is
guessed: after the grace only what reduces leaves, until a person resumes. A window that is only filling has twice its
length in observations for it; until then VaR, ES and sizing are off, and the rest is judged.
"""

from math import isfinite

from kernels.risk import correlation, drawdown
from kernels.risk.drawdown import Control
from kernels.risk.states import Standing, TradingEvent
from live_bridge import gating, portfolio_numbers
from live_bridge.control_state import Held
from live_bridge.controls import PortfolioConfig
from live_bridge.core_state import CoreConfig, Turn
from live_bridge.portfolio_numbers import Judged, Market
from live_bridge.risk_types import HoldingMark
from live_bridge.types import Origin, Phase

E8 = 10**8
_PHASES = (Phase.RUNNING, Phase.FLATTENING)


def holding(config: CoreConfig, turn: Turn, event: HoldingMark) -> None:
    """Take the word on a holding; one without a number takes the earlier number away."""
    portfolio = config.controls.portfolio
    names = portfolio.assets()[1:] if portfolio else ()
    if event.asset not in names:
        turn.alert("HOLDING_UNKNOWN", f"{event.asset!r} by {event.actor} is none of the configured holdings")
        return
    held = list(turn.controls.held or (None,) * len(names))
    word = Held(event.quantity_e8, event.mark_e8, event.event_ns) if event.known else None
    held[names.index(event.asset)] = word
    turn.controls = turn.controls._replace(held=tuple(held))


def observe(config: CoreConfig, turn: Turn, fresh: bool) -> None:
    """Judge drawdown at every whole book, and all else where an observation is due."""
    portfolio = config.controls.portfolio
    if portfolio is None or turn.phase not in _PHASES:
        return
    if fresh and turn.book is not None:
        turn.controls = turn.controls._replace(book_ns=turn.book.event_ns)
        _drawdown(config, portfolio, turn)
    state = turn.controls
    if state.sample_ns < 0 or turn.now_ns - state.sample_ns >= portfolio.interval_ns:
        _sample(config, portfolio, turn)


def resumed(config: CoreConfig, turn: Turn) -> None:
    """Begin every count anew: a person has looked."""
    state = turn.controls
    if config.controls.portfolio is None:
        return
    if state.drawdown is not None:
        state = state._replace(drawdown=drawdown.re_enable(state.drawdown, by_person=True))
    turn.controls = state._replace(tripped=(), unknown_ns=-1, tries=0)


def _drawdown(config: CoreConfig, portfolio: PortfolioConfig, turn: Turn) -> None:
    rule = portfolio.drawdown
    if rule is None:
        return
    equity, utc_ns, before = _equity_e8(config, turn), config.event_epoch_ns + turn.now_ns, turn.controls.drawdown
    try:
        if before is None:
            after, breach = drawdown.start(rule, equity, utc_ns), None
        else:
            after, breach = drawdown.observe(rule, before, equity, max(utc_ns, before.time_ns))
    except ValueError as error:
        _trip(turn, "EQUITY_LOST", str(error), "HALT")
        return
    turn.controls = turn.controls._replace(drawdown=after)
    if breach is None:
        return
    figures = f"equity {breach.equity_e8}, peak {breach.peak_e8}, day's base {breach.base_e8} (1e-8)"
    if breach.controls & Control.DRAWDOWN:
        _trip(turn, "DRAWDOWN", figures, portfolio.actions.drawdown)
    if breach.controls & Control.DAILY_LOSS:
        _trip(turn, "DAILY_LOSS", figures, portfolio.actions.daily_loss)


def _equity_e8(config: CoreConfig, turn: Turn) -> int:
    return config.capital_e8 + gating.profit_e8(config, turn)


def _sample(config: CoreConfig, portfolio: PortfolioConfig, turn: Turn) -> None:
    turn.controls = turn.controls._replace(sample_ns=turn.now_ns)
    try:
        market = _market(config, portfolio, turn)
        _take_returns(portfolio, turn, market)
    except ValueError as error:
        turn.controls = turn.controls._replace(marks=())
        _unknown(portfolio, turn, str(error))
        return
    try:
        judged = portfolio_numbers.judge(config, portfolio, turn, market)
    except ValueError as error:
        _unknown(portfolio, turn, str(error))
        return
    turn.controls = turn.controls._replace(unknown_ns=-1)
    _act(turn, judged)
    _count_short(portfolio, turn)


def _count_short(portfolio: PortfolioConfig, turn: Turn) -> None:
    """Count observations until the window is long enough: marks that come and go would never fill it."""
    short = portfolio.needed() - len(turn.controls.returns)
    turn.controls = turn.controls._replace(tries=turn.controls.tries + 1 if short > 0 else 0)
    if turn.controls.tries > 2 * portfolio.needed():
        said = f"{short} returns are missing after {turn.controls.tries} observations"
        _trip(turn, "PORTFOLIO_UNKNOWN", said, "REDUCE_ONLY")


def _market(config: CoreConfig, portfolio: PortfolioConfig, turn: Turn) -> Market:
    """Return quantities and marks of all assets; ValueError names the one without a number of today."""
    state, names = turn.controls, portfolio.assets()
    if turn.history is None or not 0 <= turn.now_ns - state.book_ns <= portfolio.max_mark_age_ns or state.book_ns < 0:
        raise ValueError(f"{names[0]} has no mark of the last {portfolio.max_mark_age_ns} ns")
    lot_value = int(turn.history.mid_half_tick) * config.limits.tick_value_e8 / (2 * E8)
    quantities, marks = [float(turn.account.position_lots)], [lot_value]
    for name, held in zip(names[1:], state.held or (None,) * (len(names) - 1), strict=True):
        if held is None or not 0 <= turn.now_ns - held.event_ns <= portfolio.max_mark_age_ns:
            raise ValueError(f"{name} has no mark of the last {portfolio.max_mark_age_ns} ns")
        quantities.append(held.quantity_e8 / E8)
        marks.append(held.mark_e8 / E8)
    return Market(names, tuple(quantities), tuple(marks), _equity_e8(config, turn) / E8)


def _take_returns(portfolio: PortfolioConfig, turn: Turn, market: Market) -> None:
    """Add one row of returns; ValueError for a mark that gives none."""
    state, before = turn.controls, turn.controls.marks
    for name, mark in zip(market.names, market.marks, strict=True):
        if not (isfinite(mark) and mark > 0):
            raise ValueError(f"{name} has mark {mark}, which gives no return: expected a number above 0")
    turn.controls = state = state._replace(marks=market.marks)
    if not before:
        return
    row = tuple((now - then) / then for now, then in zip(market.marks, before, strict=True))
    turn.controls = state = state._replace(returns=(*state.returns, row)[-portfolio.window :])
    if portfolio.correlation is not None:
        config = portfolio.correlation_config()
        held = [each if quantity >= 0 else -each for each, quantity in zip(row, market.quantities, strict=True)]
        seen = correlation.observe(config, state.correlation or correlation.start(config), held)
        turn.controls = state._replace(correlation=seen)


def _unknown(portfolio: PortfolioConfig, turn: Turn, why: str) -> None:
    state = turn.controls
    since = state.unknown_ns if state.unknown_ns >= 0 else turn.now_ns
    turn.controls = state._replace(unknown_ns=since)
    if turn.now_ns - since >= portfolio.grace_ns:
        _trip(turn, "PORTFOLIO_UNKNOWN", f"no numbers for {turn.now_ns - since} ns: {why}", "REDUCE_ONLY")


def _act(turn: Turn, judged: Judged) -> None:
    if judged.risk is not None:
        turn.outputs.append(judged.risk)
    if judged.hedge is not None:
        turn.outputs.append(judged.hedge)
        turn.controls = turn.controls._replace(hedge_quantity=judged.hedge.hedge_quantity)
    if judged.scale is not None:
        turn.controls = turn.controls._replace(scale=judged.scale, scale_by=judged.scale_by)
    for code, detail, action in judged.breaches:
        _trip(turn, code, detail, action)


def _trip(turn: Turn, code: str, detail: str, action: str) -> None:
    """Restrict or halt until a person resumes, and say so once."""
    if code in turn.controls.tripped:
        return
    turn.controls = turn.controls._replace(tripped=(*turn.controls.tripped, code))
    turn.alert(code, f"{detail} -> {action}")
    closing = turn.standing == Standing.CLOSING  # it trades to zero and halts then; halting now would leave the rest
    event = TradingEvent.HALT if action == "HALT" and not closing else TradingEvent.TRIP
    turn.stand(event, turn.phase, f"{code}: {detail}")
    if turn.phase == Phase.RUNNING:
        gating.cancel_all(turn, Origin.PROTECT)
