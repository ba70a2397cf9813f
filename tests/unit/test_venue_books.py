"""Venue books: a lost, repeated or altered message is told at the next one; a whole stream never is.

The streams are made here, with ids and checksums computed by plain code of their own.
"""

import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from market_models.datasets.venue_books import (
    BinanceBook,
    BitfinexBook,
    BybitBook,
    CoinbaseBook,
    DeribitBook,
    KrakenBook,
    KrakenFuturesBook,
    OkxBook,
    Outcome,
    SequenceChain,
)
from market_models.datasets.venue_books.base import LevelBook
from market_models.datasets.venue_books.binance import Diff
from market_models.datasets.venue_books.checksummed import TextLevel

LENGTH = 40
Step = tuple[str, tuple[Any, ...]]  # method, arguments


class Market:
    """Random changes of a book that is never crossed, and what it then holds."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for step in range(1, 31):
            self.sides[0][10_000 - step], self.sides[1][10_000 + step] = step * 7, step * 11

    def change(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        out: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for side in (0, 1):
            price = 10_000 + (1 if side else -1) * self.rng.randint(1, 30)
            size = self.rng.choice([0, self.rng.randint(1, 500)])
            if len(self.sides[side]) < 12:
                size = self.rng.randint(1, 500)
            out[side].append((price, size))
            if size:
                self.sides[side][price] = size
            else:
                self.sides[side].pop(price, None)
        return out

    def top(self, side: int, count: int) -> list[tuple[int, int]]:
        return sorted(self.sides[side].items(), reverse=side == 0)[:count]


def text(levels: list[tuple[int, int]], sign: str = "") -> list[TextLevel]:
    return [TextLevel(price, size, f"0.{price:06d}", f"{sign}{size // 100}.{size % 100:02d}") for price, size in levels]


def signed(crc: int) -> int:
    return crc - 2**32 if crc >= 2**31 else crc


def by_turns(market: Market, negative_asks: bool) -> int:
    parts = []
    bids, asks = text(market.top(0, 25)), text(market.top(1, 25), "-" if negative_asks else "")
    for index in range(25):
        for levels in (bids, asks):
            if index < len(levels):
                parts += [levels[index].price_text, levels[index].size_text]
    return signed(zlib.crc32(":".join(parts).encode()))


def kraken_checksum(market: Market) -> int:
    parts = [
        part for side in (1, 0) for level in text(market.top(side, 10)) for part in (level.price_text, level.size_text)
    ]
    return zlib.crc32("".join(part.replace(".", "").lstrip("0") for part in parts).encode())


def binance(market: Market, spot: bool) -> list[Step]:
    steps: list[Step] = [("on_snapshot", (100, market.top(0, 99), market.top(1, 99)))]
    last = 100
    for _ in range(LENGTH):
        first = last + 1 if spot else last + 3
        bids, asks = market.change()
        steps.append(("on_diff", (Diff(first, first + 4, None if spot else last, bids, asks),)))
        last = first + 4
    return steps


def bybit(market: Market) -> list[Step]:
    steps: list[Step] = [("on_snapshot", (7, market.top(0, 99), market.top(1, 99)))]
    return steps + [("on_delta", (8 + i, *market.change())) for i in range(LENGTH)]


def deribit(market: Market) -> list[Step]:
    steps: list[Step] = [("on_snapshot", (70, market.top(0, 99), market.top(1, 99)))]
    return steps + [("on_change", (80 + 10 * i, 70 + 10 * i, *market.change())) for i in range(LENGTH)]


def kraken_futures(market: Market) -> list[Step]:
    steps: list[Step] = [("on_snapshot", (7, market.top(0, 99), market.top(1, 99)))]
    return steps + [("on_change", (8 + i, *market.change())) for i in range(LENGTH)]


def okx_sequence(market: Market) -> list[Step]:
    steps: list[Step] = [("on_snapshot", (text(market.top(0, 99)), text(market.top(1, 99)), 10, None))]
    for i in range(LENGTH):
        bids, asks = market.change()
        steps.append(("on_update", (text(bids), text(asks), 20 + 10 * i, 10 + 10 * i, None)))
    return steps


def okx_checksum(market: Market) -> list[Step]:
    snapshot = (text(market.top(0, 99)), text(market.top(1, 99)), None, by_turns(market, False))
    steps: list[Step] = [("on_snapshot", snapshot)]
    for _ in range(LENGTH):
        bids, asks = market.change()
        steps.append(("on_update", (text(bids), text(asks), None, None, by_turns(market, False))))
    return steps


def kraken(market: Market) -> list[Step]:
    steps: list[Step] = [("on_snapshot", (text(market.top(0, 99)), text(market.top(1, 99))))]
    for _ in range(LENGTH):
        bids, asks = market.change()
        steps.append(("on_update", (text(bids), text(asks), kraken_checksum(market))))
    return steps


SEQUENCED: dict[str, tuple[Callable[[], Any], Callable[[Market], list[Step]]]] = {
    "binance spot": (BinanceBook, lambda market: binance(market, True)),
    "binance futures": (BinanceBook, lambda market: binance(market, False)),
    "bybit": (BybitBook, bybit),
    "deribit": (DeribitBook, deribit),
    "kraken futures": (KrakenFuturesBook, kraken_futures),
    "okx by sequence": (OkxBook, okx_sequence),
}
CHECKSUMMED: dict[str, tuple[Callable[[], Any], Callable[[Market], list[Step]]]] = {
    "okx by checksum": (OkxBook, okx_checksum),
    "kraken": (lambda: KrakenBook(1000), kraken),
}
ALL = SEQUENCED | CHECKSUMMED


def play(book: Any, steps: list[Step]) -> list[Outcome]:
    return [getattr(book, method)(*arguments) for method, arguments in steps]


@pytest.mark.parametrize("name", ALL)
def test_a_whole_stream_is_applied_and_gives_the_book(name: str) -> None:
    for seed in range(5):
        new, make = ALL[name]
        market, book = Market(seed), new()
        assert set(play(book, make(market))) == {Outcome.APPLIED}
        assert book.synced and book.book.sides == market.sides
        assert book.book.touch == (max(market.sides[0]), min(market.sides[1]))


@pytest.mark.parametrize("name", ALL)
def test_a_lost_message_is_told_by_the_next_one_and_a_snapshot_heals(name: str) -> None:
    new, make = ALL[name]
    for lost in range(1, LENGTH - 1):
        steps, book = make(Market(lost)), new()
        changes_top = name in SEQUENCED or changes_checksum(name, steps, lost)
        outcomes = play(book, steps[:lost] + steps[lost + 1 : lost + 2])
        if changes_top:
            assert outcomes[-1].broke, lost
            assert not book.synced
        if name.startswith("binance"):
            assert play(book, steps[:1]) == [Outcome.STALE] and not book.synced  # older than what was lost
            assert book.on_snapshot(steps[lost + 1][1][0].last, [], []) is Outcome.APPLIED
        else:
            assert play(book, steps[:1]) == [Outcome.APPLIED]
        assert book.synced


def changes_checksum(name: str, steps: list[Step], lost: int) -> bool:
    """A lost change below the levels that the checksum covers cannot be told, nor one that the next undoes."""
    return steps[lost][1][-1] != steps[lost - 1][1][-1] if lost > 1 else False


# Binance's stream begins without a snapshot, which comes by REST.
@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("binance")])
def test_the_lost_snapshot_is_told_by_the_first_change(name: str) -> None:
    new, make = ALL[name]
    book = new()
    outcomes = play(book, make(Market(1))[1:4])
    assert outcomes[0].broke and not book.synced
    assert not any(outcome is Outcome.APPLIED for outcome in outcomes)


@pytest.mark.parametrize("name", SEQUENCED)
def test_a_repeated_or_reordered_message_is_told_at_once(name: str) -> None:
    new, make = SEQUENCED[name]
    steps = make(Market(3))
    book = new()
    assert play(book, [*steps[:10], steps[9]])[-1].broke
    book = new()
    outcomes = play(book, [*steps[:10], steps[11], steps[10]])
    assert outcomes[-2].broke


@pytest.mark.parametrize("name", CHECKSUMMED)
def test_an_altered_level_is_told_by_the_checksum_of_its_message(name: str) -> None:
    new, make = CHECKSUMMED[name]
    for altered in range(1, LENGTH):
        market = Market(altered)
        steps, book = make(market), new()
        method, (bids, asks, *rest) = steps[altered]
        best = [TextLevel(9_999, 123_456, "0.009999", "1234.56")]
        outcomes = play(book, [*steps[:altered], (method, (bids + best, asks, *rest))])
        assert outcomes[-1] is Outcome.CHECKSUM and not book.synced


def test_bitfinex_compares_the_checksum_that_comes_in_a_message_of_its_own() -> None:
    market, book = Market(5), BitfinexBook()
    book.on_snapshot(text(market.top(0, 99)), text(market.top(1, 99), "-"))
    for _ in range(LENGTH):
        bids, asks = market.change()
        assert book.on_update(text(bids), text(asks, "-")) is Outcome.APPLIED
        assert book.on_checksum(by_turns(market, True)) is Outcome.APPLIED
    assert book.on_checksum(by_turns(market, True) + 1) is Outcome.CHECKSUM


def test_coinbase_and_its_connection_sequence() -> None:
    book, chain = CoinbaseBook(), SequenceChain()
    assert book.on_change([(1, 1)], []).broke
    assert book.on_snapshot([(1, 1)], [(2, 1)]) is Outcome.APPLIED
    assert [chain.follow(number) for number in (5, 6, 7, 9, 10, 10)] == [True, True, True, False, True, False]


def test_bybit_begins_anew_where_the_update_id_is_one() -> None:
    book = BybitBook()
    book.on_snapshot(50, [(9, 1)], [(11, 1)])
    assert book.on_delta(1, [(8, 2)], [(12, 2)]) is Outcome.APPLIED
    assert book.book.sides == ({8: 2}, {12: 2})
    assert book.on_delta(2, [(8, 0)], []) is Outcome.APPLIED


def test_binance_uses_the_diffs_that_came_before_the_snapshot() -> None:
    for spot in (True, False):
        book = BinanceBook()
        before = None if spot else 80
        chain = [Diff(90, 95, before, [(5, 1)], []), Diff(96, 104, None if spot else 95, [(6, 2)], [(9, 9)])]
        assert [book.on_diff(diff) for diff in chain] == [Outcome.WAITING, Outcome.WAITING]
        assert book.on_snapshot(100, [(4, 4)], [(8, 8)]) is Outcome.APPLIED
        assert book.replayed == chain[1:]
        assert book.synced and book.book.sides == ({4: 4, 6: 2}, {8: 8, 9: 9})
        assert book.on_snapshot(50, [(1, 1)], []) is Outcome.STALE


@pytest.mark.parametrize("spot", [True, False])
def test_binance_refuses_a_snapshot_that_the_diffs_do_not_reach(spot: bool) -> None:
    book = BinanceBook()
    book.on_snapshot(100, [(4, 4)], [(8, 8)])
    assert book.on_diff(Diff(90, 99, None if spot else 89, [], [])) is Outcome.STALE
    book = BinanceBook()
    book.on_snapshot(100, [(4, 4)], [(8, 8)])
    late = Diff(103, 109, None if spot else 102, [(3, 3)], [])
    assert book.on_diff(late) is Outcome.GAP and not book.synced
    assert book.on_snapshot(101, [(4, 4)], []) is Outcome.STALE and not book.synced
    assert book.on_snapshot(105, [(4, 4)], []) is Outcome.APPLIED and book.replayed == [late]
    assert book.synced and book.book.sides[0] == {4: 4, 3: 3}


def test_the_best_price_of_a_book_is_that_of_a_plain_search() -> None:
    rng, book = random.Random(0), LevelBook()
    plain: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for _ in range(3_000):
        side, price, size = rng.randint(0, 1), rng.randint(-20, 20), rng.choice([0, 0, 1, 5])
        level = [(price, size)]
        book.apply(level if side == 0 else [], level if side == 1 else [])
        plain[side][price] = size
        for which, pick in ((0, max), (1, min)):
            assert book.best(which) == pick((p for p, s in plain[which].items() if s), default=None)


def test_kraken_forgets_the_levels_beyond_its_depth() -> None:
    book = KrakenBook(10)
    levels = [(10_000 - i, i) for i in range(1, 11)]
    book.on_snapshot(text(levels), [])
    assert book.on_update(text([(10_000, 5)]), [], None) is Outcome.APPLIED
    assert sorted(book.book.sides[0]) == list(range(9_991, 10_001))
