"""What every recorded format promises: its sample is read, bad input is an error or counted, memory stays bounded."""

import io
import random
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market_models.datasets.errors import DataError
from market_models.datasets.formats import FORMATS, Imported, ImportOptions, open_import
from market_models.datasets.formats.blocks import BLOCK_ROWS
from tests.support.recorded_samples import SAMPLES, Sample

NAMES = [entry.name for entry in FORMATS]
SECONDS_PER_FILE = 5.0


def write(folder: Path, sample: Sample, data: bytes | None = None) -> tuple[Path, ImportOptions]:
    for name, content in sample.beside:
        (folder / name).write_bytes(content)
    path = folder / sample.name
    path.write_bytes(sample.data if data is None else data)
    mappings = [folder / name for name, _ in sample.beside if name.endswith(".yaml")]
    return path, ImportOptions(mapping=mappings[0] if mappings else None)


def attempt(path: Path, options: ImportOptions) -> Imported | None:
    """Import; None where the file was refused. Anything but a DataError is a failure of the test."""
    begun = time.monotonic()
    try:
        with open_import(path, options) as imported:
            report = imported.report
            assert report.rows == report.used + report.unused.total() + report.quarantined.total()
            assert sum(len(block.rows) for block in imported.blocks()) == report.stored.total()
            return imported
    except DataError as error:
        assert str(path.parent) in str(error)
        return None
    finally:
        assert time.monotonic() - begun < SECONDS_PER_FILE


@pytest.mark.parametrize("name", NAMES)
def test_every_format_has_a_sample_that_is_recognised_and_read_whole(name: str, tmp_path: Path) -> None:
    assert name in SAMPLES, f"add a made-up file of format {name!r} to tests/support/recorded_samples.py"
    sample = SAMPLES[name]()
    path, options = write(tmp_path, sample)
    with open_import(path, options) as imported:
        report = imported.report
        assert (report.format, report.rows, dict(report.stored)) == (name, sample.rows, sample.stored)
        assert not report.quarantined and not report.gaps and not report.crossed and not report.back_steps
        blocks = list(imported.blocks())
    assert all(len(block.rows) <= BLOCK_ROWS for block in blocks)
    assert report.to_json()["digest"] == report.digest and len(report.digest) == 64


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("named", [False, True])
def test_an_empty_file_is_refused_with_a_sentence(name: str, named: bool, tmp_path: Path) -> None:
    path, options = write(tmp_path, SAMPLES[name](), b"")
    options = ImportOptions(name, mapping=options.mapping) if named else options
    with pytest.raises(DataError, match=str(path.name)):
        open_import(path, options)


@pytest.mark.parametrize("name", NAMES)
def test_files_of_every_other_format_are_refused_or_quarantined(name: str, tmp_path: Path) -> None:
    _, options = write(tmp_path, SAMPLES[name]())
    for other in NAMES:
        if other != name:
            foreign = tmp_path / other
            foreign.mkdir()
            path, _ = write(foreign, SAMPLES[other]())
            imported = attempt(path, ImportOptions(name, mapping=options.mapping))
            # What is read in spite of the wrong name must be the other format's rows, not a silent nothing.
            assert imported is None or imported.report.used


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_refused_or_their_bad_rows_counted(name: str, tmp_path: Path, data: st.DataObject) -> None:
    sample = SAMPLES[name]()
    path, options = write(tmp_path, sample)
    attempt(write(tmp_path, sample, damage(data, sample.data))[0], options)
    attempt(path, ImportOptions(name, mapping=options.mapping))


def damage(data: st.DataObject, whole: bytes) -> bytes:
    """Draw a damaged copy: cut, flipped bits, bytes put in or taken out, parts exchanged or repeated."""
    out = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4), "number of damages")):
        if not out:
            break
        at = data.draw(st.integers(0, len(out) - 1), "at")
        kind = data.draw(st.sampled_from(("cut", "flip", "insert", "remove", "swap", "repeat", "digit")), "kind")
        if kind == "cut":
            del out[at:]
        elif kind == "flip":
            out[at] ^= 1 << data.draw(st.integers(0, 7), "bit")
        elif kind == "insert":
            out[at:at] = data.draw(st.binary(min_size=1, max_size=12), "bytes")
        elif kind == "remove":
            del out[at : at + data.draw(st.integers(1, 20), "length")]
        elif kind == "swap":
            half = out[:at]
            out = out[at:] + half
        elif kind == "repeat":
            out[at:at] = out[: data.draw(st.integers(1, len(out)), "length")]
        else:
            out[at:at] = data.draw(
                st.sampled_from((b"9" * 30, b"-", b"1e400", b"nan", b"\x00" * 8, b"[" * 3000)), "text"
            )
    return bytes(out)


@pytest.mark.parametrize("name", [name for name in NAMES if SAMPLES[name]().is_lines])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_lines_in_another_order_lose_none(name: str, tmp_path: Path, seed: int) -> None:
    sample = SAMPLES[name]()
    first, *rest = sample.data.splitlines(keepends=True)
    random.Random(seed).shuffle(rest)
    path, options = write(tmp_path, sample, first + b"".join(rest))
    imported = attempt(path, options)
    assert imported is not None and imported.report.rows == sample.rows


@pytest.mark.parametrize("suffix", ["gz", "xz", "bz2", "zst"])
def test_a_packed_file_is_read_as_the_plain_one_and_refused_where_it_ends_early(suffix: str, tmp_path: Path) -> None:
    sample = SAMPLES["binance_raw"]()
    packed = pack(suffix, sample.data)
    path = tmp_path / f"{sample.name}.{suffix}"
    path.write_bytes(packed)
    with open_import(path) as imported:
        assert (imported.report.rows, dict(imported.report.stored)) == (sample.rows, sample.stored)
    for length in range(0, len(packed) - 1, 7):
        path.write_bytes(packed[:length])
        with pytest.raises(DataError, match=path.name):
            open_import(path)


def pack(suffix: str, data: bytes) -> bytes:
    import bz2
    import gzip
    import lzma

    import zstandard

    packers = {
        "gz": gzip.compress,
        "xz": lzma.compress,
        "bz2": bz2.compress,
        "zst": zstandard.ZstdCompressor().compress,
    }
    return packers[suffix](data)


def test_an_archive_of_tables_is_read_whole_and_refused_where_it_ends_early(tmp_path: Path) -> None:
    sample = SAMPLES["bars_csv"]()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as archive:
        for number in range(3):
            info = tarfile.TarInfo(f"folder/ABC{number}.csv")
            info.size = len(sample.data)
            archive.addfile(info, io.BytesIO(sample.data))
    path = tmp_path / "many.tar.xz"
    path.write_bytes(out.getvalue())
    with open_import(path) as imported:
        assert (imported.report.rows, dict(imported.report.stored)) == (15, {"bars": 15})
        assert [units.name for units in imported.report.instruments] == ["ABC0", "ABC1", "ABC2"]
    for length in range(0, len(out.getvalue()) - 1, 40):
        path.write_bytes(out.getvalue()[:length])
        with pytest.raises(DataError, match=path.name):
            open_import(path)


def test_a_file_ten_times_as_large_takes_no_more_memory(tmp_path: Path) -> None:
    """Peak memory of a child process that imports 60,000 and 600,000 rows differs by less than the file's growth."""
    import subprocess
    import sys

    code = (
        "import resource, sys; from market_models.datasets.formats import open_import\n"
        "with open_import(sys.argv[1]) as imported:\n"
        "    rows = sum(len(block.rows) for block in imported.blocks())\n"
        "print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peak = {}
    for rows in (60_000, 600_000):
        path = tmp_path / f"trades_{rows}.csv"
        with path.open("w") as file:
            file.write("exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n")
            for i in range(rows):
                file.write(f"venue,ABCUSDT,{10**15 + i},{10**15 + i + 5},{i},buy,{9682 + i % 100}.25,0.132\n")
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], cwd=root, capture_output=True, text=True, check=True
        )
        stored, kilobytes = map(int, done.stdout.split())
        assert stored == rows
        peak[rows] = kilobytes
    assert peak[600_000] - peak[60_000] < 40_000, peak  # the larger file is 41 MB of text, 27 MB of rows
