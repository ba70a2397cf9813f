"""`bookswarm score`: the card's contract, its page, and what it says of good, bad and broken input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from market_models.datasets import lobster
from market_models.scorecard.card import SELF, Windows, as_record, make_card, self_window
from market_models.scorecard.score import row_units, score
from market_models.scorecard.tape import folder_tape, window_tape
from sim.generation.request import Request
from sim.generation.session import generate
from tests.support.markets import small_calibration
from tests.support.tapes import random_tape

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = "l3/lobster/LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"
CONTRACT = {"name", "l1", "w1", "ci_low", "ci_high"}


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a recorded file and two folders: another draw of its market, and a deliberately bad one."""
    root = tmp_path_factory.mktemp("markets")
    bad = small_calibration(market_rate_per_s=2.0, limit_lots=[100] * 128, limit_rate_per_s=[0.1] * 4 + [1.0] * 6)
    for name, calibration, seed in (
        ("recorded", small_calibration(), 1),
        ("twin", small_calibration(), 2),
        ("bad", bad, 3),
    ):
        generate(calibration, root / name, Request(9000, seed, as_zip=name != "bad"))
    return {"recorded": next((root / "recorded").glob("*.zip")), "twin": root / "twin", "bad": root / "bad"}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "experiments", "score", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)


def test_the_command_gives_the_contracts_fields_and_a_page_that_loads_nothing(
    markets: dict[str, Path], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    folders = ("--generated", markets["bad"], "--generated", markets["twin"])
    done = run(*folders, "--recorded", markets["recorded"], "--to-s", 34_600, "--out", page, "--json")
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)
    assert [row["name"] for row in card["rows"]] == list(row_units())
    for row in card["rows"]:
        assert row.keys() >= CONTRACT and (row["l1"] is None or 0 <= row["ci_low"] <= row["l1"] <= row["ci_high"] <= 1)
    assert card["model"] == "twin" and card["worst_model"] == "bad"
    assert card["iqm_l1"] == card["models"][0]["iqm_l1"] < 0.5 * card["models"][1]["iqm_l1"]
    assert card["self_iqm_l1"] < card["models"][1]["iqm_l1"] and card["self_iqm_w1"] > 0
    assert card["models"][1]["classifier"]["tells_apart"] is True
    text = page.read_text()
    assert all(name in text for name in row_units()) and "TELLS bad" in text
    assert "src=" not in text and 'href="http' not in text and "@import" not in text
    assert "width=device-width" in text and "prefers-color-scheme: dark" in text
    assert text.count("<svg") == len([row for row in card["rows"] if row["l1"] is not None])


def test_the_same_seed_gives_the_same_card_and_a_person_gets_tables(markets: dict[str, Path]) -> None:
    cards = [as_record(make_card([markets["twin"]], markets["recorded"], Windows(), seed=5)) for _ in range(2)]
    one, two = (json.dumps(card, default=lambda value: value.tolist()) for card in cards)
    assert one == two and cards[0]["self_iqm_l1"] is None  # the whole recording is the window
    arguments = ["score", "--generated", str(markets["twin"]), "--recorded", str(markets["recorded"]), "--seed", "5"]
    spoken = CliRunner().invoke(app, [*arguments, "--quiet"])
    assert spoken.exit_code == 0 and "spread_tick" in spoken.output
    assert f"IQM L1 {cards[0]['iqm_l1']:.3f}" in spoken.output


def test_what_cannot_be_scored_ends_with_2_and_a_sentence_that_names_it(
    markets: dict[str, Path], tmp_path: Path
) -> None:
    message = next(markets["bad"].glob("*_message_*.csv"))
    empty, alone, blank = (tmp_path / name for name in ("empty", "alone", "blank"))
    for folder in (empty, alone, blank):
        folder.mkdir()
    (alone / message.name).write_bytes(message.read_bytes())
    for part in ("message", "orderbook"):
        (blank / message.name.replace("message", part)).write_bytes(b"")
    recorded = markets["recorded"]
    cases = [
        ((tmp_path / "nowhere", recorded), "nowhere is not there"),
        ((message, recorded), "is a file"),
        ((empty, recorded), "no LOBSTER file"),
        ((alone, recorded), "orderbook file"),
        ((blank, recorded), "blank"),
        ((markets["twin"], tmp_path / "missing.zip"), "missing.zip"),
        ((markets["twin"], recorded, "--from-s", 90_000), "from_s must be below to_s"),
        ((markets["twin"], recorded, "--to-s", 34_201), "usable rows, needed are 200"),
        ((markets["twin"], recorded, "--to-s", 34_500, "--self-from-s", 34_400), "overlaps"),
        ((markets["twin"], recorded, "--tick-size", "0.07"), "not a multiple of 700"),
    ]
    for (folder, truth, *more), said in cases:
        with pytest.raises((ValueError, OSError), match=said):
            keys = {str(more[i])[2:].replace("-", "_"): more[i + 1] for i in range(0, len(more), 2)}
            tick_size = str(keys.pop("tick_size", "0.01"))
            make_card([folder], truth, Windows(**keys), tick_size=tick_size)
    done = run("--generated", alone, "--recorded", recorded)
    assert done.returncode == 2 and "orderbook file" in done.stderr and "Traceback" not in done.stderr


def test_the_other_hour_is_as_long_as_the_window_and_the_longer_side_is_taken(markets: dict[str, Path]) -> None:
    recording = lobster.read(markets["recorded"])
    start, end = float(recording.time_s[0]), float(recording.time_s[-1]) + 1
    assert self_window(recording, Windows(), start + 400, start + 500) == (start + 300, start + 400)
    assert self_window(recording, Windows(), start + 10, start + 110) == (start + 110, start + 210)
    assert self_window(recording, Windows(), start, end) is None
    asked = Windows(self_from_s=start + 200, self_to_s=end)
    assert self_window(recording, asked, start, start + 100) == (start + 200, start + 300)


def test_a_folder_of_several_sequences_is_filled_to_the_window_and_no_further(tmp_path: Path) -> None:
    generate(small_calibration(), tmp_path, Request(1000, 4, sequences=3, as_zip=False))
    whole = folder_tape(tmp_path, 1e6)
    assert len(whole.stretches) == 3 and whole.rows == 3000
    part = folder_tape(tmp_path, whole.duration_s / 2)
    assert len(part.stretches) == 2 and part.duration_s == pytest.approx(whole.duration_s / 2)
    assert part.stretches[1].at_s[0] >= part.stretches[0].at_s[-1]


@pytest.mark.data
def test_the_recorded_afternoon_is_nearer_to_its_morning_than_to_a_bad_market(data_dir: Path) -> None:
    recording = lobster.read(data_dir / SAMPLE)
    afternoon = window_tape(recording, "recorded", 45_900, 57_600)
    assert (afternoon.rows, afternoon.left_out) == (69_685, 1_245)
    contenders = [
        window_tape(recording, "itself", 45_900, 57_600),
        window_tape(recording, SELF, 34_200, 45_900),
        random_tape("bad", 1, rows=60_000),  # independent messages, two levels
    ]
    itself, own, bad = score(afternoon, contenders, resamples=20)
    assert itself.iqm_l1 == 0 and itself.iqm_w1 == 0
    assert own.iqm_l1 == pytest.approx(0.143, abs=0.001)  # the morning's spread is wider
    assert bad.iqm_l1 > 2.5 * own.iqm_l1


def test_the_record_has_no_number_that_json_cannot_say(markets: dict[str, Path]) -> None:
    card = make_card([markets["bad"]], markets["recorded"], Windows(to_s=34_500.0))
    text = json.dumps(as_record(card), default=lambda value: value.tolist(), allow_nan=False)
    assert json.loads(text)["models"][0]["name"] == "bad"
