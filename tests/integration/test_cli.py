"""The command line's contract: exit codes, sentences, JSON, and nothing half-written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **environment}
    command = [sys.executable, "-m", "experiments", *arguments]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


def test_help_lists_the_commands_and_each_has_an_example() -> None:
    text = run("--help").stdout
    for command in (
        "doctor",
        "replay",
        "calibrate",
        "generate",
        "train",
        "sweep",
        "evaluate",
        "select",
        "export",
        "paper",
        "query",
        "report",
    ):
        assert command in text
        assert "Example: bookswarm" in run(command, "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "absent.yaml", "--out", "x"), "absent.yaml: no such file"),
        (("train", "quickstart", "--out", "x", "--set", "train.nmu_agents=3"), "did you mean 'num_agents'?"),
        (("train", "quickstart", "--out", "x", "--set", "train.num_agents=many"), "holds 'many', expected int"),
        (("train", "quickstart", "--out", "x", "--set", "market.capacity=100"), "expected one of 64, 128, 256, 512"),
        (("evaluate", "absent-run"), "absent-run: no run here"),
        (("export", "absent-run", "--out", "x"), "absent-run: no run here"),
        (("artifact", "verify", "absent"), "absent: no such directory"),
        (("paper", "--artifact", "absent", "--data", "absent.zip"), "absent"),
        (("journal", "verify", "absent"), "absent: no such journal directory"),
        (("query", "absent"), "absent"),
        (("replay", "absent.zip"), "absent.zip"),
        (("replay", "absent.npz"), "absent.npz"),
        (("calibrate", "--data", "absent.zip", "--out", "nowhere/x.json"), "nowhere"),
        (("calibrate", "--model", "nope", "--data", "absent.zip", "--out", "x.json"), "queue_reactive"),
        (("nonsense",), "No such command"),
    ],
)
def test_bad_input_ends_with_2_and_a_sentence_that_names_it(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = run(*arguments, BOOKSWARM_HOME=str(tmp_path / "home"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (ROOT / "x").exists()


def test_a_truncated_recording_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 and then nothing")
    target = tmp_path / "out.json"
    done = run("calibrate", "--data", str(broken), "--out", str(target))
    assert done.returncode == 2
    assert "broken.zip" in done.stderr
    assert not target.exists()


def test_json_is_one_object_on_standard_output(tmp_path: Path) -> None:
    done = run("query", "trial_count", "--json", BOOKSWARM_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == []


def test_doctor_finds_every_backend_of_this_machine(tmp_path: Path) -> None:
    done = run("doctor", "--json", BOOKSWARM_HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert {name: found["backends"][name] for name in ("oracle", "xla", "cpu")} == dict.fromkeys(
        ("oracle", "xla", "cpu"), "ok"
    )


def test_a_stream_below_its_capacity_says_what_was_lost_and_that_equality_is_not_expected(data_dir: Path) -> None:
    stream = data_dir / "streams" / "stream_32x2000_deep.npz"
    done = run("replay", str(stream), "--verify", "--capacity", "64", "--json")
    assert done.returncode == 1 and "not expected to be equal: it needs capacity 256" in done.stderr
    told = json.loads(done.stdout)
    assert not told["ok"] and told["rejected"] > 0 and told["rejected_lots"] > told["rejected"]
