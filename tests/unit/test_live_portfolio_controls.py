"""Portfolio level in the core: what each control needs to fire, what it does then, and what happens without numbers."""

import json
from typing import Any

import numpy as np
import pytest

from kernels.risk.caps import Caps
from kernels.risk.drawdown import DrawdownConfig
from kernels.risk.exposure import ExposureLimits
from live_bridge.control_state import ControlState
from live_bridge.controls import (
    Actions,
    ControlsConfig,
    CorrelationRule,
    HedgeRule,
    Holding,
    PortfolioConfig,
    SizingRule,
    VarLimits,
    as_dict,
    controls_from_dict,
)
from live_bridge.core import Core
from live_bridge.core_snapshot import decode_state, encode_state
from live_bridge.core_state import CoreConfig, CoreState
from live_bridge.risk_types import CutReason, HedgeSuggestion, HoldingMark, PortfolioRisk, SizeCut, in_e8
from live_bridge.types import Alert, CancelIntent, Command, NewIntent, RiskRefusal, StateChange, Timer, TradingState
from tests.support.core_events import NOON, SECOND, ack, book, core_config, fill, run, start
from tests.unit.test_live_guards import Joins, codes, control, names, only, request

E8 = 10**8
TICK_VALUE = 0.01  # one lot, one tick: core_events' instrument
MOVES = np.random.default_rng(11).integers(-40, 41, 60).tolist()


def core_of(capital_e8: int = 10_000_000 * E8, silent: bool = True, **portfolio) -> Core:
    fields: dict[str, Any] = {"interval_ns": SECOND, "max_mark_age_ns": 5 * SECOND, "grace_ns": 10 * SECOND} | portfolio
    controls = ControlsConfig(portfolio=PortfolioConfig(**fields))
    return Core(core_config(controls=controls, capital_e8=capital_e8), Joins(0) if silent else Joins())


def hold(core: Core, lots: int, state: CoreState | None = None) -> CoreState:
    """A running session that holds so many lots, bought above the mid."""
    state, _ = run(core, [start(core), book(0)], state)
    state, outputs = core.step(state, request(0, 10_005, lots))
    (name,) = names(outputs)
    return run(core, [ack(name), fill(name, "buy", 0, lots, 10_005, 0)], state)[0]


def market(moves: list[int], first: int = 1, holding: float | None = None) -> list:
    """One book a second; `holding`: the mark of GOLD moves by so many times our move."""
    events = []
    for number, move in enumerate(moves, first):
        if holding is not None:
            mark = int((50 + holding * move * 0.01) * E8)
            events.append(HoldingMark("GOLD", 3 * E8, mark, True, "ann", NOON + number * SECOND, 1))
        events.append(book(number, 9_990 + move, 10_010 + move))
    return events


def returns_of(moves: list[int]) -> np.ndarray:
    """The mid's simple returns, the judge's own arithmetic; the first book of the session is at move 0."""
    mids = 10_000.0 + np.array([0, *moves])
    return mids[1:] / mids[:-1] - 1.0


def test_var_and_es_are_those_of_what_is_held_over_the_returns_kept_and_a_breach_restricts_until_a_person_resumes():
    core = core_of(capital_e8=100_000 * E8, var=VarLimits(var_frac=0.5, tail_frac=0.05))
    state, outputs = run(core, market(MOVES), hold(core, 50))
    seen = only(outputs, PortfolioRisk)
    assert len(seen) == len(MOVES) - 29, "from the thirtieth return on"
    pnl = returns_of(MOVES) * 50 * (10_000 + MOVES[-1]) * TICK_VALUE
    quantile = np.quantile(pnl, 0.05)
    assert seen[-1].var_e8 == pytest.approx(-quantile * E8, abs=2)
    assert seen[-1].es_e8 == pytest.approx(-pnl[pnl <= quantile].mean() * E8, abs=2)
    assert seen[-1].gross_e8 == round(50 * (10_000 + MOVES[-1]) * TICK_VALUE * E8)
    assert state.trading == TradingState.ACTIVE
    tight = core_of(capital_e8=100_000 * E8, var=VarLimits(var_frac=1e-5, tail_frac=0.05))
    state, outputs = run(tight, market(MOVES), hold(tight, 50))
    assert codes(outputs) == ["PORTFOLIO_VAR"], "said once"
    assert [(c.trading_from, c.trading_to) for c in only(outputs, StateChange)] == [
        (TradingState.ACTIVE, TradingState.REDUCE_ONLY)
    ]
    _, outputs = run(tight, [request(0, 9_990, 1), request(1, 10_010, 1)], state)
    assert [r.reason.name for r in only(outputs, RiskRefusal)] == ["REDUCE_ONLY"]
    assert [order.side for order in only(outputs, NewIntent)] == [1]
    state, outputs = run(tight, [control(Command.RESUME), *market([0], 61)], state)
    assert codes(outputs) == ["PORTFOLIO_VAR"], "it still holds too much"


def test_filtered_var_follows_the_kernel_and_needs_its_hundred_returns():
    from kernels.risk.filtered import ewma_filter, filtered_risk

    moves = np.random.default_rng(5).integers(-40, 41, 110).tolist()
    core = core_of(capital_e8=100_000 * E8, var=VarLimits(var_frac=1.0, tail_frac=0.05, method="ewma"), window=110)
    _, outputs = run(core, market(moves), hold(core, 50))
    seen = only(outputs, PortfolioRisk)
    assert len(seen) == 11
    pnl = returns_of(moves) * 50 * (10_000 + moves[-1]) * TICK_VALUE
    assert seen[-1].var_e8 == pytest.approx(filtered_risk(ewma_filter(pnl), 0.05).var * E8, rel=1e-6)


LIMIT_CASES = [
    ({"exposure": ExposureLimits(position_frac=0.05)}, "EXPOSURE_POSITION", "exposure"),
    ({"exposure": ExposureLimits(1.0, 1.0, 1.0, 0.05)}, "EXPOSURE_CONCENTRATION", "exposure"),
    ({"exposure": ExposureLimits(0.05, 1.0, 1.0, 1.0)}, "EXPOSURE_GROSS", "exposure"),
    ({"exposure": ExposureLimits(1.0, 0.05, 1.0, 1.0)}, "EXPOSURE_NET", "exposure"),
    ({"drawdown": DrawdownConfig(max_drawdown_bps=10, max_daily_loss_bps=10_000)}, "DRAWDOWN", "drawdown"),
    ({"drawdown": DrawdownConfig(max_drawdown_bps=10_000, max_daily_loss_bps=10)}, "DAILY_LOSS", "daily_loss"),
]


@pytest.mark.parametrize("action", ["REDUCE_ONLY", "HALT"])
@pytest.mark.parametrize(
    ("portfolio", "code", "name"), LIMIT_CASES, ids=lambda each: each if isinstance(each, str) else ""
)
def test_each_limit_leads_to_what_is_configured_for_it(portfolio, code, name, action):
    core = core_of(capital_e8=100_000 * E8, actions=Actions()._replace(**{name: action}), **portfolio)
    state, outputs = run(core, market([0]), hold(core, 40))  # 40 lots of 100: 4 % of equity
    assert codes(outputs) == []
    state, outputs = core.step(state, request(0, 10_010, 30))
    (bought,) = names(outputs)
    state, outputs = run(core, [ack(bought), fill(bought, "more", 0, 30, 10_010, 0), *market([-200], 2)], state)
    assert codes(outputs) == [code]  # 7 % of equity, which lost 70 lots x 200 ticks = 140 of 100,000
    expected = TradingState.HALTED if action == "HALT" else TradingState.REDUCE_ONLY
    assert state.trading == expected
    state, outputs = run(core, [control(Command.RESUME, "session")], state)
    assert state.trading == expected
    state, outputs = run(core, [control(Command.RESUME)], state)
    assert state.trading == TradingState.ACTIVE


def test_a_breach_pulls_the_quotes():
    core = core_of(capital_e8=100_000 * E8, silent=False, drawdown=DrawdownConfig(max_drawdown_bps=1))
    state, outputs = run(core, [start(core), book(0)])
    bid, ask = names(outputs)
    state, outputs = run(core, [ack(bid), ack(ask), fill(bid, "t", 0, 10, 9_990, 0), *market([-200])], state)
    assert codes(outputs) == ["DRAWDOWN"]
    assert [each.client_order_id for each in only(outputs, CancelIntent)] == [ask]


GOLD = (Holding("GOLD", "metals"),)


def test_correlation_to_a_holding_and_a_hedge_in_it_follow_the_moves_of_both():
    rule = CorrelationRule(half_life=20.0, min_observations=10, limit_frac=0.9)
    core = core_of(holdings=GOLD, correlation=rule, hedge=HedgeRule("GOLD", 30, 1))
    _, outputs = run(core, market(MOVES, holding=2.0), hold(core, 10))
    assert codes(outputs) == ["CORRELATION"]
    (hedge, *_) = only(outputs, HedgeSuggestion)
    # One lot moves by 0.01 a tick and a unit of gold by 0.02, so half a unit hedges a lot: five for ten.
    assert (hedge.asset, hedge.hedge_quantity, hedge.position_lots) == ("GOLD", -5, 10)
    assert hedge.ratio_ppm == pytest.approx(500_000, rel=0.01)
    assert hedge.kept_ppm < 1_000
    against = core_of(holdings=GOLD, correlation=rule)
    _, outputs = run(against, market(MOVES, holding=-2.0), hold(against, 10))
    assert codes(outputs) == [], "what moves against us adds no risk"


@pytest.mark.parametrize("word", [None, float("nan"), float("inf"), 1e300])
def test_a_holding_without_a_number_restricts_after_the_grace_and_names_the_asset(word):
    core = core_of(holdings=GOLD, exposure=ExposureLimits())
    state, outputs = run(core, market(MOVES[:20], holding=1.0), hold(core, 10))
    assert codes(outputs) == []
    known = in_e8(word)
    assert known is None
    state, _ = core.step(state, HoldingMark("GOLD", 0, known or 0, False, "ann", NOON + 20 * SECOND, 1))
    state, outputs = run(core, market(MOVES[:10], 21), state)
    assert codes(outputs) == [], "within the grace"
    state, outputs = run(core, market(MOVES[10:12], 31), state)
    assert codes(outputs) == ["PORTFOLIO_UNKNOWN"]
    assert "GOLD has no mark" in only(outputs, Alert)[0].detail
    assert state.trading == TradingState.REDUCE_ONLY
    state, outputs = run(core, market(MOVES[:20], 33, holding=1.0), state)
    assert state.trading == TradingState.REDUCE_ONLY, "numbers alone do not re-enable"


def test_a_silent_book_restricts_after_the_grace_and_an_asset_that_is_not_configured_is_said():
    core = core_of(exposure=ExposureLimits())
    state = hold(core, 10)
    state, outputs = run(core, [Timer(NOON + after * SECOND, 1) for after in (4, 6, 15)], state)
    assert codes(outputs) == []
    state, outputs = core.step(state, Timer(NOON + 16 * SECOND, 1))
    assert codes(outputs) == ["PORTFOLIO_UNKNOWN"]
    _, outputs = core.step(state, HoldingMark("SILVER", 0, 0, True, "ann", NOON, 1))
    assert codes(outputs) == ["HOLDING_UNKNOWN"]


def test_marks_that_come_and_go_never_fill_the_window_and_restrict_after_twice_its_length():
    core = core_of(var=VarLimits(tail_frac=0.05), grace_ns=500 * SECOND, max_mark_age_ns=SECOND // 2)
    state = hold(core, 10)
    assert core.config.controls.portfolio is not None
    needed = core.config.controls.portfolio.needed()
    events = []
    for number in range(1, 2 * needed):  # every second observation is a timer without a book
        events += [book(2 * number), Timer(NOON + (2 * number + 1) * SECOND, 1)]
    state, outputs = run(core, events, state)
    assert codes(outputs) == []
    later = 4 * needed
    state, outputs = run(core, [book(later), Timer(NOON + (later + 1) * SECOND, 1), book(later + 2)], state)
    assert codes(outputs) == ["PORTFOLIO_UNKNOWN"]
    assert "29 returns are missing" in only(outputs, Alert)[0].detail


def test_exposure_is_judged_while_the_window_of_var_is_filling():
    core = core_of(capital_e8=100_000 * E8, var=VarLimits(tail_frac=0.05), exposure=ExposureLimits(gross_frac=0.01))
    _, outputs = run(core, market([0]), hold(core, 40))
    assert codes(outputs) == ["EXPOSURE_GROSS"]
    assert only(outputs, PortfolioRisk) == []


def test_a_limit_that_halts_lets_a_flattening_go_on_to_zero():
    core = core_of(capital_e8=100_000 * E8, drawdown=DrawdownConfig(max_drawdown_bps=5))
    state, outputs = run(core, [control(Command.FLATTEN), *market([-200])], hold(core, 40))
    assert codes(outputs) == ["DRAWDOWN"]
    (order,) = only(outputs, NewIntent)
    state, _ = run(
        core, [ack(order.client_order_id), fill(order.client_order_id, "x", 1, 40, 9_790), *market([0], 2)], state
    )
    assert (state.account.position_lots, state.trading) == (0, TradingState.HALTED)


def test_a_lost_account_halts():
    core = core_of(capital_e8=1_000 * E8 * 20, drawdown=DrawdownConfig(10_000, 10_000))
    state = hold(core, 10)
    state, outputs = core.step(state, fill("f" * 32, "t", 1, 1, 10_000, 30_000 * E8))
    state, outputs = run(core, market([0]), state)
    assert "EQUITY_LOST" in codes(outputs)
    assert state.trading == TradingState.HALTED


def test_sizing_leaves_the_share_that_the_target_volatility_allows_and_quotes_shrink_to_it():
    rule = SizingRule(target_volatility_frac=0.0001, periods_per_year=100.0, min_observations=30)
    core = core_of(capital_e8=1_000_000 * E8, silent=False, sizing=rule)
    state, outputs = run(core, [start(core), book(0), *market(MOVES[:30])])
    state, outputs = core.step(state, book(31))
    returns = returns_of([*MOVES[:30], 0])
    full = 40 * 10_000 * TICK_VALUE / 1_000_000 * returns.std(ddof=1) * 10  # the inventory cap's volatility a year
    assert state.controls.scale == pytest.approx(0.0001 / full, rel=1e-9)
    fresh, _ = run(core, [start(core, 2, False)], state._replace(live=()))
    _, outputs = core.step(fresh, book(32))
    share = state.controls.scale
    assert 0.05 < share < 0.95
    for order in only(outputs, NewIntent):
        assert order.lots == int(10 * _scale_after(core, fresh))
    assert {each.reason for each in only(outputs, SizeCut)} == {CutReason.VOLATILITY}


def _scale_after(core: Core, state: CoreState) -> float:
    return core.step(state, book(32))[0].controls.scale


def test_caps_bind_where_they_are_tighter_than_the_target():
    rule = SizingRule(target_volatility_frac=10.0, min_observations=30, caps=Caps(3.0, 3.0, 0.001))
    core = core_of(capital_e8=1_000_000 * E8, sizing=rule)
    state, _ = run(core, [start(core), book(0), *market(MOVES[:30]), book(31)])
    assert state.controls.scale == pytest.approx(0.001 / 0.004)
    assert state.controls.scale_by == CutReason.CAPS


def everything() -> ControlsConfig:
    return ControlsConfig(
        portfolio=PortfolioConfig(
            interval_ns=SECOND,
            grace_ns=SECOND,
            holdings=GOLD,
            var=VarLimits(),
            exposure=ExposureLimits(),
            correlation=CorrelationRule(),
            drawdown=DrawdownConfig(),
            sizing=SizingRule(),
            hedge=HedgeRule("GOLD"),
        )
    )


def test_a_snapshot_holds_what_the_controls_know_bit_for_bit_and_the_session_goes_on_alike():
    core = core_of(
        holdings=GOLD,
        var=VarLimits(tail_frac=0.05),
        correlation=CorrelationRule(20.0, 10, 0.9),
        drawdown=DrawdownConfig(),
        sizing=SizingRule(min_observations=30),
        hedge=HedgeRule("GOLD", 30),
        silent=False,
    )
    state, _ = run(core, market(MOVES[:40], holding=2.0), hold(core, 10))
    again, _ = decode_state(encode_state(state))
    assert encode_state(again) == encode_state(state)
    ours, said = run(core, market(MOVES[40:], 41, holding=2.0), state)
    theirs, repeated = run(core, market(MOVES[40:], 41, holding=2.0), again)
    assert encode_state(ours) == encode_state(theirs)
    assert said == repeated


def test_the_configuration_survives_its_text_and_without_controls_the_text_is_what_it_was():
    config = core_config(controls=everything())
    assert CoreConfig.from_json(config.to_json()) == config
    assert "controls" not in json.loads(core_config().to_json())
    assert CoreConfig.from_json(core_config().to_json()) == core_config()
    quiet, _ = run(Core(core_config(), Joins()), [start(Core(core_config(), Joins())), book(0), book(1, 9_000, 9_020)])
    assert quiet.controls == ControlState()


BAD = [
    (("stopz",), {}, "controls.stopz is not known"),
    (("portfolio", "var", "var_frak"), 1.0, "controls.portfolio.var.var_frak is not known"),
    (("portfolio", "var", "var_frac"), float("nan"), "var.var_frac is nan"),
    (("portfolio", "var", "method"), "guess", "var.method is 'guess'"),
    (("portfolio", "window"), 20, "window is 20"),
    (("portfolio", "window"), 99.5, "controls.portfolio.window is 99.5, expected int"),
    (("portfolio", "grace_ns"), -1, "grace_ns is -1"),
    (("portfolio", "holdings"), "GOLD", "controls.portfolio.holdings is 'GOLD', expected a list"),
    (("portfolio", "holdings"), [{"asset": "GOLD"}], "controls.portfolio.holdings[0].group is missing"),
    (("portfolio", "hedge", "asset"), "TIN", "hedge.asset 'TIN' is none of holdings"),
    (("portfolio", "actions", "var"), "PANIC", "actions.var is 'PANIC'"),
    (("portfolio", "drawdown", "max_drawdown_bps"), 10_001, "max_drawdown_bps is 10001"),
    (("portfolio", "sizing", "target_volatility_frac"), 0.0, "sizing.target_volatility_frac is 0.0"),
    (("inventory",), {"low_lots": 1, "high_lots": 4}, "inventory.low_lots is 1"),
    (("stops", "fixed_tick"), -1, "fixed_tick is -1"),
    (("stop_bar_ns",), 0, "stop_bar_ns is 0"),
]


@pytest.mark.parametrize(
    ("path", "value", "said"), BAD, ids=lambda each: ".".join(each) if isinstance(each, tuple) else ""
)
def test_a_section_that_is_wrong_is_refused_with_its_path(path, value, said):
    section = as_dict(everything())
    place = section
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ValueError) as error:
        controls_from_dict(section)
    assert said in str(error.value)
