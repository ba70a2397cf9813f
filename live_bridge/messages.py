"""Session records as bridge messages, and requests as session calls: the only place where the two vocabularies meet.

A request that is wrong raises `BadRequestError` with the field's name; nothing is coerced and nothing has happened yet.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from kernels.lob.spec import MAX_ABS_PRICE_TICK, MAX_LOTS, NUM_OWN_COLUMNS, NUM_SUMMARY
from kernels.risk.spec import RiskLimits
from live_bridge import types
from live_bridge.records import BODIES, RecordError, fill_message, from_body
from market_models.instrument import Instrument
from protos.bridge.v1 import bridge_pb2 as pb
from protos.journal.v1 import journal_pb2

MAX_TEXT = 256  # characters of a free text that is journalled
MAX_ID = 64
MAX_LEVELS = 1_024

_CLIENT_ORDER_ID = re.compile(r"[0-9a-f]{32}")


class BadRequestError(ValueError):
    """A request field is wrong; the message names it and says what is valid."""


def state_message(view: types.SessionView, instruments: tuple[Instrument, ...]) -> pb.SessionState:
    """Return a snapshot of the session as a message."""
    return pb.SessionState(
        instance=view.instance,
        run_id=view.run_id,
        epoch=view.epoch,
        sequence=view.sequence,
        trading=journal_pb2.TradingState.Name(view.trading),
        phase=journal_pb2.Phase.Name(view.phase),
        event_ns=view.event_ns,
        decisions=view.decisions,
        refusals=view.refusals,
        position_lots=view.position_lots,
        cash_e8=view.cash_e8,
        fees_e8=view.fees_e8,
        pnl_e8=view.pnl_e8,
        mark_tick_x2=view.mark_tick_x2,
        open_orders=[order_message(order) for order in view.open_orders],
        unknown_orders=view.unknown_orders,
        instruments=[instrument.name for instrument in instruments],
    )


def order_message(order: types.OrderView) -> pb.Order:
    """Return an order as a message."""
    return pb.Order(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        instrument=order.instrument,
        side=journal_pb2.Side.Name(order.side + 1),
        price_tick=order.price_tick,
        lots=order.lots,
        filled_lots=order.filled_lots,
        kind=journal_pb2.OrderKind.Name(order.kind),
        state=journal_pb2.OrderState.Name(order.state),
        origin=journal_pb2.Origin.Name(order.origin),
        reason=order.reason,
        event_ns=order.event_ns,
    )


def limits_message(instrument: Instrument, limits: RiskLimits) -> pb.InstrumentLimits:
    """Return an instrument's steps and limits as a message; the limits' names are the message's."""
    words = limits._asdict()
    words["tradable"] = bool(words["tradable"])
    return pb.InstrumentLimits(
        name=instrument.name,
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        currency=instrument.currency,
        **words,
    )


def limit_changes(changes: Mapping[str, int]) -> dict[str, int]:
    """Return limits by name; raise `BadRequestError` where one is no limit, below 0, or there are none."""
    if not changes:
        raise BadRequestError(f"changes is empty; valid names: {', '.join(RiskLimits._fields)}")
    for name, value in changes.items():
        if name not in RiskLimits._fields:
            raise BadRequestError(f"changes: {name!r} is no limit; valid: {', '.join(RiskLimits._fields)}")
        if value < 0:
            raise BadRequestError(f"changes: {name} {value} is below 0")
    return dict(changes)


def event_message(envelope: types.Envelope) -> pb.Event:
    """Return a journalled record with its sequence number."""
    event = pb.Event(sequence=envelope.sequence)
    fill_message(envelope.body, getattr(event.record, BODIES[type(envelope.body)]))
    return event


def result_message(result: types.CommandResult) -> pb.CommandResponse:
    """Return a command's answer as a message."""
    return pb.CommandResponse(
        accepted=result.accepted,
        sequence=result.sequence,
        client_order_id=result.client_order_id,
        reason=result.reason,
    )


def decision_message(number: int, answer: types.Decision | types.Refusal) -> pb.DecisionResponse:
    """Return what the core answered to a book."""
    response = pb.DecisionResponse(request_number=number)
    name = "decision" if isinstance(answer, types.Decision) else "refusal"
    fill_message(answer, getattr(response, name))
    return response


def order_request(request: pb.SubmitRequest, num_instruments: int, actor: str) -> types.OrderRequest:
    """Return the session's order request.

    Raises:
        BadRequestError: see the message; ranges are those of the engine, the risk gate judges the rest.
    """
    if request.instrument >= num_instruments:
        raise BadRequestError(f"instrument {request.instrument} is not one of 0..{num_instruments - 1}")
    if request.side not in (journal_pb2.SIDE_BUY, journal_pb2.SIDE_SELL):
        raise BadRequestError(f"side {request.side} is neither SIDE_BUY nor SIDE_SELL")
    if not 1 <= request.lots <= MAX_LOTS:
        raise BadRequestError(f"lots {request.lots} is outside 1..{MAX_LOTS}")
    if abs(request.price_tick) > MAX_ABS_PRICE_TICK:
        raise BadRequestError(f"price_tick {request.price_tick} is outside +-{MAX_ABS_PRICE_TICK}")
    if request.kind not in list(types.OrderKind):
        raise BadRequestError(
            f"kind {request.kind} is not one of ORDER_KIND_LIMIT, ORDER_KIND_IOC, ORDER_KIND_POST_ONLY"
        )
    return types.OrderRequest(
        request_id=required("request_id", request.request_id, MAX_ID),
        instrument=request.instrument,
        side=request.side - 1,
        price_tick=request.price_tick,
        lots=request.lots,
        kind=types.OrderKind(request.kind),
        reduce_only=request.reduce_only,
        actor=actor,
    )


def cancel_request(request: pb.CancelRequest, actor: str) -> types.CancelRequest:
    """Return the session's cancel request; raise `BadRequestError` for an id that is none."""
    if not _CLIENT_ORDER_ID.fullmatch(request.client_order_id):
        raise BadRequestError("client_order_id is not 32 lowercase hex characters")
    return types.CancelRequest(
        request_id=required("request_id", request.request_id, MAX_ID),
        client_order_id=request.client_order_id,
        actor=actor,
    )


def book_event(book: journal_pb2.BookEvent, num_instruments: int, recv_ns: int) -> types.BookEvent:
    """Return the book of a decision request; raise `BadRequestError` where an array has another shape."""
    if book.instrument >= num_instruments:
        raise BadRequestError(f"book.instrument {book.instrument} is not one of 0..{num_instruments - 1}")
    if not 1 <= book.levels <= MAX_LEVELS:
        raise BadRequestError(f"book.levels {book.levels} is outside 1..{MAX_LEVELS}")
    sizes = {"depth": 4 * book.levels, "summary": NUM_SUMMARY, "own": 2 * NUM_OWN_COLUMNS}
    for name, size in sizes.items():
        if len(getattr(book, name)) != size:
            raise BadRequestError(f"book.{name} has {len(getattr(book, name))} values, not {size}")
    try:
        event = from_body(types.BookEvent, book)
    except (RecordError, OverflowError) as error:
        raise BadRequestError(f"book: {error}") from error
    return replace(event, recv_ns=recv_ns)


def record_kinds(kinds: list[str]) -> frozenset[type] | None:
    """Return the body classes of these record names, or None for all; raise `BadRequestError` for an unknown one."""
    classes = {name: cls for cls, name in BODIES.items()}
    for kind in kinds:
        if kind not in classes:
            raise BadRequestError(f"kinds: {kind!r} is not one of {', '.join(classes)}")
    return frozenset(classes[kind] for kind in kinds) or None


def required(name: str, value: str, limit: int = MAX_TEXT) -> str:
    """Return a text that must be there; raise `BadRequestError` if it is empty, too long or not printable."""
    if not value:
        raise BadRequestError(f"{name} is empty")
    return optional(name, value, limit)


def optional(name: str, value: str, limit: int = MAX_TEXT) -> str:
    """Return a text that may be empty; raise `BadRequestError` if it is too long or not printable."""
    if len(value) > limit:
        raise BadRequestError(f"{name} has {len(value)} characters, more than {limit}")
    if not value.isprintable():
        raise BadRequestError(f"{name} has characters that cannot be printed")
    return value
