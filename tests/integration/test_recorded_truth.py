"""`data import` against what the data folder's own manifest and README say of each file."""

import csv
from pathlib import Path

import numpy as np
import pytest

from market_models.datasets import lobster, recording
from market_models.datasets.formats import ImportOptions, open_import
from market_models.datasets.formats.blocks import NULL
from market_models.datasets.venue_books import BinanceBook
from market_models.datasets.venue_books.base import LevelBook
from market_models.datasets.venue_books.binance import Diff

pytestmark = pytest.mark.data

FOLDERS = (
    *("l3/lobster", "l3/databento", "l3/itch", "l3/bats_pitch", "l3/bitstamp", "l3/bitfinex"),
    *(
        "l2/binance_raw",
        "l2/binance_ethbtc",
        "l2/cme_5level",
        "l2/databento",
        "l2/gdax",
        "l2/bybit",
        "l2/sgx",
        "l2/tardis",
    ),
    *("trades", "bars"),
)
SESSIONS = (
    *("BINANCE", "BINANCE_US", "BINANCE_FUTURES", "BINANCE_DELIVERY", "BITFINEX", "BYBIT", "COINBASE", "DERIBIT"),
    *("KRAKEN", "KRAKEN_FUTURES", "OKX"),
)
# Where the manifest's count is not that of the file's records, and why.
OTHER_ROWS = {
    "bars/crypto/Coinbase_BTCUSD_1h.csv.gz": (-1, "two header lines"),
    "bars/fx/6EH4.XCME_1min_bars_20240101_20240131.csv.gz": (+154, "29,997 lines, one of them the header"),
}
UNENDED_LAST_LINE = "trades/lean/"  # the manifest counts line ends, and the last line has none
TRUTHS = {
    "l2/cme_5level/gbpusd_16june_quotes_0503.parquet": {"crossed": 0, "locked": 159},
    "l2/cme_5level/xet_29sept_quotes_0804.parquet": {"crossed": 0, "unused": {"row without a quote": 1154}},
    "l3/bats_pitch/pitch_example_data.gz": {"back_steps": 691, "quarantined": {}},
    "l3/databento/esm4_mbo_2024-05-08T00-00-00_2s.dbn.zst": {"crossed": 0, "back_steps": 0, "rows": 13796},
    "l3/databento/esh4-glbx-mdp3-20231224.mbo.dbn.zst": {"back_steps": 0, "rows": 8725},
    "l2/databento/futures_mbp-1_2024-07-01T23-58_2024-07-02T00-02.dbn.zst": {"rows": 2288, "crossed": 0},
    "l2/databento/futures_trades_2024-07-01T23-58_2024-07-02T00-02.dbn.zst": {"rows": 120},
    "l2/sgx/order_book_3_2014_1_29.csv.xz": {"rows": 25309, "back_steps": 0},
    "l2/sgx/order_book_3_2014_1_9.csv.xz": {"rows": 26805, "back_steps": 0},
}
CROSSED_OR_LOCKED = {"l2/sgx/order_book_3_2014_1_29.csv.xz": 3, "l2/sgx/order_book_3_2014_1_9.csv.xz": 70}
MAY_CROSS = ("l2/sgx/", "l3/bitfinex/")
NEWEST_FIRST = "bars/crypto/Coinbase_BTCUSD_1h.csv.gz"


def manifest(data_dir: Path) -> dict[str, dict[str, str]]:
    with (data_dir / "manifest.csv").open(newline="", encoding="utf-8") as rows:
        return {row["file"]: row for row in csv.DictReader(rows)}


def test_rows_gaps_crossed_states_and_tiers_are_those_of_the_manifest(data_dir: Path) -> None:
    wrong = []
    for name, row in manifest(data_dir).items():
        is_session = name in {f"adapters/cryptofeed_v3/{venue}.jsonl.zst" for venue in SESSIONS}
        if not (name.startswith(FOLDERS) or is_session):
            continue
        with open_import(data_dir / name) as imported:
            report = imported.report
        said = {"tier": row["tier"], "gaps": 0}
        if row["rows"].isdigit():
            unended = int(name.startswith(UNENDED_LAST_LINE))
            said["rows"] = int(row["rows"]) + OTHER_ROWS.get(name, (unended, ""))[0]
        if not name.startswith(MAY_CROSS):
            said["crossed"] = 0
        said |= TRUTHS.get(name, {})
        is_ordered = name != NEWEST_FIRST and not name.startswith("l3/bats_pitch")
        said |= {"back_steps": 0} if is_ordered and "bars/daily" not in name else {}
        found = report.to_json()
        wrong += [(name, key, value, found[key]) for key, value in said.items() if found[key] != value]
        if name in CROSSED_OR_LOCKED and report.crossed + report.locked != CROSSED_OR_LOCKED[name]:
            wrong.append((name, "crossed or locked", CROSSED_OR_LOCKED[name], report.crossed + report.locked))
    assert not wrong


@pytest.mark.parametrize(
    "name", ["LOBSTER_SampleFile_AMZN_2012-06-21_5.zip", "LOBSTER_SampleFile_AAPL_2012-06-21_1.zip"]
)
def test_lobster_rows_are_those_of_the_reader_that_replays(name: str, data_dir: Path) -> None:
    path = data_dir / "l3/lobster" / name
    whole = lobster.read(path)
    keep = ~whole.quarantined
    with open_import(path) as imported:
        assert imported.report.digest == whole.digest
        assert dict(imported.report.quarantined) == whole.quarantine_counts
        rows = np.concatenate([block.rows for block in imported.blocks()])
    midnight_ns = 1_340_251_200_000_000_000  # 2012-06-21 00:00 in New York
    assert (rows["exchange_ns"] - midnight_ns == whole.time_total_ns[keep]).all()
    for own, column in (("event", whole.kind), ("side", whole.side), ("price", whole.price_tick)):
        assert (rows[own] == column[keep]).all(), own
    halts = rows["event"] == recording.HALT
    assert (rows["size"][~halts] == whole.lots[keep][~halts]).all()


def test_the_binance_book_equals_the_book_ticker_at_every_equal_update_id(data_dir: Path) -> None:
    import gzip
    import json

    book, last_id, compared, synced = BinanceBook(), 0, 0, False

    def levels(pairs: list[list[str]]) -> list[tuple[int, int]]:
        return [(round(float(price) * 100), round(float(size) * 1000)) for price, size in pairs]

    with gzip.open(data_dir / "l2/binance_raw/usdm/ethusdt_20240718.gz", "rt") as lines:
        for line in lines:
            message = json.loads(line.split(" ", 1)[1])
            data = message.get("data", message)
            if "lastUpdateId" in data:
                assert not book.on_snapshot(data["lastUpdateId"], levels(data["bids"]), levels(data["asks"])).broke
                synced = True
            elif data["e"] == "depthUpdate":
                diff = Diff(data["U"], data["u"], data["pu"], levels(data["b"]), levels(data["a"]))
                assert not book.on_diff(diff).broke
                last_id = data["u"]
            elif data["e"] == "bookTicker" and synced and data["u"] == last_id:
                touch = (round(float(data["b"]) * 100), round(float(data["a"]) * 100))
                assert book.book.touch == touch
                compared += 1
    assert compared > 20


def rebuilt(rows: np.ndarray) -> tuple[LevelBook, dict[int, tuple[int, int, int]]]:
    """Apply canonical order rows to an empty book, by plain dictionaries."""
    orders: dict[int, tuple[int, int, int]] = {}
    for row in rows.tolist():
        apply(orders, row)
    return levels_of(orders), orders


def apply(orders: dict[int, tuple[int, int, int]], row: tuple) -> None:
    _, _, _, event, side, order_id, price, size = row
    if event == recording.NEW:
        orders[order_id] = (side, price, size)
    elif event in (recording.PARTIAL_CANCEL, recording.VISIBLE_EXECUTION):
        left = orders[order_id][2] - size
        orders[order_id] = (*orders[order_id][:2], left)
        if left == 0:
            del orders[order_id]
    elif event == recording.FULL_CANCEL:
        orders.pop(order_id, None)


def levels_of(orders: dict[int, tuple[int, int, int]]) -> LevelBook:
    book = LevelBook()
    total: dict[tuple[int, int], int] = {}
    for side, price, size in orders.values():
        total[side, price] = total.get((side, price), 0) + size
    for (side, price), size in total.items():
        level = [(price, size)]
        book.apply(level if side == 0 else [], level if side == 1 else [])
    return book


def test_market_by_order_rows_rebuild_the_expected_ten_levels_at_every_time(data_dir: Path) -> None:
    with open_import(data_dir / "l3/databento/ARL_2025-07-17_mbo.csv.gz", ImportOptions(tick_size="0.005")) as imported:
        orders = np.concatenate([block.rows for block in imported.blocks() if block.kind == "orders"])
    path = data_dir / "l3/databento/ARL_2025-07-17_mbp10_expected.csv.gz"
    with open_import(path, ImportOptions(tick_size="0.005")) as imported:
        levels = np.concatenate([block.rows for block in imported.blocks() if block.kind == "levels"])
    resting: dict[int, tuple[int, int, int]] = {}
    compared, at = 0, 0
    for time_ns in np.unique(levels["exchange_ns"]):
        while at < len(orders) and orders["exchange_ns"][at] <= time_ns:
            apply(resting, orders[at].tolist())
            at += 1
        now = levels[levels["exchange_ns"] == time_ns]
        final = now[now["event_id"] == now["event_id"][-1]]
        starts = np.flatnonzero(
            (final["side"] == 0) & (final["price"] == final["price"][final["side"] == 0].max(initial=NULL))
        )
        final = final[starts[-1] :] if len(starts) else final
        book = levels_of(resting)
        for side in (0, 1):
            expected = [(row["price"], row["size"]) for row in final if row["side"] == side]
            assert [(price, book.sides[side][price]) for price in book.top(side, 10)] == expected, time_ns
        compared += 1
    assert compared > 1500


def test_bitstamp_orders_rebuild_the_recorded_best_levels(data_dir: Path) -> None:
    resting: dict[int, tuple[int, int, int]] = {}
    with open_import(data_dir / "l3/bitstamp/2015-05-01_0000-0504.log.xz") as imported:
        parts = [block for block in imported.blocks() if block.kind in ("orders", "levels")]
    orders = np.concatenate([block.rows for block in parts if block.kind == "orders"])
    levels = np.concatenate([block.rows for block in parts if block.kind == "levels"])
    times = np.unique(levels["local_ns"])
    warm = times[times > times[0] + 2 * 3_600 * 10**9][::10]
    equal, at = 0, 0
    for time_ns in warm:
        while at < len(orders) and orders["local_ns"][at] <= time_ns:
            side, order_id = orders["side"][at], int(orders["order_id"][at])
            event, size = orders["event"][at], int(orders["size"][at])
            if event == recording.NEW:
                resting[order_id] = (int(side), int(orders["price"][at]), size)
            elif event == recording.FULL_CANCEL:
                resting.pop(order_id, None)
            at += 1
        snapshot = levels[levels["local_ns"] == time_ns]
        bids, asks = snapshot[snapshot["side"] == 0], snapshot[snapshot["side"] == 1]
        own = [[price for side, price, _ in resting.values() if side == wanted] for wanted in (0, 1)]
        equal += max(own[0]) == bids["price"].max() and min(own[1]) == asks["price"].min()
    assert equal >= 0.9 * len(warm), (equal, len(warm))
