"""Events and outputs as journal records and back: one table says which dataclass is which protobuf body.

Field names are the same on both sides; what differs (sides, enumerations, arrays, tuples) has a converter here.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from kernels.lob.spec import NUM_OWN_COLUMNS, NUM_SUMMARY
from kernels.risk.spec import RiskReason
from kernels.risk.stops import StopReason
from live_bridge import types
from live_bridge.risk_types import CutReason
from protos.journal.v1 import journal_pb2 as pb

Body = types.Event | types.Output


class RecordError(ValueError):
    """A payload that is not a record of this bridge."""


BODIES: dict[type, str] = {
    types.SessionStart: "session_start",
    types.SessionStop: "session_stop",
    types.BookEvent: "book_event",
    types.OrderAck: "order_ack",
    types.OrderReject: "order_reject",
    types.CancelAck: "cancel_ack",
    types.CancelReject: "cancel_reject",
    types.Fill: "fill",
    types.OutcomeUnknown: "outcome_unknown",
    types.Resolution: "resolution",
    types.Reconciled: "reconciled",
    types.Timer: "timer",
    types.Control: "control",
    types.LimitsChange: "limits_change",
    types.OrderRequest: "order_request",
    types.CancelRequest: "cancel_request",
    types.HoldingMark: "holding_mark",
    types.Decision: "decision",
    types.Refusal: "refusal",
    types.NewIntent: "new_intent",
    types.CancelIntent: "cancel_intent",
    types.RiskRefusal: "risk_refusal",
    types.StateChange: "state_change",
    types.Alert: "alert",
    types.StopTriggered: "stop_triggered",
    types.SizeCut: "size_cut",
    types.HedgeSuggestion: "hedge_suggestion",
    types.PortfolioRisk: "portfolio_risk",
}
CLASSES = {name: cls for cls, name in BODIES.items()}
EVENTS = (
    types.SessionStart,
    types.SessionStop,
    types.BookEvent,
    types.OrderAck,
    types.OrderReject,
    types.CancelAck,
    types.CancelReject,
    types.Fill,
    types.OutcomeUnknown,
    types.Resolution,
    types.Reconciled,
    types.Timer,
    types.Control,
    types.LimitsChange,
    types.OrderRequest,
    types.CancelRequest,
    types.HoldingMark,
)

_ENUMS: dict[str, Callable[[Any], Any]] = {
    "kind": types.OrderKind,
    "origin": types.Origin,
    "liquidity": types.Liquidity,
    "outcome": types.Outcome,
    "command": types.Command,
    "trading_from": types.TradingState,
    "trading_to": types.TradingState,
    "phase_from": types.Phase,
    "phase_to": types.Phase,
    "side": lambda value: value - 1,
    "venues": tuple,
    "instruments": tuple,
}
_REASONS: dict[type, Callable[[Any], Any]] = {
    types.Refusal: types.RefusalReason,
    types.RiskRefusal: RiskReason,
    types.StopTriggered: StopReason,
    types.SizeCut: CutReason,
}
_FIELDS: dict[type, tuple[str, ...]] = {cls: tuple(field.name for field in fields(cls)) for cls in BODIES}


def to_message(body: Body) -> pb.Record:
    """Return the protobuf record of an event or output."""
    record = pb.Record()
    fill_message(body, getattr(record, BODIES[type(body)]))
    return record


def fill_message(body: Body, message: Any) -> None:
    """Write the fields of `body` into `message`, its protobuf body."""
    message.SetInParent()
    if isinstance(body, types.BookEvent):
        _fill_book(body, message)
        return
    for name in _FIELDS[type(body)]:
        value = getattr(body, name)
        if isinstance(value, tuple):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value + 1 if name == "side" else value)


def _fill_book(book: types.BookEvent, message: Any) -> None:
    for name in ("instrument", "event_ns", "recv_ns", "now_ns", "feed_sequence", "gap", "advice"):
        setattr(message, name, getattr(book, name))
    message.levels = book.depth.shape[1]
    message.depth.extend(book.depth.ravel().tolist())
    message.summary.extend(book.summary.tolist())
    message.own.extend(book.own.ravel().tolist())


def from_message(record: pb.Record) -> Body:
    """Return the event or output of a protobuf record; RecordError if it holds none of them."""
    name = record.WhichOneof("body")
    if name not in CLASSES:
        raise RecordError(f"record body {name!r} is not an event or output of the bridge")
    return from_body(CLASSES[name], getattr(record, name))


def from_body(cls: type, message: Any) -> Any:
    """Return the dataclass `cls` from its protobuf body; RecordError where a value is outside its enumeration."""
    try:
        if cls is types.BookEvent:
            return _book_event(message)
        values = {}
        for name in _FIELDS[cls]:
            value = getattr(message, name)
            convert = _ENUMS.get(name) if name != "reason" else _REASONS.get(cls)
            values[name] = convert(value) if convert else value
    except ValueError as error:
        raise RecordError(f"{cls.__name__}: {error}") from error
    return cls(**values)


def _book_event(message: Any) -> types.BookEvent:
    depth = np.array(message.depth, np.int32).reshape(2, message.levels, 2)
    return types.BookEvent(
        instrument=message.instrument,
        event_ns=message.event_ns,
        now_ns=message.now_ns,
        feed_sequence=message.feed_sequence,
        gap=message.gap,
        depth=depth,
        summary=np.array(message.summary, np.int32).reshape(NUM_SUMMARY),
        own=np.array(message.own, np.int32).reshape(2, NUM_OWN_COLUMNS),
        recv_ns=message.recv_ns,
        advice=message.advice,
    )


def encode(body: Body) -> bytes:
    """Return the journal payload of an event or output."""
    return to_message(body).SerializeToString(deterministic=True)


def decode(payload: bytes) -> Body:
    """Return the event or output of a journal payload; RecordError if it is none."""
    record = pb.Record()
    try:
        record.ParseFromString(payload)
    except Exception as error:  # protobuf's DecodeError is not a ValueError in every implementation
        raise RecordError(f"not a journal record: {error}") from error
    return from_message(record)


def is_event(body: Body) -> bool:
    """Whether a body entered the core (the others left it)."""
    return isinstance(body, EVENTS)
