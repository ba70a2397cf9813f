"""Our resting orders in recorded sessions: the engine's fills against a tracker that follows one order by hand."""

from decimal import Decimal

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import Book, LobConfig
from market_models.datasets import binance_raw
from market_models.datasets.depth_trading import to_trading_stream
from tests.oracles import queue_position

FILES = ("usdm/btcusdt_20230404.dat.gz", "usdm/ethusdt_20240718.gz")
WINDOW, OURS = 100, spec.FIRST_AGENT_ORDER_ID
ENTRIES = 4  # times at which an order is placed
HORIZON_MS = 15_000


@pytest.fixture(scope="module", params=FILES)
def session(request, data_dir):
    path = data_dir / "l2/binance_raw" / request.param
    opened = binance_raw.open_session([path])
    return opened, to_trading_stream(opened, WINDOW), queue_position.load([path])


def placements(stream):
    """Yield (entry ms, side, offset from the touch) spread over the session."""
    first, last = (int(stream.time_ns[row] // 10**6) for row in (stream.ends[50], -1))
    for at in np.linspace(first, last - HORIZON_MS, ENTRIES).astype(int).tolist():
        for side in (spec.BUY, spec.SELL):
            for offset in (0, 1):
                yield at, side, offset


def engine_fills(config, base, stream, cut, end, message):
    book = HostBook(config)
    book.book = Book(*(np.array(field) for field in base.book))
    book.apply(np.array([message], np.int32))
    out = book.apply(stream.messages[cut:end])
    fills = out.fills[: int(out.num_fills)]
    times = stream.time_ns[cut:end][fills[:, spec.FILL_MESSAGE]].tolist()
    return list(zip(times, fills[:, spec.FILL_LOTS].tolist(), strict=True)), book.own(1)


@pytest.mark.data
@pytest.mark.parametrize("model", spec.QUEUE_NAMES)
def test_fills_and_queue_positions_of_recorded_sessions_are_those_of_the_tracker(session, model):
    opened, stream, (events, snapshot) = session
    tick, lot = Decimal(opened.instrument.tick_size), Decimal(opened.instrument.lot_size)
    config = LobConfig(128, 256, 5, spec.FILLS_OWNED, queue_model=spec.QUEUE_NAMES.index(model))
    base, done, filled, waiting = HostBook(config), 0, 0, 0
    for at_ms, side, offset in placements(stream):
        cut, end = np.searchsorted(stream.time_ns, [(at_ms + 1) * 10**6, (at_ms + HORIZON_MS + 1) * 10**6]).tolist()
        base.apply(stream.messages[done:cut])
        done = cut
        size = 3 * lot
        price, fills, ahead = queue_position.follow(
            events, snapshot, at_ms, side == spec.BUY, offset, size, model, lot, at_ms + HORIZON_MS
        )
        message = [spec.LIMIT, side, 3, int(price / tick), OURS, 1, 0, 0]
        ours, own = engine_fills(config, base, stream, cut, end, message)
        assert ours == [(ns, int(quantity / lot)) for ns, quantity in fills]
        if own[side, spec.OWN_PRESENT]:
            assert int(own[side, spec.OWN_LOTS_AHEAD]) == int(ahead / lot)
            waiting += 1
        filled += sum(lots for _, lots in ours)
    # The sessions exercise both outcomes.
    assert filled >= 12 and waiting >= 1


@pytest.mark.data
def test_a_recorded_session_without_agents_is_the_recording_in_every_batch(session):
    _, stream, _ = session
    config = LobConfig(128, 4096, 1)
    book, done = HostBook(config), 0
    through = 0
    for end, touch in zip(stream.ends.tolist(), stream.touch, strict=True):
        out = book.apply(stream.messages[done:end])
        np.testing.assert_array_equal(out.depth[:, 0], touch)
        takers = out.fills[: int(out.num_fills), spec.FILL_TAKER_ID]
        through += int((takers == spec.FIRST_AGENT_ORDER_ID - 1).sum())
        done = end
    assert through == 0 and stream.throughs > 0 and not book.book.counters.any()
