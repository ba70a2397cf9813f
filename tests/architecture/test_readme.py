"""What the README says can be run, is run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
NOT_HERE = {"", "make test"}  # make test is what runs this


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in NOT_HERE])
def test_a_command_of_the_readme_ends_with_0(command: str, tmp_path: Path) -> None:
    binary = f"{Path(sys.executable).parent}/"
    environment = {**os.environ, "BOOKSWARM_HOME": str(tmp_path), "WANDB_MODE": "offline"}
    environment.pop("XLA_FLAGS", None)
    if command.startswith("make "):
        # The environment that runs the tests stands in for the one that make would install once more.
        venv = Path(sys.executable).parents[1]
        command = f"{command} VENV={venv} --assume-old={venv}/.installed"
    line = command.replace(".venv/bin/", binary)
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_python_of_the_readme_runs(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_there_is_something_to_run() -> None:
    assert len(COMMANDS) > 3
    assert any(kind == "python" for kind, _ in BLOCKS)
