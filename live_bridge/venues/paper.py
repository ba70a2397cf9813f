"""The paper venue: the matching engine over a recorded stream, with latency, queue position, fees, and a ledger.

Our orders enter at the venue's clock plus the entry latency and meet the recorded flow by the simulator's own rule
(host_market.py). Everything the venue is told and everything it does is in its own append-only ledger, apart from the
bridge's journal and written before the answer leaves: a command before `submit` returns, the market's advance and its
results before `poll` returns. After `kill -9` the venue is rebuilt by running the recorded data up to the cursor with
the logged commands, and every logged result must come out again. While no process runs, this market stands still.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kernels.lob import spec
from kernels.lob.host import Backend
from kernels.lob.spec import LobConfig
from live_bridge.failpoints import reach
from live_bridge.journal import Journal
from live_bridge.types import BookEvent, CancelIntent, Event, Fill, NewIntent, OrderState
from live_bridge.venues.base import VenueAccount, VenueOrder
from live_bridge.venues.host_market import NS_PER_S, OWNER, HostMarket, StepView
from live_bridge.venues.paper_ledger import PaperLedger
from live_bridge.venues.paper_orders import ENGINE_KINDS, PaperBooks
from market_models.fees import Fees
from market_models.instrument import Instrument
from market_models.latency import ConstantLatency

DEFAULT_LATENCY = ConstantLatency(entry_ns=1_000_000)
NO_FEES = Fees()
OPEN_STATES = (OrderState.SENT, OrderState.OPEN, OrderState.PARTIALLY_FILLED)


class PaperMarketData(NamedTuple):
    """A recorded market to trade in."""

    instrument: Instrument
    seed: np.ndarray  # int32[K, 8] LIMIT messages of the book at the start, best order first on each side
    background: np.ndarray  # int32[N, 8] in order of time
    start_ns: int  # event time of the seed
    source: str  # where it comes from, for the record

    def digest(self) -> str:
        """Return the SHA-256 of everything that decides what the market does."""
        parts = (self.seed, self.background, np.array([self.start_ns], np.int64))
        return sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


@dataclass(frozen=True)
class PaperVenueConfig:
    """How the venue behaves. ValueError at construction names the field."""

    horizon_events: int = 20  # background messages between two book events
    capacity: int = 128
    depth_levels: int = 6
    latency: ConstantLatency = DEFAULT_LATENCY
    fees: Fees = NO_FEES
    backend: Backend = "cpu"

    def __post_init__(self) -> None:
        if self.horizon_events < 1:
            raise ValueError(f"horizon_events {self.horizon_events} is below 1")
        spec.validate_config(self.lob())

    def lob(self) -> LobConfig:
        """Return the engine's shape."""
        return LobConfig(self.capacity, max_fills=64, depth_levels=self.depth_levels, fills_mode=spec.FILLS_OWNED)

    def to_json(self) -> str:
        """Return canonical JSON of what decides the market; the backend does not."""
        fields = asdict(self)
        del fields["backend"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))


class PaperVenue:
    """See live_bridge/venues/base.py `Venue`."""

    name = "paper"
    absence_is_proof = True

    def __init__(
        self,
        directory: Path,
        data: PaperMarketData,
        config: PaperVenueConfig,
        clock: Callable[[], int],
        fsync: str = "intents",
    ) -> None:
        """Open the ledger in `directory`, and rebuild the venue from it if it has one.

        Raises PaperLedgerError if it belongs to other data or another configuration, or does not come out again.
        """
        self.config, self._data, self._clock = config, data, clock
        self._market = HostMarket(config.lob(), data.seed, data.background, data.start_ns, config.backend)
        self.books = PaperBooks(data.instrument, config.fees, clock)
        self._commands = 0
        self._next_engine_id = spec.FIRST_AGENT_ORDER_ID
        self._shown = False  # whether the book before the first event has been shown
        self._rebuilding = True
        self.ledger = PaperLedger(Journal(directory, fsync=fsync, name="ledger"))
        try:
            self.ledger.rebuild(self, data.instrument.name, data.digest(), self._record())
        except BaseException:
            self.ledger.close()
            raise
        self._rebuilding = False

    def _record(self) -> str:
        fields = {"venue": json.loads(self.config.to_json()), "instrument": asdict(self._data.instrument)}
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    @property
    def ended(self) -> bool:
        """Whether the recording is over."""
        return self._market.exhausted

    @property
    def cursor(self) -> int:
        """Background messages consumed so far."""
        return self._market.cursor

    def now_ns(self) -> int:
        """Return the venue's clock."""
        return self._market.clock_ns

    def submit(self, intent: NewIntent) -> list[Event]:
        """Log the order and put it under way. A client order id that is known already is not entered again."""
        if intent.client_order_id in self.books.orders:
            return []
        arrival_ns = self.config.latency.entry_arrival_ns(self.now_ns())
        self.ledger.log_new(self._commands + 1, self.now_ns(), arrival_ns, self._next_engine_id, intent)
        self.enter(intent, self._next_engine_id, arrival_ns)
        return []

    def cancel(self, intent: CancelIntent) -> list[Event]:
        """Log the cancel and put it under way; one of an order that the venue does not know goes nowhere."""
        order = self.books.orders.get(intent.client_order_id)
        if order is None:
            return []
        arrival_ns = self.config.latency.entry_arrival_ns(self.now_ns())
        engine_id = self.books.engine_ids[order.client_order_id]
        self.ledger.log_cancel(self._commands + 1, self.now_ns(), arrival_ns, engine_id, order)
        self.remove(order, engine_id, arrival_ns)
        return []

    def enter(self, intent: NewIntent, engine_id: int, arrival_ns: int) -> None:
        """Put an order under way, logged already."""
        self._commands += 1
        self._next_engine_id = engine_id + 1
        self.books.accept(intent, engine_id)
        kind = ENGINE_KINDS[intent.kind]
        self._enqueue(kind, intent.side, intent.lots, intent.price_tick, engine_id, arrival_ns)

    def remove(self, order: VenueOrder, engine_id: int, arrival_ns: int) -> None:
        """Put a cancel under way, logged already."""
        self._commands += 1
        self._enqueue(spec.DELETE, order.side, 1, 0, engine_id, arrival_ns)

    def _enqueue(self, kind: int, side: int, lots: int, price_tick: int, engine_id: int, arrival_ns: int) -> None:
        seconds, ns = divmod(arrival_ns, NS_PER_S)
        self._market.enqueue(np.array([kind, side, lots, price_tick, engine_id, OWNER, seconds, ns], np.int32))

    def poll(self) -> list[Event]:
        """Let `horizon_events` background messages happen; the first poll of a market shows the book before them."""
        if not self._shown and self.cursor == 0 and self._commands == 0:
            self._shown = True
            return [self._book_event(self._market.step(0))]
        if self.ended:
            return []
        view = self._market.step(self.config.horizon_events)
        return [*self._results(view, drained=False), self._book_event(view)]

    def drain(self) -> list[Event]:
        """Apply what is under way, without a market event."""
        return self._results(self._market.drain(), drained=True)

    def advance_to(self, cursor: int, drained: bool) -> list[Event]:
        """Repeat a logged advance; return what came of it."""
        view = self._market.drain() if drained else self._market.step(cursor - self.cursor)
        return self._results(view, drained)

    def _results(self, view: StepView, drained: bool) -> list[Event]:
        events: list[Event] = []
        for happening in view.happenings:
            events += self.books.digest(happening)
        if not self._rebuilding:
            reach("venue.before_log")
            self.ledger.log_advance(self.cursor, self.now_ns(), drained, events)
            reach("venue.after_log")
        return events

    def _book_event(self, view: StepView) -> BookEvent:
        return BookEvent(
            instrument=0,
            event_ns=self.now_ns(),
            now_ns=self.now_ns(),
            feed_sequence=self.cursor,
            gap=False,
            depth=view.depth,
            summary=view.summary,
            own=view.own,
            recv_ns=self._clock(),
        )

    def order(self, client_order_id: str) -> VenueOrder | None:
        """Return the venue's record of an order."""
        return self.books.orders.get(client_order_id)

    def open_orders(self) -> list[VenueOrder]:
        """Return the orders that rest or are on their way."""
        return [order for order in self.books.orders.values() if order.state in OPEN_STATES]

    def fills(self, since: int) -> list[Fill]:
        """Return the fills from number `since`."""
        return self.books.fills[since:]

    def account(self) -> VenueAccount:
        """Return the venue's books."""
        return self.books.account()

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()
