"""Trading in a recorded book: rows of a small feed, and what happens to an order of ours in it, lot by lot."""

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import LobConfig
from market_models.datasets import binance_raw
from market_models.datasets.depth_trading import THROUGH_ORDER_ID, to_trading_stream
from tests.support.binance_feed import START_MS, Feed, small_feed

WINDOW, BACKENDS = 48, ("oracle", "cpu")
OURS = spec.FIRST_AGENT_ORDER_ID
ROWS = {spec.NOP: "clock", spec.IOC: "taker", spec.LEVEL_SET: "set"}


def stream_of(feed, tmp_path, window=WINDOW, **steps):
    return to_trading_stream(binance_raw.open_session([feed.write(tmp_path)], **steps), window)


def host(queue_model=spec.QUEUE_BACK_FIRST, backend="cpu"):
    return HostBook(LobConfig(64, 64, 5, spec.FILLS_OWNED, queue_model=queue_model), backend)


def limit(side, price_tick, lots, order_id=OURS):
    return [spec.LIMIT, side, lots, price_tick, order_id, 1, 0, 0]


def play(stream, book, at, *orders):
    """Apply the rows of the first `at` batches, our orders, and the rest; return our fills (ms, lots, price)."""
    cut = int(stream.ends[at - 1])
    assert not book.apply(stream.messages[:cut]).num_fills
    book.apply(np.array(orders, np.int32))
    out = book.apply(stream.messages[cut:])
    fills = out.fills[: int(out.num_fills)]
    ms = stream.time_ns[cut:][fills[:, spec.FILL_MESSAGE]] // 10**6 - START_MS
    columns = fills[:, [spec.FILL_LOTS, spec.FILL_PRICE_TICK]].tolist()
    return [(int(at), lots, price) for at, (lots, price) in zip(ms, columns, strict=True)]


def ahead(book, side):
    return int(book.own(1)[side, spec.OWN_LOTS_AHEAD])


def test_rows_of_a_batch_are_a_clock_then_less_then_takers_then_more(tmp_path):
    stream = stream_of(small_feed(), tmp_path)
    part = stream.messages[stream.ends[0] : stream.ends[2]].tolist()
    rows = [(ROWS[row[0]], *row[1:5]) for row in part]
    assert rows == [
        ("clock", 0, 0, 0, 0),
        # 99.9 has 6.5 instead of 5, the ask 100.0 has gone and 100.1 stands there with 2 (lots of 0.5)
        ("set", spec.SELL, 0, 1000, 0),
        ("taker", spec.BUY, spec.MAX_LOTS, 999, THROUGH_ORDER_ID),
        ("taker", spec.SELL, spec.MAX_LOTS, 1001, THROUGH_ORDER_ID),
        ("set", spec.BUY, 13, 999, 0),
        ("set", spec.SELL, 4, 1001, 0),
        # a trade between the two events
        ("clock", 0, 0, 0, 0),
        ("taker", spec.BUY, 1, 1001, 1),
        ("clock", 0, 0, 0, 0),
        ("taker", spec.SELL, spec.MAX_LOTS, 1001, THROUGH_ORDER_ID),
        ("set", spec.SELL, 3, 1001, 0),
    ]
    assert (stream.prints, stream.gaps) == (2, 0)
    assert not stream.messages[:, spec.OWNER].any()
    assert np.all(np.diff(stream.time_ns) >= 0)
    assert stream.time_ns[stream.ends[0]] == (START_MS + 1) * 10**6


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_agents_the_engine_shows_the_recorded_touch_after_every_batch(tmp_path, backend):
    stream = stream_of(small_feed(), tmp_path)
    book = HostBook(LobConfig(64, 64, 5), backend)
    done, trades = 0, 0
    for end, touch in zip(stream.ends, stream.touch, strict=True):
        out = book.apply(stream.messages[done:end])
        assert (out.reason == spec.OK).all()
        np.testing.assert_array_equal(out.depth[:, 0], touch)
        assert not (out.fills[: int(out.num_fills), spec.FILL_TAKER_ID] == THROUGH_ORDER_ID).any()
        trades += int(out.num_fills)
        done = end
    assert trades == stream.prints == 2


def queue_feed():
    """Ten lots at 99; we join behind them; then the level changes as the comments say."""
    feed = Feed().snapshot([["99", "10"], ["98", "50"]], [["101", "10"]])
    feed.depth([["98", "51"]])  # at 1: the spanning event; after it we join
    feed.depth([["99", "16"]], at=2)  # six lots join behind us: 10 ahead, 6 behind
    feed.depth([["99", "8"]], at=3)  # half of the anonymous lots are cancelled
    feed.trade("SELL", "99", "5", at=4).depth([["99", "3"]], at=4)
    feed.trade("SELL", "99", "2", at=5).trade("SELL", "99", "1", at=5).depth([["99", "0"]], at=6)
    feed.trade("SELL", "98", "9", at=7).depth([["98", "42"]], at=8)
    return feed


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("model", "ahead_after_cancel", "fills"),
    [
        # 8 of 16 stay, and they are those at the front: 8 ahead of us. The trades of 5, 2 and 1 take them all, then
        # the seller at 98 meets our 4 first.
        (spec.QUEUE_BACK_FIRST, 8, [(7, 4, 99)]),
        # ceil(10 x 8 / 16) = 5 ahead. The trade of 5 takes them; those of 2 and 1 are ours, and the last lot at 98.
        (spec.QUEUE_PROPORTIONAL, 5, [(5, 2, 99), (5, 1, 99), (7, 1, 99)]),
        # The 8 at the front left: 2 ahead, 6 behind. The trade of 5 takes 2 and 3 of ours, that of 2 our last.
        (spec.QUEUE_FRONT_FIRST, 2, [(4, 3, 99), (5, 1, 99)]),
    ],
)
def test_an_order_of_ours_is_filled_as_its_queue_model_says(tmp_path, backend, model, ahead_after_cancel, fills):
    stream = stream_of(queue_feed(), tmp_path, tick_size="1", lot_size="1")
    book = host(model, backend)
    assert play(stream, book, 2, limit(spec.BUY, 99, 4)) == fills
    again = host(model, backend)
    again.apply(stream.messages[: stream.ends[1]])
    again.apply(np.array([limit(spec.BUY, 99, 4)], np.int32))
    assert ahead(again, spec.BUY) == 10
    again.apply(stream.messages[stream.ends[1] : stream.ends[2]])
    assert ahead(again, spec.BUY) == 10
    again.apply(stream.messages[stream.ends[2] : stream.ends[3]])
    assert ahead(again, spec.BUY) == ahead_after_cancel


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_order_that_the_market_is_quoted_through_is_filled_in_full_without_a_trade(tmp_path, backend):
    feed = Feed().snapshot([["99", "10"], ["98", "5"]], [["101", "10"], ["102", "1"]])
    feed.depth([["98", "6"]])
    feed.depth([["99", "0"]], [["99", "2"]], at=2)  # the market falls through our 99: no print tells it
    stream = stream_of(feed, tmp_path, tick_size="1", lot_size="1")
    book = host(backend=backend)
    assert play(stream, book, 2, limit(spec.BUY, 99, 7), limit(spec.BUY, 98, 5, OURS + 1)) == [(2, 7, 99)]
    assert book.best(spec.BUY) == (98, 11) and book.best(spec.SELL) == (99, 2)
    # An order within the spread is met too, though the recorded bid did not move.
    feed = Feed().snapshot([["97", "10"]], [["101", "10"]]).depth([["97", "9"]]).depth([], [["98", "1"]], at=2)
    stream = stream_of(feed, tmp_path, tick_size="1", lot_size="1")
    assert play(stream, host(backend=backend), 2, limit(spec.BUY, 99, 7)) == [(2, 7, 99)]
    feed = Feed().snapshot([["97", "10"]], [["101", "10"]]).depth([["97", "9"]]).depth([["100", "1"]], at=2)
    stream = stream_of(feed, tmp_path, tick_size="1", lot_size="1")
    assert play(stream, host(backend=backend), 2, limit(spec.SELL, 100, 3)) == [(2, 3, 100)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_we_took_from_the_book_comes_back_and_never_crosses_what_we_left_there(tmp_path, backend):
    feed = Feed().snapshot([["97", "10"]], [["100", "2"], ["101", "3"]]).depth([["97", "9"]])
    feed.depth([], [["101", "4"]], at=2)  # the ask 100 is not told again: what we took stays away
    feed.depth([], [["100", "5"]], at=3)
    stream = stream_of(feed, tmp_path, tick_size="1", lot_size="1")
    book = host(backend=backend)
    # Eight bought at up to 101: two and three lots are filled at once, three rest at 101, above the recorded ask.
    assert play(stream, book, 2, limit(spec.BUY, 101, 8)) == [(2, 3, 101)]
    assert book.best(spec.SELL) == (100, 5) and book.best(spec.BUY) == (97, 9)


def test_liquidity_that_a_print_took_here_but_not_there_is_restated_by_the_next_event(tmp_path):
    feed = Feed().snapshot([["99", "10"], ["98", "5"]], [["101", "10"]]).depth([["98", "6"]])
    feed.trade("SELL", "98", "12", at=2)  # an iceberg refilled 99: the event after it does not name the level
    feed.depth([], [["101", "9"]], at=3)
    stream = stream_of(feed, tmp_path, tick_size="1", lot_size="1")
    book = host()
    book.apply(stream.messages[: stream.ends[1] + 2])
    assert book.best(spec.BUY) == (98, 4)
    book.apply(stream.messages[stream.ends[1] + 2 :])
    assert book.best(spec.BUY) == (99, 10)
    assert stream.touch[-1].tolist() == [[99, 10], [101, 9]]


def test_a_locked_recording_keeps_its_lock_and_its_takers_off_the_recorded_queue(tmp_path):
    feed = Feed().snapshot([["99", "10"]], [["101", "10"]]).depth([["99", "9"]])
    feed.depth([], [["99", "4"]], at=2)
    stream = stream_of(feed, tmp_path, tick_size="1", lot_size="1")
    book = HostBook(LobConfig(64, 64, 5), "cpu")
    out = book.apply(stream.messages)
    assert not out.num_fills and book.best(spec.BUY) == (99, 9) and book.best(spec.SELL) == (99, 4)


def test_prints_without_a_known_book_are_left_out(tmp_path):
    feed = Feed()
    feed.trade("SELL", "99", "1", at=1)
    feed.snapshot([["99", "10"]], [["101", "10"]], at=2).depth([["99", "9"]], at=3)
    feed.trade("SELL", "99", "1", at=9)
    assert stream_of(feed, tmp_path, tick_size="1", lot_size="1").prints == 0


def test_a_window_of_levels_is_kept_in_the_engine_while_we_rest_in_it(tmp_path):
    feed = Feed().snapshot([[str(90 + i), "1"] for i in range(10)], [["101", "1"]]).depth([["90", "2"]])
    feed.depth([["99", "0"]], at=2).depth([["99", "3"]], at=3)
    stream = stream_of(feed, tmp_path, window=2, tick_size="1", lot_size="1")
    book = host()
    play(stream, book, 2, limit(spec.BUY, 98, 5))
    assert book.own(1)[spec.BUY, spec.OWN_LOTS_AHEAD] == 1
    assert int(book.book.num_orders[spec.BUY]) == 3 and (stream.revealed, stream.purged) == (1, 1)
