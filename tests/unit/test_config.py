"""The strict YAML loader."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from experiments.config import ConfigError, build, dump_yaml, load_config, read_yaml


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    mode: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"rate {self.rate} is not positive")


@dataclass(frozen=True)
class Outer:
    name: str
    count: int = 3
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[float, float] = (0.0, 1.0)
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_a_whole_file_is_read_with_defaults_nested_groups_and_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, "name: x\nsizes: [4]\ninner: {rate: 3e-4}\n")
    got = load_config(path, Outer, ("inner.mode=b", "count=9"))
    assert got == Outer("x", 9, (4,), (0.0, 1.0), None, Inner(3e-4, "b"))


def test_what_is_dumped_reads_back_equal(tmp_path: Path) -> None:
    config = Outer("x", 1, (3,), (0.5, 2.0), 7, Inner(2.0, "b"))
    assert load_config(write(tmp_path, dump_yaml(config)), Outer) == config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: x\ncuont: 1\n", "unknown key 'cuont'; did you mean 'count'?"),
        ("name: x\ninner: {ratio: 1}\n", "unknown key 'inner.ratio'"),
        ("count: 1\n", "missing key 'name', expected str"),
        ("name: x\ncount: many\n", "key 'count' holds 'many', expected int"),
        ("name: x\ncount: true\n", "key 'count' holds True, expected int"),
        ("name: x\ncount: 1.5\n", "key 'count' holds 1.5, expected int"),
        ("name: x\nlimit: no\n", "key 'limit' holds False, expected int"),
        ("name: x\nsizes: 3\n", "key 'sizes' holds 3, expected a list"),
        ("name: x\npair: [1]\n", "key 'pair' holds [1], expected a list"),
        ("name: x\ninner: {mode: c}\n", "key 'inner.mode' holds 'c', expected one of 'a', 'b'"),
        ("name: x\ninner: {rate: .nan}\n", "key 'inner.rate' holds nan, expected float"),
        ("name: x\ninner: {rate: -1.0}\n", "key 'inner': rate -1.0 is not positive"),
        ("name: x\nname: y\n", "key 'name' is given twice"),
        ("name: [x\n", "not valid YAML"),
        ("- 1\n", "expected a mapping"),
    ],
)
def test_a_mistake_names_the_file_the_key_and_what_would_be_valid(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, Outer)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(tmp_path / "absent.yaml")


def test_an_override_without_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected key=value"):
        load_config(write(tmp_path, "name: x\n"), Outer, ("count",))


def test_a_group_given_as_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="key 'inner' holds 3, expected a mapping"):
        build(Outer, {"name": "x", "inner": 3}, "f.yaml", "")
