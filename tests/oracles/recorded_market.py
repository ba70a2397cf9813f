"""A toy exchange that records itself as LOBSTER would: every order known, only the best levels written down."""

import random

import numpy as np

from market_models.datasets.recording import Recording
from market_models.instrument import Instrument


def _depth(orders: dict[int, list[int]], side: int, levels: int) -> list[list[int]]:
    sums: dict[int, int] = {}
    for own_side, price, lots in orders.values():
        if own_side == side:
            sums[price] = sums.get(price, 0) + lots
    prices = sorted(sums, reverse=side == 0)[:levels]
    return [[price, sums[price]] for price in prices] + [[0, 0]] * (levels - len(prices))


def _event(rng: random.Random, orders: dict[int, list[int]], next_id: int) -> tuple[int, int, int]:
    """Change `orders`; return (kind, id, lots) of the event; new orders take `next_id`."""
    bids = [o[1] for o in orders.values() if o[0] == 0]
    asks = [o[1] for o in orders.values() if o[0] == 1]
    if not orders or rng.random() < 0.45:
        side = rng.randrange(2)
        low, high = max(bids, default=85), min(asks, default=115)
        price = rng.randrange(max(high - 12, 80), high) if side == 0 else rng.randrange(low + 1, low + 13)
        lots = rng.randrange(1, 6)
        orders[next_id] = [side, price, lots]
        return 1, next_id, lots
    if rng.random() < 0.4:  # an execution of an order at the touch, not always the first
        side = rng.choice([side for side, prices in ((0, bids), (1, asks)) if prices])
        best = max(bids) if side == 0 else min(asks)
        order_id = rng.choice([i for i, o in orders.items() if o[:2] == [side, best]])
        kind, lots = 4, rng.randrange(1, orders[order_id][2] + 1)
    else:
        order_id = rng.choice(sorted(orders))
        resting = orders[order_id][2]
        kind, lots = (2, rng.randrange(1, resting)) if resting > 1 and rng.random() < 0.3 else (3, resting)
    orders[order_id][2] -= lots
    return kind, order_id, lots


def record(seed: int, events: int, levels: int) -> Recording:
    """Run the toy exchange and return what LOBSTER would have written, hidden executions included."""
    rng = random.Random(seed)
    orders: dict[int, list[int]] = {}
    rows, books, time_ns = [], [], 34_200 * 10**9
    before = [_depth(orders, side, levels) for side in (0, 1)]
    for next_id in range(1, events + 1):
        time_ns += rng.randrange(0, 10**8)
        kind, order_id, lots = _event(rng, orders, next_id)
        side, price, left = orders[order_id]
        if left == 0:
            del orders[order_id]
        after = [_depth(orders, side, levels) for side in (0, 1)]
        if after != before:
            rows.append((time_ns, kind, side, lots, price, order_id))
            books.append(after)
        elif rng.random() < 0.1:
            rows.append((time_ns, 5, side, lots, price, 0))
            books.append(after)
        before = after
    table = np.array(rows, np.int64)
    return Recording(
        path=f"toy:{seed}",
        digest="",
        instrument=Instrument("TOY", "0.01"),
        time_s=(table[:, 0] // 10**9).astype(np.int32),
        time_ns=(table[:, 0] % 10**9).astype(np.int32),
        kind=table[:, 1].astype(np.int32),
        side=table[:, 2].astype(np.int32),
        lots=table[:, 3].astype(np.int32),
        price_tick=table[:, 4].astype(np.int32),
        order_id=table[:, 5].astype(np.int32),
        book=np.array(books, np.int32),
        quarantined=np.zeros(len(table), bool),
        first_free_id=events + 1,
    )
