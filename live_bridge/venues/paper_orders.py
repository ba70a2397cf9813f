"""The paper venue's own order book-keeping: from what the engine did to what a venue tells its client.

Pure state with no files: `PaperBooks` is rebuilt by running the same commands through the same engine.
"""

from collections.abc import Callable

from kernels.lob import spec
from live_bridge.accounts import Account, apply_fill, tick_value_e8
from live_bridge.orders import TERMINAL
from live_bridge.types import (
    CancelAck,
    CancelReject,
    Event,
    Fill,
    Liquidity,
    NewIntent,
    OrderAck,
    OrderKind,
    OrderReject,
    OrderState,
)
from live_bridge.venues.base import VenueAccount, VenueOrder
from live_bridge.venues.host_market import Happening, OwnFill, OwnOutcome
from market_models.fees import Fees, fee_money_e8
from market_models.instrument import Instrument

ENGINE_KINDS = {OrderKind.LIMIT: spec.LIMIT, OrderKind.IOC: spec.IOC, OrderKind.POST_ONLY: spec.POST_ONLY}


class PaperBooks:
    """Orders, fills and account as the venue knows them."""

    def __init__(self, instrument: Instrument, fees: Fees, clock: Callable[[], int]) -> None:
        self._instrument, self._fees, self._clock = instrument, fees, clock
        self._tick_value_e8 = tick_value_e8(instrument)
        self.orders: dict[str, VenueOrder] = {}
        self.by_engine_id: dict[int, str] = {}
        self.engine_ids: dict[str, int] = {}
        self._kinds: dict[str, OrderKind] = {}
        self.fills: list[Fill] = []
        self._account = Account()

    def account(self) -> VenueAccount:
        """Return position, cash, fees and the number of fills."""
        have = self._account
        return VenueAccount(have.position_lots, have.cash_e8, have.fees_e8, have.num_fills)

    def accept(self, intent: NewIntent, engine_id: int) -> None:
        """Note an order that is on its way."""
        self.orders[intent.client_order_id] = VenueOrder(
            intent.client_order_id, "", intent.side, intent.price_tick, intent.lots, 0, OrderState.SENT
        )
        self.by_engine_id[engine_id] = intent.client_order_id
        self.engine_ids[intent.client_order_id] = engine_id
        self._kinds[intent.client_order_id] = intent.kind

    def digest(self, happening: Happening) -> list[Event]:
        """Return the venue's messages about one thing that the engine did, and book it."""
        events: list[Event] = []
        outcome = happening.outcome
        if outcome is not None and int(outcome.message[spec.KIND]) == spec.DELETE:
            return self._cancelled(outcome, happening.event_ns)
        if outcome is not None:
            events += self._answered(outcome, happening.event_ns)
        for fill in happening.fills:
            events += self._filled(fill, happening.event_ns)
        if outcome is not None:
            events += self._remainder(outcome, happening.event_ns)
        return events

    def _answered(self, outcome: OwnOutcome, event_ns: int) -> list[Event]:
        engine_id = int(outcome.message[spec.ORDER_ID])
        name = self.by_engine_id[engine_id]
        order = self.orders[name]
        if outcome.reason not in (spec.OK, spec.SIDE_FULL) or (outcome.reason != spec.OK and outcome.filled_lots == 0):
            self.orders[name] = order._replace(state=OrderState.REJECTED)
            return [OrderReject(name, spec.REASON_NAMES[outcome.reason], event_ns, self._clock())]
        self.orders[name] = order._replace(state=OrderState.OPEN, venue_order_id=str(engine_id))
        return [OrderAck(name, str(engine_id), event_ns, self._clock())]

    def _remainder(self, outcome: OwnOutcome, event_ns: int) -> list[Event]:
        """Expire what an IOC left, or what found its side full."""
        name = self.by_engine_id[int(outcome.message[spec.ORDER_ID])]
        order = self.orders[name]
        dropped = self._kinds[name] == OrderKind.IOC or outcome.reason == spec.SIDE_FULL
        if order.state in TERMINAL or not dropped:
            return []
        self.orders[name] = order._replace(state=OrderState.EXPIRED)
        left = order.lots - order.filled_lots
        return [CancelAck(name, order.venue_order_id, left, True, event_ns, self._clock())]

    def _cancelled(self, outcome: OwnOutcome, event_ns: int) -> list[Event]:
        name = self.by_engine_id[int(outcome.message[spec.ORDER_ID])]
        order = self.orders[name]
        if outcome.reason != spec.OK:
            return [CancelReject(name, spec.REASON_NAMES[outcome.reason], event_ns, self._clock())]
        self.orders[name] = order._replace(state=OrderState.CANCELED)
        left = order.lots - order.filled_lots
        return [CancelAck(name, order.venue_order_id, left, False, event_ns, self._clock())]

    def _filled(self, fill: OwnFill, event_ns: int) -> list[Event]:
        events: list[Event] = []
        if fill.maker_is_ours:
            events.append(self._book(fill, fill.maker_id, 1 - fill.taker_side, Liquidity.MAKER, event_ns))
        if fill.taker_is_ours:
            events.append(self._book(fill, fill.taker_id, fill.taker_side, Liquidity.TAKER, event_ns))
        return events

    def _book(self, fill: OwnFill, engine_id: int, side: int, liquidity: Liquidity, event_ns: int) -> Fill:
        name = self.by_engine_id[engine_id]
        order = self.orders[name]
        filled = order.filled_lots + fill.lots
        state = OrderState.FILLED if filled == order.lots else OrderState.PARTIALLY_FILLED
        self.orders[name] = order._replace(filled_lots=filled, state=state)
        is_maker = liquidity == Liquidity.MAKER
        fee_e8 = fee_money_e8(self._fees, self._instrument, fill.price_tick, fill.lots, is_maker)
        event = Fill(
            venue=0,
            instrument=0,
            trade_id=f"P{len(self.fills) + 1:010d}",
            client_order_id=name,
            venue_order_id=str(engine_id),
            side=side,
            price_tick=fill.price_tick,
            lots=fill.lots,
            fee_e8=fee_e8,
            liquidity=liquidity,
            event_ns=event_ns,
            recv_ns=self._clock(),
        )
        self.fills.append(event)
        self._account = apply_fill(self._account, side, fill.price_tick, fill.lots, fee_e8, self._tick_value_e8)
        return event
