"""The one strict loader: YAML into frozen dataclasses, with errors that name file, key and valid values."""

import dataclasses
import difflib
import math
import re
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
_EXPONENT_FORM = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


class ConfigError(ValueError):
    """A configuration file that cannot be used; the message names the file, the key and what would be valid."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice: YAML would silently keep the last."""


def _construct_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise ConfigError(f"line {key_node.start_mark.line + 1}: key '{key}' is given twice; keep one")
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def load_config(path: Path, cls: type[T], overrides: tuple[str, ...] = ()) -> T:
    """Read `path` into the dataclass `cls`; `overrides` are `key.sub=value` strings that win over the file.

    Raises ConfigError for a missing file, bad YAML, an unknown, missing or doubled key, or a wrong value.
    """
    raw = read_yaml(path)
    for text in overrides:
        apply_override(raw, text, path)
    return build(cls, raw, str(path), "")


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, or raise ConfigError."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give the path of a YAML configuration, e.g. quickstart")
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: holds {type(raw).__name__}, expected a mapping of keys to values")
    return raw


def apply_override(raw: dict[str, Any], text: str, path: Path) -> None:
    """Set one `key.sub=value` in the mapping read from `path`, the value as YAML; ConfigError says what is wrong."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {text}: expected key=value, e.g. train.num_agents=64")
    node = raw
    *parents, leaf = key.split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"--set {text}: '{parent}' in {path} is a value, not a group of keys")
    try:
        node[leaf] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: '{value}' is not a YAML value: {' '.join(str(error).split())}") from error


def build(cls: type[T], raw: Any, file: str, prefix: str) -> T:
    """Build dataclass or NamedTuple `cls` from a mapping; `prefix` is the dotted key of the mapping in `file`."""
    where = prefix or "the top level"
    if not isinstance(raw, dict):
        raise ConfigError(f"{file}: key '{where}' holds {raw!r}, expected a mapping with keys {_names(cls)}")
    hints = typing.get_type_hints(cls)
    names, required = _names(cls), _required(cls)
    for key in raw:
        if key not in names:
            close = difflib.get_close_matches(str(key), names, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ConfigError(f"{file}: unknown key '{_join(prefix, str(key))}'{hint} Valid keys: {', '.join(names)}")
    missing = [name for name in required if name not in raw]
    if missing:
        raise ConfigError(f"{file}: missing key '{_join(prefix, missing[0])}', expected {_describe(hints[missing[0]])}")
    values = {key: _convert(hints[key], value, file, _join(prefix, key)) for key, value in raw.items()}
    try:
        return cls(**values)
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{file}: key '{where}': {error}") from error


def _names(cls: Any) -> list[str]:
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls) if field.init]
    return list(getattr(cls, "_fields", ()))


def _required(cls: type) -> list[str]:
    if dataclasses.is_dataclass(cls):
        missing = dataclasses.MISSING
        return [
            field.name
            for field in dataclasses.fields(cls)
            if field.init and field.default is missing and field.default_factory is missing
        ]
    defaults = getattr(cls, "_field_defaults", {})
    return [name for name in _names(cls) if name not in defaults]


def _join(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key


def _describe(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(repr(value) for value in typing.get_args(hint))
    if isinstance(hint, type) and not typing.get_args(hint):
        return f"a mapping with keys {', '.join(_names(hint))}" if _names(hint) else hint.__name__
    return str(hint).replace("typing.", "")


def _convert(hint: Any, value: Any, file: str, key: str) -> Any:
    """Check `value` against the annotation `hint` and return it in that type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        fitting = [arg for arg in args if arg is not type(None) and bool(_names(arg)) == isinstance(value, dict)]
        inner = next(iter(fitting), next(arg for arg in args if arg is not type(None)))
        return None if value is None and type(None) in args else _convert(inner, value, file, key)
    if origin is tuple:
        return _convert_tuple(args, value, file, key, hint)
    if origin is dict and isinstance(value, dict):
        return {_convert(args[0], k, file, key): _convert(args[1], v, file, f"{key}.{k}") for k, v in value.items()}
    if isinstance(hint, type) and _names(hint):
        return build(hint, value, file, key)
    if hint is typing.Any or (origin is typing.Literal and value in args and not isinstance(value, bool)):
        return value  # a class that says Any checks it
    if origin is None and _scalar_fits(hint, value):
        return hint(value)
    raise ConfigError(f"{file}: key '{key}' holds {value!r}, expected {_describe(hint)}")


def read_number(value: Any) -> Any:
    """Return `value`, in groups and lists too, with numbers that YAML 1.1 reads as text (3e-4) as floats."""
    if isinstance(value, dict):
        return {key: read_number(item) for key, item in value.items()}
    if isinstance(value, list):
        return [read_number(item) for item in value]
    return float(value) if isinstance(value, str) and _EXPONENT_FORM.fullmatch(value) else value


def _convert_tuple(args: tuple[Any, ...], value: Any, file: str, key: str, hint: Any) -> tuple[Any, ...]:
    variadic = len(args) == 2 and args[1] is Ellipsis
    if not isinstance(value, list | tuple) or (not variadic and len(value) != len(args)):
        raise ConfigError(f"{file}: key '{key}' holds {value!r}, expected a list fitting {_describe(hint)}")
    hints = [args[0]] * len(value) if variadic else list(args)
    return tuple(_convert(h, v, file, f"{key}[{i}]") for i, (h, v) in enumerate(zip(hints, value, strict=True)))


def _scalar_fits(hint: Any, value: Any) -> bool:
    """Whether a YAML scalar may become `hint`; an int may become a float, nothing else changes its type."""
    if hint is float:
        if isinstance(value, str):  # YAML 1.1 reads 3e-4, without a dot, as text
            return _EXPONENT_FORM.fullmatch(value) is not None
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is Path:
        return isinstance(value, str)
    return hint in (str, bool) and isinstance(value, hint)


def to_plain(value: Any) -> Any:
    """Return dataclasses, NamedTuples, tuples and paths as the plain mapping that `build` reads back."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        items = [to_plain(item) for item in value]
        return items if names is None else dict(zip(names, items, strict=True))
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def dump_yaml(value: Any) -> str:
    """Return a resolved configuration as YAML text."""
    return yaml.safe_dump(to_plain(value), sort_keys=False)
