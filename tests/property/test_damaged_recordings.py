"""Whatever byte of a recording is damaged: a result, or a ValueError that names the file; never anything else."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.replay_files import verify_files
from tests.support.binance_feed import small_feed
from tests.support.mbo_feed import HEADER, MBP_HEADER, RECORDS, ROWS

DAMAGE = st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4)
CUTS = st.none() | st.floats(0, 0.999)
FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def damaged(content: bytes, damage, cut):
    out = bytearray(content)
    for place, value in damage:
        out[int(place * len(out))] = value
    return bytes(out if cut is None else out[: int(cut * len(out))])


def check(paths, capacity=64):
    try:
        result = verify_files(paths, backend="oracle", capacity=capacity)
    except ValueError as error:
        assert str(paths[0].parent) in str(error), error
        return
    assert json.dumps(result)
    assert result["rows_equal"] <= result["rows"]
    assert not (result["ok"] and (result["gaps"] or result["crossed"] or result["first_mismatch"]))


@FUZZ
@given(DAMAGE, CUTS, st.booleans())
def test_a_damaged_binance_file(tmp_path, damage, cut, packed):
    text = "".join(f"{line}\n" for line in small_feed().lines).encode()
    path = tmp_path / "feed.gz"
    path.write_bytes(damaged(gzip.compress(text, mtime=0), damage, cut) if packed else damaged(text, damage, cut))
    check([path])


@FUZZ
@given(DAMAGE, CUTS, st.booleans())
def test_a_damaged_order_by_order_file(tmp_path, damage, cut, first):
    texts = ["\n".join([head, *rows, ""]).encode() for head, rows in ((HEADER, RECORDS), (MBP_HEADER, ROWS))]
    texts[not first] = damaged(texts[not first], damage, cut)
    paths = [tmp_path / "a_mbo.csv", tmp_path / "a_mbp.csv"]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text)
    check(paths)


@FUZZ
@given(st.data())
def test_lines_of_a_binance_file_in_any_order_or_missing(tmp_path, data):
    lines = small_feed().lines
    kept = data.draw(st.lists(st.sampled_from(range(len(lines))), max_size=20))
    path = small_feed().write(tmp_path, lines=[lines[i] for i in kept])
    check([path])


@pytest.fixture(scope="module")
def parquet_bytes(tmp_path_factory):
    import pyarrow as pa
    from pyarrow import parquet

    columns = {"transact_time": pa.array([1_690_000_000_000_000 + i for i in range(4)], pa.timestamp("us"))}
    for i in range(5):
        for side, sign in (("bid", -1), ("offer", 1)):
            columns[f"{side}_price_{i}"] = pa.array([100 + sign * (i + 1) + row for row in range(4)], pa.float64())
            columns[f"{side}_quantity_{i}"] = pa.array([1.0 + row for row in range(4)])
    path = tmp_path_factory.mktemp("quotes") / "quotes.parquet"
    parquet.write_table(pa.table(columns), path)
    return path.read_bytes()


@FUZZ
@given(DAMAGE, CUTS)
def test_a_damaged_parquet_file(tmp_path, parquet_bytes, damage, cut):
    path = tmp_path / "quotes.parquet"
    path.write_bytes(damaged(parquet_bytes, damage, cut))
    check([path])
