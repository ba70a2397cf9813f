"""A map that is never changed: `set` returns a new one that shares nearly everything with the old.

The core's state holds every order and trade id of a session (late fills must find their order), so copying a plain
dictionary at each event would cost more with every order. Here entries live in a few dictionaries of falling size,
newest last; `set` copies only the newest (at most RUN entries) and now and then merges neighbours of similar size:
O(log n) a lookup, amortised O(log n) an insertion.
"""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
RUN: Final = 32


class PersistentMap(Generic[K, V]):
    """An immutable map; entries cannot be removed."""

    __slots__ = ("_runs",)

    def __init__(self, runs: tuple[dict[K, V], ...] = ()) -> None:
        self._runs = runs

    def set(self, key: K, value: V) -> "PersistentMap[K, V]":
        """Return a map in which `key` has `value`."""
        runs = self._runs
        if not runs or len(runs[-1]) >= RUN:
            return PersistentMap((*_merged(runs), {key: value}))
        return PersistentMap((*runs[:-1], {**runs[-1], key: value}))

    def get(self, key: K) -> V | None:
        """Return the value of `key`, or None."""
        for run in reversed(self._runs):
            if key in run:
                return run[key]
        return None

    def __contains__(self, key: K) -> bool:
        return any(key in run for run in self._runs)

    def __len__(self) -> int:
        return len(self._flat())

    def items(self) -> Iterator[tuple[K, V]]:
        """Iterate over (key, value), each key once."""
        return iter(self._flat().items())

    def _flat(self) -> dict[K, V]:
        flat: dict[K, V] = {}
        for run in self._runs:
            flat.update(run)
        return flat


def _merged(runs: tuple[dict[K, V], ...]) -> tuple[dict[K, V], ...]:
    """Merge from the newest while a run is at most twice as large as what follows it."""
    kept = list(runs)
    while len(kept) > 1 and len(kept[-2]) <= 2 * len(kept[-1]):
        newest = kept.pop()
        kept[-1] = {**kept[-1], **newest}
    return tuple(kept)
