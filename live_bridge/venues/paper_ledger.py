"""The paper venue's ledger on disk: commands and results in a chained journal of its own (`ledger-*.bsj`).

Rebuilding runs the logged commands and advances through the venue again and demands every logged result: a ledger that
does not come out again is refused, since then neither engine nor record can be trusted.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from live_bridge.failpoints import armed, reach
from live_bridge.journal import Journal, JournalReader
from live_bridge.records import fill_message, from_body
from live_bridge.types import CancelAck, CancelReject, Event, Fill, NewIntent, OrderAck, OrderKind, OrderReject, Origin
from live_bridge.venues.base import VenueOrder
from protos.journal.v1 import journal_pb2 as pb

if TYPE_CHECKING:
    from live_bridge.venues.paper import PaperVenue

RESULTS: dict[type, str] = {
    OrderAck: "ack",
    OrderReject: "reject",
    CancelAck: "cancel_ack",
    CancelReject: "cancel_reject",
    Fill: "fill",
}
RESULT_CLASSES = {name: cls for cls, name in RESULTS.items()}


class PaperLedgerError(ValueError):
    """The ledger does not belong to this session, or does not come out again."""


class PaperLedger:
    """Writes and replays the ledger."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.epoch = 0

    def _log(self, *records: pb.Record) -> None:
        for record in records:
            self._journal.append(record.SerializeToString(deterministic=True))
        self._journal.commit(has_intents=True)

    def log_new(self, number: int, event_ns: int, arrival_ns: int, engine_id: int, intent: NewIntent) -> None:
        """Log an order before it is under way."""
        command = pb.VenueCommand(
            command_number=number,
            event_ns=event_ns,
            arrival_ns=arrival_ns,
            client_order_id=intent.client_order_id,
            order_id=engine_id,
            side=intent.side + 1,  # type: ignore[arg-type]
            price_tick=intent.price_tick,
            lots=intent.lots,
            kind=intent.kind.value,  # type: ignore[arg-type]
        )
        self._log(pb.Record(venue_command=command))

    def log_cancel(self, number: int, event_ns: int, arrival_ns: int, engine_id: int, order: VenueOrder) -> None:
        """Log a cancel before it is under way."""
        command = pb.VenueCommand(
            command_number=number,
            event_ns=event_ns,
            arrival_ns=arrival_ns,
            client_order_id=order.client_order_id,
            order_id=engine_id,
            cancel=True,
        )
        self._log(pb.Record(venue_command=command))

    def log_advance(self, cursor: int, event_ns: int, drained: bool, events: list[Event]) -> None:
        """Log that the market went on, and everything that came of it, in one commit."""
        records = [
            pb.Record(
                venue_advance=pb.VenueAdvance(cursor=cursor, event_ns=event_ns, drained=drained, results=len(events))
            )
        ]
        for event in events:
            if isinstance(event, Fill) and armed("venue.mid_fill"):
                self._log(*records)
            if isinstance(event, Fill):
                reach("venue.mid_fill")
            records.append(_result_record(event))
        self._log(*records)

    def rebuild(self, venue: "PaperVenue", instrument: str, data_digest: str, config_json: str) -> None:
        """Run the whole ledger through a fresh venue, then note that another process has opened it."""
        expected: list[Event] = []
        for frame in JournalReader(self._journal.directory, "ledger").frames():
            record = pb.Record.FromString(frame.payload)
            match record.WhichOneof("body"):
                case "venue_open":
                    self.epoch = record.venue_open.epoch
                    _check_open(record.venue_open, instrument, data_digest, config_json)
                case "venue_command":
                    _check_complete(expected, frame.sequence)
                    _repeat_command(venue, record.venue_command)
                case "venue_advance":
                    _check_complete(expected, frame.sequence)
                    expected = _repeat_advance(venue, record.venue_advance)
                case "venue_result":
                    _check_result(expected, record.venue_result, frame.sequence)
                case other:
                    raise PaperLedgerError(f"ledger record {frame.sequence} is {other!r}")
        # A process that died while it wrote results left their advance whole: what is missing is written now.
        self._log(*(_result_record(event) for event in expected))
        self.epoch += 1
        opened = pb.VenueOpen(instrument=instrument, data_digest=data_digest, config_json=config_json, epoch=self.epoch)
        self._log(pb.Record(venue_open=opened))

    def close(self) -> None:
        """Close the files."""
        self._journal.close()


def _result_record(event: Event) -> pb.Record:
    record = pb.Record()
    fill_message(event, getattr(record.venue_result, RESULTS[type(event)]))
    return record


def _check_open(opened: pb.VenueOpen, instrument: str, data_digest: str, config_json: str) -> None:
    fields = {"instrument": instrument, "data_digest": data_digest, "config_json": config_json}
    for name, ours in fields.items():
        if getattr(opened, name) != ours:
            raise PaperLedgerError(
                f"the ledger was made with another {name}: {getattr(opened, name)!r}, now {ours!r}; "
                "use another session directory"
            )


def _repeat_command(venue: "PaperVenue", command: pb.VenueCommand) -> None:
    if command.cancel:
        order = venue.order(command.client_order_id)
        if order is None:
            raise PaperLedgerError(f"command {command.command_number} cancels an order that was never sent")
        venue.remove(order, command.order_id, command.arrival_ns)
        return
    intent = NewIntent(
        client_order_id=command.client_order_id,
        intent_number=0,
        instrument=0,
        side=command.side - 1,
        price_tick=command.price_tick,
        lots=command.lots,
        kind=OrderKind(command.kind),
        reduce_only=False,
        origin=Origin.POLICY,
        request_id="",
        event_ns=command.event_ns,
    )
    venue.enter(intent, command.order_id, command.arrival_ns)


def _repeat_advance(venue: "PaperVenue", advance: pb.VenueAdvance) -> list[Event]:
    events = venue.advance_to(advance.cursor, advance.drained)
    if (venue.cursor, venue.now_ns(), len(events)) != (advance.cursor, advance.event_ns, advance.results):
        raise PaperLedgerError(
            f"the market went to message {venue.cursor}, {venue.now_ns()} ns, {len(events)} results; the ledger says "
            f"{advance.cursor}, {advance.event_ns} ns, {advance.results}"
        )
    return events


def _check_complete(expected: list[Event], sequence: int) -> None:
    if expected:
        raise PaperLedgerError(
            f"ledger record {sequence}: {len(expected)} results of the advance before it are missing"
        )


def _check_result(expected: list[Event], result: pb.VenueResult, sequence: int) -> None:
    name = result.WhichOneof("body")
    logged = from_body(RESULT_CLASSES[name], getattr(result, name)) if name in RESULT_CLASSES else None
    ours = expected.pop(0) if expected else None
    if ours is None or logged is None or not same_but_received(ours, logged):
        raise PaperLedgerError(f"ledger record {sequence}: the engine gives {ours}, the ledger says {logged}")


def same_but_received(ours: Event, logged: Event) -> bool:
    """Whether two results agree in everything but the time of receipt."""
    return replace(ours, recv_ns=0) == replace(logged, recv_ns=0)
