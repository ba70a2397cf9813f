"""The raw Binance reader: exact integers from hand-written lines, and a named error or a count for everything else."""

import gzip

import pytest

from kernels.lob.spec import BUY, SELL
from market_models.datasets import DataError, binance_raw
from market_models.datasets.binance_raw import DepthEvent, Print, Snapshot, Ticker
from tests.support.binance_feed import START_MS, Feed, small_feed


def events_of(path, kind, **steps):
    return [event for event in binance_raw.open_session([path], **steps).events() if isinstance(event, kind)]


def test_every_field_of_a_small_session_is_read_exactly(tmp_path):
    path = small_feed().write(tmp_path)
    session = binance_raw.open_session([path])
    assert (session.instrument.name, session.instrument.currency) == ("TESTUSDT", "USDT")
    assert (session.instrument.tick_size, session.instrument.lot_size) == ("0.1", "0.5")
    assert (session.depth_events, session.tickers, session.prints, session.snapshots) == (6, 6, 2, 1)
    assert session.futures and session.lines == 15 and session.time_back == 0 and session.skipped == {}
    (snapshot,) = events_of(path, Snapshot)
    assert snapshot[:4] == (0, 1, START_MS * 10**6, 100)
    assert snapshot.bids == [(999, 10), (998, 15), (995, 2)] and snapshot.asks == [(1000, 8), (1002, 12)]
    first = events_of(path, DepthEvent)[0]
    assert first == DepthEvent(0, 2, (START_MS + 1) * 10**6, 100, 103, 100, [(999, 13)], [(1000, 0), (1001, 4)])
    assert events_of(path, Ticker)[0] == Ticker(103, (999, 13), (1001, 4))
    assert events_of(path, Print) == [
        Print((START_MS + 2) * 10**6, BUY, 1001, 1),
        Print((START_MS + 6) * 10**6, SELL, 1000, 2),
    ]


def test_a_spot_session_has_no_previous_id_and_needs_no_snapshot(tmp_path):
    feed = Feed(futures=False).depth([["99.9", "1"]], [["100.1", "1"]]).ticker()
    session = binance_raw.open_session([feed.write(tmp_path, "spot.txt")])
    assert not session.futures and session.snapshots == 0
    assert next(session.events()).previous_id is None


def test_prices_that_no_float_holds_are_read_exactly(tmp_path):
    feed = Feed(futures=False)
    feed.depth([["28165.47000001", "0.10000003"]], [["28165.47000008", "90.00000001"]])
    path = feed.write(tmp_path)
    session = binance_raw.open_session([path], tick_size="0.00000001", lot_size="0.00000001")
    assert session.instrument.tick_e8 == 1
    with pytest.raises(DataError, match=r"row 1: .*outside"):
        list(session.events())
    session = binance_raw.open_session([path], tick_size="0.00000001", lot_size="0.00000002")
    with pytest.raises(DataError, match=r"outside"):
        list(session.events())


def test_a_lot_is_made_larger_where_int32_would_not_hold_a_size(tmp_path):
    feed = Feed(futures=False)
    feed.depth([["2.5", "0.00000001"], ["2.4", "3000000.00000007"]], [["2.6", "0.00000005"]])
    session = binance_raw.open_session([feed.write(tmp_path)])
    assert session.instrument.lot_size == "0.01"
    event = next(session.events())
    assert event.bids == [(25, 1), (24, 300_000_000)] and event.asks == [(26, 1)]  # a size is never rounded to gone


def test_other_streams_and_trades_off_the_book_are_counted(tmp_path):
    feed = small_feed()
    feed.trade("BUY", "77.12345", "0.001", kind="INSURANCE_FUND")  # its price is not looked at
    feed._stream("markPrice@1s", {"p": "x"})
    feed._stream("depth20@100ms", {"bids": []})
    feed._line({"result": None, "id": 1})
    session = binance_raw.open_session([feed.write(tmp_path)])
    assert session.skipped == {
        binance_raw.OFF_BOOK: 1,
        "markPrice@1s": 1,
        "depth20@100ms": 1,
        binance_raw.NO_STREAM: 1,
    }
    assert session.prints == 2 and session.depth_events == 6


@pytest.mark.parametrize(("digits", "unit"), [(13, 10**6), (16, 10**3), (19, 1)])
def test_local_time_is_told_by_its_digits(tmp_path, digits, unit):
    lines = [f"{line.split(' ', 1)[0][:digits]} {line.split(' ', 1)[1]}" for line in small_feed().lines]
    assert binance_raw.open_session([small_feed().write(tmp_path, lines=lines)]).lines == 15
    assert unit * 10 ** (digits - 1) == 10**18


def test_lines_out_of_order_of_local_time_are_counted(tmp_path):
    lines = small_feed().lines
    lines[3], lines[6] = lines[6], lines[3]
    assert binance_raw.open_session([small_feed().write(tmp_path, lines=lines)]).time_back == 2


def test_a_plain_file_and_two_files_give_the_same_session_as_one_gzip(tmp_path):
    feed = small_feed()
    whole = binance_raw.open_session([feed.write(tmp_path)])
    parts = [feed.write(tmp_path, "a.txt", feed.lines[:5]), feed.write(tmp_path, "b.gz", feed.lines[5:])]
    pair = binance_raw.open_session(parts)
    assert pair.digest == whole.digest and pair.depth_events == whole.depth_events
    assert [event[2:] for event in pair.events()] == [event[2:] for event in whole.events()]


@pytest.mark.parametrize(
    ("line", "old", "new", "reason"),
    [
        (2, '"U": 100', '"U": "100"', r"field 'U' is '100', expected a whole number"),
        (2, '"U": 100', '"U": 104', r"field 'U' 104 is above 'u' 103"),
        (2, '"u": 103, ', "", r"field 'u' is None"),
        (2, '"pu": 100', '"pu": -1', r"field 'pu' is -1"),
        (5, '"pu"', '"pv"', r"field 'pu' is in some depth events"),
        (2, '"99.9"', '"99.9x"', r"field 'b': '99.9x' is not a decimal string"),
        (2, '"99.9"', "99.9", r"field 'b': 99.9 is not a decimal string"),
        (2, '"6.5"', '"-6.5"', r"field 'b': -6.5 is negative"),
        (2, '"6.5"', '"NaN"', r"field 'b': 'NaN' is not a decimal string"),
        (2, '"6.5"', '"6.5", "1"', r"field 'b': too many values"),
        (2, '"6.5"', '"0.0000000051"', r"more than 8 decimals"),
        (2, '"b": [', '"bb": [', r"field 'b' is missing"),
        (3, '"B": ', '"Q": ', r"field 'B' is missing"),
        (3, '"u": 103', '"u": null', r"field 'u' is None"),
        (4, '"m": false', '"m": 0', r"field 'm' is 0"),
        (3, '"s": "TESTUSDT"', '"s": "OTHER"', r"field 's' is 'OTHER', the session is of TESTUSDT"),
        (5, '"data": {', '"data": [{', r"not json"),
        (1, '"lastUpdateId": 100', '"lastUpdateId": 1e2', r"field 'lastUpdateId' is 100.0"),
        (1, '"bids": [', '"bids": 7, "c": [', r"field 'bids' is missing or not a list"),
        (6, "1700", "x700", r"local time"),
        (6, " {", "{", r"local time"),
    ],
)
def test_a_damaged_line_is_named_by_file_and_line(tmp_path, line, old, new, reason):
    lines = small_feed().lines
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path = small_feed().write(tmp_path, lines=lines)
    with pytest.raises(DataError, match=reason) as error:
        binance_raw.open_session([path])
    assert (error.value.path, error.value.row) == (str(path), line)


def test_a_line_that_is_cut_off_is_named(tmp_path):
    lines = small_feed().lines
    lines[-1] = lines[-1][:60]
    with pytest.raises(DataError, match="row 15: not json"):
        binance_raw.open_session([small_feed().write(tmp_path, "cut.txt", lines)])


def test_a_truncated_gzip_and_one_with_a_wrong_byte_are_named(tmp_path):
    path = small_feed().write(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(DataError, match="not a whole gzip file"):
        binance_raw.open_session([path])
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    path.write_bytes(bytes(damaged))
    with pytest.raises(DataError):
        binance_raw.open_session([path])


def test_empty_files_missing_files_and_missing_parts_are_named(tmp_path):
    for name, content in (("empty.gz", gzip.compress(b"")), ("empty.txt", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name}: is empty"):
            binance_raw.open_session([tmp_path / name])
    with pytest.raises(DataError, match=r"nothing\.gz: cannot be read"):
        binance_raw.open_session([tmp_path / "nothing.gz"])
    lines = small_feed().lines
    with pytest.raises(DataError, match="holds no REST snapshot: give the file with the session's start first"):
        binance_raw.open_session([small_feed().write(tmp_path, lines=lines[1:])])
    tickers = [line for line in lines if "bookTicker" in line]
    with pytest.raises(DataError, match="holds no depth event"):
        binance_raw.open_session([small_feed().write(tmp_path, lines=tickers)])


def test_files_in_the_wrong_order_are_refused(tmp_path):
    feed = small_feed()
    first, second = feed.write(tmp_path, "1.gz", feed.lines[:7]), feed.write(tmp_path, "2.gz", feed.lines[7:])
    with pytest.raises(DataError, match=r"1\.gz, row 1: starts before the file before it ends"):
        binance_raw.open_session([second, first])


def test_a_price_off_the_given_tick_is_named(tmp_path):
    session = binance_raw.open_session([small_feed().write(tmp_path)], tick_size="0.5", lot_size="0.1")
    with pytest.raises(DataError, match=r"row 1: field 'bids': price 99\.9 is not a multiple of the tick 0\.5"):
        list(session.events())
