"""What docs/environments.md says can be run, is run, and its tables name every environment."""

import re
from pathlib import Path

import pytest

from sim.registry import ENVIRONMENTS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "environments.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_the_python_of_the_page_runs_from_top_to_bottom() -> None:
    assert len(BLOCKS) >= 3
    names = {"__name__": "environments"}
    for code in BLOCKS:
        exec(compile(code, "docs/environments.md", "exec"), names)


def test_both_tables_name_every_registered_environment() -> None:
    head = PAGE.split("\n## ")[0]
    tables = [part for part in head.split("\n\n") if part.startswith("| name")]
    assert len(tables) == 2
    for table in tables:
        first = " ".join(line.split("|")[1] for line in table.splitlines()[2:])
        assert set(re.findall(r"`(\w+)`", first)) == set(ENVIRONMENTS)
