"""Five-level quotes and trades: exact ticks from floats, every fault named, and every row equal in the engine."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import LobConfig
from market_models.datasets import DataError, cme_five_level
from market_models.datasets.binance_raw import Print
from sim.replay_quotes import verify_five_levels

NAN = float("nan")
START_MS = 1_690_000_000_000


def ladder(best, step, count=5):
    return [best + step * i for i in range(count)] + [NAN] * (5 - count)


def row(bid=1.25, offer=1.2502, sizes=(3, 4), counts=(5, 5)):
    """Return (bid prices, bid quantities, offer prices, offer quantities)."""
    sides = []
    for best, step, size, count in ((bid, -0.0001, sizes[0], counts[0]), (offer, 0.0001, sizes[1], counts[1])):
        sides += [ladder(best, step, count), [size + i if i < count else NAN for i in range(5)]]
    return sides


def write_quotes(folder, rows, times=None, name="gbp_quotes.parquet", **replaced):
    times = range(len(rows)) if times is None else times
    columns = {"transact_time": pa.array([(START_MS + at) * 1000 for at in times], pa.timestamp("us"))}
    for i in range(5):
        for part, (side, what) in enumerate(
            (side, what) for side in ("bid", "offer") for what in ("price", "quantity")
        ):
            columns[f"{side}_{what}_{i}"] = pa.array([float(one[part][i]) for one in rows], pa.float64())
    columns |= replaced
    path = folder / name
    parquet.write_table(pa.table({name: column for name, column in columns.items() if column is not None}), path)
    return path


def write_trades(folder, rows):
    """Write (ms, side of the resting order, price, quantity)."""
    times, sides, prices, quantities = zip(*rows, strict=True)
    columns = {
        "transact_time": pa.array([(START_MS + at) * 1000 for at in times], pa.timestamp("us")),
        "side": pa.array(sides),
        "price": pa.array(prices, pa.float64()),
        "quantity": pa.array(quantities, pa.float64()),
    }
    path = folder / "gbp_trades.parquet"
    parquet.write_table(pa.table(columns), path)
    return path


def moving_rows():
    return [row(), row(1.2501), row(1.2501, sizes=(9, 1)), row(1.2499, 1.2501), row(1.2490, 1.2499), row(1.25)]


def test_floats_become_the_decimals_that_they_stand_for(tmp_path):
    session = cme_five_level.open_session([write_quotes(tmp_path, [row(), row(12501 * 0.0001)])])
    assert (session.instrument.name, session.instrument.tick_size, session.num_rows) == ("gbp", "0.0001", 2)
    (rows,) = session.quotes()
    assert rows.time_ns.tolist() == [START_MS * 10**6, (START_MS + 1) * 10**6]
    assert rows.levels[0, spec.BUY].tolist() == [[12500 - i, 3 + i] for i in range(5)]
    assert rows.levels[1, spec.BUY, 0].tolist() == [12501, 3] and rows.levels[0, spec.SELL, 4].tolist() == [12506, 8]


@pytest.mark.parametrize("backend", ["oracle", "cpu"])
def test_every_row_is_equal_and_short_or_empty_rows_too(tmp_path, backend):
    rows = [*moving_rows(), row(counts=(2, 5)), row(counts=(0, 0)), row(counts=(5, 1))]
    path = write_quotes(tmp_path, rows)
    result = verify_five_levels([path], backend=backend)
    assert result["rows"] == result["rows_equal"] == 9 and result["ok"]
    assert (result["crossed"], result["locked"], result["gaps"], result["levels"]) == (0, 0, 0, 5)
    assert verify_five_levels([path], 2, backend, 64, room=62)["rows_equal"] == 9  # two levels are kept, two compared


def test_locked_and_crossed_rows_are_equal_and_counted(tmp_path):
    path = write_quotes(tmp_path, [row(), row(1.2502), row(1.2503), row()])
    result = verify_five_levels([path])
    assert (result["rows_equal"], result["locked"], result["crossed"], result["ok"]) == (4, 1, 1, False)


def test_two_quote_files_are_one_session_and_trades_are_counted(tmp_path):
    first = write_quotes(tmp_path, moving_rows()[:3])
    second = write_quotes(tmp_path, moving_rows()[3:], range(5, 8), "gbp_later.parquet")
    trades = write_trades(tmp_path, [(1, "B", 1.25, 2.0), (6, "O", 1.2502, 1.0)])
    result = verify_five_levels([trades, first, second])
    assert result["ok"] and (result["rows"], result["prints"]) == (6, 2)
    with pytest.raises(DataError, match=r"gbp_quotes\.parquet, row 1: transact_time goes back"):
        verify_five_levels([second, first])


def test_trades_tell_the_takers_side(tmp_path):
    trades = write_trades(tmp_path, [(1, "B", 1.25, 2.0), (2, "O", 1.2502, 1.0)])
    session = cme_five_level.open_session([write_quotes(tmp_path, [row()]), trades])
    ms = 10**6
    assert list(session.prints()) == [
        Print((START_MS + 1) * ms, spec.SELL, 12500, 2),
        Print((START_MS + 2) * ms, spec.BUY, 12502, 1),
    ]


def test_a_level_beyond_the_visible_ones_keeps_our_place_in_its_queue(tmp_path):
    # Our bid joins the fifth level of seven lots; the market rises by two ticks, out of its sight, and falls again.
    path = write_quotes(tmp_path, [row(), row(1.2501), row(1.2502, 1.2504), row(), row(sizes=(1, 4))])
    stream = cme_five_level.to_trading_stream(cme_five_level.open_session([path]), 48)
    book = HostBook(LobConfig(64, 16, 5, spec.FILLS_OWNED))
    book.apply(stream.messages[: stream.ends[0]])
    book.apply(np.array([[spec.LIMIT, spec.BUY, 2, 12496, spec.FIRST_AGENT_ORDER_ID, 1, 0, 0]], np.int32))
    ahead = []
    for begin, end in zip(stream.ends[:-1], stream.ends[1:], strict=True):
        book.apply(stream.messages[begin:end])
        ahead.append(int(book.own(1)[spec.BUY, spec.OWN_LOTS_AHEAD]))
    assert ahead == [7, 7, 7, 5]
    np.testing.assert_array_equal(stream.touch[-1], [[12500, 1], [12502, 4]])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(1.25005), r"row 2: a price is not a multiple of the tick 0\.0001"),
        (row(sizes=(3.5, 4)), r"row 2: a quantity is not a whole number"),
        (row(sizes=(-2, 4)), r"row 2: a quantity is not a whole number"),
        ([ladder(1.25, 0.0001), [1] * 5, ladder(1.26, 0.0001), [1] * 5], r"row 2: levels are not in order of price"),
        ([[1.25, NAN, 1.24, NAN, NAN], [1, NAN, 1, NAN, NAN], *row()[2:]], r"row 2: a level stands behind"),
        ([ladder(1.25, -0.0001), [1, 1, 1, 1, NAN], *row()[2:]], r"row 2: a level has a price or a quantity only"),
        (row(float("inf")), r"row 2: bid_price_0 is not a finite price"),
        (row(1.0000000000123), r"row 2: bid_price_0 has more than 8 decimals"),
    ],
)
def test_a_malformed_row_is_named(tmp_path, bad, reason):
    path = write_quotes(tmp_path, [row(), bad])
    session_tick = "0.0001"
    with pytest.raises(DataError, match=reason):
        list(cme_five_level.open_session([path], tick_size=session_tick).quotes())


def test_malformed_files_are_named(tmp_path):
    path = write_quotes(tmp_path, [row()], bid_price_3=None)
    with pytest.raises(DataError, match=r"columns \['bid_price_3'\] of quotes are missing"):
        cme_five_level.open_session([path])
    with pytest.raises(DataError, match="holds trades only"):
        cme_five_level.open_session([write_trades(tmp_path, [(1, "B", 1.25, 2.0)])])
    with pytest.raises(DataError, match="transact_time goes back"):
        verify_five_levels([write_quotes(tmp_path, [row(), row()], [5, 4])])
    with pytest.raises(DataError, match="holds no row"):
        verify_five_levels([write_quotes(tmp_path, [])])
    with pytest.raises(DataError, match="transact_time is int64, expected a timestamp"):
        verify_five_levels([write_quotes(tmp_path, [row()], transact_time=pa.array([1]))])
    late = pa.array([73_747_594_037_927_936], pa.timestamp("us"))
    with pytest.raises(DataError, match="row 1: transact_time is before 1970 or after 2038"):
        verify_five_levels([write_quotes(tmp_path, [row()], transact_time=late)])
    with pytest.raises(DataError, match="bid_price_0 is string, expected a number"):
        verify_five_levels([write_quotes(tmp_path, [row()], bid_price_0=pa.array(["x"]))])
    good = write_quotes(tmp_path, moving_rows())
    misnamed = tmp_path / "misnamed.parquet"
    misnamed.write_bytes(good.read_bytes().replace(b"offer_quantity_1", b"offer_qua\x80tity_1"))
    with pytest.raises(DataError, match="not a whole parquet file"):
        verify_five_levels([misnamed])
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(good.read_bytes()[:-30])
    with pytest.raises(DataError, match="not a whole parquet file"):
        verify_five_levels([broken])
    with pytest.raises(DataError, match="side is neither B nor O"):
        verify_five_levels([good, write_trades(tmp_path, [(1, "X", 1.25, 2.0)])])
    with pytest.raises(ValueError, match=r"levels 6 is outside 1\.\.5"):
        verify_five_levels([good], 6)


@pytest.mark.data
def test_every_row_of_a_recorded_day_shows_its_five_levels(data_dir):
    folder = data_dir / "l2/cme_5level"
    files = [folder / f"gbpusd_16june_{what}_0503.parquet" for what in ("quotes", "trades")]
    result = verify_five_levels(files)
    assert result["rows"] == result["rows_equal"] == 228_703 and result["ok"]
    assert (result["locked"], result["crossed"], result["prints"], result["tick_size"]) == (159, 0, 25_599, "0.0001")
