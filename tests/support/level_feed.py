"""A generated order-by-order recording told as a raw Binance session: net level changes an interval, and prints."""

import gzip
import json
from pathlib import Path

import numpy as np

from market_models.datasets.recording import VISIBLE_EXECUTION, Recording

FIRST_MS = 1_700_006_400_000  # a midnight, UTC: seconds since midnight are seconds since the start


def write_session(recording: Recording, path: Path, interval_us: int) -> Path:
    """Write depth events every `interval_us` microseconds in which something changed, 0 for one a message.

    A microsecond of the recording is a millisecond of the session, the finest that Binance tells, so rates of the
    session are a thousandth. The first book is the snapshot.
    """
    time_us = recording.time_total_ns // 1000 - recording.time_total_ns[0] // 1000
    lines, update = [_snapshot(recording.book[0])], 0
    told = _levels(recording.book[0])
    for row in range(1, len(time_us)):
        if recording.kind[row] == VISIBLE_EXECUTION:
            lines.append(_trade(recording, row, int(time_us[row])))
        slot = row if not interval_us else time_us[row] // interval_us
        following = row + 1 if not interval_us else time_us[min(row + 1, len(time_us) - 1)] // interval_us
        if slot == following and row + 1 < len(time_us):
            continue
        now = _levels(recording.book[row])
        changed = {key: now.get(key, 0) for key in now.keys() | told.keys() if now.get(key, 0) != told.get(key, 0)}
        told = now
        if changed:
            at_us = int(time_us[row]) if not interval_us else int((slot + 1) * interval_us)
            lines.append(_depth(changed, at_us, update))
            update += 1
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines))
    return path


def _levels(book: np.ndarray) -> dict[tuple[int, int], int]:
    return {(side, int(price)): int(lots) for side in (0, 1) for price, lots in book[side] if lots}


def _texts(levels: dict[tuple[int, int], int], side: int) -> list[list[str]]:
    return [[f"{price / 100:.2f}", str(lots)] for (of_side, price), lots in levels.items() if of_side == side]


def _line(at_us: int, body: dict) -> str:
    return f"{FIRST_MS + at_us} {json.dumps(body)}"


def _snapshot(book: np.ndarray) -> str:
    levels = _levels(book)
    body = {"lastUpdateId": 0, "E": FIRST_MS, "T": FIRST_MS, "bids": _texts(levels, 0), "asks": _texts(levels, 1)}
    return _line(0, body)


def _trade(recording: Recording, row: int, at_us: int) -> str:
    price, lots = f"{recording.price_tick[row] / 100:.2f}", str(recording.lots[row])
    data = {"s": "TESTUSDT", "T": FIRST_MS + at_us, "p": price, "q": lots, "m": not recording.side[row], "X": "MARKET"}
    return _line(at_us, {"stream": "testusdt@trade", "data": data})


def _depth(changed: dict[tuple[int, int], int], at_us: int, update: int) -> str:
    data = {"s": "TESTUSDT", "T": FIRST_MS + at_us, "U": update, "u": update + 1, "pu": update}
    return _line(at_us, {"stream": "testusdt@depth", "data": data | {"b": _texts(changed, 0), "a": _texts(changed, 1)}})
