"""Frozen dataclasses to canonical JSON and back, strictly: nothing unknown, nothing missing, nothing coerced."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class CodecError(ValueError):
    """A document does not have the shape of the dataclass; the message names the field."""


def canonical_json(value: Any) -> bytes:
    """Return the one byte string that stands for `value`: sorted keys, no spaces, ASCII, one newline at the end.

    Raises ValueError for a float that is not finite.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


def parse_canonical(data: bytes) -> Any:
    """Return the document in `data`, or raise CodecError if it is not JSON in its canonical form."""
    try:
        value = json.loads(data.decode("ascii"))
        same = canonical_json(value) == data
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CodecError(f"not canonical JSON: {error}") from error
    if not same:
        raise CodecError("not canonical JSON: the bytes differ from what would be written for the same content")
    return value


def to_plain(value: Any) -> Any:
    """Return dicts, lists and scalars for a (nested) dataclass; mappings must have string keys."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: Any, value: Any, where: str) -> Any:
    """Return `value` as an instance of `kind`; raise CodecError naming `where` for anything else."""
    if dataclasses.is_dataclass(kind):
        return _dataclass(typing.cast(type, kind), value, where)
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(typing.get_args(kind), value, where)
    if origin is tuple:
        item_kind = typing.get_args(kind)[0]
        return tuple(from_plain(item_kind, item, f"{where}[{i}]") for i, item in enumerate(_expect(list, value, where)))
    if origin is dict:
        item_kind = typing.get_args(kind)[1]
        return {key: from_plain(item_kind, item, f"{where}.{key}") for key, item in _expect(dict, value, where).items()}
    return _scalar(kind, value, where)


def _dataclass(kind: type, value: Any, where: str) -> Any:
    hints = typing.get_type_hints(kind)
    document = _expect(dict, value, where)
    for key in document:
        if key not in hints:
            raise CodecError(f"{where}.{key} is not a known field; known are {', '.join(sorted(hints))}")
    for key in hints:
        if key not in document:
            raise CodecError(f"{where}.{key} is missing")
    fields = {key: from_plain(hint, document[key], f"{where}.{key}") for key, hint in hints.items()}
    try:
        return kind(**fields)
    except CodecError:
        raise
    except ValueError as error:
        raise CodecError(f"{where}: {error}") from error


def _optional(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    named = [kind for kind in kinds if kind is not types.NoneType]
    if len(named) == 1:
        return from_plain(named[0], value, where)
    for kind in named:  # scalars only: int | float | str | bool
        if type(value) is kind:
            return _scalar(kind, value, where)
    raise CodecError(f"{where} is {type(value).__name__}; it must be {' or '.join(kind.__name__ for kind in named)}")


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:  # a whole float may be written by hand as 1
        value = float(value)
    if type(value) is not kind:
        raise CodecError(f"{where} is {type(value).__name__}; it must be {kind.__name__}")
    if kind is float and not math.isfinite(value):
        raise CodecError(f"{where} is {value}; it must be finite")
    return value


def _expect(kind: type[T], value: Any, where: str) -> T:
    if type(value) is not kind:
        raise CodecError(f"{where} is {type(value).__name__}; it must be {kind.__name__}")
    return value
