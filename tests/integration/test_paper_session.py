"""Whole paper sessions: the record adds up three ways, replays bit for bit, and the session obeys from outside."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pytest

from live_bridge.arrow_export import journal_to_arrow
from live_bridge.journal import JournalDamagedError, JournalError, JournalReader
from live_bridge.journal_tools import export, show, verify, verify_replay
from live_bridge.ledgers import ledger_from_journal, ledger_from_venue
from live_bridge.paper import PaperConfig, SessionFailedError, open_paper, run_paper
from live_bridge.records import decode
from live_bridge.recovery import OtherSessionError
from live_bridge.session import Session, SessionConfig
from live_bridge.types import (
    BookEvent,
    CancelIntent,
    CancelRequest,
    Decision,
    NewIntent,
    OrderKind,
    OrderRequest,
    OrderState,
    Outcome,
    OutcomeUnknown,
    Phase,
    Reconciled,
    Refusal,
    RefusalReason,
    Resolution,
    SessionStop,
    TradingState,
)
from live_bridge.venues.paper import PaperVenue, PaperVenueConfig
from live_bridge.venues.paper_ledger import PaperLedgerError
from market_models.fees import Fees
from tests.support.core_events import book
from tests.support.paper_child import run_paced_child
from tests.support.paper_market import HashPolicy, make_market

FEES = Fees(maker_bps=-0.2, taker_bps=0.7, rounding="up")


def config(directory: Path, **changes) -> PaperConfig:
    fields = {
        "directory": directory,
        "market": make_market(1_000, seed=4),
        "policy": HashPolicy(),
        "backend": "oracle",
        "horizon_events": 10,
        "quote_lots": 10,
        "inventory_cap_lots": 40,
        "fees": FEES,
        "snapshot_records": 0,
    }
    return PaperConfig(**fields | changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("paper")
    return directory, run_paper(config(directory))


def bodies(directory: Path) -> list:
    return [decode(frame.payload) for frame in JournalReader(directory / "journal").frames()]


def test_journal_ledger_venue_ledger_and_running_account_agree_to_the_integer(finished):
    directory, result = finished
    ours, theirs = ledger_from_journal(directory / "journal"), ledger_from_venue(directory / "venue")
    assert ours.equal(theirs)
    assert result["reconciled"]
    assert result["fills"] == len(theirs.fills) > 30
    assert (result["position"], result["cash_e8"], result["fees_e8"]) == (
        theirs.position_lots,
        theirs.cash_e8,
        theirs.fees_e8,
    )
    assert theirs.fees_e8 < 0, "a maker's rebates"
    assert result["decisions"] == 101
    json.dumps(result)


def test_a_difference_of_one_unit_between_the_ledgers_is_seen(finished):
    directory, _ = finished
    theirs = ledger_from_venue(directory / "venue")
    for change in ({"fee_e8": theirs.fills[3].fee_e8 + 1}, {"lots": theirs.fills[3].lots + 1}, {"trade_id": "other"}):
        other = ledger_from_venue(directory / "venue")
        other.fills[3] = other.fills[3]._replace(**change)
        assert not other.equal(theirs)


class Impostor(HashPolicy):
    """Other answers under the same name: the same actions, and a disagreement that differs in its last bits."""

    digest = HashPolicy().digest

    def act(self, obs):
        answer = super().act(obs)
        return answer._replace(disagreement=answer.disagreement + 1e-12)


def test_the_journal_replays_bit_for_bit_and_a_different_policy_is_told_apart(finished):
    directory, _ = finished
    replayed = verify_replay(directory / "journal", HashPolicy())
    assert replayed["ok"]
    assert replayed["replayed_ok"]
    assert replayed["events"] + replayed["outputs"] == replayed["records"]
    with pytest.raises(JournalError, match="quiet one in 3"):
        verify_replay(directory / "journal", HashPolicy(quiet_one_in=3))
    diverged = verify_replay(directory / "journal", Impostor())
    assert not diverged["replayed_ok"]
    records = bodies(directory)
    first = next(place for place, body in enumerate(records) if isinstance(body, Decision))
    assert diverged["diverged"]["sequence"] == first + 1


def test_the_arrow_segments_say_what_the_ledgers_say_and_ingest_into_the_warehouse(finished, tmp_path):
    from warehouse.client import open_warehouse
    from warehouse.reader import run_query
    from warehouse.writer import ingest_folder

    directory, result = finished
    first = journal_to_arrow(directory / "journal", tmp_path / "segments", segment_records=700)
    before = {path: Path(path).read_bytes() for path in first["files"]}
    again = journal_to_arrow(directory / "journal", tmp_path / "segments", segment_records=700)
    assert {path: Path(path).read_bytes() for path in again["files"]} == before
    tables = {name: read_segments(first["files"], name) for name in first["rows"]}
    assert tables["fills"].num_rows == result["fills"]
    last = tables["equity"].to_pylist()[-1]
    assert (last["position_lots"], last["cash_e8"], last["fees_e8"], last["equity_e8"]) == (
        result["position"],
        result["cash_e8"],
        result["fees_e8"],
        result["pnl_e8"],
    )
    assert len(set(tables["orders"]["client_order_id"].to_pylist())) == result["orders"]
    assert tables["decisions"].filter(pa.compute.equal(tables["decisions"]["refusal"], "")).num_rows == 101
    with open_warehouse(tmp_path / "warehouse") as client:
        assert ingest_folder(client, tmp_path / "segments") == first["rows"]
        assert set(ingest_folder(client, tmp_path / "segments").values()) == {0}
        columns, rows = run_query(client, "session_ledger", {"run_id": "paper", "tick_value_e8": 10**6})
    row = dict(zip(columns, rows[0], strict=True))
    assert (row["position_lots"], row["cash_e8"], row["fees_e8"], row["fills"]) == (
        result["position"],
        result["cash_e8"],
        result["fees_e8"],
        result["fills"],
    )


def read_segments(files: list[str], table: str) -> pa.Table:
    parts = [pa.ipc.open_file(path).read_all() for path in files if Path(path).name.startswith(f"{table}-")]
    return pa.concat_tables(parts)


def test_show_and_export_give_every_record_with_names_instead_of_numbers(finished, tmp_path):
    directory, result = finished
    exported = export(directory / "journal", tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert exported["records"] == len(lines) == result["journal_records"]
    assert lines == list(show(directory / "journal"))
    assert [line["sequence"] for line in show(directory / "journal", 5, 3)] == [5, 6, 7]
    fill = next(line for line in lines if line["type"] == "Fill")
    assert fill["liquidity"] in ("MAKER", "TAKER")


def test_a_damaged_journal_is_reported_with_its_place_and_never_continued(finished, tmp_path):
    directory, _ = finished
    copy = tmp_path / "journal"
    copy.mkdir()
    raw = bytearray((directory / "journal" / "segment-00000001.bsj").read_bytes())
    raw[5_000] ^= 1
    (copy / "segment-00000001.bsj").write_bytes(raw)
    report = verify(copy)
    assert not report["ok"]
    assert report["first_bad"]["offset"] <= 5_000
    with pytest.raises(JournalDamagedError):
        open_paper(config(tmp_path))


def test_a_session_continued_with_another_policy_or_other_data_is_refused(tmp_path):
    run_paper(config(tmp_path))
    with pytest.raises(OtherSessionError, match="another artifact_digest"):
        open_paper(config(tmp_path, policy=HashPolicy(quiet_one_in=3)))
    with pytest.raises(PaperLedgerError, match="another data_digest"):
        open_paper(config(tmp_path, market=make_market(1_000, seed=5)))


def test_a_finished_session_run_again_changes_nothing_but_the_epoch(tmp_path):
    first = run_paper(config(tmp_path))
    second = run_paper(config(tmp_path))
    same = ("decisions", "orders", "fills", "position", "pnl_e8", "cash_e8", "reconciled")
    assert {name: first[name] for name in same} == {name: second[name] for name in same}
    assert (first["epoch"], second["epoch"]) == (1, 2)


@contextmanager
def running(directory: Path, **changes):
    """A paper session that runs in a thread of its own, slow enough to talk to."""
    opened = open_paper(config(directory, speed=2.0, market=make_market(20_000, seed=4), **changes))
    failures: list[BaseException] = []

    def target():
        try:
            opened.run()
        except BaseException as error:
            failures.append(error)

    thread = Thread(target=target)
    thread.start()
    try:
        yield opened.session
    finally:
        opened.session.stop("tester", "end of the test")
        thread.join(60.0)
        opened.close()
    assert not thread.is_alive()
    assert not failures


def wait_for(subscription, kind, matches=lambda body: True):
    while True:
        item = subscription.get(30.0)
        assert item is not None
        if isinstance(item.body, kind) and matches(item.body):
            return item.body


def test_a_kill_from_another_thread_cancels_everything_confirms_with_the_venue_and_stays_until_resumed(tmp_path):
    with running(tmp_path) as session:
        events = session.bus.subscribe(1)
        wait_for(events, NewIntent)
        answer = session.kill("tester", "drill").result(30.0)
        assert answer.accepted
        confirmed = wait_for(events, Reconciled)
        assert confirmed.open_orders == 0
        assert confirmed.equal
        view = session.state()
        assert (view.trading, view.open_orders) == (TradingState.HALTED, ())
        refused = session.submit(OrderRequest("r", 0, 0, 9_990, 1, OrderKind.LIMIT, False, "tester")).result(30.0)
        assert (refused.accepted, refused.reason) == (False, "HALTED")
        wait_for(events, Refusal)
        assert session.resume("tester", "over").result(30.0).accepted
        wait_for(events, Decision)
        assert session.state().trading is TradingState.ACTIVE


def test_orders_from_outside_live_and_die_like_the_policys(tmp_path):
    with running(tmp_path) as session:
        events = session.bus.subscribe(1)
        wait_for(events, Decision)
        price = session.state().mark_tick_x2 // 2 - 15
        sent = session.submit(OrderRequest("mine", 0, 0, price, 3, OrderKind.LIMIT, False, "tester")).result(30.0)
        assert sent.accepted, sent.reason
        intent = wait_for(events, NewIntent, lambda body: body.request_id == "mine")
        assert intent.client_order_id == sent.client_order_id
        assert session.cancel(CancelRequest("c", sent.client_order_id, "tester")).result(30.0).accepted
        unknown = session.cancel(CancelRequest("c", "0" * 32, "tester")).result(30.0)
        assert (unknown.accepted, unknown.reason) == (False, "UNKNOWN_ORDER")
        views = {view.client_order_id: view for view in session.orders(open_only=False)}
        assert views[sent.client_order_id].lots == 3


def test_a_flatten_from_outside_ends_without_position_and_orders(tmp_path):
    with running(tmp_path) as session:
        events = session.bus.subscribe(1)
        wait_for(events, NewIntent)
        assert session.flatten("tester", "drill").result(30.0).accepted
        assert wait_for(events, Reconciled).equal
        view = session.state()
        assert (view.trading, view.phase, view.position_lots) == (TradingState.HALTED, Phase.RUNNING, 0)


def test_a_book_from_outside_is_answered_by_a_decision_or_a_typed_refusal_and_moves_nothing(tmp_path):
    with running(tmp_path) as session:
        events = session.bus.subscribe(1)
        wait_for(events, Decision)
        future = session.state().event_ns + 10**15
        decision = session.decide(book(event_ns=future, now_ns=future)).result(30.0)
        assert isinstance(decision, Decision)
        assert (decision.advice, decision.decision_number) == (True, 0)
        assert decision.bid_lots + decision.ask_lots >= 0
        refusal = session.decide(book(event_ns=future, now_ns=future, gap=True)).result(30.0)
        assert isinstance(refusal, Refusal)
        assert (refusal.reason, refusal.advice) == (RefusalReason.GAPPED_BOOK, True)
        assert session.decide(book(instrument=3)).result(30.0).reason is RefusalReason.BAD_SHAPE
        with pytest.raises(ValueError, match="are no book"):
            session.decide(book(own=np.zeros(3, np.int32)))
        next_own = wait_for(events, Decision, lambda body: not body.advice)
        assert session.state().event_ns < future, "an outside clock does not move ours"
        assert next_own.decision_number > 0
    records = bodies(tmp_path)
    asked = [place for place, body in enumerate(records) if isinstance(body, BookEvent) and body.advice]
    assert [type(records[place + 1]) for place in asked] == [Decision, Refusal, Refusal]
    assert all(not isinstance(records[place + 2], NewIntent | CancelIntent) for place in asked)


def test_a_session_that_closes_before_the_end_of_its_data_ends_flat(tmp_path):
    open_ended = run_paper(config(tmp_path / "open"))
    closed = run_paper(config(tmp_path / "closed", close_decisions=10))
    assert open_ended["position"] != 0
    assert (closed["position"], closed["reconciled"], closed["trading"]) == (0, True, "HALTED")
    assert 80 < closed["decisions"] < 95


def interrupt(directory: Path, number: signal.Signals) -> int:
    """Run a paced session in a process of its own, signal it once its journal has grown, return its exit code."""
    child = multiprocessing.get_context("forkserver").Process(target=run_paced_child, args=(str(directory), 4))
    child.start()
    while child.exitcode is None and sum(path.stat().st_size for path in directory.glob("journal/*.bsj")) < 20_000:
        child.join(0.002)
    os.kill(child.pid, number)
    child.join(60.0)
    return child.exitcode


def test_sigterm_drains_cancels_confirms_zero_open_and_exits_0(tmp_path):
    assert interrupt(tmp_path, signal.SIGTERM) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["reconciled"]
    assert result["decisions"] < 150
    assert bodies(tmp_path)[-2].reason == "SIGTERM"


def test_sigint_drains_too_and_is_passed_on_as_an_interrupt(tmp_path):
    assert interrupt(tmp_path, signal.SIGINT) == 130
    last = [body for body in bodies(tmp_path) if isinstance(body, SessionStop)][-1]
    assert (last.reason, last.open_orders) == ("SIGINT", 0)


class UnreliableVenue(PaperVenue):
    """A paper venue whose answers get lost: a send fails before or after it arrived, and queries fail at times."""

    absence_is_proof = True
    sends = queries = 0

    def submit(self, intent):
        self.sends += 1
        if self.sends % 7 == 0:
            raise ConnectionResetError("reset before it arrived")
        known = super().submit(intent)
        if self.sends % 5 == 0:
            raise TimeoutError("no answer")
        return known

    def order(self, client_order_id):
        self.queries += 1
        if self.queries % 3 == 0:
            raise TimeoutError("query timed out")
        return super().order(client_order_id)


def test_sends_whose_answer_is_lost_are_unknown_until_a_query_proves_what_became_of_them(tmp_path):
    wanted = config(tmp_path)
    made = open_paper(wanted)
    core_config, policy = made.session.core.config, made.session.core.policy
    made.close()
    venue_config = PaperVenueConfig(horizon_events=10, fees=FEES, backend="oracle")
    venue = UnreliableVenue(tmp_path / "v", wanted.market, venue_config, clock=lambda: 7, fsync="never")
    session = Session(SessionConfig("flaky", "flaky", probe_after_s=(0.0,)), core_config, policy, venue, tmp_path / "s")
    session.start()
    session.run()
    session.close()
    ours, theirs = ledger_from_journal(tmp_path / "s" / "journal"), ledger_from_venue(tmp_path / "v")
    assert ours.equal(theirs)
    records = bodies(tmp_path / "s")
    lost = [body.client_order_id for body in records if isinstance(body, OutcomeUnknown)]
    resolved = {body.client_order_id: body.outcome for body in records if isinstance(body, Resolution)}
    assert len(lost) > 20
    assert set(lost) == set(resolved)
    assert Outcome.NOT_SENT in resolved.values()
    assert Outcome.UNDER_WAY in resolved.values()
    assert len(theirs.orders) == len(set(theirs.orders)), "nothing was sent again"
    states = {order.state for order in session.orders(open_only=False)}
    assert OrderState.UNKNOWN not in states


class ForgetfulVenue(PaperVenue):
    """A venue whose "no such order" proves nothing."""

    absence_is_proof = False


def test_only_an_intent_that_never_reached_the_journal_is_known_not_to_have_left(finished, tmp_path):
    directory, _ = finished
    frames = list(JournalReader(directory / "journal").frames())
    records = [decode(frame.payload) for frame in frames]
    pairs = [i for i in range(300, len(records)) if all(isinstance(records[i + j], NewIntent) for j in (0, 1))]
    second = pairs[0] + 1
    (tmp_path / "journal").mkdir()
    whole = (directory / "journal" / "segment-00000001.bsj").read_bytes()
    (tmp_path / "journal" / "segment-00000001.bsj").write_bytes(whole[: frames[second].offset + 9])
    made = open_paper(config(tmp_path / "other"))
    core_config, policy = made.session.core.config, made.session.core.policy
    made.close()
    venue_config = PaperVenueConfig(horizon_events=10, fees=FEES, backend="oracle")
    venue = ForgetfulVenue(tmp_path / "venue", make_market(1_000, 4), venue_config, clock=lambda: 7, fsync="never")
    session = Session(SessionConfig("paper", "paper"), core_config, policy, venue, tmp_path)
    session.start()
    outcome = {body.client_order_id: body.outcome for body in bodies(tmp_path) if isinstance(body, Resolution)}
    session.close()
    assert outcome[records[second].client_order_id] is Outcome.NOT_SENT
    assert outcome[records[second - 1].client_order_id] is Outcome.STILL_UNKNOWN
    assert session.state().trading is TradingState.REDUCE_ONLY
    assert session.state().unknown_orders >= 1


def test_without_a_journal_nothing_new_leaves_and_every_order_is_taken_off_the_venue(tmp_path):
    opened = open_paper(config(tmp_path))
    opened.session.start()
    for event in opened.venue.poll():
        opened.session.dispatch(event)
    for event in opened.venue.poll():
        opened.session.dispatch(event)
    assert opened.venue.open_orders()
    sent = len(opened.venue.books.orders)
    descriptor = opened.session._journal._descriptor
    read_only = os.open(os.devnull, os.O_RDONLY)
    os.dup2(read_only, descriptor)
    os.close(read_only)
    with pytest.raises(SessionFailedError, match="0 orders are left open"):
        opened.session.run()
    assert not opened.venue.open_orders()
    assert len(opened.venue.books.orders) == sent
    opened.close()


def test_a_paper_session_imports_no_jax():
    code = """
import sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from live_bridge.paper import run_paper
from tests.support.paper_child import paper_config
result = run_paper(paper_config(Path(tempfile.mkdtemp()), 1, 200))
assert result["reconciled"]
assert not [name for name in sys.modules if name == "jax" or name.startswith(("jax.", "jaxlib"))]
"""
    root = str(Path(__file__).resolve().parents[2])
    subprocess.run([sys.executable, "-W", "error", "-c", code, root], check=True, timeout=120, cwd=root)


def test_a_resume_after_a_kill_asks_the_venue_first_and_is_refused_while_an_order_is_open_there(tmp_path):
    opened = open_paper(config(tmp_path))
    session, venue = opened.session, opened.venue
    session.start()
    while not venue.open_orders():
        for event in venue.poll():
            session.dispatch(event)
    asked = [session.kill("tester", "drill"), session.resume("tester", "too early")]
    while not asked[1].done():
        session._serve_inbox()
    assert [future.result(0).accepted for future in asked] == [True, False]
    assert asked[1].result(0).reason == "CONTROL_REFUSED"
    assert session.state().trading is TradingState.HALTED
    while venue.open_orders() or session.state().open_orders:
        for event in venue.poll():
            session.dispatch(event)
    later = session.resume("tester", "nothing is open")
    session._serve_inbox()
    assert later.result(0).accepted
    assert session.state().trading is TradingState.ACTIVE
    opened.close()
