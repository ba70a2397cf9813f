"""Market making in a recorded session: held-out evaluation of learners and classical strategies.

The background is the recording itself (the replay flow): its messages happen at their recorded times, whatever we do,
and a recorded execution is an IOC of the taker, so that it meets our orders where they are in the queue. Windows that
do not overlap are the episodes; `EnvParams.first_start` = w with `num_starts` = 1 plays window w.
Bias: nobody reacts to us. Our fills take volume that recorded orders would have had, and prices do not move on our
account, so results of sizes that are large against the touch are too good.
"""

from typing import NamedTuple

import numpy as np

from kernels.features.normalise import Normaliser
from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import Book, LobConfig
from market_models.datasets.lobster_replay import TradingStream, to_trading_stream
from market_models.datasets.recording import Recording
from market_models.registry import get_flow
from sim.market_making import MarketMaking
from sim.market_making_types import EnvParams, MarketMakingConfig, StartPool

NS_PER_S = 1_000_000_000


class Windows(NamedTuple):
    """Where the episodes start: after recorded row `row`, with message `message` of the stream."""

    row: np.ndarray  # int32[W]
    message: np.ndarray  # int32[W]


def make_recorded(
    config: MarketMakingConfig,
    recording: Recording,
    params: EnvParams,
    *,
    from_s: int,
    to_s: int,
    stride: int | None = None,
    backend: str = "cpu",
    normaliser: Normaliser | None = None,
) -> MarketMaking:
    """Return the environment over the recording's messages with from_s <= time < to_s (seconds since midnight).

    `params` (one environment's, no batch axis) give the episode: `max_steps_in_episode` decisions of `horizon[0]`
    events; its flow parameters are replaced, and its starts become all windows. `config.background_rows` is set to the
    events of a decision. With `stride`, windows start every so many messages and overlap: many starts to train from,
    never to evaluate on. Raises ValueError if the span of time holds no whole episode.
    """
    events = int(np.asarray(params.horizon)[0])
    stream = to_trading_stream(recording)
    windows = cut_windows(stream, events * int(params.max_steps_in_episode), from_s, to_s, stride)
    stream = to_trading_stream(recording, tuple(int(row) for row in windows.row))
    end = int(np.searchsorted(stream.time_ns, to_s * NS_PER_S))
    pool = _pool(config.market.lob, recording, stream, windows)
    flow = get_flow("replay")
    return MarketMaking(
        config._replace(background_rows=events),
        flow,
        pool,
        params.replace(  # pyright: ignore[reportAttributeAccessIssue]
            flow_params=np.zeros(flow.num_params, np.int32), first_start=0, num_starts=pool.size
        ),
        backend=backend,
        normaliser=normaliser,
        background=stream.messages[:end],
    )


def cut_windows(stream: TradingStream, num_messages: int, from_s: int, to_s: int, stride: int | None = None) -> Windows:
    """Return windows of `num_messages` messages inside a span of time, each starting where a recorded row ends.

    The next one starts `stride` messages after the one before, as near as rows allow; by default where it ends.
    """
    stride = num_messages if stride is None else stride
    if num_messages < 1 or stride < 1:
        raise ValueError(f"num_messages {num_messages} or stride {stride} is below 1")
    first, end = np.searchsorted(stream.time_ns, (from_s * NS_PER_S, to_s * NS_PER_S))
    # A message that opens a row can open a window: the book before it is the snapshot after the row before.
    opens = np.flatnonzero(np.diff(stream.row, prepend=-1) != 0)
    opens = opens[(opens >= max(int(first), 1)) & (stream.row[opens] >= 1)]
    starts = []
    at = 0
    while at < len(opens) and opens[at] + num_messages <= end:
        starts.append(int(opens[at]))
        at = int(np.searchsorted(opens, opens[at] + stride))
    if not starts:
        raise ValueError(f"{from_s}..{to_s} s holds {end - first} messages, one episode needs {num_messages}")
    message = np.array(starts, np.int32)
    return Windows(row=stream.row[message] - 1, message=message)


def _pool(lob: LobConfig, recording: Recording, stream: TradingStream, windows: Windows) -> StartPool:
    books, depths = [], []
    for row in windows.row.tolist():
        host = HostBook(lob)
        out = host.apply(stream.snapshots[row])
        if (out.reason != spec.OK).any():
            raise ValueError(f"the book after row {row} of {recording.path} does not fit capacity {lob.capacity}")
        books.append(Book(*(np.array(field) for field in host.book)))
        depths.append(np.array(out.depth))
    clock = np.stack([recording.time_s[windows.row], recording.time_ns[windows.row]], axis=1)
    mid = np.array([int(depth[:, 0, 0].sum()) // 2 for depth in depths], np.int32)
    return StartPool(
        book=Book(*(np.stack(field) for field in zip(*books, strict=True))),
        depth=np.stack(depths),
        clock=clock.astype(np.int32),
        next_order_id=np.full(len(depths), recording.first_free_id, np.int32),
        reference_tick=mid,
        row=windows.message,
    )
