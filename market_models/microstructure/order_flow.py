"""Order-flow and trade imbalance, event by event and in equal bins of time.

Event n changes the best bid from (P, q) at n - 1 to (P, q) at n, and the best ask likewise; its contribution is
    e_n = 1{Pb_n >= Pb_n-1} qb_n - 1{Pb_n <= Pb_n-1} qb_n-1 - 1{Pa_n <= Pa_n-1} qa_n + 1{Pa_n >= Pa_n-1} qa_n-1,
and the order-flow imbalance of an interval is the sum of its e_n. The trade imbalance is what takers bought less what
they sold. Source: Cont, Kukanov, Stoikov 2014, "The price impact of order book events", J. Fin. Econometrics 12(1).
"""

from typing import Any, NamedTuple

import numpy as np

from kernels import checks as check
from kernels.lob.spec import BUY, SELL
from market_models.datasets.recording import HIDDEN_EXECUTION, VISIBLE_EXECUTION, Recording

NS_PER_S = 1_000_000_000


class FlowBins(NamedTuple):
    """Order flow in B equal bins of time."""

    from_ns: int  # where the first bin begins, since midnight
    bin_ns: int
    ofi_lots: np.ndarray  # int64[B]
    trade_imbalance_lots: np.ndarray  # int64[B] bought less sold by takers
    mid_change_tick: np.ndarray  # float64[B] mid at the bin's end less that at its start
    depth_lots: np.ndarray  # float64[B] time-weighted mean of the two sizes at the touch


def order_flow_terms(bid_tick: Any, bid_lots: Any, ask_tick: Any, ask_lots: Any) -> np.ndarray:
    """Return e_n in lots, int64[N], from the touch after each of N events; the first, without a past, is 0.

    ValueError where a column is not whole numbers, a side is absent (size below 1) or the lengths differ.
    """
    pb, qb = _whole("bid_tick", bid_tick), _sizes("bid_lots", bid_lots)
    pa, qa = _whole("ask_tick", ask_tick), _sizes("ask_lots", ask_lots)
    out = np.zeros(check.same_length(bid_tick=pb, bid_lots=qb, ask_tick=pa, ask_lots=qa), np.int64)
    bid = (pb[1:] >= pb[:-1]) * qb[1:] - (pb[1:] <= pb[:-1]) * qb[:-1]
    ask = (pa[1:] <= pa[:-1]) * qa[1:] - (pa[1:] >= pa[:-1]) * qa[:-1]
    out[1:] = bid - ask
    return out


def signed_trades(recording: Recording) -> np.ndarray:
    """Return int64[N] lots of each row's trade, positive where the taker bought, 0 where no trade; hidden ones count.

    A hidden execution between two ticks is quarantined for its price, yet its lots and side are known: it counts too.
    """
    traded = np.isin(recording.kind, (VISIBLE_EXECUTION, HIDDEN_EXECUTION))
    sign = np.where(recording.side == SELL, 1, -1)  # `side` is the resting order's
    return np.where(traded, sign * recording.lots.astype(np.int64), 0)


def bin_flow(recording: Recording, from_s: float, to_s: float, bin_s: float = 10.0) -> FlowBins:
    """Return the flow of each whole bin in `from_s`..`to_s` (seconds since midnight).

    The mid is the last one before a bin's end; the first bin starts from the last mid before `from_s`, or, where
    nothing was recorded before, from the first mid recorded. ValueError where the window holds no whole bin or no row.
    """
    start, width = round(from_s * NS_PER_S), round(bin_s * NS_PER_S)
    check.whole("bin_s in nanoseconds", width, 1)
    count = (round(to_s * NS_PER_S) - start) // width
    at = recording.time_total_ns
    first, past = (int(i) for i in np.searchsorted(at, (start, start + count * width)))
    if count < 1 or past <= first:
        raise ValueError(f"window {from_s}..{to_s} s holds no whole bin of {bin_s} s with a recorded row")
    before = max(first - 1, 0)
    touch = recording.book[before:past, :, 0].astype(np.int64)
    terms = order_flow_terms(touch[:, BUY, 0], touch[:, BUY, 1], touch[:, SELL, 0], touch[:, SELL, 1])
    slot = (at[first:past] - start) // width
    mid = touch[:, :, 0].sum(1) / 2
    ends = np.searchsorted(at[before:past], start + width * np.arange(1, count + 1)) - 1
    return FlowBins(
        from_ns=start,
        bin_ns=width,
        ofi_lots=_sum(slot, terms[first - before :], count),
        trade_imbalance_lots=_sum(slot, signed_trades(recording)[first:past], count),
        mid_change_tick=np.diff(mid[np.maximum(ends, 0)], prepend=mid[0]),
        depth_lots=_mean_over_time(at[before:past], touch[:, :, 1].mean(1), start, width, count),
    )


def _sum(slot: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    out = np.zeros(count, np.int64)
    np.add.at(out, slot, values)
    return out


def _mean_over_time(at_ns: np.ndarray, value: np.ndarray, start: int, width: int, count: int) -> np.ndarray:
    """Return the mean of a step function over each bin; before its first step it has the first value."""
    edges = start + width * np.arange(count + 1)
    steps = at_ns[1:] - at_ns[0]
    area = np.concatenate([[0.0], np.cumsum(value[:-1] * np.diff(at_ns))])
    last = np.clip(np.searchsorted(at_ns, edges, side="right") - 1, 0, len(steps))
    return np.diff(area[last] + value[last] * (edges - at_ns[last])) / width


def _whole(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} is {array.dtype}{list(array.shape)}, it must be one axis of whole numbers")
    return array.astype(np.int64)


def _sizes(name: str, values: Any) -> np.ndarray:
    array = _whole(name, values)
    if (array < 1).any():
        raise ValueError(f"{name} has {array.min()} at {int(np.argmin(array))}, both sides need a size of at least 1")
    return array
