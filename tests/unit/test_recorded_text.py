"""Numbers, times and rows of recorded text, against slow code that shares nothing with them."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_models.datasets.errors import DataError
from market_models.datasets.formats.blocks import NULL
from market_models.datasets.formats.fixed import (
    RowError,
    column_to_fixed,
    decimal_text,
    floats_to_fixed,
    to_fixed,
    to_int,
    to_time,
)
from market_models.datasets.formats.ids import trade_number
from market_models.datasets.formats.records import array_elements, parse
from market_models.datasets.formats.report import ImportReport, Units
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.tables import WRONG_COLUMNS, batches
from market_models.datasets.formats.times import Clock, find_date, midnight_ns, parse_iso

NUMBERS = st.from_regex(r"[+-]?[0-9]{1,9}(\.[0-9]{0,12})?([eE][+-]?[0-9])?", fullmatch=True)


@given(NUMBERS, st.sampled_from([0, 4, 8, 9]))
def test_a_number_becomes_the_nearest_fixed_point_and_says_if_it_was_rounded(number: str, decimals: int) -> None:
    exact = Fraction(Decimal(number)) * 10**decimals
    if abs(exact) > 2**63 - 1:
        with pytest.raises(RowError):
            to_fixed(number, decimals, "x")
        return
    fixed, rounded = to_fixed(number, decimals, "x")
    assert rounded == (fixed != exact)
    assert abs(fixed - exact) <= Fraction(1, 2) or (abs(fixed) == 1 and 0 < abs(exact) < 1)
    assert (fixed == 0) == (exact == 0)


@given(st.lists(st.one_of(NUMBERS, st.text(max_size=6)), min_size=1, max_size=20))
def test_a_column_is_read_as_its_cells_are(cells: list[str]) -> None:
    values, good, rounded = column_to_fixed(pa.array([cell.encode() for cell in cells], pa.binary()), 8)
    expected_rounded = 0
    for cell, value, is_good in zip(cells, values, good, strict=True):
        try:
            fixed, was_rounded = to_fixed(cell.encode().decode("ascii", "replace"), 8, "x")
        except RowError:
            assert not is_good and value == NULL
            continue
        assert is_good and value == fixed
        expected_rounded += was_rounded
    assert rounded == expected_rounded


@pytest.mark.parametrize(
    "bad", [None, [], {}, True, "", "1,5", "0x10", "1_000", " 1", "1 ", "nan", "inf", "٣", "1e400", "9" * 70]
)
def test_what_is_no_number_is_refused(bad: object) -> None:
    with pytest.raises(RowError):
        to_fixed(bad, 8, "size")


def test_integers_and_times_are_bounded() -> None:
    assert (to_int("12", "x"), to_int(-5, "x"), to_time(7, 10**9)) == (12, -5, 7 * 10**9)
    for bad in ("1.0", "", None, True, 1.5, 2**63, "9" * 20):
        with pytest.raises(RowError):
            to_int(bad, "x")
    with pytest.raises(RowError):
        to_time(10**15, 10**9)


def test_floats_become_the_decimals_that_were_written() -> None:
    values, good = floats_to_fixed(np.array([1.2489000000000001, 0.1 + 0.2, -0.5, np.nan, 1e300]), 9)
    assert values.tolist()[:3] == [1_248_900_000, 300_000_000, -500_000_000]
    assert good.tolist() == [True, True, True, False, False]


def test_ticks_and_lots_are_the_greatest_common_steps_and_fit_32_bits() -> None:
    units = Units("x", price_gcd=25 * 10**7, size_gcd=1, max_size=5_000 * 10**8)
    assert decimal_text(units.tick, 9) == "0.25"
    assert units.max_size // units.lot < 2**31 <= units.max_size // (units.lot // 10)
    assert Units("x", price_gcd=8_531_500_000_000).to_json()["tick_size"] == "0.5"
    assert Units("x", given_tick=10**7, price_gcd=5 * 10**6).tick == 10**7


TIMES = [
    ("2019-10-17 09-AM", datetime(2019, 10, 17, 9)),
    ("2019-10-17 12-AM", datetime(2019, 10, 17, 0)),
    ("2019-10-17 12-PM", datetime(2019, 10, 17, 12)),
    ("2019-10-17 11-PM", datetime(2019, 10, 17, 23)),
    ("1990-01-02", datetime(1990, 1, 2)),
    ("192607", datetime(1926, 7, 1)),
    ("20070101 21:00", datetime(2007, 1, 1, 21)),
    ("2024-01-01 23:01:00", datetime(2024, 1, 1, 23, 1)),
    ("2012-02-01 00:01:00+00:00", datetime(2012, 2, 1, 0, 1)),
    ("01.02.2017 22:00:00.500", datetime(2017, 2, 1, 22, 0, 0, 500_000)),
    ("2018-01-02T09:04:13.125000", datetime(2018, 1, 2, 9, 4, 13, 125_000)),
    ("2018-04-24T03:52:17.202Z", datetime(2018, 4, 24, 3, 52, 17, 202_000)),
]


@pytest.mark.parametrize(("text", "moment"), TIMES)
def test_times_are_read_as_they_were_meant(text: str, moment: datetime) -> None:
    time_ns, good = Clock().to_ns(pa.array([text.encode()], pa.binary()))
    assert good.all()
    seconds = round((moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 10**6)
    assert time_ns[0] == seconds * 1000


@pytest.mark.parametrize("text", ["", "2019-13-01", "2019-02-30", "2019-10-17 13-PM", "later", "1/2", "31/31/2000"])
def test_what_is_no_time_is_told(text: str) -> None:
    _, good = Clock().to_ns(pa.array([b"2019-01-01", text.encode()], pa.binary()))
    assert good.tolist() == [True, False]


@pytest.mark.parametrize(
    ("texts", "day_first"),
    [
        (["1/3/1994", "1/13/1994"], False),
        (["3/1/1994", "13/1/1994"], True),
        (["1/2/2000", "1/3/2000"], False),
        (["31/1/2000", "1/2/2000"], True),
        (["1/2/2000", "2/2/2000", "1/3/2000"], True),
    ],
)
def test_the_order_of_day_and_month_is_found_out(texts: list[str], day_first: bool) -> None:
    time_ns, good = Clock().to_ns(pa.array([text.encode() for text in texts], pa.binary()))
    assert good.all()
    expected = [datetime.strptime(text, "%d/%m/%Y" if day_first else "%m/%d/%Y").replace(tzinfo=UTC) for text in texts]
    assert (time_ns == [int(moment.timestamp()) * 10**9 for moment in expected]).all()


def test_dates_in_names_and_midnight_in_new_york() -> None:
    day = find_date("LOBSTER_SampleFile_AMZN_2012-06-21_5.zip")
    assert day is not None and midnight_ns(day, "America/New_York") == 1_340_251_200 * 10**9
    assert str(find_date("order_book_3_2014_1_29.csv")) == "2014-01-29"
    assert find_date("pitch_example_data") is None and midnight_ns(None) == 0
    assert parse_iso("2024-05-08T00:00:00.123456789Z") % 10**9 == 123_456_789


CELLS = st.text(st.characters(codec="utf-8", exclude_characters=',\n\r"', max_codepoint=0x2FF), max_size=5)


@settings(max_examples=60)
@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=12), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_rows_are_split_as_the_csv_module_does(rows: list[list[str]], ended: bool, end: str) -> None:
    body = end.join(",".join(row) for row in rows) + (end if ended and rows else "")
    sink = Sink(ImportReport("x", "x", ""), io.BytesIO())
    got = []
    for batch in batches(sink, "x", io.BytesIO(f"a,b,c{end}{body}".encode())):
        columns = [batch.columns[key].to_pylist() for key in "abc"]
        got += [[cell.decode() for cell in row] for row in zip(*columns, strict=True)]
    expected = list(csv.reader(io.StringIO(body, newline=""), quoting=csv.QUOTE_NONE)) if body else []
    lines = body.split("\n")
    if lines[-1] == "":
        lines.pop()
    assert got == [row for row in expected if len(row) == 3]
    assert sink.report.rows == len(lines)
    assert sink.report.quarantined[WRONG_COLUMNS] == len(lines) - len(got)


def test_elements_of_an_array_come_one_by_one_and_a_damaged_array_is_told() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 1, 3) if size and size > 0 else 3)

    text = b' [ {"a": 1.50, "b": [1, 2]} , -12.5, "x\xc3\xa9" , [] ] '
    assert list(array_elements("x", Slow(text))) == [{"a": "1.50", "b": [1, 2]}, "-12.5", "xé", []]
    assert list(array_elements("x", Slow(b"[]"))) == []
    for length in range(1, len(text) - 3):
        with pytest.raises(DataError, match="character"):
            list(array_elements("x", Slow(text[:length])))
    for bad in (b"", b"{}", b"[1 2]", b"[1,]", b"[1]]", b"[NaN]", b"[\xff]"):
        with pytest.raises(DataError):
            list(array_elements("x", io.BytesIO(bad)))
    with pytest.raises(RowError):
        parse(b"[" * 100_000)


def test_trade_ids_are_numbers_or_the_digest_of_their_text() -> None:
    assert (trade_number(7), trade_number("42377944")) == (7, 42_377_944)
    uid = trade_number("ccc3c1fa-212c-e8b0-1706-9b9c4f3d5ecf")
    assert 0 <= uid < 2**63 and uid == trade_number("ccc3c1fa-212c-e8b0-1706-9b9c4f3d5ecf")
    for bad in ("", None, -1, 2**63, 1.5, "x" * 300):
        with pytest.raises(RowError):
            trade_number(bad)
