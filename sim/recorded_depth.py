"""Market making in a recorded market of levels and trades (Binance, CME): every level recording as an environment.

The background is the recording (`market_models/datasets/depth_trading`): LEVEL_SET batches at their exchange times,
prints as takers. Where our orders stand in the queue after anonymous lots were cancelled is decided by
`config.market.lob.queue_model`. A decision lasts `params.horizon[1]` microseconds, never a number of rows, so that it
cannot end within a batch. Bias: see `depth_trading`; nobody reacts to us.
"""

from typing import NamedTuple

import numpy as np

from kernels.features.normalise import Normaliser
from kernels.lob.host import HostBook
from kernels.lob.spec import Book, LobConfig
from market_models.datasets.depth_trading import DepthTradingStream
from market_models.registry import get_flow
from sim.market_making import MarketMaking
from sim.market_making_types import EnvParams, MarketMakingConfig, StartPool

NS_PER_S = 1_000_000_000
NS_PER_US = 1_000


class TimeWindows(NamedTuple):
    """Episodes of equal length in time."""

    start_ns: np.ndarray  # int64[W] exchange time at which each begins
    row: np.ndarray  # int64[W, T + 1] first background row after each decision's start, and after the last one's end


def make_recorded_depth(
    config: MarketMakingConfig,
    stream: DepthTradingStream,
    params: EnvParams,
    *,
    from_ns: int | None = None,
    to_ns: int | None = None,
    stride_ns: int | None = None,
    backend: str = "cpu",
    normaliser: Normaliser | None = None,
) -> MarketMaking:
    """Return the environment over the rows with from_ns < time <= to_ns (exchange time; default: all that there is).

    `params` (one environment's) give the episode: `max_steps_in_episode` decisions of `horizon[1]` microseconds; the
    number of events, the flow parameters and the starts are set here. Windows follow one another, or start every
    `stride_ns` and overlap: to train from, never to evaluate on. Raises ValueError if the span holds no whole episode,
    the horizon has no microseconds, or the capacity leaves agents no room beside the stream's levels.
    """
    lob = config.market.lob
    if stream.window >= lob.capacity:
        raise ValueError(f"the stream keeps {stream.window} levels, capacity {lob.capacity} leaves agents no room")
    step_us = int(np.asarray(params.horizon)[1])
    if step_us < 1:
        raise ValueError(f"horizon {params.horizon} has no microseconds: a recorded batch would be cut in two")
    windows = cut_time_windows(stream, step_us, int(params.max_steps_in_episode), from_ns, to_ns, stride_ns)
    # One row more than any decision has: the first one that is too late ends it.
    rows = int(np.diff(windows.row, axis=1).max()) + 1
    pool = _pool(lob, stream, windows)
    flow = get_flow("replay")
    return MarketMaking(
        config._replace(background_rows=rows),
        flow,
        pool,
        params.replace(  # pyright: ignore[reportAttributeAccessIssue]
            flow_params=np.zeros(flow.num_params, np.int32),
            horizon=np.array([rows, step_us], np.int32),
            first_start=0,
            num_starts=pool.size,
        ),
        backend=backend,
        normaliser=normaliser,
        background=stream.messages[: int(windows.row.max()) + 1],
    )


def cut_time_windows(
    stream: DepthTradingStream,
    step_us: int,
    num_steps: int,
    from_ns: int | None = None,
    to_ns: int | None = None,
    stride_ns: int | None = None,
) -> TimeWindows:
    """Return windows of `num_steps` decisions of `step_us`, the first as soon as both sides of the book are known."""
    step_ns = step_us * NS_PER_US
    length_ns = num_steps * step_ns
    stride_ns = length_ns if stride_ns is None else stride_ns
    if num_steps < 1 or stride_ns < 1:
        raise ValueError(f"num_steps {num_steps} or stride_ns {stride_ns} is below 1")
    known = np.flatnonzero((stream.touch[..., 1] > 0).all(axis=1))
    if not known.size:
        raise ValueError("the recorded book never has two sides")
    opens_ns = int(stream.time_ns[stream.ends[known[0]] - 1])
    first_ns = max(opens_ns, opens_ns if from_ns is None else from_ns)
    # The last recorded time is left out: a decision ends when a later row is drawn.
    last_ns = min(int(stream.time_ns[-1]) - 1, int(stream.time_ns[-1]) if to_ns is None else to_ns)
    start_ns = np.arange(first_ns, last_ns - length_ns + 1, stride_ns, dtype=np.int64)
    if not start_ns.size:
        raise ValueError(f"{first_ns}..{last_ns} ns is shorter than one episode of {length_ns} ns")
    bounds = start_ns[:, None] + step_ns * np.arange(num_steps + 1)
    return TimeWindows(start_ns, np.searchsorted(stream.time_ns, bounds, side="right"))


def _pool(lob: LobConfig, stream: DepthTradingStream, windows: TimeWindows) -> StartPool:
    """Run the rows once, and look at the book where each window begins."""
    host = HostBook(lob)
    books, depths, done = [], [], 0
    for row in windows.row[:, 0].tolist():
        out = host.apply(stream.messages[done:row])
        books.append(Book(*(np.array(field) for field in host.book)))
        depths.append(np.array(out.depth))
        done = row
    mid = np.array([int(depth[:, 0, 0].sum()) // 2 for depth in depths], np.int32)
    return StartPool(
        book=Book(*(np.stack(field) for field in zip(*books, strict=True))),
        depth=np.stack(depths),
        clock=np.stack(np.divmod(windows.start_ns, NS_PER_S), axis=1).astype(np.int32),
        next_order_id=np.ones(len(books), np.int32),
        reference_tick=mid,
        row=windows.row[:, 0].astype(np.int32),
    )
