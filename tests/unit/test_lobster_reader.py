"""The LOBSTER reader: exact values from hand-written files, and a named error for everything malformed."""

import gzip
import zipfile

import numpy as np
import pytest

from market_models.datasets import DataError, find_data, licence_tier, lobster
from market_models.datasets.recording import remap_ids

ABSENT = "9999999999,0,-9999999999,0"
MESSAGES = [
    "34200.5,1,11,100,1000200,-1",
    "34200.000000007,1,12,30,1000000,1",  # replaced below where time matters
    "34201.18960767,4,12,10,1000000,1",
    "34202,5,0,5,1000150,1",
]
BOOKS = [
    f"1000200,100,999900,40,{ABSENT}",
    "1000200,100,1000000,30,9999999999,0,999900,40",
    "1000200,100,1000000,20,9999999999,0,999900,40",
    "1000200,100,1000000,20,9999999999,0,999900,40",
]
TIMES = ["34200.5", "34200.500000007", "34201.18960767", "34202"]


def good_messages() -> list[str]:
    return [f"{at},{row.split(',', 1)[1]}" for at, row in zip(TIMES, MESSAGES, strict=True)]


def write_pair(folder, messages=None, books=None):
    path = folder / "ABCD_2020-01-02_message_2.csv"
    path.write_text("\n".join(good_messages() if messages is None else messages) + "\n")
    book = folder / "ABCD_2020-01-02_orderbook_2.csv"
    book.write_text("\n".join(BOOKS if books is None else books) + "\n")
    return path, book


def test_every_column_of_a_small_recording_is_read_exactly(tmp_path):
    recording = lobster.read(write_pair(tmp_path)[0])
    assert recording.instrument.name == "ABCD"
    assert recording.levels == 2
    np.testing.assert_array_equal(recording.time_s, [34200, 34200, 34201, 34202])
    np.testing.assert_array_equal(recording.time_ns, [500_000_000, 500_000_007, 189_607_670, 0])
    np.testing.assert_array_equal(recording.side, [1, 0, 0, 0])
    np.testing.assert_array_equal(recording.order_id, [11, 12, 12, 0])
    np.testing.assert_array_equal(recording.book[1], [[[10000, 30], [9999, 40]], [[10002, 100], [0, 0]]])
    np.testing.assert_array_equal(recording.present[0], [[True, False], [True, False]])
    np.testing.assert_array_equal(recording.messages[2], [10, 0, 10, 10000, 12, 0, 34201, 189_607_670])


def test_a_hidden_execution_between_two_ticks_is_kept_in_place_and_counted(tmp_path):
    recording = lobster.read(write_pair(tmp_path)[0])
    np.testing.assert_array_equal(recording.quarantined, [False, False, False, True])
    assert recording.quarantine_counts == {lobster.OFF_TICK: 1}
    assert recording.messages[3, 0] == 0


def test_time_finer_than_a_nanosecond_is_rounded_down_and_counted(tmp_path):
    rows = good_messages()
    rows[2] = rows[2].replace("34201.18960767", "34201.189607670999")
    recording = lobster.read(write_pair(tmp_path, rows)[0])
    assert recording.time_ns[2] == 189_607_670
    assert recording.rounded_counts == {lobster.FINE_TIME: 1}


def test_no_nanosecond_is_lost_that_a_float_would_lose(tmp_path):
    rows = good_messages()
    rows[3] = rows[3].replace("34202,", "2147483646.999999999,")
    recording = lobster.read(write_pair(tmp_path, rows)[0])
    assert (recording.time_s[3], recording.time_ns[3]) == (2147483646, 999_999_999)


def test_a_zip_a_gz_pair_and_the_book_files_name_give_the_same_recording(tmp_path):
    message, book = write_pair(tmp_path)
    archive = tmp_path / "ABCD.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.write(message, message.name)
        out.write(book, book.name)
        out.writestr("readme.txt", "nothing")
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in (message, book):
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    first = lobster.read(message)
    for other in (archive, packed / f"{message.name}.gz", packed / f"{book.name}.gz", book):
        again = lobster.read(other)
        np.testing.assert_array_equal(again.messages, first.messages)
        np.testing.assert_array_equal(again.book, first.book)
    assert lobster.read(book).digest == first.digest
    assert lobster.read(archive).digest != first.digest


def change(rows, row, column, value):
    out = list(rows)
    cells = out[row].split(",")
    cells[column] = value
    out[row] = ",".join(cells)
    return out


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        (2, 0, "34200.1", "time goes back"),
        (0, 0, "-1", "before midnight"),
        (1, 0, "nan", "not a LOBSTER row"),
        (1, 0, "inf", "not a LOBSTER row"),
        (1, 0, "", "not a LOBSTER row"),
        (1, 1, "8", "outside 1..7"),
        (1, 1, "0", "outside 1..7"),
        (1, 1, "1.5", "not a LOBSTER row"),
        (1, 2, "0", "order id"),
        (1, 3, "0", "size"),
        (1, 3, "-5", "size"),
        (1, 3, "99999999999999999999", "not a LOBSTER row"),
        (1, 4, "1000050", "tick"),
        (1, 4, "900000000000000", "out of range"),
        (1, 5, "2", "direction"),
        (1, 5, "x", "not a LOBSTER row"),
        (1, 5, "1,7", "not a LOBSTER row"),
    ],
)
def test_a_malformed_message_is_named_by_file_and_row(tmp_path, row, column, value, reason):
    path, _ = write_pair(tmp_path, change(good_messages(), row, column, value))
    with pytest.raises(DataError, match=reason) as error:
        lobster.read(path)
    assert error.value.row == row + 1
    assert error.value.path == str(path)


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        (1, 2, "1000200", "crossed"),
        (1, 2, "1000300", "crossed"),
        (1, 6, "1000000", "order of price"),
        (1, 1, "0", "size below 1"),
        (1, 1, "-3", "size below 1"),
        (1, 0, "1000250", "tick"),
        (1, 0, "900000000000000", "out of range"),
        (1, 1, "9000000000", "larger than"),
        (1, 0, "nan", "not a LOBSTER row"),
        (1, 4, "1000100", "size below 1"),
        (2, 7, "5,6", "not a LOBSTER row"),
    ],
)
def test_a_malformed_book_row_is_named_by_file_and_row(tmp_path, row, column, value, reason):
    path, book = write_pair(tmp_path, books=change(BOOKS, row, column, value))
    with pytest.raises(DataError, match=reason) as error:
        lobster.read(path)
    assert error.value.row == row + 1
    assert error.value.path == str(book)


def test_a_level_behind_an_absent_one_is_refused(tmp_path):
    rows = change(change(BOOKS, 1, 2, "-9999999999"), 1, 3, "0")
    with pytest.raises(DataError, match="behind an absent one"):
        lobster.read(write_pair(tmp_path, books=rows)[0])


def test_files_of_different_length_are_refused_with_both_lengths(tmp_path):
    with pytest.raises(DataError, match="4 messages but 3 rows"):
        lobster.read(write_pair(tmp_path, books=BOOKS[:3])[0])


def test_a_row_cut_in_the_middle_is_refused(tmp_path):
    path, book = write_pair(tmp_path)
    book.write_text(book.read_text()[:-20])
    with pytest.raises(DataError, match="row 4"):
        lobster.read(path)


def test_empty_files_blank_lines_and_wrong_columns_are_refused(tmp_path):
    path, _ = write_pair(tmp_path, messages=[])
    path.write_text("")
    with pytest.raises(DataError):
        lobster.read(path)
    path, _ = write_pair(tmp_path)
    path.write_text(path.read_text().replace("\n", "\n\n", 1))
    with pytest.raises(DataError, match="row 2"):
        lobster.read(path)
    path, _ = write_pair(tmp_path, books=["1,2,3"] * 4)
    with pytest.raises(DataError, match="3 columns"):
        lobster.read(path)


def test_truncated_and_foreign_containers_are_refused(tmp_path):
    message, book = write_pair(tmp_path)
    archive = tmp_path / "ABCD.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.write(message, message.name)
        out.write(book, book.name)
    whole = archive.read_bytes()
    for data in (whole[: len(whole) // 2], b"", b"not a zip"):
        archive.write_bytes(data)
        with pytest.raises(DataError, match="not a whole zip"):
            lobster.read(archive)
    damaged = bytearray(whole)
    damaged[80] ^= 0xFF
    archive.write_bytes(damaged)
    with pytest.raises(DataError):
        lobster.read(archive)
    with zipfile.ZipFile(archive, "w") as out:
        out.write(message, message.name)
    with pytest.raises(DataError, match="0 members are named"):
        lobster.read(archive)
    packed = tmp_path / f"{message.name}.gz"
    packed.write_bytes(gzip.compress(message.read_bytes())[:-9])
    with pytest.raises(DataError, match="not a whole gzip"):
        lobster.read(packed, book)


def test_missing_files_are_named(tmp_path):
    message, book = write_pair(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        lobster.read(tmp_path / "nowhere.zip")
    book.unlink()
    with pytest.raises(DataError, match="is not beside it"):
        lobster.read(message)
    other = tmp_path / "trades.csv"
    other.write_text("1,2\n")
    with pytest.raises(DataError, match="name the order-book file too"):
        lobster.read(other)


def test_ids_beyond_the_engines_range_are_remapped_and_the_map_is_kept():
    ids, id_map, first_free = remap_ids(np.array([5_000_000_000, 0, 7, 5_000_000_000], np.int64), 10)
    assert id_map is not None
    np.testing.assert_array_equal(ids, [2, 0, 1, 2])
    np.testing.assert_array_equal(id_map[ids[ids > 0] - 1], [5_000_000_000, 7, 5_000_000_000])
    assert first_free == 3
    kept, no_map, first_free = remap_ids(np.array([9, 0, 2**30 - 12], np.int64), 10)
    assert no_map is None and kept.dtype == np.int32 and first_free == 2**30 - 11


def test_data_is_found_by_the_variable_then_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOOKSWARM_DATA", raising=False)
    assert find_data() is None
    (tmp_path / "data").mkdir()
    assert find_data() == (tmp_path / "data").resolve()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("BOOKSWARM_DATA", "elsewhere")
    assert find_data() == (tmp_path / "elsewhere").resolve()


def test_the_licence_tier_comes_from_the_manifest(tmp_path):
    (tmp_path / "l3").mkdir()
    file = tmp_path / "l3" / "a.zip"
    file.write_bytes(b"")
    assert licence_tier(file, tmp_path) is None
    (tmp_path / "manifest.csv").write_text("split,file,tier\ndev,l3/a.zip,C\n")
    assert licence_tier(file, tmp_path) == "C"
    assert licence_tier(tmp_path / "b.zip", tmp_path) is None


@pytest.mark.data
def test_the_amzn_day_is_read_exactly(data_dir):
    path = data_dir / "l3/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"
    recording = lobster.read(path)
    assert len(recording.kind) == 155_935
    np.testing.assert_array_equal(np.bincount(recording.kind)[1:6], [77381, 450, 66685, 8974, 2445])
    assert recording.quarantine_counts == {lobster.OFF_TICK: 63}
    assert recording.rounded_counts == {lobster.FINE_TIME: 1}
    assert (recording.time_s[0], recording.time_ns[0]) == (34200, 17_459_617)
    assert licence_tier(path) == "C"


def test_halts_and_crosses_keep_their_place_and_change_nothing(tmp_path):
    rows = [*good_messages(), "34203,7,0,0,-1,-1", "34204,6,-1,500,1000150,-1", "34205,6,-1,500,1000100,1"]
    recording = lobster.read(write_pair(tmp_path, rows, BOOKS + BOOKS[-1:] * 3)[0])
    np.testing.assert_array_equal(recording.messages[4:, 0], 0)
    np.testing.assert_array_equal(recording.order_id[4:], 0)
    np.testing.assert_array_equal(recording.quarantined[4:], [False, True, False])


def test_windows_line_ends_change_nothing(tmp_path):
    path, book = write_pair(tmp_path)
    first = lobster.read(path)
    for file in (path, book):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    again = lobster.read(path)
    np.testing.assert_array_equal(again.messages, first.messages)
    np.testing.assert_array_equal(again.book, first.book)
