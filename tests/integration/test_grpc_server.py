"""The bridge's API over real sockets, in front of a real session that quotes in the paper venue."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from kernels.lob import spec
from kernels.risk.spec import RiskLimits
from live_bridge.core_state import CoreConfig
from live_bridge.events import NEXT_SEQUENCE_KEY
from live_bridge.journal import JournalReader
from live_bridge.journal_tools import verify_replay
from live_bridge.records import decode
from live_bridge.server import SERVICES, BridgeServer, ServerConfig, ServerError, TlsFiles, is_loopback, start_server
from live_bridge.servicer import Served
from live_bridge.session import Session, SessionConfig
from live_bridge.types import Control
from live_bridge.venues.paper import PaperVenue, PaperVenueConfig
from protos.bridge.v1 import bridge_pb2 as pb
from protos.bridge.v1 import bridge_pb2_grpc
from protos.journal.v1 import journal_pb2
from tests.support.paper_market import INSTRUMENT, MID_TICK, make_market
from tests.support.sessions import JoinBothSides

LIMITS = RiskLimits(collar_tick=500)


class Gate:
    """Paces a session: it runs freely until `hold_at` decisions' events, then waits for `open`."""

    def __init__(self, hold_at: int) -> None:
        self.left = hold_at
        self.held = threading.Event()
        self.opened = threading.Event()
        self.frozen = threading.Event()
        self.stuck = threading.Event()

    def pace(self, event_ns: int) -> float:
        if self.left > 0 or self.opened.is_set():
            self.left -= 1
            return 0.0
        self.held.set()
        if self.frozen.is_set():
            self.stuck.set()
            self.opened.wait()  # the session's thread takes nothing
        return 0.001

    def open(self) -> None:
        self.opened.set()


@dataclass
class Running:
    """A session on its own thread with a server and a client's stubs in front of it."""

    session: Session
    server: BridgeServer
    channel: grpc.Channel
    gate: Gate
    thread: threading.Thread

    def __post_init__(self) -> None:
        self.control = bridge_pb2_grpc.ControlStub(self.channel)
        self.orders = bridge_pb2_grpc.OrdersStub(self.channel)
        self.events = bridge_pb2_grpc.EventsStub(self.channel)
        self.decisions = bridge_pb2_grpc.DecisionsStub(self.channel)

    def subscribe(self, start: int, **options) -> Iterator[pb.Event]:
        return self.events.Subscribe(pb.SubscribeRequest(from_sequence=start, **options), timeout=60)


@pytest.fixture
def bridge(tmp_path: Path):
    with run_bridge(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    """One session for the calls that must leave it as it was."""
    with run_bridge(tmp_path_factory.mktemp("shared")) as running:
        yield running


class run_bridge:  # noqa: N801 (used as a function)
    """Start a session that holds after 40 decisions, and its server; end both."""

    def __init__(
        self,
        folder: Path,
        hold_at: int = 40,
        subscriber_capacity: int = 4_096,
        answer_timeout_s: float = 10,
        **server: object,
    ) -> None:
        self.answer_timeout_s = answer_timeout_s

        def clock() -> int:
            return time.time_ns()

        config = SessionConfig("test", "run-1", fsync="never", subscriber_capacity=subscriber_capacity)
        venue = PaperVenue(
            folder / "venue", make_market(8_000), PaperVenueConfig(backend="oracle"), clock, fsync="never"
        )
        core = CoreConfig(INSTRUMENT, limits=LIMITS)
        self.session = Session(config, core, JoinBothSides(), venue, folder, clock)
        self.gate = Gate(hold_at)
        self.server_options = server

    def __enter__(self) -> Running:
        self.thread = threading.Thread(target=self._run, name="session")
        self.thread.start()
        assert self.gate.held.wait(30)
        served = Served(self.session, (INSTRUMENT,), answer_timeout_s=self.answer_timeout_s)
        self.server = start_server(served, ServerConfig(port=0, **self.server_options))  # pyright: ignore
        self.channel = grpc.insecure_channel(self.server.address)
        return Running(self.session, self.server, self.channel, self.gate, self.thread)

    def _run(self) -> None:
        try:
            self.session.start()
            self.session.run(self.gate.pace)
        finally:
            self.gate.held.set()
            self.session.close()

    def __exit__(self, *_: object) -> None:
        self.session.request_stop("test over")
        self.gate.open()
        self.thread.join(30)
        self.channel.close()
        self.server.stop(0.5)
        assert not self.thread.is_alive()


def refused(call) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        result = call()
        if hasattr(result, "__iter__"):
            list(result)
    return caught.value


def test_health_is_serving_while_the_session_lives_and_not_after(bridge: Running):
    stub = health_pb2_grpc.HealthStub(bridge.channel)
    status = health_pb2.HealthCheckResponse
    for name in ("", *SERVICES):
        assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == status.SERVING
    assert (
        refused(lambda: stub.Check(health_pb2.HealthCheckRequest(service="nope"))).code() == grpc.StatusCode.NOT_FOUND
    )
    changes = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=30)
    assert next(changes).status == status.SERVING
    bridge.control.Stop(pb.CommandRequest(actor="operator"))
    assert next(changes).status == status.NOT_SERVING
    bridge.thread.join(30)


def test_reflection_describes_every_service(shared: Running):
    stub = reflection_pb2_grpc.ServerReflectionStub(shared.channel)
    [answer] = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    names = {service.name for service in answer.list_services_response.service}
    assert names == {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="bookswarm.bridge.v1.Control")
    [answer] = stub.ServerReflectionInfo(iter([request]))
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(f) for f in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert "ReduceOnly" in {method.name for file in files for s in file.service for method in s.method}


def test_events_are_the_journal_from_any_sequence_number_in_order_without_gaps(bridge: Running):
    bridge.session.request_stop("test")
    received = list(bridge.subscribe(1))
    bridge.thread.join(30)
    journal = [(f.sequence, f.payload) for f in JournalReader(bridge.session.journal_directory).frames(1)]
    assert len(journal) > 100
    assert [(e.sequence, e.record.SerializeToString(deterministic=True)) for e in received] == journal
    middle = len(journal) // 2
    assert [e.sequence for e in bridge.subscribe(middle)] == list(range(middle, len(journal) + 1))


def test_a_reader_follows_from_history_into_live_events_without_a_seam(bridge: Running):
    stream = bridge.subscribe(1)
    first = [next(stream).sequence for _ in range(20)]
    bridge.gate.open()
    rest = [event.sequence for event in stream]
    assert first + rest == list(range(1, bridge.session.journal_records + 1))
    assert len(rest) > 1_500


def test_a_reader_may_ask_for_some_kinds_only(bridge: Running):
    bridge.session.request_stop("test")
    bodies = {event.record.WhichOneof("body") for event in bridge.subscribe(1, kinds=["fill", "new_intent"])}
    assert bodies <= {"fill", "new_intent"}
    assert "new_intent" in bodies


def test_a_slow_reader_is_dropped_and_told_where_to_go_on_while_the_session_goes_on(tmp_path: Path):
    with run_bridge(tmp_path, subscriber_capacity=64) as bridge:
        channel, slow = narrow_reader(bridge, 0)
        bridge.gate.open()
        bridge.thread.join(60)  # the session ends although nobody reads
        assert not bridge.thread.is_alive()
        assert bridge.session.state().decisions > 300
        received = []
        with pytest.raises(grpc.RpcError) as caught:
            received.extend(event.sequence for event in slow)
        channel.close()
        error = caught.value
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED  # pyright: ignore
        assert received == list(range(received[0], received[0] + len(received)))  # no holes before the end
        assert received[-1] < bridge.session.journal_records
        told = int(dict(error.trailing_metadata())[NEXT_SEQUENCE_KEY])  # pyright: ignore
        assert told == received[-1] + 1
        assert f"subscribe again from sequence {told}" in error.details()  # pyright: ignore


def test_kill_halts_the_session_and_leaves_no_order_open(bridge: Running):
    assert bridge.session.venue.open_orders()
    answer = bridge.control.Kill(pb.CommandRequest(actor="alice", reason="drill"))
    assert answer.accepted
    stream = bridge.subscribe(answer.sequence)
    command = next(stream).record.control
    assert (command.command, command.reason) == (journal_pb2.COMMAND_KILL, "drill")
    assert command.actor.startswith("alice@ipv4:127.0.0.1:")
    bridge.gate.open()
    for event in stream:
        if event.record.WhichOneof("body") == "book_event" and not bridge.control.State(pb.StateRequest()).open_orders:
            break
    state = bridge.control.State(pb.StateRequest())
    assert state.trading == journal_pb2.TRADING_STATE_HALTED
    assert list(state.open_orders) == []
    assert bridge.session.venue.open_orders() == []
    assert list(bridge.orders.List(pb.ListOrdersRequest()).orders) == []
    assert len(bridge.orders.List(pb.ListOrdersRequest(include_closed=True)).orders) > 1
    order = pb.SubmitRequest(request_id="late", side=1, price_tick=MID_TICK - 3, lots=1, kind=1, actor="alice")
    late = bridge.orders.Submit(order)
    assert (late.accepted, late.reason) == (False, "HALTED")


def test_an_order_from_outside_passes_the_same_gate_and_can_be_cancelled(bridge: Running):
    order = pb.SubmitRequest(
        request_id="mine", side=journal_pb2.SIDE_BUY, price_tick=MID_TICK - 20, lots=3, kind=1, actor="bob"
    )
    answer = bridge.orders.Submit(order)
    assert answer.accepted, answer.reason
    [listed] = [
        o for o in bridge.orders.List(pb.ListOrdersRequest()).orders if o.client_order_id == answer.client_order_id
    ]
    assert (listed.side, listed.price_tick, listed.lots) == (journal_pb2.SIDE_BUY, MID_TICK - 20, 3)
    assert listed.origin == journal_pb2.ORIGIN_EXTERNAL
    far = pb.SubmitRequest(request_id="far", side=1, price_tick=MID_TICK - 5_000, lots=3, kind=1, actor="bob")
    assert bridge.orders.Submit(far).reason == "PRICE_COLLAR"
    cancel = pb.CancelRequest(request_id="c", client_order_id=answer.client_order_id, actor="bob")
    assert bridge.orders.Cancel(cancel).accepted
    unknown = pb.CancelRequest(request_id="c", client_order_id="f" * 32, actor="bob")
    assert not bridge.orders.Cancel(unknown).accepted


def test_limits_and_state_are_the_sessions_own(shared: Running):
    [limits] = shared.control.Limits(pb.LimitsRequest()).instruments
    assert (limits.name, limits.tick_size, limits.collar_tick, limits.tradable) == ("TEST", "0.01", 500, True)
    assert limits.max_position_lots == LIMITS.max_position_lots
    state, view = shared.control.State(pb.StateRequest()), shared.session.state()
    for name in ("run_id", "epoch", "sequence", "decisions", "position_lots", "cash_e8", "fees_e8", "pnl_e8"):
        assert getattr(state, name) == getattr(view, name), name
    assert list(state.instruments) == ["TEST"]
    assert state.decisions > 0


def test_a_book_from_outside_gets_a_decision_and_a_crossed_one_a_typed_refusal(bridge: Running):
    def book(bid: int, ask: int) -> journal_pb2.BookEvent:
        event_ns = bridge.session.state().event_ns
        levels = [(bid - i, 100) for i in range(6)] + [(ask + i, 100) for i in range(6)]
        return journal_pb2.BookEvent(
            event_ns=event_ns, now_ns=event_ns, levels=6, depth=[v for level in levels for v in level],
            summary=[0] * spec.NUM_SUMMARY, own=[0] * 2 * spec.NUM_OWN_COLUMNS,
        )  # fmt: skip

    requests = [pb.DecisionRequest(request_number=7, book=book(9_999, 10_002)),
                pb.DecisionRequest(request_number=8, book=book(10_002, 10_001))]  # fmt: skip
    good, crossed = bridge.decisions.Decide(iter(requests))
    assert (good.request_number, good.WhichOneof("answer")) == (7, "decision")
    assert good.decision.bid_price_tick < good.decision.ask_price_tick
    assert (crossed.request_number, crossed.WhichOneof("answer")) == (8, "refusal")


GOOD = {"request_id": "r", "side": 1, "price_tick": MID_TICK, "lots": 1, "kind": 1, "actor": "a"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"actor": ""}, "actor is empty"),
        ({"request_id": ""}, "request_id is empty"),
        ({"request_id": "x" * 65}, "request_id has 65 characters"),
        ({"actor": "a\nb"}, "characters that cannot be printed"),
        ({"instrument": 1}, "instrument 1 is not one of 0..0"),
        ({"side": 0}, "side 0 is neither"),
        ({"side": 7}, "side 7 is neither"),
        ({"kind": 0}, "kind 0 is not one of"),
        ({"lots": 0}, "lots 0 is outside"),
        ({"lots": -5}, "lots -5 is outside"),
        ({"price_tick": 2**60}, "price_tick 1152921504606846976 is outside"),
    ],
)
def test_a_wrong_order_is_named_and_leaves_no_record(shared: Running, change: dict, words: str):
    before = shared.session.journal_records
    error = refused(lambda: shared.orders.Submit(pb.SubmitRequest(**(GOOD | change))))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT  # pyright: ignore
    assert words in error.details()  # pyright: ignore
    assert shared.session.journal_records == before


def test_other_wrong_requests_have_a_typed_status_and_no_effect(shared: Running):
    before = shared.session.journal_records
    code = grpc.StatusCode
    beyond = shared.session.journal_records + 2
    short = journal_pb2.BookEvent(levels=6, depth=[1, 2])
    raw = shared.channel.unary_unary("/bookswarm.bridge.v1.Orders/Submit")
    cases = [
        (lambda: shared.subscribe(beyond), code.OUT_OF_RANGE, f"from_sequence {beyond}"),
        (lambda: shared.subscribe(-1), code.OUT_OF_RANGE, "from_sequence -1"),
        (lambda: shared.subscribe(1, kinds=["fills"]), code.INVALID_ARGUMENT, "'fills' is not one of"),
        (lambda: shared.control.Kill(pb.CommandRequest()), code.INVALID_ARGUMENT, "actor is empty"),
        (lambda: shared.orders.Cancel(pb.CancelRequest(request_id="r", client_order_id="XYZ", actor="a")),
         code.INVALID_ARGUMENT, "32 lowercase hex"),
        (lambda: shared.decisions.Decide(iter([pb.DecisionRequest(request_number=3, book=short)])),
         code.INVALID_ARGUMENT, "request 3: book.depth has 2 values, not 24"),
        (lambda: shared.control.Kill(pb.CommandRequest(actor="a", reason="x" * 2**21)),
         code.RESOURCE_EXHAUSTED, "larger than max"),
        (lambda: raw(b"\xff\xff\xff\xff"), code.INTERNAL, "deserializing"),
        (lambda: shared.channel.unary_unary("/bookswarm.bridge.v1.Control/Promote")(b""), code.UNIMPLEMENTED, ""),
    ]  # fmt: skip
    for call, expected, words in cases:
        error = refused(call)
        assert error.code() == expected, error  # pyright: ignore
        assert words in error.details()  # pyright: ignore
    assert shared.session.journal_records == before


def test_a_call_after_the_session_has_ended_is_answered_and_not_left_hanging(bridge: Running):
    bridge.session.request_stop("test")
    bridge.thread.join(30)
    answer = bridge.control.Kill(pb.CommandRequest(actor="late"))
    assert (answer.accepted, answer.reason) == (False, "SESSION_ENDED")
    book = journal_pb2.BookEvent(levels=6, depth=[0] * 24, summary=[0] * 16, own=[0] * 12)
    error = refused(lambda: bridge.decisions.Decide(iter([pb.DecisionRequest(book=book)])))
    assert error.code() == grpc.StatusCode.UNAVAILABLE  # pyright: ignore


def test_a_kill_that_is_not_durable_in_time_is_said_to_be_open_and_still_takes_effect(tmp_path: Path):
    with run_bridge(tmp_path, answer_timeout_s=0.2) as bridge:
        bridge.gate.frozen.set()
        assert bridge.gate.stuck.wait(10)
        error = refused(lambda: bridge.control.Kill(pb.CommandRequest(actor="alice"), timeout=20))
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED  # pyright: ignore
        assert "may still take effect" in error.details()  # pyright: ignore
        bridge.gate.frozen.clear()
        bridge.gate.open()
        commands = [event.record.control.command for event in bridge.subscribe(1, kinds=["control"])]
        assert journal_pb2.COMMAND_KILL in commands


def test_no_more_streams_than_allowed_and_unary_calls_still_pass(tmp_path: Path):
    with run_bridge(tmp_path, max_streams=2) as bridge:
        streams = [bridge.subscribe(1) for _ in range(2)]
        assert [next(stream).sequence for stream in streams] == [1, 1]
        error = refused(lambda: bridge.subscribe(1))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED  # pyright: ignore
        assert error.details() == "all 2 streams are in use"  # pyright: ignore
        assert bridge.control.State(pb.StateRequest()).run_id == "run-1"
        streams[0].cancel()  # pyright: ignore
        assert first_sequence_once_there_is_room(bridge) == 1


def test_a_stream_whose_client_takes_nothing_is_cut_and_its_thread_comes_back(tmp_path: Path):
    with run_bridge(tmp_path, hold_at=380, max_streams=1, stall_s=0.3) as bridge:
        channel, stuck = narrow_reader(bridge, 1)
        assert next(stuck).sequence == 1
        assert first_sequence_once_there_is_room(bridge) == 1
        with pytest.raises(grpc.RpcError) as caught:
            list(stuck)
        channel.close()
        assert caught.value.code() == grpc.StatusCode.CANCELLED  # pyright: ignore


def narrow_reader(bridge: Running, start: int) -> tuple[grpc.Channel, Iterator[pb.Event]]:
    """Subscribe with a transport that takes 16 KB ahead and no more, so that the server's sends have to wait."""
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16_384)]
    channel = grpc.insecure_channel(bridge.server.address, options=options)
    return channel, bridge_pb2_grpc.EventsStub(channel).Subscribe(pb.SubscribeRequest(from_sequence=start), timeout=60)


def first_sequence_once_there_is_room(bridge: Running) -> int:
    """Subscribe again and again until the server takes another stream; fail after 20 s."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return next(bridge.subscribe(1)).sequence
        except grpc.RpcError:
            assert time.monotonic() < deadline, "the slot of a stream that ended did not come back"


def test_a_second_server_on_the_port_is_refused(shared: Running):
    served = Served(shared.session, (INSTRUMENT,))
    with pytest.raises(ServerError, match=f"127.0.0.1:{shared.server.port}"):
        start_server(served, ServerConfig(port=shared.server.port))


def certificate(name: str, issuer: tuple | None = None) -> tuple:
    """Return (certificate, key) for localhost, signed by the issuer or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def pem(part) -> bytes:
    if isinstance(part, x509.Certificate):
        return part.public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8
    return part.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def test_mutual_tls_lets_in_who_has_a_certificate_and_puts_its_name_on_record(tmp_path: Path):
    authority = certificate("authority")
    server, trader, stranger = (
        certificate("bridge", authority),
        certificate("trader-7", authority),
        certificate("stranger"),
    )
    files = TlsFiles(tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "authority.pem")
    files.certificate.write_bytes(pem(server[0]))
    files.key.write_bytes(pem(server[1]))
    files.client_authority.write_bytes(pem(authority[0]))
    with run_bridge(tmp_path, tls=files, host="0.0.0.0") as bridge:
        address = f"localhost:{bridge.server.port}"

        def state(*client: object) -> pb.SessionState:
            credentials = grpc.ssl_channel_credentials(pem(authority[0]), *client)
            with grpc.secure_channel(address, credentials) as channel:
                control = bridge_pb2_grpc.ControlStub(channel)
                control.ReduceOnly(pb.CommandRequest(actor="bob"), timeout=10)
                return control.State(pb.StateRequest(), timeout=10)

        assert state(pem(trader[1]), pem(trader[0])).trading == journal_pb2.TRADING_STATE_REDUCE_ONLY
        for client in ((), (pem(stranger[1]), pem(stranger[0]))):
            assert refused(lambda client=client: state(*client)).code() == grpc.StatusCode.UNAVAILABLE  # pyright: ignore
        records = [decode(frame.payload) for frame in JournalReader(bridge.session.journal_directory).frames(1)]
        assert [record.actor for record in records if isinstance(record, Control)] == ["bob@trader-7"]


def test_a_tls_file_that_is_not_there_is_named(shared: Running, tmp_path: Path):
    files = TlsFiles(tmp_path / "c", tmp_path / "nokey", tmp_path / "a")
    with pytest.raises(ServerError, match="nokey: No such file"):
        start_server(Served(shared.session, (INSTRUMENT,)), ServerConfig(port=0, tls=files))


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "example", "localhost.example", ""])
def test_an_address_that_others_can_reach_is_refused_without_tls(host: str):
    with pytest.raises(ServerError, match="is not loopback"):
        ServerConfig(host=host)
    assert ServerConfig(host=host, tls=TlsFiles(Path("c"), Path("k"), Path("a"))).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_served_without_tls(host: str):
    assert is_loopback(host)
    ServerConfig(host=host)


def test_limits_change_while_the_session_runs_on_record_and_the_journal_replays(bridge: Running):
    change = pb.SetLimitsRequest(actor="carol", reason="smaller", scope="firm", changes={"max_order_lots": 2})
    order = {"side": journal_pb2.SIDE_BUY, "price_tick": MID_TICK - 20, "lots": 3, "kind": 1, "actor": "bob"}
    assert bridge.orders.Submit(pb.SubmitRequest(request_id="before", **order)).accepted
    assert bridge.control.SetLimits(change).accepted
    refusal = bridge.orders.Submit(pb.SubmitRequest(request_id="after", **order | {"price_tick": MID_TICK - 21}))
    assert (refusal.accepted, refusal.reason) == (False, "MAX_ORDER_LOTS")
    assert [limits.max_order_lots for limits in bridge.session.limits()] == [1_000, 1_000, 2]
    own = pb.SetLimitsRequest(actor="carol", scope="strategy", changes={"collar_tick": 400})
    assert bridge.control.SetLimits(own).accepted
    assert bridge.control.Limits(pb.LimitsRequest()).instruments[0].collar_tick == 400
    wrong = pb.SetLimitsRequest(actor="carol", scope="strategy", changes={"tick_value_e8": 3})
    assert bridge.control.SetLimits(wrong).reason == "LIMITS_REFUSED"
    for bad, words in (
        (pb.SetLimitsRequest(actor="carol", scope="firm"), "changes is empty"),
        (pb.SetLimitsRequest(actor="carol", scope="firm", changes={"max_lotz": 1}), "'max_lotz' is no limit"),
        (pb.SetLimitsRequest(actor="carol", scope="firm", changes={"max_lots": -1}), "max_lots -1 is below 0"),
        (pb.SetLimitsRequest(actor="carol", changes={"max_lots": 1}), "scope is empty"),
        (pb.SetLimitsRequest(scope="firm", changes={"max_lots": 1}), "actor is empty"),
    ):
        error = refused(lambda bad=bad: bridge.control.SetLimits(bad))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT  # pyright: ignore
        assert words in error.details()  # pyright: ignore
    bridge.session.request_stop("test")
    bridge.thread.join(30)
    replayed = verify_replay(bridge.session.journal_directory, JoinBothSides())
    assert replayed["replayed_ok"], replayed
