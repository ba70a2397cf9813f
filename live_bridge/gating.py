"""From what is wanted to intents: the risk gate for new orders, and cancels, which always pass."""

from typing import NamedTuple

import numpy as np

from kernels.risk import spec
from kernels.risk.cpu import gate
from kernels.risk.spec import RiskReason, pack_rows, pack_words
from live_bridge.core_state import CoreConfig, Turn
from live_bridge.orders import Order, OrderEvent, client_order_id
from live_bridge.types import (
    BUY,
    SELL,
    BookEvent,
    CancelIntent,
    NewIntent,
    OrderKind,
    OrderState,
    Origin,
    Phase,
    RiskRefusal,
)

_LIVE_PHASES = (Phase.RUNNING, Phase.FLATTENING)


class Wanted(NamedTuple):
    """An order that somebody would like to send."""

    instrument: int
    side: int
    price_tick: int
    lots: int
    kind: OrderKind
    reduce_only: bool
    origin: Origin
    request_id: str = ""


def warm_up() -> None:
    """Compile the gate before the first decision needs it."""
    empty = np.zeros((0, spec.NUM_INTENT_COLUMNS), np.int64)
    live = np.zeros((0, spec.NUM_LIVE_COLUMNS), np.int64)
    limits, state = np.zeros(spec.NUM_LIMITS, np.int64), np.zeros(spec.NUM_STATE, np.int64)
    gate(empty, live, limits, state, np.zeros(0, np.int64))


def flattening(config: CoreConfig, turn: Turn, book: BookEvent) -> Wanted:
    """Return the reduce-only IOC that brings the position nearer to zero, within the collar and the order size."""
    position = turn.account.position_lots
    side = SELL if position > 0 else BUY
    beyond = min(config.flatten_beyond_tick, config.limits.collar_tick)
    touch = int(book.depth[1 - side, 0, 0])
    return Wanted(
        instrument=book.instrument,
        side=side,
        price_tick=touch - beyond if side == SELL else touch + beyond,
        lots=min(abs(position), config.limits.max_lots),
        kind=OrderKind.IOC,
        reduce_only=True,
        origin=Origin.FLATTEN,
    )


def send_new(config: CoreConfig, limits: np.ndarray, turn: Turn, wanted: list[Wanted]) -> None:
    """Put the wanted orders through the gate; append a NewIntent or a RiskRefusal for each."""
    if not wanted:
        return
    since = turn.now_ns - config.rate_window_ns
    turn.recent_ns = tuple(sent for sent in turn.recent_ns if sent > since)
    rows = [(spec.NEW, want.side, want.price_tick, want.lots, int(want.reduce_only)) for want in wanted]
    reasons = np.zeros(len(wanted), np.int64)
    intents = pack_rows(rows, spec.NUM_INTENT_COLUMNS)
    gate(intents, _live_rows(turn), limits, _state_words(config, turn), reasons)
    for want, reason in zip(wanted, reasons.tolist(), strict=True):
        if reason == RiskReason.OK:
            _emit(turn, want)
        else:
            turn.outputs.append(
                RiskRefusal(
                    instrument=want.instrument,
                    reason=RiskReason(reason),
                    side=want.side,
                    price_tick=want.price_tick,
                    lots=want.lots,
                    origin=want.origin,
                    request_id=want.request_id,
                    event_ns=turn.now_ns,
                )
            )


def _live_rows(turn: Turn) -> np.ndarray:
    rows = [
        (order.side, order.price_tick, order.lots, order.left_lots, int(order.state == OrderState.PENDING_CANCEL))
        for order in turn.live_orders()
    ]
    return pack_rows(rows, spec.NUM_LIVE_COLUMNS)


def _state_words(config: CoreConfig, turn: Turn) -> np.ndarray:
    book = turn.book
    bid = ask = book_ns = spec.ABSENT
    valid = 0
    if book is not None and book.depth.shape == (2, config.depth_levels, 2):
        bid, ask, book_ns = int(book.depth[BUY, 0, 0]), int(book.depth[SELL, 0, 0]), book.event_ns
        valid = int(not book.gap and bool((book.depth[:, 0, 1] > 0).all()))
    trading = turn.trading if turn.phase in _LIVE_PHASES else spec.HALTED
    words = (trading, turn.account.position_lots, len(turn.recent_ns), bid, ask, book_ns, turn.now_ns, valid)
    return pack_words(words)


def _emit(turn: Turn, want: Wanted) -> None:
    assert turn.session is not None, "orders leave only within a session"
    number = turn.next_intent
    turn.next_intent += 1
    turn.recent_ns = (*turn.recent_ns, turn.now_ns)
    name = client_order_id(turn.session.instance, turn.session.epoch, number)
    turn.put(
        Order(
            client_order_id=name,
            venue_order_id="",
            instrument=want.instrument,
            side=want.side,
            price_tick=want.price_tick,
            lots=want.lots,
            filled_lots=0,
            kind=want.kind,
            state=OrderState.INTENT,
            origin=want.origin,
            reduce_only=want.reduce_only,
            reason="",
            event_ns=turn.now_ns,
            request_id=want.request_id,
        )
    )
    turn.outputs.append(
        NewIntent(
            client_order_id=name,
            intent_number=number,
            instrument=want.instrument,
            side=want.side,
            price_tick=want.price_tick,
            lots=want.lots,
            kind=want.kind,
            reduce_only=want.reduce_only,
            origin=want.origin,
            request_id=want.request_id,
            event_ns=turn.now_ns,
        )
    )


def cancel(turn: Turn, order: Order, origin: Origin, request_id: str) -> bool:
    """Ask for a cancel of a live order whose cancel is not under way; False if there is nothing to ask for."""
    if order.client_order_id not in turn.live or order.cancel_sent:
        return False
    if not turn.transition(order, OrderEvent.CANCEL_REQUEST):
        return False
    turn.outputs.append(
        CancelIntent(order.client_order_id, turn.next_intent, order.instrument, origin, request_id, turn.now_ns)
    )
    turn.next_intent += 1
    return True


def cancel_all(turn: Turn, origin: Origin) -> None:
    """Ask for a cancel of every live order, unacknowledged and unknown ones too."""
    for order in turn.live_orders():
        cancel(turn, order, origin, "")
