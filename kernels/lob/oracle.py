"""The judge of every order-book backend: plain Python, slow and obvious.

It imports nothing from the project and repeats the constants it needs, so that a wrong table cannot agree with itself.
One file on purpose, so that the judge is read as a whole. Semantics: docs/engine.md.
An order book is two lists of `Order`, best first; the arrays of the other backends have the best order last.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

NOP, LIMIT, MARKET, IOC, FOK, POST_ONLY, REDUCE, DELETE, REPLACE, LEVEL_SET, EXECUTE = range(11)
(
    OK,
    BAD_KIND,
    BAD_SIDE,
    BAD_LOTS,
    BAD_PRICE,
    BAD_ORDER_ID,
    BAD_OWNER,
    UNKNOWN_ORDER,
    WOULD_CROSS,
    SIDE_FULL,
    FOK_UNFILLED,
    SELF_TRADE,
) = range(12)
KINDS = (LIMIT, MARKET, IOC, FOK, POST_ONLY, REDUCE, DELETE, REPLACE, LEVEL_SET, EXECUTE)
(
    NUM_REJECTED_FULL,
    NUM_EVICTED,
    NUM_UNKNOWN_CANCEL,
    NUM_FILLS_DROPPED,
    LOTS_REJECTED_FULL,
    LOTS_EVICTED,
    NUM_SELF_TRADES,
    LOTS_SELF_TRADE,
) = range(8)
TRADE_WITH_ITSELF, CANCEL_RESTING, CANCEL_TAKER, DECREMENT = range(4)
BACK_FIRST, PROPORTIONAL, FRONT_FIRST = range(3)
LIMIT_OF_LOTS_AND_PRICE = 2**30
SATURATED = 2**31 - 1
FIRST_AGENT_ID = 2**30


def wrap(value: int) -> int:
    """Return `value` modulo 2^32 as a signed 32-bit number."""
    return (value + 2**31) % 2**32 - 2**31


@dataclass(eq=False)  # two orders with the same fields are still two orders
class Order:
    """One resting order."""

    price: int
    lots: int
    order_id: int
    owner: int


class BookArrays(NamedTuple):
    """The canonical arrays of one book, int32, best order last, zeros past `num_orders`."""

    price_tick: np.ndarray  # [2, O]
    lots: np.ndarray  # [2, O]
    order_id: np.ndarray  # [2, O]
    owner: np.ndarray  # [2, O]
    num_orders: np.ndarray  # [2]
    counters: np.ndarray  # [8] rejected full, evicted, unknown cancel, fills dropped, then lots and self-trades


class OracleOutput(NamedTuple):
    """What `Oracle.apply` returns, int32; the fields of the backends' output."""

    reason: np.ndarray  # [M]
    filled_lots: np.ndarray  # [M]
    fills: np.ndarray  # [F, 8]
    num_fills: np.ndarray  # []
    summary: np.ndarray  # [16]
    depth: np.ndarray  # [2, L, 2]


@dataclass
class _Tally:
    """The sums of one call."""

    events: int = 0
    traded: list[int] | None = None
    notional: list[int] | None = None
    last_price: int | None = None
    ofi: int = 0
    own_rejects: int = 0
    trades: int = 0
    exhausted: int = 0


class Oracle:
    """One order book. `apply` is one call of `process`."""

    def __init__(
        self,
        capacity: int = 128,
        max_fills: int = 64,
        depth_levels: int = 5,
        fills_mode: int = 0,  # 0 all fills, 1 only those with an owner other than 0
        self_trade: int = TRADE_WITH_ITSELF,
        queue_model: int = BACK_FIRST,
        reference_tick: int = 0,
    ) -> None:
        self.capacity = capacity
        self.max_fills = max_fills
        self.depth_levels = depth_levels
        self.fills_mode = fills_mode
        self.self_trade = self_trade
        self.queue_model = queue_model
        self.reference_tick = reference_tick
        self.sides: tuple[list[Order], list[Order]] = ([], [])
        self.counters = [0] * 8
        self._begin()

    # One call.

    def _begin(self) -> None:
        self._fills: list[tuple[int, ...]] = []
        self._tally = _Tally(traded=[0, 0], notional=[0, 0])

    def apply(self, messages: Iterable[Sequence[int]]) -> OracleOutput:
        """Apply message rows (kind, side, lots, price_tick, order_id, owner, time_s, time_ns) in order."""
        self._begin()
        rows = [[int(word) for word in row] for row in messages]
        answers = [self.apply_one(index, row) for index, row in enumerate(rows)]
        self._tally.events = sum(row[0] != NOP for row in rows)
        return OracleOutput(
            reason=np.array([reason for reason, _ in answers], np.int32),
            filled_lots=np.array([filled for _, filled in answers], np.int32),
            fills=self.fill_rows(),
            num_fills=np.array(len(self._fills), np.int32),
            summary=self.summary(),
            depth=self.depth(),
        )

    def apply_one(self, index: int, row: Sequence[int]) -> tuple[int, int]:
        """Apply one message and return (reason, filled lots); `index` is what its fills are labelled with."""
        kind, side, lots, price, order_id, owner = row[:6]
        if kind == NOP:
            return OK, 0
        before = [self.level_one(0), self.level_one(1)]
        reason, filled = self._invalid(kind, side, lots, price, order_id, owner), 0
        if reason == OK:
            reason, filled = self._dispatch(index, kind, side, lots, price, order_id, owner)
        after = [self.level_one(0), self.level_one(1)]
        self._tally.ofi += _flow_imbalance(before, after)
        if owner != 0 and reason != OK:
            self._tally.own_rejects += 1
        return reason, filled

    # Rules.

    def _invalid(  # noqa: PLR0911 - one check, one reason, in the order of docs/engine.md
        self, kind: int, side: int, lots: int, price: int, order_id: int, owner: int
    ) -> int:
        if kind not in KINDS:
            return BAD_KIND
        if side not in (0, 1):
            return BAD_SIDE
        least = 0 if kind == LEVEL_SET else 1
        if kind != DELETE and not least <= lots <= LIMIT_OF_LOTS_AND_PRICE:
            return BAD_LOTS
        if kind in (LIMIT, IOC, FOK, POST_ONLY, REPLACE, LEVEL_SET) and abs(price) > LIMIT_OF_LOTS_AND_PRICE:
            return BAD_PRICE
        if order_id < 1 and kind != LEVEL_SET:
            return BAD_ORDER_ID
        if kind in (LIMIT, MARKET, IOC, FOK, POST_ONLY) and owner < 0:
            return BAD_OWNER
        if kind in (REDUCE, DELETE, REPLACE, EXECUTE) and self._find(side, order_id) is None:
            self._count(NUM_UNKNOWN_CANCEL)
            return UNKNOWN_ORDER
        return OK

    def _dispatch(  # noqa: PLR0911 - one return a kind
        self, index: int, kind: int, side: int, lots: int, price: int, order_id: int, owner: int
    ) -> tuple[int, int]:
        taker = (index, order_id, owner, side)
        if kind == LIMIT:
            return self._limit(taker, lots, price)
        if kind == LEVEL_SET:
            return self._set_level(side, price, lots), 0
        if kind == FOK and self._available(taker, price) < lots:
            return FOK_UNFILLED, 0
        if kind in (MARKET, IOC, FOK):
            filled, _, stopped = self._match(taker, lots, None if kind == MARKET else price)
            return SELF_TRADE if stopped else OK, filled
        if kind == POST_ONLY:
            makers = self.sides[1 - side]
            if makers and _reaches(side, price, makers[0].price):
                return WOULD_CROSS, 0
            return self._rest(side, Order(price, lots, order_id, owner)), 0
        order = self._find(side, order_id)
        assert order is not None  # _invalid has answered UNKNOWN_ORDER otherwise
        if kind == REDUCE:
            self._take(side, order, min(lots, order.lots))
            return OK, 0
        if kind == DELETE:
            self.sides[side].remove(order)
            return OK, 0
        if kind == EXECUTE:
            done = min(lots, order.lots)
            self._fill((index, 0, 0, 1 - side), order, done)
            self._take(side, order, done)
            return OK, done
        if price == order.price and lots <= order.lots:  # REPLACE that keeps its priority
            order.lots = lots
            return OK, 0
        self.sides[side].remove(order)
        return self._limit((index, order_id, order.owner, side), lots, price)

    def _limit(self, taker: tuple[int, int, int, int], lots: int, price: int) -> tuple[int, int]:
        filled, left, stopped = self._match(taker, lots, price)
        if stopped:
            return SELF_TRADE, filled
        if left == 0:
            return OK, filled
        _, order_id, owner, side = taker
        return self._rest(side, Order(price, left, order_id, owner)), filled

    def _match(self, taker: tuple[int, int, int, int], lots: int, price: int | None) -> tuple[int, int, bool]:
        """Return (lots filled, lots that may still rest, stopped by self-trade prevention)."""
        side = taker[3]
        makers = self.sides[1 - side]
        left, filled = lots, 0
        while left and makers and (price is None or _reaches(side, price, makers[0].price)):
            maker = makers[0]
            done = min(left, maker.lots)
            if self._is_prevented(taker, maker):
                left = self._prevent(side, maker, left)
                if self.self_trade == CANCEL_TAKER:
                    return filled, 0, True
                continue
            self._fill(taker, maker, done)
            self._take(1 - side, maker, done)
            left -= done
            filled += done
        return filled, left, False

    def _is_prevented(self, taker: tuple[int, int, int, int], maker: Order) -> bool:
        return self.self_trade != TRADE_WITH_ITSELF and maker.owner != 0 and maker.owner == taker[2]

    def _prevent(self, side: int, maker: Order, left: int) -> int:
        """Cancel what the policy says where a taker with `left` lots meets its own `maker`; return what it has left."""
        self._count(NUM_SELF_TRADES)
        if self.self_trade == CANCEL_TAKER:
            self._count(LOTS_SELF_TRADE, left)
            return 0
        cancelled = maker.lots if self.self_trade == CANCEL_RESTING else min(left, maker.lots)
        self._count(LOTS_SELF_TRADE, cancelled)
        self._take(1 - side, maker, cancelled)
        return left if self.self_trade == CANCEL_RESTING else left - cancelled

    def _available(self, taker: tuple[int, int, int, int], price: int) -> int:
        side, total = taker[3], 0
        for maker in self.sides[1 - side]:
            if not _reaches(side, price, maker.price):
                break
            if self._is_prevented(taker, maker):
                if self.self_trade == CANCEL_RESTING:
                    continue
                break
            total += maker.lots
        return total

    def _set_level(self, side: int, price: int, lots: int) -> int:
        level = [order for order in self.sides[side] if order.price == price]
        anonymous = [order for order in level if order.owner == 0]
        total = sum(order.lots for order in anonymous)
        if lots < total:
            for order, kept in zip(anonymous, self._kept([order.lots for order in anonymous], lots), strict=True):
                self._take(side, order, order.lots - kept)
            return OK
        if lots == total:
            return OK
        if level[-1:] and level[-1].owner == 0 and level[-1].order_id == 0:
            level[-1].lots += lots - total
            return OK
        return self._rest(side, Order(price, lots - total, 0, 0))

    def _kept(self, queue: list[int], lots: int) -> list[int]:
        """Return what each anonymous order of `queue`, front first, keeps when `lots` of them stay."""
        if self.queue_model == FRONT_FIRST:
            return _front_most(queue[::-1], lots)[::-1]
        if self.queue_model == BACK_FIRST:
            return _front_most(queue, lots)
        total = min(sum(queue), SATURATED)
        ends = [min(sum(queue[: place + 1]), SATURATED) for place in range(len(queue))]
        marks = [0] + [-(-end * lots // total) for end in ends]
        return [after - before for before, after in pairwise(marks)]

    def _rest(self, side: int, order: Order) -> int:
        orders = self.sides[side]
        if len(orders) == self.capacity:
            background = [resting for resting in orders if resting.owner == 0]
            if not background or not _better(side, order.price, background[-1].price):
                self._count(NUM_REJECTED_FULL)
                self._count(LOTS_REJECTED_FULL, order.lots)
                return SIDE_FULL
            orders.remove(background[-1])
            self._count(NUM_EVICTED)
            self._count(LOTS_EVICTED, background[-1].lots)
        place = 0
        while place < len(orders) and not _better(side, order.price, orders[place].price):
            place += 1
        orders.insert(place, order)
        return OK

    def _take(self, side: int, order: Order, lots: int) -> None:
        order.lots -= lots
        if order.lots == 0:
            self.sides[side].remove(order)

    def _fill(self, taker: tuple[int, int, int, int], maker: Order, lots: int) -> None:
        index, taker_id, taker_owner, taker_side = taker
        tally = self._tally
        assert tally.traded is not None and tally.notional is not None
        tally.traded[taker_side] += lots
        tally.notional[taker_side] += lots * (maker.price - self.reference_tick)
        tally.last_price = maker.price
        tally.trades += 1
        if self.fills_mode == 1 and maker.owner == 0 and taker_owner == 0:
            return
        if len(self._fills) == self.max_fills:
            self._count(NUM_FILLS_DROPPED)
            return
        self._fills.append((index, maker.price, lots, maker.order_id, taker_id, maker.owner, taker_owner, taker_side))

    def _find(self, side: int, order_id: int) -> Order | None:
        return next((order for order in self.sides[side] if order.order_id == order_id), None)

    def _count(self, counter: int, number: int = 1) -> None:
        self.counters[counter] = wrap(self.counters[counter] + number)

    # Views.

    def levels(self, side: int) -> list[tuple[int, int]]:
        """Return (price_tick, lots) of every level of a side, best first, lots not saturated."""
        levels: list[tuple[int, int]] = []
        for order in self.sides[side]:
            if levels and levels[-1][0] == order.price:
                levels[-1] = (order.price, levels[-1][1] + order.lots)
            else:
                levels.append((order.price, order.lots))
        return levels

    def level_one(self, side: int) -> tuple[int, int] | None:
        """Return (price_tick, saturated lots) of the best level, or None."""
        levels = self.levels(side)
        return (levels[0][0], min(levels[0][1], SATURATED)) if levels else None

    def depth(self) -> np.ndarray:
        """Return the first levels of both sides, int32[2, L, 2], (0, 0) past the last."""
        depth = np.zeros((2, self.depth_levels, 2), np.int32)
        for side in (0, 1):
            for place, (price, lots) in enumerate(self.levels(side)[: self.depth_levels]):
                depth[side, place] = price, min(lots, SATURATED)
        return depth

    def own(self, owner: int) -> np.ndarray:
        """Return int32[2, 6]: present, price, lots, id, lots ahead at that price, number of orders, for each side."""
        own = np.zeros((2, 6), np.int32)
        for side in (0, 1):
            mine = [order for order in self.sides[side] if order.owner == owner]
            if not mine:
                continue
            best = mine[0]
            ahead = 0
            for order in self.sides[side]:
                if order is best:
                    break
                ahead += order.lots if order.price == best.price else 0
            own[side] = 1, best.price, best.lots, best.order_id, min(ahead, SATURATED), len(mine)
        return own

    def fill_rows(self) -> np.ndarray:
        """Return the fills of the last call, int32[F, 8], zeros past the last."""
        rows = np.zeros((self.max_fills, 8), np.int32)
        for place, fill in enumerate(self._fills):
            rows[place] = fill
        return rows

    def summary(self) -> np.ndarray:
        """Return the summary of the last call, int32[16]."""
        tally = self._tally
        assert tally.traded is not None and tally.notional is not None
        bid, ask = self.level_one(0), self.level_one(1)
        words = [
            tally.events,
            len(self._fills),
            *tally.traded,
            *tally.notional,
            tally.last_price or 0,
            tally.last_price is not None,
            bid[0] if bid else 0,
            bid is not None,
            ask[0] if ask else 0,
            ask is not None,
            tally.ofi,
            tally.own_rejects,
            tally.trades,
            tally.exhausted,
        ]
        return np.array([wrap(int(word)) for word in words], np.int32)

    def arrays(self) -> BookArrays:
        """Return the book in the canonical layout of the other backends: best order last."""
        fields = np.zeros((4, 2, self.capacity), np.int32)
        for side in (0, 1):
            for slot, order in enumerate(reversed(self.sides[side])):
                fields[:, side, slot] = order.price, order.lots, order.order_id, order.owner
        num_orders = np.array([len(orders) for orders in self.sides], np.int32)
        return BookArrays(*fields, num_orders=num_orders, counters=np.array(self.counters, np.int32))

    def load(self, book: Any) -> None:
        """Take over a book in the canonical layout (anything with the fields of `BookArrays`)."""
        for side in (0, 1):
            slots = range(int(book.num_orders[side]) - 1, -1, -1)
            self.sides[side][:] = [
                Order(
                    int(book.price_tick[side, slot]),
                    int(book.lots[side, slot]),
                    int(book.order_id[side, slot]),
                    int(book.owner[side, slot]),
                )
                for slot in slots
            ]
        self.counters = [int(counter) for counter in book.counters]


def _reaches(side: int, limit: int, maker_price: int) -> bool:
    """Say whether a taker on `side` with this limit price may trade at `maker_price`."""
    return maker_price <= limit if side == 0 else maker_price >= limit


def _front_most(queue: list[int], lots: int) -> list[int]:
    """Return what each order keeps when the first `lots` of the queue stay."""
    kept = []
    for order_lots in queue:
        kept.append(min(order_lots, lots))
        lots -= kept[-1]
    return kept


def _better(side: int, price: int, other: int) -> bool:
    """Say whether `price` has strictly better priority than `other` among resting orders of `side`."""
    return price > other if side == 0 else price < other


def _flow_imbalance(before: list[tuple[int, int] | None], after: list[tuple[int, int] | None]) -> int:
    """Return e of Cont, Kukanov, Stoikov 2014 between two states of the best levels."""
    e = 0
    if before[0] is not None and after[0] is not None:
        (old_price, old_lots), (price, lots) = before[0], after[0]
        e += (lots if price >= old_price else 0) - (old_lots if price <= old_price else 0)
    if before[1] is not None and after[1] is not None:
        (old_price, old_lots), (price, lots) = before[1], after[1]
        e -= (lots if price <= old_price else 0) - (old_lots if price >= old_price else 0)
    return e


class MarketOutputArrays(NamedTuple):
    """What `MarketOracle.step` returns, int32."""

    fills: np.ndarray  # [F, 8]
    num_fills: np.ndarray  # []
    summary: np.ndarray  # [16]
    depth: np.ndarray  # [2, L, 2]
    own: np.ndarray  # [A, 2, 6]


Sampler = Callable[..., tuple[int, int]]


class MarketOracle:
    """One market: the book, agents' messages under way, the clock, and a flow.

    `sampler` has the signature of the numba samplers and works on NumPy arrays:
    (flow_params, background, price_tick, lots, order_id, owner, num_orders, meta, seed, msg) -> (status, dt_us).
    """

    def __init__(
        self,
        book: Oracle,
        sampler: Sampler,
        *,
        inbox: int = 16,
        num_learners: int = 1,
        meta: Sequence[int] = (0,) * 8,
        seed: Sequence[int] = (0, 0),
    ) -> None:
        self.book = book
        self.sampler = sampler
        self.inbox_capacity = inbox
        self.num_learners = num_learners
        self.inbox: list[list[int]] = []
        self.meta = np.array(meta, np.int32)
        self.seed = np.array(seed, np.uint32)
        book.fills_mode = 1
        book.reference_tick = int(self.meta[6])

    def inbox_rows(self) -> np.ndarray:
        """Return the messages under way, int32[I, 8], zeros past the last."""
        rows = np.zeros((self.inbox_capacity, 8), np.int32)
        for place, row in enumerate(self.inbox):
            rows[place] = row
        return rows

    def step(
        self,
        agent_messages: np.ndarray,
        flow_params: np.ndarray,
        background: np.ndarray,
        horizon: Sequence[int],
    ) -> MarketOutputArrays:
        """Run the market for horizon (events, microseconds or 0)."""
        self.book._begin()
        self._accept(agent_messages)
        start_ns = self.clock_ns()
        end_ns = start_ns + 1000 * int(horizon[1]) if horizon[1] > 0 else None
        events = 0
        exhausted = False
        while events < horizon[0]:
            before = self.meta.copy()
            before[3] = wrap(int(before[3]) + 1)
            self.meta[3] = before[3]
            status, msg, time_ns = self._draw(flow_params, background)
            if status == -1:
                exhausted = True
                self.meta[:] = before
                break
            if end_ns is not None and time_ns > end_ns:
                self.meta[:] = before
                self._set_clock(end_ns)
                break
            self._set_clock(time_ns)
            if status == 1:
                self._event(events, msg)
                events += 1
        self.book._tally.events = events
        self.book._tally.exhausted = int(exhausted)
        own = [self.book.own(owner) for owner in range(1, self.num_learners + 1)]
        return MarketOutputArrays(
            fills=self.book.fill_rows(),
            num_fills=np.array(len(self.book._fills), np.int32),
            summary=self.book.summary(),
            depth=self.book.depth(),
            own=np.array(own, np.int32).reshape(self.num_learners, 2, 6),
        )

    def clock_ns(self) -> int:
        """Return the clock in nanoseconds."""
        return int(self.meta[1]) * 10**9 + int(self.meta[2])

    def _set_clock(self, time_ns: int) -> None:
        self.meta[1], self.meta[2] = divmod(time_ns, 10**9)

    def _accept(self, agent_messages: np.ndarray) -> None:
        self.meta[7] = 0
        for row in agent_messages.tolist():
            if row[0] == NOP:
                continue
            if len(self.inbox) == self.inbox_capacity:
                self.meta[5] = wrap(int(self.meta[5]) + 1)
                continue
            self.inbox.append(row)
            self.inbox.sort(key=lambda message: (message[6], message[7]))  # stable: ties in order of entry
        self.meta[0] = len(self.inbox)

    def _draw(self, flow_params: np.ndarray, background: np.ndarray) -> tuple[int, list[int], int]:
        msg = np.zeros(8, np.int32)
        arrays = self.book.arrays()
        status, dt_us = self.sampler(
            flow_params, background, *arrays[:5], self.meta, self.seed, msg
        )  # the sampler may move meta's clock
        return int(status), msg.tolist(), self.clock_ns() + 1000 * int(dt_us)

    def _event(self, ordinal: int, msg: list[int]) -> None:
        if msg[0] in (LIMIT, MARKET, IOC, FOK, POST_ONLY) and msg[4] == 0:
            msg[4] = int(self.meta[4])
            self.meta[4] = msg[4] + 1 if msg[4] + 1 < FIRST_AGENT_ID else 1
        msg[5] = 0
        self.book.apply_one(ordinal, msg)
        while self.inbox and self.inbox[0][6] * 10**9 + self.inbox[0][7] <= self.clock_ns():
            self.book.apply_one(ordinal, self.inbox.pop(0))
        self.meta[0] = len(self.inbox)
