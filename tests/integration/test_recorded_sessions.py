"""Recorded sessions of exchanges with frames taken out, altered or damaged: told as gaps, or quarantined."""

import io
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from market_models.datasets.errors import DataError
from market_models.datasets.formats import open_import

pytestmark = pytest.mark.data

# What marks a frame of a book, and which venues tell an altered level by a checksum.
BOOK_FRAMES = {
    "BINANCE": "depthUpdate",
    "BINANCE_US": "depthUpdate",
    "BINANCE_FUTURES": "depthUpdate",
    "BINANCE_DELIVERY": "depthUpdate",
    "BITFINEX": r"^\[\d+,\[[\d.e-]+,\d+,-?[\d.]+\],\d+\]$",
    "BYBIT": '"orderbook[^}]*"type":"delta"',
    "COINBASE": '"l2_data".*"type":"update"',
    "DERIBIT": '"type":"change"',
    "KRAKEN": r'"c":"\d+"',
    "KRAKEN_FUTURES": r'^\{"feed":"book",',
    "OKX": '"action":"update"',
}
CHECKSUMMED = ("KRAKEN", "OKX")


def read_lines(data_dir: Path, venue: str) -> list[str]:
    with (data_dir / f"adapters/cryptofeed_v3/{venue}.jsonl.zst").open("rb") as file:
        return list(io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"))


def short(lines: list[str], venue: str) -> list[str]:
    """Return a session that ends after 400 frames: what happens later is the same again."""
    begins = next(i for i, line in enumerate(lines) if '"t":"recv"' in line)
    return lines[: begins + 400]


def frame_of(line: str) -> str:
    record = json.loads(line)
    return record["data"] if record["t"] == "recv" else ""


def gaps_of(path: Path, lines: list[str]) -> int:
    path.write_text("".join(lines))
    with open_import(path) as imported:
        assert imported.report.rows == len(lines)
        return imported.report.gaps


def book_of(frame: str) -> str:
    """Return what names the book of a frame."""
    found = re.search(
        r'"(?:s|product_id|instrument_name|instId)":"([^"]+)"|"book-\d+","([^"]+)"|"stream":"([^"]+)"|^\[(\d+),', frame
    )
    return next(filter(None, found.groups())) if found else ""


@pytest.mark.parametrize("venue", BOOK_FRAMES)
def test_a_frame_that_is_lost_is_told(venue: str, data_dir: Path, tmp_path: Path) -> None:
    lines = read_lines(data_dir, venue)
    books = [i for i, line in enumerate(lines) if re.search(BOOK_FRAMES[venue], frame_of(line))]
    name = {i: book_of(frame_of(lines[i])) for i in books}
    # Not a book's first frame (a snapshot by REST may contain it) nor its last (nothing follows that could tell).
    inner = [
        i for k, i in enumerate(books) if name[i] in {name[j] for j in books[:k]} & {name[j] for j in books[k + 1 :]}
    ]
    assert inner
    path, told = tmp_path / f"{venue}.jsonl", 0
    chosen = random.Random(1).sample(inner, min(6, len(inner)))
    for index in chosen:
        told += gaps_of(path, lines[:index] + lines[index + 1 :]) >= 1
    # A checksum covers the best levels only: a change below them is told when it comes up.
    assert told == len(chosen) if venue not in CHECKSUMMED else told >= 1


def alter_ids(frame: str) -> str:
    """Return the frame with its sequence number raised by three (Bybit has a `seq` besides, which may skip)."""
    numbers = r'("(?:u|sequence_num|prev_change_id)":|"feed":"book".*"seq":)(\d+)|(,)(\d+)(?=\]$)'
    found = list(re.finditer(numbers, frame))[-1]
    head, number = (found[1], found[2]) if found[1] else (found[3], found[4])
    return frame[: found.start()] + f"{head}{int(number) + 3}" + frame[found.end() :]


def alter_checksum(frame: str) -> str:
    return re.sub(r'("c":"|"checksum":-?)(\d+)', lambda found: f"{found[1]}{int(found[2]) ^ 1}", frame, count=1)


@pytest.mark.parametrize("venue", BOOK_FRAMES)
def test_an_altered_frame_is_told(venue: str, data_dir: Path, tmp_path: Path) -> None:
    lines = read_lines(data_dir, venue)
    books = [i for i, line in enumerate(lines) if re.search(BOOK_FRAMES[venue], frame_of(line))]
    alter: Callable[[str], str] = alter_checksum if venue in CHECKSUMMED else alter_ids
    path = tmp_path / f"{venue}.jsonl"
    for index in random.Random(2).sample(books, min(5, len(books))):
        record = json.loads(lines[index])
        record["data"] = alter(record["data"])
        changed = [*lines[:index], json.dumps(record) + "\n", *lines[index + 1 :]]
        assert gaps_of(path, changed) >= 1, record["data"][:300]


@pytest.mark.parametrize("venue", BOOK_FRAMES)
def test_damaged_frames_are_quarantined_and_counted(venue: str, data_dir: Path, tmp_path: Path) -> None:
    lines, rng = short(read_lines(data_dir, venue), venue), random.Random(3)
    path = tmp_path / f"{venue}.jsonl"
    for _ in range(6):
        damaged = [lines[0]] + [damage(line, rng) if rng.random() < 0.3 else line for line in lines[1:]]
        path.write_text("".join(damaged))
        try:
            with open_import(path) as imported:
                report = imported.report
        except DataError:
            continue
        assert report.rows == len(damaged)
        assert report.quarantined.total() > 0


def damage(line: str, rng: random.Random) -> str:
    """Damage the frame inside the line, or the line, keeping it one line."""
    record = json.loads(line)
    if record["t"] in ("recv", "http") and rng.random() < 0.8:
        record["data"] = scramble(record["data"], rng)
        return json.dumps(record) + "\n"
    return scramble(line.rstrip("\n"), rng).replace("\n", " ") + "\n"


def scramble(text: str, rng: random.Random) -> str:
    kind, at = rng.randrange(7), rng.randrange(max(len(text), 1))
    numbers = list(re.finditer(r"-?\d+(\.\d+)?", text))
    if kind <= 1:
        return text[:at] + (chr(rng.randrange(32, 127)) + text[at + 1 :] if kind else "")
    if kind == 2 and numbers:
        found = rng.choice(numbers)
        replacement = rng.choice(["-1", "1e999", "null", "9" * 40, '""', "[]", "{}", "0", "true", '"x"', "1.5"])
        return text[: found.start()] + replacement + text[found.end() :]
    if kind == 3:
        return text[:at] + text[at + rng.randrange(1, 10) :]
    if kind == 4:
        return rng.choice(["{}", "[]", "null", "1", '"x"', "[[]]", '[1,"x"]', '{"data":1,"stream":2}', "[5,[1],2]"])
    if kind == 5:
        return re.sub(
            r'"([A-Za-z_]{1,20})":', lambda found: f'"{found[1]}x":' if rng.random() < 0.3 else found[0], text
        )
    return text[:at] + text[at : at + 30] + text[at:]
