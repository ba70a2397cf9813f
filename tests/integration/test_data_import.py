"""`data import` and `data list` through the command line: fields, tables, exit codes, and once only."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.recorded_samples import SAMPLES

ROOT = Path(__file__).resolve().parents[2]
FIELDS = ("format", "instrument", "rows", "quarantined", "gaps", "crossed", "first_ns", "last_ns", "digest")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "experiments", "data", *arguments]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)


def write(folder: Path, name: str, data: bytes | None = None) -> Path:
    sample = SAMPLES[name]()
    for other, content in sample.beside:
        (folder / other).write_bytes(content)
    (folder / sample.name).write_bytes(sample.data if data is None else data)
    return folder / sample.name


def test_an_import_says_what_it_read_and_stores_it_once(tmp_path: Path) -> None:
    path = write(tmp_path, "binance_raw")
    for already in (False, True):
        done = run("import", str(path), "--json")
        assert (done.returncode, done.stderr) == (0, "")
        result = json.loads(done.stdout)
        assert all(field in result for field in FIELDS)
        assert (result["format"], result["instrument"], result["rows"]) == ("binance_raw", "ABCUSDT", 6)
        assert (result["gaps"], result["crossed"], result["quarantined"]) == (0, 0, {})
        assert result["already_stored"] is already
    listed = json.loads(run("list", "--json").stdout)
    assert [(row["name"], row["rows"], row["stored_rows"]) for row in listed["datasets"]] == [(path.name, 6, 8)]
    assert {row["table"]: row["rows"] for row in listed["tables"]} == {"book_levels": 6, "quotes": 1, "trades": 1}


def test_what_is_stored_is_what_was_read(tmp_path: Path, home: Path) -> None:
    from experiments.data_import import import_file
    from market_models.datasets.formats import ImportOptions
    from warehouse.client import open_warehouse

    with open_warehouse(home) as client:
        for name in SAMPLES:
            folder = tmp_path / name
            folder.mkdir()
            path = write(folder, name)
            mapping = folder / "own.yaml"
            result = import_file(path, ImportOptions(mapping=mapping if mapping.exists() else None), client)
            tables = {"orders": "book_messages", "levels": "book_levels"}
            for kind, count in result["stored"].items():
                table = tables.get(kind, kind)
                run_id = f"import-{result['digest'][:16]}"
                query = f"SELECT count() FROM {table} WHERE run_id = {{run:String}}"
                assert client.query(query, parameters={"run": run_id}).result_rows[0][0] == count, (name, kind)
        run = client.query("SELECT run_id FROM datasets WHERE format = 'binance_raw'").result_rows[0][0]
        levels = client.query(
            "SELECT side, price_tick, lots, snapshot FROM book_levels WHERE run_id = {run:String} ORDER BY sequence",
            parameters={"run": run},
        ).result_rows
        # tick 0.1, lot 0.5: the snapshot and the diff that straddles it come after the diffs before it.
        assert levels[2:4] == [("BUY", 100, 2, 1), ("SELL", 102, 4, 1)]
        steps = client.query(
            "SELECT instrument, tick_size, lot_size FROM instruments WHERE run_id = {run:String}",
            parameters={"run": run},
        ).result_rows
        assert steps == [("ABCUSDT", "0.1", "0.5")]
        bars = client.query(
            "SELECT open_tick, close_tick, volume_lots FROM bars WHERE instrument = 'index' ORDER BY sequence LIMIT 1"
        ).result_rows
        assert bars == [(4917, 4914, 877001)]  # 1229.25 and 1228.5 in ticks of 0.25


def test_a_folder_gives_one_object_a_file_and_totals(tmp_path: Path) -> None:
    for name in ("lobster", "tardis", "bars_csv"):
        write(tmp_path, name)
    (tmp_path / "README.md").write_text("not data")
    (tmp_path / "notes.dat").write_text("no format at all")
    done = run("import", str(tmp_path), "--json", "--dry-run")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [entry["format"] for entry in result["imports"]] == ["lobster", "bars_csv", "tardis"]
    assert [Path(entry["path"]).name for entry in result["skipped"]] == ["notes.dat"]
    assert result["totals"]["rows"] == 4 + 4 + 5 and result["totals"]["failed"] == 0
    table = run("import", str(tmp_path), "--dry-run")
    assert table.returncode == 0 and "quarantined" in table.stdout and "tardis" in table.stdout


def test_a_broken_file_ends_with_2_and_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    whole = SAMPLES["itch"]().data
    broken = write(tmp_path, "itch", whole[:-5])
    done = run("import", str(broken))
    assert done.returncode == 2 and broken.name in done.stderr and "ends in the middle" in done.stderr
    assert "Traceback" not in done.stderr
    good = write(tmp_path, "tardis")
    both = run("import", str(tmp_path), "--json")
    assert both.returncode == 2 and broken.name in both.stderr
    result = json.loads(both.stdout)
    assert [Path(entry["path"]).name for entry in result["imports"]] == [good.name]
    assert [Path(entry["path"]).name for entry in result["failed"]] == [broken.name]
    assert [row["name"] for row in json.loads(run("list", "--json").stdout)["datasets"]] == [good.name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("absent.csv",), "no such file or folder"),
        (("own.csv", "--format", "nonsense"), "the formats are auto, lobster"),
        (("own.csv", "--format", "mapping"), "needs --mapping"),
        (("own.csv", "--mapping", "absent.yaml"), "absent.yaml"),
        (("own.csv", "--tick-size", "-1"), "tick_size '-1' is not a positive decimal"),
        (("own.csv",), "of no known format"),
        (("own.csv", "--mapping", "wrong.yaml"), "unknown key 'knd'"),
        (("own.csv", "--mapping", "column.yaml"), "there is no column 'price'"),
    ],
)
def test_a_wrong_option_ends_with_2_and_says_what_is_valid(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    write(tmp_path, "mapping")
    (tmp_path / "wrong.yaml").write_text("knd: trades\n")
    (tmp_path / "column.yaml").write_text(
        "kind: trades\ntime: {column: when, unit: ms}\ncolumns: {price: price, size: qty}\n"
    )
    full = [str(tmp_path / part) if part.endswith((".csv", ".yaml")) else part for part in arguments]
    done = run("import", *full)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_given_steps_are_used_and_what_they_round_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "mapping")
    options = (
        "--mapping",
        str(tmp_path / "own.yaml"),
        "--tick-size",
        "0.5",
        "--lot-size",
        "0.5",
        "--dry-run",
        "--json",
    )
    result = json.loads(run("import", str(path), *options).stdout)
    assert result["instruments"] == [{"name": "ABC", "tick_size": "0.5", "lot_size": "0.5"}]
    assert result["rounded"] == 3  # 10.1, 10.2, 10.3; 10.0 is a whole number of ticks
