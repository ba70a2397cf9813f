"""Market-by-order records to engine messages, order by order, and the MBP rows that judge them."""

import gzip

import numpy as np
import pytest

from kernels.lob import spec
from market_models.datasets import DataError, databento_mbo, mbo_replay
from sim.replay_mbo import verify_mbo
from tests.support.mbo_feed import BIG, HEADER, MBP_HEADER, NONE, RECORDS, ROWS, mbp, record


def write(folder, records=RECORDS, rows=ROWS, header=HEADER):
    mbo, book = folder / "ARL_1_mbo.csv.gz", folder / "ARL_1_mbp10_expected.csv"
    mbo.write_bytes(gzip.compress("\n".join([header, *records, ""]).encode()))
    book.write_text("\n".join([MBP_HEADER, *rows, ""]))
    return mbo, book


def test_records_become_messages_by_order_id(tmp_path):
    recording = databento_mbo.read_mbo(write(tmp_path)[0])
    assert (recording.instrument.name, recording.instrument.tick_size) == ("ARL", "0.01")
    assert recording.records[1][:6] == (1_752_739_503_360_842_448, "A", spec.BUY, 551, 100, 1)
    assert recording.records[1].venue_id == BIG + 1 and recording.records[10].price_tick == 551
    stream = mbo_replay.to_verify_stream(recording)
    rows = [tuple(row[:5]) for row in stream.messages.tolist()]
    assert rows == [
        (spec.LIMIT, spec.BUY, 100, 551, 1),
        (spec.LIMIT, spec.SELL, 50, 553, 2),
        (spec.LIMIT, spec.BUY, 30, 551, 3),
        (spec.REDUCE, spec.BUY, 40, 0, 1),
        (spec.EXECUTE, spec.BUY, 60, 551, 1),
        (spec.EXECUTE, spec.BUY, 10, 551, 3),
        (spec.REPLACE, spec.SELL, 50, 552, 2),
        (spec.DELETE, spec.SELL, 0, 0, 2),
        (spec.LIMIT, spec.SELL, 50, 554, 4),
    ]
    assert stream.messages[0, spec.TIME_S :].tolist() == [1_752_739_503, 360_842_448]
    assert stream.ends.tolist() == [0, 1, 2, 3, 4, 4, 4, 5, 5, 6, 6, 7, 8, 9]
    assert stream.last.tolist() == [False, *[True] * 11, False, True]
    assert (stream.unknown, stream.crossed, stream.max_orders) == (0, 0, 2)


def test_every_mbp_row_belongs_to_its_record_and_a_trades_row_to_its_last(tmp_path):
    mbo, book = write(tmp_path)
    recording, rows = databento_mbo.read_mbo(mbo), databento_mbo.read_mbp(book)
    assert mbo_replay.pair_rows(recording, rows).tolist() == [0, 1, 2, 3, 4, 9, 10, 11, 12, 13]


@pytest.mark.parametrize("backend", ["oracle", "cpu"])
def test_every_row_is_equal_with_the_files_in_any_order_or_the_partner_found(tmp_path, backend):
    mbo, book = write(tmp_path)
    for paths in ([mbo, book], [book, mbo], [mbo]):
        result = verify_mbo(paths, backend=backend)
        assert (result["rows"], result["rows_equal"], result["levels"], result["ok"]) == (10, 10, 2, True)
    assert verify_mbo([mbo], 1, backend, 64)["rows_equal"] == 10


def test_a_clear_removes_every_order(tmp_path):
    records = [*RECORDS, record("R", "N", "", 0, 0, 9), record("A", "B", "5.50", 1, BIG + 9, 10)]
    rows = [*ROWS, mbp(9, "R", 0, NONE, NONE), mbp(10, "A", BIG + 9, ("5.50", 1, "", 0), NONE)]
    assert verify_mbo(write(tmp_path, records, rows))["rows_equal"] == 12


def test_a_missing_record_leaves_its_row_unpaired_and_is_told(tmp_path):
    mbo, book = write(tmp_path, [line for line in RECORDS if f"{BIG + 3},130,1,3" not in line])
    result = verify_mbo([mbo, book])
    assert result["first_mismatch"] == {"path": str(book), "row": 5, "reason": "no MBO record belongs to it"}
    assert not result["ok"] and result["unknown"] == 1  # its cancel
    assert result["rows_equal"] == 3


def test_a_wrong_size_is_found_where_it_is(tmp_path):
    mbo, book = write(tmp_path, rows=[row.replace("5.51,90", "5.51,91") for row in ROWS])
    result = verify_mbo([mbo, book])
    assert result["first_mismatch"] == {
        "path": str(book),
        "row": 6,
        "side": "BUY",
        "level": 0,
        "expected": [551, 91],
        "actual": [551, 90],
    }
    assert (result["rows_equal"], result["ok"]) == (9, False)


def test_orders_that_would_cross_and_unknown_or_repeated_ones_change_nothing_and_are_counted(tmp_path):
    records = [
        *RECORDS,
        record("A", "B", "5.54", 5, BIG + 8, 9),
        record("C", "B", "5.54", 5, BIG + 8, 10),
        record("A", "A", "5.54", 5, BIG + 4, 11),
        record("M", "B", "5.60", 5, 7, 12),
        record("N", "N", "", 0, 0, 13),
        record("M", "A", "5.50", 5, BIG + 4, 14),  # an order moved to where it would cross leaves
    ]
    stream = mbo_replay.to_verify_stream(databento_mbo.read_mbo(write(tmp_path, records)[0]))
    assert (stream.unknown, stream.crossed) == (3, 2)
    assert stream.messages[9:, spec.KIND].tolist() == [spec.DELETE]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (",A,B,5.510000000,100", ",X,B,5.51,100", r"row 3: action 'X' is not one of"),
        (",A,B,5.510000000,100", ",A,S,5.51,100", r"row 3: side 'S' is not one of"),
        (",A,B,5.510000000,100", ",A,N,5.51,100", r"row 3: action A with side N and size 100"),
        (",A,B,5.510000000,100", ",A,B,5.51,0", r"row 3: action A with side B and size 0"),
        (",A,B,5.510000000,100", ",A,B,,100", r"row 3: price is missing"),
        (",A,B,5.510000000,100", ",A,B,5.5x,100", r"row 3: '5\.5x' is not a decimal string"),
        (",A,B,5.510000000,100", ",A,B,5.51,1e2", r"row 3: size '1e2' is not a whole number"),
        (",A,B,5.510000000,100,", ",A,B,5.51,100,9,", r"row 3: 16 values, the header has 15"),
        (f",{BIG + 1},130,1,1,", ",0,130,1,1,", r"row 3: order_id is 0"),
        (f",{BIG + 1},130,1,1,", f",{2**63},130,1,1,", r"row 3: order_id '9223372036854775808' is not"),
        (f"{BIG + 1},130,1,1,ARL", f"{BIG + 1},130,1,1,AAPL", r"row 3: a second symbol 'AAPL'"),
    ],
)
def test_a_malformed_record_is_named_by_file_and_row(tmp_path, old, new, reason):
    assert old in RECORDS[1]
    mbo, _ = write(tmp_path, [RECORDS[0], RECORDS[1].replace(old, new), *RECORDS[2:]])
    with pytest.raises(DataError, match=reason) as error:
        databento_mbo.read_mbo(mbo)
    assert error.value.path == str(mbo)


def test_malformed_times_files_and_pairs_are_named(tmp_path):
    bad = [record("A", "B", "5.51", 1, 1, 1, time="2025-07-17 25:00:00Z")]
    with pytest.raises(DataError, match=r"row 2: .*hour"):
        databento_mbo.read_mbo(write(tmp_path, bad)[0])
    whole = write(tmp_path, [record("A", "B", "5", 1, 1, 1, time="17")])[0]
    assert databento_mbo.read_mbo(whole).records[0].time_ns == 17
    with pytest.raises(DataError, match=r"row 1: columns \['action'\] are missing"):
        databento_mbo.read_mbo(write(tmp_path, header=HEADER.replace(",action", ",act"))[0])
    with pytest.raises(DataError, match="holds no record"):
        databento_mbo.read_mbo(write(tmp_path, [])[0])
    with pytest.raises(DataError, match="row 1: not csv"):
        databento_mbo.read_mbo(write(tmp_path, header=f"\r{HEADER}")[0])
    mbo, book = write(tmp_path)
    with pytest.raises(ValueError, match="give one MBO csv and the MBP csv"):
        verify_mbo([mbo, mbo])
    with pytest.raises(ValueError, match=r"levels 3 is outside 1\.\.2"):
        verify_mbo([mbo], 3)
    book.write_text(f"{MBP_HEADER}\n")
    with pytest.raises(DataError, match="holds no row"):
        verify_mbo([mbo])
    book.unlink()
    with pytest.raises(DataError, match="its MBP file is not beside it"):
        verify_mbo([mbo])
    mbo.write_bytes(mbo.read_bytes()[:-30])
    with pytest.raises(DataError, match="not a whole gzip file"):
        databento_mbo.read_mbo(mbo)


@pytest.mark.data
@pytest.mark.parametrize("backend", ["oracle", "cpu"])
def test_every_mbp_row_of_a_recorded_day_is_equal(data_dir, backend):
    folder = data_dir / "l3/databento"
    files = [folder / f"ARL_2025-07-17_{what}.csv.gz" for what in ("mbo", "mbp10_expected")]
    result = verify_mbo(files, 10, backend)
    assert result["rows"] == result["rows_equal"] == 3928 and result["ok"]
    assert (result["unknown"], result["crossed"], result["gaps"], result["max_orders"]) == (0, 0, 0, 48)
    assert np.isclose(float(result["tick_size"]), 0.01)
