"""`bookswarm sweep` as a process: one JSON object, and exit 1 where nothing was found."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.sweeps import written

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_prints_one_json_object_and_says_when_nothing_was_found(tmp_path):
    command = [sys.executable, "-m", "experiments", "sweep", written(tmp_path, objective="episode_luck")]
    environment = {**os.environ, "WANDB_MODE": "disabled", "BOOKSWARM_HOME": str(tmp_path)}
    whole = [*command, "--trials", "1", "--json"]
    done = subprocess.run(whole, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert Path(told["sweep"]) == tmp_path / "runs" / "sweep-tiny"
    assert done.returncode == 1 and (told["trials"], told["fail"], told["best"]) == (1, 1, None)
    assert "no episode_luck mean at the end; there are episode_discount, episode_length" in told["table"][0]["reason"]
    assert "no trial ended with a value of episode_luck" in done.stderr
