"""What is compared: stretches of order-by-order recordings that together make one market's tape.

Rows that touch no visible order (hidden executions, crosses, halts: LOBSTER types 5 to 7) are left out and counted: no
generated flow has them and they change no visible level.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from market_models.datasets import lobster
from market_models.datasets import recording as rec
from market_models.datasets.errors import DataError
from market_models.datasets.recording import Recording

NS_PER_S = 1_000_000_000
MIN_ROWS = 200  # fewer rows of a market say nothing about any of its distributions


@dataclass(frozen=True, eq=False)
class Stretch:
    """N successive messages that touch the visible book, and the book after each."""

    at_s: np.ndarray  # float64[N] market time since the tape's start, stretches behind one another
    at_ns: np.ndarray  # int64[N] the same clock, exact, since the stretch's start
    kind: np.ndarray  # int32[N] NEW .. VISIBLE_EXECUTION
    side: np.ndarray  # int32[N] side of the resting order
    lots: np.ndarray  # int64[N]
    price_tick: np.ndarray  # int64[N]
    order_id: np.ndarray  # int32[N]
    book: np.ndarray  # int64[N, 2, L, 2] (price_tick, lots), best first, absent (0, 0)

    @property
    def mid_tick(self) -> np.ndarray:
        """float64[N] mid after the row, NaN where a side is absent."""
        touch = self.book[:, :, 0]
        return np.where((touch[..., 1] > 0).all(1), touch[..., 0].sum(1) / 2, np.nan)


@dataclass(frozen=True, eq=False)
class Tape:
    """One market: its stretches, which never touch each other's statistics."""

    name: str
    stretches: tuple[Stretch, ...]
    duration_s: float  # market time of all stretches
    left_out: int  # rows of types 5 to 7

    @property
    def rows(self) -> int:
        """Messages of all stretches."""
        return sum(len(stretch.kind) for stretch in self.stretches)

    @property
    def levels(self) -> int:
        """Fewest price levels a side that a stretch has."""
        return min(stretch.book.shape[2] for stretch in self.stretches)

    @property
    def price_step_tick(self) -> int:
        """Greatest common divisor of the distances between visible prices, in ticks."""
        steps = 0
        for stretch in self.stretches:
            price, held = stretch.book[..., 0], stretch.book[..., 1] > 0
            seen = np.unique(price[held])
            steps = int(np.gcd.reduce(np.append(np.diff(seen), steps)))
        return max(steps, 1)


def window_tape(recording: Recording, name: str, from_s: float | None = None, to_s: float | None = None) -> Tape:
    """Return the tape of one window of a recording, seconds since midnight; None is its first or last whole second.

    ValueError where the window is empty, not finite, or holds fewer than MIN_ROWS rows.
    """
    first = float(recording.time_s[0]) if from_s is None else from_s
    last = float(recording.time_s[-1]) + 1 if to_s is None else to_s
    if not np.isfinite([first, last]).all() or not first < last:
        raise ValueError(f"window {first}..{last} s of {recording.path} is empty: from_s must be below to_s")
    stretch, left_out = _cut(recording, round(first * NS_PER_S), round(last * NS_PER_S), 0.0)
    if len(stretch.kind) < MIN_ROWS:
        raise ValueError(
            f"window {first}..{last} s of {recording.path} has {len(stretch.kind)} usable rows, needed are {MIN_ROWS}; "
            f"it covers {recording.time_s[0]}..{int(recording.time_s[-1]) + 1} s"
        )
    return Tape(name, (stretch,), last - first, left_out)


def folder_tape(folder: Path, duration_s: float, *, tick_size: str = "0.01", name: str = "") -> Tape:
    """Return the tape of a folder of LOBSTER files: sequences in order of name until `duration_s` is full.

    Every sequence counts from its first row on. Raises FileNotFoundError, DataError for a file that cannot be read or
    has no order-book file, ValueError where there is too little.
    """
    stretches: list[Stretch] = []
    filled_s, left_out = 0.0, 0
    for path in lobster_files(folder):
        if filled_s >= duration_s:
            break
        recording = lobster.read(path, tick_size=tick_size)
        if not len(recording.kind):
            raise DataError(path, 0, "it has no rows")
        start = int(recording.time_total_ns[0])
        length_s = min((int(recording.time_total_ns[-1]) - start + 1) / NS_PER_S, duration_s - filled_s)
        stretch, skipped = _cut(recording, start, start + round(length_s * NS_PER_S), filled_s)
        stretches.append(stretch)
        filled_s, left_out = filled_s + length_s, left_out + skipped
    tape = Tape(name or folder.resolve().name, tuple(stretches), filled_s, left_out)
    if tape.rows < MIN_ROWS:
        raise ValueError(f"{folder} has {tape.rows} usable rows, needed are {MIN_ROWS}: generate more messages")
    return tape


def lobster_files(folder: Path) -> list[Path]:
    """Return a folder's sequences: its zips, and its message files, whose order-book files lie beside them."""
    if not folder.exists():
        raise FileNotFoundError(f"{folder} is not there: --generated is a folder that `bookswarm generate` wrote")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: --generated is a folder of LOBSTER files")
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix == ".zip" or ("_message_" in path.name and path.name.endswith((".csv", ".csv.gz")))
    )
    if not found:
        raise DataError(folder, 0, "it has no LOBSTER file: neither a .zip nor a *_message_*.csv")
    return found


def cut(stretch: Stretch, keep: np.ndarray) -> Stretch:
    """Return the rows of a stretch that bool[N] `keep` names, on the same clock."""
    return Stretch(*(getattr(stretch, name)[keep] for name in Stretch.__dataclass_fields__))


def _cut(recording: Recording, from_ns: int, to_ns: int, offset_s: float) -> tuple[Stretch, int]:
    """Return the visible rows in a window, and how many others there are."""
    first, past = (int(i) for i in np.searchsorted(recording.time_total_ns, (from_ns, to_ns)))
    visible = (recording.kind[first:past] <= rec.VISIBLE_EXECUTION) & ~recording.quarantined[first:past]
    rows = first + np.flatnonzero(visible)
    at_ns = recording.time_total_ns[rows] - from_ns
    stretch = Stretch(
        at_s=offset_s + at_ns / NS_PER_S,
        at_ns=at_ns,
        kind=recording.kind[rows],
        side=recording.side[rows],
        lots=recording.lots[rows].astype(np.int64),
        price_tick=recording.price_tick[rows].astype(np.int64),
        order_id=recording.order_id[rows],
        book=recording.book[rows].astype(np.int64),
    )
    return stretch, int((~visible).sum())
