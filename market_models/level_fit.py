"""What a fit does where levels were recorded and no orders (`datasets/level_recording.py`).

An "order" is then a change of a level, and how many rest has to be said: a level of l lots at distance i holds
ceil(l / s(i)) of them, s(i) the mean size of the limit orders that came there. The cancel rate of one order at i is

    theta(i) = cancels at i / integral of the orders resting at i,      standard error sqrt(cancels) / integral,

the maximum of the likelihood given that number. Bias: small orders that stay for long count like the large ones that
flicker, so a queue's oldest lots leave too early; a level of many orders below the mean counts too few, whose rate is
then too high.

In the intensities of a queue a limit order or a cancel of l lots at the best level or in front of it counts as l / s,
s the mean size of the limit orders there, so that the best queue's lots drift as recorded: by counts BTCUSDT's grows
for ever, since what joins it has 740 lots in the mean and what leaves 1,400. Deeper every row counts 1. Standard error
from the sum of squares (compound Poisson). Buckets are wide enough that the best queue is seldom in the top one, and
limit orders and cancels of a band have the same pools, so that no pool only grows.
"""

import numpy as np

from kernels.lob.spec import BUY
from market_models.datasets import recording as rec
from market_models.datasets.recording import Recording
from market_models.exposure import Events, durations, quotes

_CANCELS = (rec.PARTIAL_CANCEL, rec.FULL_CANCEL)


def order_lots(events: Events, label: np.ndarray) -> np.ndarray:
    """Return the mean size of limit orders, float64[D], of each pool int[D] of distances; at least 1."""
    at = label[events.limit_distance - 1]
    count, lots = np.bincount(at, minlength=label[-1] + 1), np.bincount(at, events.limit_lots, label[-1] + 1)
    return np.maximum(lots / np.maximum(count, 1), 1.0)[label]


def order_seconds(recording: Recording, from_s: float, to_s: float, lots_of_order: np.ndarray) -> np.ndarray:
    """Return the integral of the orders resting at each distance, float64[D], both sides, D and beyond in the last."""
    q, dt = quotes(recording), durations(recording, from_s, to_s)
    distances = len(lots_of_order)
    at = np.clip(q.distance, 1, distances) - 1
    orders = np.ceil(q.lots / lots_of_order[at]) * (dt[:, None] * q.has_opposite)[:, :, None]
    return np.bincount(at.ravel(), orders.ravel(), distances)


def row_weights(recording: Recording) -> np.ndarray:
    """Return float64[N]: what each row counts, a limit order or a cancel at the best queue or in front of it its lots
    over their mean limit order, everything else 1."""
    q, side, lots = quotes(recording), recording.side, recording.lots.astype(np.float64)
    before = np.maximum(np.arange(len(side)) - 1, 0)
    best, has_best = recording.book[before, side, 0, 0], q.lots[before, side, 0] > 0
    front = has_best & np.where(side == BUY, recording.price_tick >= best, recording.price_tick <= best)
    new = front & (recording.kind == rec.NEW)
    weight = np.ones(len(side))
    if new.any():
        sized = new | (front & np.isin(recording.kind, _CANCELS))
        weight[sized] = lots[sized] / lots[new].mean()
    return weight


def bucket_lots(recording: Recording, from_s: float, to_s: float, top_bucket: int) -> int:
    """Return the width of a queue bucket with which the best level is in the top one for a tenth of the time."""
    q, dt = quotes(recording), durations(recording, from_s, to_s)
    best, weight = q.lots[:, :, 0].ravel(), np.repeat(dt, 2)
    order = np.argsort(best, kind="stable")
    whole = np.cumsum(weight[order])
    return max(int(best[order][np.searchsorted(whole, 0.9 * whole[-1])]) // top_bucket, 1)
