"""Parameters of the Hawkes flow for tests, and a driver that draws on a book that stands still."""

import numpy as np
from numba import njit

from kernels.lob import spec
from market_models import hawkes as hk
from market_models import hawkes_numba as hn

CAPACITY = 16
SIZES = np.repeat(np.arange(1, 5), 32)
DECAYS = np.array([4.0, 60.0])
# Bids 100 (two orders), 99, 97 and one beyond the window; asks mirrored: a spread of 4 and every type is possible.
BIDS = [(80, 5, 1), (97, 4, 2), (99, 6, 3), (100, 3, 4), (100, 2, 5)]
ASKS = [(124, 5, 6), (107, 4, 7), (105, 6, 8), (104, 3, 9), (104, 2, 10)]


def branching() -> np.ndarray:
    """Return offspring [K, same or other, source, target], spectral radius 0.59 in all."""
    same = np.array(
        [
            [0.10, 0.15, 0.10, 0.00, 0.05],
            [0.05, 0.15, 0.05, 0.10, 0.00],
            [0.10, 0.10, 0.10, 0.05, 0.05],
            [0.00, 0.20, 0.05, 0.10, 0.00],
            [0.05, 0.15, 0.10, 0.05, 0.20],
        ]
    )
    return np.stack([[0.4 * same, 0.3 * same[::-1]], [0.5 * same.T, 0.2 * same]])


def hand_rates(**changes) -> hk.Rates:
    """Two spread buckets (to 5 ticks, above) and two depth buckets (to 8 lots, above), two decays, marks by size."""
    base = np.array([0.3, 0.9, 0.5, 0.4, 0.3])
    cells = np.array([[1.0, 1.3], [1.5, 0.8]])[:, :, None] * base
    mark = np.sqrt(SIZES) / np.sqrt(SIZES).mean()
    rates = {
        "spread_edge_tick": np.array([5]),
        "depth_edge_lots": np.array([8]),
        "base_rate": cells,
        "decay_rate": DECAYS,
        "jump_rate": branching() * DECAYS[:, None, None, None],
        "far_cancel_rate": 0.2,
        "window_tick": 5,
        "empty_spread_tick": 3,
        "behind_weight": np.array([0.4, 0.3, 0.0, 0.2, 0.1]),
        "inside_frac": (np.arange(128) + 0.5) / 128,
        "limit_lots": SIZES,
        "market_lots": SIZES,
        "limit_mark": mark,
        "market_mark": mark,
    }
    return hk.Rates(**{**rates, **changes})


def random_rates(
    rng: np.random.Generator, spreads: int = 3, depths: int = 4, decays: int = 2, scale: float = 1.0, ratio: float = 0.7
) -> hk.Rates:
    """Return random rates of the given sizes and branching ratio; sizes of 1 to 60 lots."""
    decay = np.sort(np.exp(rng.uniform(np.log(0.2), np.log(3000), decays)))
    jump = rng.random((decays, 2, 5, 5)) * (rng.random((decays, 2, 5, 5)) < 0.7) * decay[:, None, None, None]
    sizes = np.sort(rng.integers(1, 60, 128))
    mark = sizes**0.4 / (sizes**0.4).mean()
    rates = hand_rates(
        spread_edge_tick=np.cumsum(rng.integers(1, 4, spreads - 1)),
        depth_edge_lots=np.cumsum(rng.integers(1, 90, depths - 1)),
        base_rate=scale * (0.1 + rng.random((spreads, depths, 5))) * np.array([0.6, 1.5, 0.7, 0.9, 0.5]),
        decay_rate=decay,
        jump_rate=jump,
        window_tick=int(rng.integers(1, 9)),
        behind_weight=rng.random(12),
        inside_frac=np.sort(rng.random(128)) * 0.999,
        limit_lots=sizes,
        market_lots=sizes[::-1].copy(),
        limit_mark=mark,
        market_mark=mark[::-1].copy(),
    )
    return rates._replace(jump_rate=jump * (ratio / hk.branching_ratio(rates)))


@njit
def drawn(params, price, lots, order_id, owner, count, meta, seed, total):
    """Return status, dt_us and message of `total` draws; the clock moves as the engine moves it."""
    nothing = np.zeros((0, 8), np.int32)
    status, dt_us, messages = np.zeros(total, np.int64), np.zeros(total, np.int64), np.zeros((total, 8), np.int32)
    for i in range(total):
        meta[3] += 1
        status[i], dt_us[i] = hn.sample(params, nothing, price, lots, order_id, owner, count, meta, seed, messages[i])
        time_us = meta[2] // 1000 + dt_us[i]
        meta[1] += time_us // 1_000_000
        meta[2] = (time_us % 1_000_000) * 1000
    return status, dt_us, messages


def book_of(bids=BIDS, asks=ASKS, agents=()):
    """Return price, lots, id, owner int32[2, O] and num_orders of orders (price, lots, id), the best last."""
    fields = [np.zeros((2, CAPACITY), np.int32) for _ in range(4)]
    for side, orders in enumerate((bids, asks)):
        for slot, order in enumerate(orders):
            for field, value in zip(fields, (*order, int(order[2] in agents)), strict=True):
                field[side, slot] = value
    return [*fields, np.array([len(bids), len(asks)], np.int32)]


def draw(rates: hk.Rates, total: int, book=None, reference: int = 0, seed: int = 12):
    """Draw on a book that stands still; return status, dt_us, messages."""
    meta = np.zeros(spec.NUM_META, np.int32)
    meta[spec.META_REFERENCE_TICK], meta[spec.META_CLOCK_S] = reference, 34_200
    price, lots, order_id, owner, count = book or book_of()
    words = np.array([seed, 34], np.uint32)
    return drawn(hk.pack(rates), price, lots, order_id, owner, count, meta, words, total)


def types_of(status: np.ndarray, messages: np.ndarray, far_ids=(1, 6)) -> np.ndarray:
    """Return the type of each draw on the book of BIDS and ASKS; -1 for NULL, 10 for a far cancel."""
    kind, side, price, order = (messages[:, c] for c in (spec.KIND, spec.SIDE, spec.PRICE_TICK, spec.ORDER_ID))
    better = np.where(side == 0, price > 100, price < 104)
    touch = np.isin(order, (4, 5, 9, 10))
    what = np.select(
        [kind == spec.LIMIT, kind == spec.MARKET, kind == spec.DELETE],
        [np.where(better, hk.INSIDE, hk.BEHIND), hk.TAKE, np.where(touch, hk.CANCEL_TOUCH, hk.CANCEL_BEHIND)],
    )
    event = np.where(kind == spec.MARKET, 1 - side, side) * hk.NUM_KINDS + what
    return np.where(status != spec.FLOW_EVENT, -1, np.where(np.isin(order, far_ids), hk.NUM_TYPES, event))
