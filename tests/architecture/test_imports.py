"""The dependency direction holds, and the linter that says so can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("experiments", "agents", "live_bridge", "sim", "market_models", "kernels", "protos", "warehouse")
LINTER = Path(sys.executable).parent / "lint-imports"


def run_linter(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINTER), "--config", str(directory / "pyproject.toml"), "--no-cache"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture
def copy_of_the_tree(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("live_bridge/intruder.py", "import sim.vector"),
        ("live_bridge/intruder.py", "import jax"),
        ("kernels/intruder.py", "import jax"),
        ("sim/intruder.py", "import agents"),
        ("agents/intruder.py", "import live_bridge"),
        ("warehouse/intruder.py", "import kernels.lob"),
        ("market_models/intruder.py", "import wandb"),
    ],
)
def test_a_forbidden_import_fails(copy_of_the_tree: Path, module: str, statement: str) -> None:
    (copy_of_the_tree / module).write_text(f'"""Breaks the rule."""\n\n{statement}  # noqa: F401\n')
    result = run_linter(copy_of_the_tree)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "intruder" in result.stdout


def test_the_tree_as_it_is_keeps_every_contract(copy_of_the_tree: Path) -> None:
    result = run_linter(copy_of_the_tree)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("module", ["experiments.cli", "experiments.experiment", "experiments.sweep_config"])
def test_what_a_command_reads_before_it_configures_jax_imports_no_jax(module):
    code = f"import sys, {module}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
