"""`bookswarm generate`: the files that it writes are recordings, whole or not there, the same on all thread counts."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from market_models.calibration import save_calibration
from market_models.datasets import lobster
from sim.generation.request import Request
from sim.generation.session import generate
from sim.replay_files import verify_files
from tests.support.markets import small_calibration

ROOT = Path(__file__).resolve().parents[2]
FIELDS = {
    *("files", "messages", "rows", "seconds", "messages_per_s", "rows_per_s", "generate_s", "write_s", "compile_s"),
    "counters",
}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "experiments", "generate", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)


def test_replay_reproduces_every_generated_row_of_a_zip_and_of_plain_files(tmp_path: Path) -> None:
    for as_zip, levels in ((True, 5), (False, 3)):
        made = generate(small_calibration(), tmp_path, Request(9000, 6, levels=levels, as_zip=as_zip))
        result = verify_files(made.files)
        assert result["format"] == "lobster" and result["levels"] == levels
        assert (result["rows"], result["rows_equal"], result["unexplained"]) == (8999, 8999, 0)
        assert made.rows == 9000 < made.messages


def test_a_book_that_is_too_small_still_makes_a_recording_without_a_contradiction(tmp_path: Path) -> None:
    # Twelve visible levels of nearly all that fits: what the capacity evicts is seen, so it must be written.
    crowded = small_calibration(cancel_rate_per_s=[0.01] * 10, limit_rate_per_s=[2.0] * 10)
    request = Request(4000, 2, levels=12, capacity=64, as_zip=False)
    made = generate(crowded, tmp_path, request)
    assert made.counters["evicted"] > 100 and made.counters["rejected"] > 100
    result = verify_files(made.files, capacity=512)
    assert (result["rows_equal"], result["unexplained"]) == (3999, 0)


@pytest.mark.parametrize("as_zip", [True, False])
def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(tmp_path: Path, as_zip: bool) -> None:
    for threads in (1, 2, 3):
        request = Request(2500, 11, sequences=3, threads=threads, as_zip=as_zip)
        generate(small_calibration(), tmp_path / str(threads), request)
    one = contents(tmp_path / "1")
    assert len(one) == (3 if as_zip else 6)
    assert one == contents(tmp_path / "2") == contents(tmp_path / "3")


def test_sequences_differ_and_a_sequence_is_the_same_however_many_others_there_are(tmp_path: Path) -> None:
    first = generate(small_calibration(), tmp_path / "one", Request(300, 5, as_zip=False)).files
    both = generate(small_calibration(), tmp_path / "two", Request(300, 5, sequences=2, as_zip=False)).files
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in both[:2]]
    times = [lobster.read(path).time_total_ns for path in both[::2]]
    assert not np.array_equal(times[0], times[1])
    other_seed = generate(small_calibration(), tmp_path / "three", Request(300, 6, as_zip=False)).files
    assert other_seed[0].read_bytes() != first[0].read_bytes()


def test_an_interrupted_run_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    generate(small_calibration(), tmp_path, Request(100, 1))
    before = contents(tmp_path)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        request = Request(10**8, 2, sequences=2, threads=2)
        generate(small_calibration(), tmp_path, request, overwrite=True, progress=interrupt)
    assert contents(tmp_path) == before


def test_files_that_are_there_are_refused_or_all_replaced(tmp_path: Path) -> None:
    generate(small_calibration(), tmp_path, Request(100, 1, sequences=3))
    (tmp_path / "TEST_recorded.zip").write_bytes(b"not ours")
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match="--overwrite"):
        generate(small_calibration(), tmp_path, Request(100, 2))
    assert contents(tmp_path) == before
    made = generate(small_calibration(), tmp_path, Request(120, 2), overwrite=True)
    assert sorted(tmp_path.iterdir()) == sorted([*made.files, tmp_path / "TEST_recorded.zip"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", 0),
        ("sequences", 0),
        ("seed", -1),
        ("seed", 2**32),
        ("levels", 129),
        ("threads", 0),
        ("start_s", -1),
    ],
)
def test_a_bad_request_is_refused_by_the_name_of_its_field(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^{field} {value} is outside"):
        replace(Request(messages=10, seed=1), **{field: value})


def test_the_command_ends_with_0_and_the_fields_of_the_contract_and_its_times_add_up(tmp_path: Path) -> None:
    fitted = save_calibration(small_calibration(), tmp_path / "fit.json")
    done = run("--calibration", fitted, "--messages", 3000, "--sequences", 2, "--no-zip", "--out", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result) == FIELDS
    assert len(result["files"]) == 4 and all(Path(path).is_file() for path in result["files"])
    assert result["rows"] == sum(len(Path(path).read_bytes().splitlines()) for path in result["files"][::2]) == 6000
    assert result["messages_per_s"] == pytest.approx(result["messages"] / result["generate_s"])
    assert result["generate_s"] + result["write_s"] < result["seconds"] + 0.05
    again = run("--calibration", fitted, "--out", tmp_path)
    assert again.returncode == 2 and "--overwrite" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--messages", "0"), "messages"),
        (("--capacity", "100"), "capacity 100 is not one of"),
        (("--levels", "500"), "levels 500 is outside 1..128"),
        (("--calibration", "nowhere"), "nowhere"),
        (("--format", "parquet"), "lobster"),
    ],
)
def test_bad_values_end_with_2_and_a_sentence(tmp_path: Path, arguments: tuple[str, str], said: str) -> None:
    done = run(*arguments, "--out", tmp_path / "new")
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert not (tmp_path / "new").exists()
