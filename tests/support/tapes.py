"""Tapes written by hand or drawn, for the scorecard."""

import numpy as np

from kernels.lob.spec import BUY, SELL
from market_models.datasets.recording import FULL_CANCEL, NEW, VISIBLE_EXECUTION
from market_models.scorecard.tape import Stretch, Tape


def stretch(rows: list[tuple], books: list[tuple[list, list]], start_s: float = 0.0) -> Stretch:
    """Return rows (ns, kind, side, lots, price, id) with books ([(bid price, lots), ..], [(ask price, lots), ..])."""
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    levels = max(len(side) for book in books for side in book)
    book = np.zeros((len(books), 2, levels, 2), np.int64)
    for i, sides in enumerate(books):
        for side, held in zip((BUY, SELL), sides, strict=True):
            book[i, side, : len(held)] = np.array(held).reshape(-1, 2)
    at_ns, kind, side, lots, price_tick, order_id = columns
    return Stretch(start_s + at_ns / 1e9, at_ns, kind, side, lots, price_tick, order_id, book)


def random_tape(name: str, seed: int, rows: int = 6000, wait_s: float = 0.2, jump: float = 0.3) -> Tape:
    """Return a market of independent messages: a mid that walks, two levels a side, one trade in ten."""
    rng = np.random.default_rng(seed)
    at_ns = np.cumsum(np.maximum(rng.exponential(wait_s, rows), 1e-6) * 1e9).astype(np.int64)
    kind = rng.choice([NEW, FULL_CANCEL, VISIBLE_EXECUTION], rows, p=[0.5, 0.4, 0.1])
    side, lots = rng.integers(0, 2, rows), rng.integers(1, 100, rows)
    middle = 10_000 + np.cumsum(rng.choice([-1, 0, 1], rows, p=[jump / 2, 1 - jump, jump / 2]))
    half = rng.integers(1, 4, rows)
    book = np.zeros((rows, 2, 2, 2), np.int64)
    for which, sign in ((BUY, -1), (SELL, 1)):
        book[:, which, :, 0] = (middle + sign * half)[:, None] + sign * np.arange(2)
        book[:, which, :, 1] = rng.integers(1, 200, (rows, 2))
    price = book[np.arange(rows), side, rng.integers(0, 2, rows), 0]
    order_id = rng.integers(1, rows, rows)
    whole = Stretch(at_ns / 1e9, at_ns, kind, side, lots, price, order_id, book)
    return Tape(name, (whole,), float(at_ns[-1] + 1) / 1e9, 0)
