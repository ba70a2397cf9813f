"""From what is wanted to intents: the risk gate for new orders, and cancels, which always pass."""

from typing import NamedTuple

from kernels.risk import columns
from kernels.risk.spec import ABSENT, HALTED, RiskLimits, RiskReason, word
from kernels.risk.workspace import GateWorkspace
from live_bridge.accounts import equity_e8
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
    loss_tick: int = 0  # down to its protective stop; 0: it has none


def warm_up() -> None:
    """Compile the gate before the first decision needs it."""
    GateWorkspace().judge(0)


class Gate:
    """The gate's arrays for this session: one strategy, one venue, the firm, one instrument.

    Scratch: every call writes everything that it judges by from the turn, so that the same turn gives the same answer.
    """

    def __init__(self, config: CoreConfig) -> None:
        """Allocate and compile before the first decision needs it."""
        self._config = config
        self._space = GateWorkspace()
        self._limits: tuple[RiskLimits, ...] = ()
        self._market: tuple[object, object, object] = (self, self, self)  # nothing yet
        warm_up()

    def send_new(self, turn: Turn, wanted: list[Wanted]) -> None:
        """Put the wanted orders through the gate; append a NewIntent or a RiskRefusal for each."""
        if not wanted:
            return
        since = turn.now_ns - self._config.rate_window_ns
        turn.recent_ns = tuple(sent for sent in turn.recent_ns if sent > since)
        self._fill_limits(turn)
        self._fill_market(turn)
        self._fill_state(turn)
        self._space.clear_intents()
        for want in wanted:
            self._space.add_intent(
                (
                    columns.NEW,
                    0,
                    0,
                    want.instrument,
                    want.side,
                    want.price_tick,
                    want.lots,
                    want.reduce_only,
                    want.kind,
                    want.loss_tick,
                    0,
                )
            )
        for want, reason in zip(wanted, self._space.judge(word(turn.now_ns)).tolist(), strict=True):
            if reason == RiskReason.OK:
                _emit(turn, want)
            else:
                _refuse(turn, want, RiskReason(reason))

    def _fill_limits(self, turn: Turn) -> None:
        limits = turn.limits or self._config.limits_by_scope()
        if limits is self._limits:
            return
        self._space.set_instrument(0, limits[0])
        for scope, each in enumerate(limits):
            self._space.set_scope_limits(scope, each)
        self._limits = limits

    def _fill_market(self, turn: Turn) -> None:
        book, config = turn.book, self._config
        seen = (book, turn.history, turn.breakers)
        if all(now is before for now, before in zip(seen, self._market, strict=True)):
            return  # all three are never changed in place, so what they gave stands
        self._market = seen
        bid = ask = reference = book_ns = mark = ABSENT
        valid = 0
        if book is not None and book.depth.shape == (2, config.depth_levels, 2):
            bid, ask, book_ns = int(book.depth[BUY, 0, 0]), int(book.depth[SELL, 0, 0]), book.event_ns
            valid = int(not book.gap and book.depth[BUY, 0, 1] > 0 and book.depth[SELL, 0, 1] > 0)
        if turn.history is not None:
            mark = (int(turn.history.mid_half_tick) + 1) // 2
            # A reference that a person has just cleared is the mid until the next book.
            reference = mark if turn.breakers.reference_ns < 0 else turn.breakers.reference_tick_x2 // 2
        self._space.set_market(0, 0, (bid, ask, reference, book_ns, valid))
        self._space.set_mark(0, mark)

    def _fill_state(self, turn: Turn) -> None:
        space = self._space
        trading = turn.trading if turn.phase in _LIVE_PHASES else HALTED
        equity = self._config.capital_e8 + profit_e8(self._config, turn)
        for scope in range(len(self._limits)):
            space.set_scope(scope, trading, equity, len(turn.recent_ns))
            space.set_cell(scope, 0, turn.account.position_lots, turn.breakers.run)
        space.clear_live()
        for order in turn.live_orders():
            space.add_live(
                (
                    0,
                    0,
                    order.instrument,
                    order.side,
                    order.price_tick,
                    order.lots,
                    order.left_lots,
                    order.state == OrderState.PENDING_CANCEL,
                    order.kind,
                )
            )


def profit_e8(config: CoreConfig, turn: Turn) -> int:
    """Return cash - fees + position at the mid of the last whole book, 1e-8 quote units."""
    mark_x2 = int(turn.history.mid_half_tick) if turn.history is not None else 0
    return equity_e8(turn.account, mark_x2, config.limits.tick_value_e8)


def _refuse(turn: Turn, want: Wanted, reason: RiskReason) -> None:
    turn.outputs.append(
        RiskRefusal(
            instrument=want.instrument,
            reason=reason,
            side=want.side,
            price_tick=want.price_tick,
            lots=want.lots,
            origin=want.origin,
            request_id=want.request_id,
            event_ns=turn.now_ns,
        )
    )


def flattening(config: CoreConfig, turn: Turn, book: BookEvent) -> Wanted:
    """Return the reduce-only IOC that brings the position nearer to zero, within collar, order size and value."""
    position, limits = turn.account.position_lots, turn.limits[0]
    side = SELL if position > 0 else BUY
    touch = int(book.depth[1 - side, 0, 0])
    within_bps = abs(touch) * min(limits.collar_bps, 10_000) // 10_000
    beyond = min(config.flatten_beyond_tick, limits.collar_tick, within_bps)
    price = touch - beyond if side == SELL else touch + beyond
    step = limits.price_step_tick
    price += -price % step if side == SELL else -(price % step)
    unit_e8 = max(abs(price) * limits.tick_value_e8, 1)
    most = min(min(each.max_order_lots, each.max_order_value_e8 // unit_e8) for each in turn.limits)
    return Wanted(
        instrument=book.instrument,
        side=side,
        price_tick=price,
        lots=max(min(abs(position), limits.max_lots, most), 1),
        kind=OrderKind.IOC,
        reduce_only=True,
        origin=Origin.FLATTEN,
    )


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
