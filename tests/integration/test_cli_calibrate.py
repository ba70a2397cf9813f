"""`bookswarm calibrate` on a level recording: found out by itself, from files in any order, for every model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from market_models.calibration import load_calibration, pack_params
from market_models.datasets.recording_format import read_for_fit
from tests.support.binance_feed import Feed

ROOT = Path(__file__).resolve().parents[2]


def calibrate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "experiments", "calibrate", *arguments]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Path:
    """A folder of two files of one session whose names are not in the order of time."""
    folder = tmp_path_factory.mktemp("session")
    rng = np.random.default_rng(1)
    feed = Feed().snapshot([["9.9", "5"], ["9.8", "4"], ["9.7", "9"]], [["10.0", "3"], ["10.1", "6"], ["10.2", "2"]])
    for number in range(300):
        at = 100 * (number + 1)
        if number % 4 == 0:
            feed.trade(*(("SELL", "9.9") if number % 8 else ("BUY", "10.0")), "1", at=at)
        bid, ask = rng.choice(["9.9", "9.8", "9.7"]), rng.choice(["10.0", "10.1", "10.2"])
        feed.depth([[bid, str(rng.integers(1, 9))]], [[ask, str(rng.integers(1, 9))]], at=at)
    feed.write(folder, "later.gz", feed.lines[200:])
    feed.write(folder, "a_start_that_comes_first.gz", feed.lines[:200])
    (folder / "later.gz").rename(folder / "0_later.gz")
    return folder


@pytest.mark.parametrize("model", ["zero_intelligence", "queue_reactive"])
def test_a_folder_of_raw_binance_files_is_fitted(session, tmp_path, model):
    target = tmp_path / "fit.json"
    done = calibrate("--model", model, "--data", str(session), "--levels", "3", "--out", str(target), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == model
    fitted = load_calibration(target)
    recording = read_for_fit(sorted(session.iterdir()), 3)
    assert fitted.counts["market"] == 75 and fitted.data_digest == recording.digest
    assert fitted.counts["limit"] == (recording.kind == 1).sum()
    assert pack_params(fitted).any()


def test_files_of_several_formats_and_a_model_without_a_fit_are_refused(session, tmp_path):
    (tmp_path / "x_message_1.csv").write_text("34200.1,1,5,100,1000000,1\n")
    mixed = ("--data", str(session / "0_later.gz"), "--data", str(tmp_path / "x_message_1.csv"))
    for arguments, said in ((mixed, "a fit takes one"), (("--model", "replay", "--data", str(session)), "calibrated")):
        done = calibrate(*arguments, "--out", str(tmp_path / "fit.json"))
        assert done.returncode == 2 and said in done.stderr, done.stderr
        assert not (tmp_path / "fit.json").exists()
