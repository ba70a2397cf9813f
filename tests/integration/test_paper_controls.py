"""Paper sessions with the controls on: each acts, its record replays to the same decisions, and evidence shows it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kernels.risk.drawdown import DrawdownConfig
from kernels.risk.exposure import ExposureLimits
from kernels.risk.stops import StopConfig
from live_bridge.arrow_export import journal_to_arrow
from live_bridge.controls import (
    Actions,
    ControlsConfig,
    Holding,
    InventoryBounds,
    PortfolioConfig,
    SizingRule,
    VarLimits,
)
from live_bridge.evidence import write_bundle
from live_bridge.journal_tools import verify_replay
from live_bridge.paper import PaperConfig, open_paper, run_paper, summarise
from live_bridge.risk_types import HoldingMark, SizeCut, StopTriggered
from live_bridge.types import NewIntent, Origin, StateChange, TradingState
from market_models.fees import Fees
from tests.integration.test_paper_session import bodies, config
from tests.support.paper_market import HashPolicy, make_market

ROOT = Path(__file__).resolve().parents[2]
MS = 10**6
FAST: dict[str, Any] = {"interval_ns": 10 * MS, "max_mark_age_ns": 1_000 * MS, "grace_ns": 100 * MS, "window": 100}


def session(directory: Path, controls: ControlsConfig, **changes) -> PaperConfig:
    return config(directory, controls=controls, market=make_market(700, seed=4), **changes)


def check(directory: Path, result: dict) -> list:
    """What holds after every session: books agree, the journal gives the same decisions again."""
    assert result["reconciled"]
    replayed = verify_replay(directory / "journal", HashPolicy())
    assert replayed["ok"] and replayed["replayed_ok"], replayed
    return bodies(directory)


STOPS = {
    "FIXED": StopConfig(fixed_tick=2),
    "TRAILING": StopConfig(trailing_tick=2),
    "VOLATILITY": StopConfig(atr_multiple_x100=10, atr_periods=2),
    "TIME": StopConfig(max_hold_ns=50 * MS),
}


@pytest.mark.parametrize("name", STOPS)
def test_each_stop_acts_in_a_paper_session_and_only_reduce_only_orders_close(tmp_path, name):
    controls = ControlsConfig(stops=STOPS[name], stop_bar_ns=20 * MS, inventory=InventoryBounds(-15, 15))
    result = run_paper(session(tmp_path, controls, snapshot_records=200))
    records = check(tmp_path, result)
    fired = [each for each in records if isinstance(each, StopTriggered)]
    assert {each.reason.name for each in fired} == {name}
    assert result["controls"]["stop_triggered"] == len(fired)
    assert result["controls"]["alerts"][f"STOP_{name}"] == len(fired)
    closing = [each for each in records if isinstance(each, NewIntent) and each.origin == Origin.PROTECT]
    assert closing and all(each.reduce_only for each in closing)
    cuts = [each for each in records if isinstance(each, SizeCut)]
    assert len(cuts) == result["controls"]["size_cut"] > 0
    bundle = write_bundle(tmp_path, tmp_path / "evidence", ROOT)
    rows = {row["name"]: row for row in bundle["controls"]}
    assert rows["position stops"]["acted"][f"stop:{name}"]["count"] == len(fired)
    assert rows["inventory bounds and sizing"]["acted"]["cut:INVENTORY"]["count"] == len(cuts)
    assert bundle["missing_tests"] == []
    segments = journal_to_arrow(tmp_path / "journal", tmp_path / "segments")["files"]
    rows = [row for path in segments if "risk_events" in path for row in read_rows(path)]
    said = [row["detail"] for row in rows if row["kind"] == "STOP_TRIGGERED"]
    assert len(said) == len(fired)
    assert all(f"reason {name}, position_lots " in detail for detail in said)


def read_rows(path: str) -> list[dict[str, Any]]:
    with pa.memory_map(path) as file:
        return pa.ipc.open_file(file).read_all().to_pylist()


LIMITS: dict[str, dict[str, Any]] = {
    "PORTFOLIO_VAR": {"var": VarLimits(var_frac=0.0, tail_frac=0.04), "grace_ns": 5_000 * MS},
    "EXPOSURE_GROSS": {"exposure": ExposureLimits(gross_frac=0.0001)},
    "DRAWDOWN": {"drawdown": DrawdownConfig(0, 10_000)},
    "DAILY_LOSS": {"drawdown": DrawdownConfig(10_000, 0)},
    "PORTFOLIO_UNKNOWN": {"holdings": (Holding("GOLD", "metals"),)},
}


@pytest.mark.parametrize("code", LIMITS)
def test_each_portfolio_limit_acts_in_a_paper_session_and_evidence_shows_it(tmp_path, code):
    portfolio = PortfolioConfig(actions=Actions(drawdown="REDUCE_ONLY"), **(FAST | LIMITS[code]))
    fees = Fees(maker_bps=5.0, taker_bps=5.0, rounding="up")  # so that trading loses from the first fill on
    result = run_paper(session(tmp_path, ControlsConfig(portfolio=portfolio), fees=fees))
    check(tmp_path, result)
    assert result["controls"]["alerts"][code] == 1
    bundle = write_bundle(tmp_path, tmp_path / "evidence", ROOT)
    rows = {row["name"]: row for row in bundle["controls"]}
    assert rows["portfolio limits"]["acted"][f"alert:{code}"]["count"] == 1
    assert rows["portfolio limits"]["configured"]["controls"]["portfolio"]["interval_ns"] == 10 * MS
    changes = [each.reason for each in bodies(tmp_path) if isinstance(each, StateChange)]
    assert sum(reason.startswith(f"{code}: ") for reason in changes) == 1


def test_sizing_cuts_the_quotes_of_a_paper_session_to_its_target(tmp_path):
    rule = SizingRule(target_volatility_frac=1e-5, periods_per_year=1_000.0, min_observations=30)
    controls = ControlsConfig(portfolio=PortfolioConfig(**FAST, sizing=rule))
    first = run_paper(session(tmp_path, controls, max_decisions=60, snapshot_records=100))
    assert first["controls"]["size_cut"] > 0
    assert 0.0 < first["controls"]["scale"] < 1.0
    check(tmp_path, first)


def test_a_holding_is_marked_while_the_session_runs_and_a_number_that_is_none_is_on_record_as_unknown(tmp_path):
    portfolio = PortfolioConfig(**FAST, holdings=(Holding("GOLD", "metals"),), exposure=ExposureLimits())
    opened = open_paper(session(tmp_path, ControlsConfig(portfolio=portfolio)))
    asked = [
        opened.session.mark_holding("GOLD", 2.0, 50.25, "ann"),
        opened.session.mark_holding("GOLD", 2.0, float("nan"), "ann"),
        opened.session.mark_holding("TIN", 2.0, 1.0, "ann"),
    ]
    opened.run()
    opened.close()
    assert [each.result(1.0).accepted for each in asked] == [True, True, False]
    records = check(tmp_path, summarise(opened))
    marks = [(m.quantity_e8, m.mark_e8, m.known) for m in records if isinstance(m, HoldingMark)][:2]
    assert marks == [(2 * 10**8, 5_025_000_000, True), (200_000_000, 0, False)]
    assert opened.session.core_state.controls.tripped == ("PORTFOLIO_UNKNOWN",)
    assert opened.session.core_state.trading == TradingState.HALTED


def test_without_controls_a_session_is_what_it_was(tmp_path):
    plain = run_paper(config(tmp_path / "plain", market=make_market(300, seed=4)))
    off = run_paper(config(tmp_path / "off", market=make_market(300, seed=4), controls=ControlsConfig()))
    kept = ("decisions", "orders", "fills", "position", "pnl_e8", "journal_records", "rejects", "refusals")
    assert {name: plain[name] for name in kept} == {name: off[name] for name in kept}
    assert "controls" not in plain
