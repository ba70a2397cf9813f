"""A small made-up file of every recorded format, for the contract tests. Nothing here is recorded data.

Each sample says its file name, its bytes, and what a right import counts. Times and prices are arbitrary.
"""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.feather as feather_io
import pyarrow.parquet as pq

T0_MS = 1_700_000_000_000
T0_NS = T0_MS * 1_000_000


class Sample(NamedTuple):
    """One file and what it holds."""

    name: str
    data: bytes
    rows: int
    stored: dict[str, int]  # canonical rows by kind
    is_lines: bool = False  # every line but the first may stand anywhere
    beside: tuple[tuple[str, bytes], ...] = ()  # files that must lie beside it


def _lines(*rows: str, end: str = "\n") -> bytes:
    return (end.join(rows) + end).encode()


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _zip(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def lobster() -> Sample:
    messages = _lines(
        "34200.000000001,1,11,10,1000100,1",
        "34200.5,1,12,20,1000300,-1",
        "34201,4,11,5,1000100,1",
        "34202,3,12,20,1000300,-1",
    )
    books = _lines("1000300,20,1000100,10", "1000300,20,1000100,10", "1000300,20,1000100,5", "9999999999,0,1000100,5")
    names = ("ABCD_2020-01-02_34200000_57600000_message_1.csv", "ABCD_2020-01-02_34200000_57600000_orderbook_1.csv")
    return Sample(names[0], messages, 4, {"orders": 4}, beside=((names[1], books),))


def binance_raw() -> Sample:
    def diff(first: int, last: int, before: int, bids: list[list[str]], asks: list[list[str]]) -> str:
        data = {"e": "depthUpdate", "E": T0_MS, "T": T0_MS, "s": "ABCUSDT", "U": first, "u": last, "pu": before}
        return _json({"stream": "abcusdt@depth@0ms", "data": data | {"b": bids, "a": asks}})

    snapshot = _json({"lastUpdateId": 105, "bids": [["10.0", "1"]], "asks": [["10.2", "2"]]})
    quote = {
        "e": "bookTicker",
        "u": 110,
        "s": "ABCUSDT",
        "b": "10.1",
        "B": "3",
        "a": "10.2",
        "A": "2",
        "T": T0_MS,
        "E": T0_MS,
    }
    trade = {"e": "trade", "E": T0_MS, "T": T0_MS, "s": "ABCUSDT", "t": 7, "p": "10.2", "q": "0.5", "m": False}
    rows = [
        diff(90, 100, 80, [["9.9", "1"]], []),
        diff(101, 108, 100, [["10.1", "3"]], []),
        snapshot,
        diff(109, 110, 108, [], [["10.3", "1"]]),
        _json({"stream": "abcusdt@bookTicker", "data": quote}),
        _json({"stream": "abcusdt@trade", "data": trade}),
    ]
    text = _lines(*(f"{T0_NS + i} {row}" for i, row in enumerate(rows)))
    # The diff that straddles the snapshot is written before it and again after it.
    return Sample("abcusdt_20231114.dat", text, 6, {"levels": 6, "quotes": 1, "trades": 1}, True)


def binance_json() -> Sample:
    trades = [
        {
            "e": "aggTrade",
            "E": T0_MS + i,
            "s": "ABCBTC",
            "a": 50 + i,
            "p": "0.0281",
            "q": "2.5",
            "f": i,
            "l": i,
            "T": T0_MS + i,
            "m": True,
        }
        for i in range(5)
    ]
    return Sample("ABCBTC_trades.json", json.dumps(trades).encode(), 5, {"trades": 5})


def bitfinex_l3() -> Sample:
    info = {"event": "info", "version": 2, "serverId": "x", "platform": {"status": 1}}
    subscribed = {"event": "subscribed", "channel": "book", "chanId": 5, "symbol": "tABCUSD", "prec": "R0"}
    frames = [[5, [[1, 100, 0.5], [2, 101, -0.25]]], [5, [3, 100.5, 1.5]], [5, [1, 0, 1]], [5, "hb"]]
    text = json.dumps([info, subscribed, *frames]).encode()
    return Sample("feed.json", text, 6, {"orders": 4})


def bitstamp() -> Sample:
    def order(event: str, amount: str, number: int, at: int) -> str:
        data = {"price": "236.47", "amount": amount, "datetime": "1430438404", "id": number, "order_type": 0}
        return f"{1430438404518 + at} order_{event} {json.dumps(data)}"

    trade = f"1430438404620 trade {json.dumps({'price': 236.47, 'amount': 0.5, 'id': 9})}"
    book = f"1430438404700 order_book {json.dumps({'bids': [['236.47', '1.5']], 'asks': [['236.5', '1']]})}"
    rows = [
        order("created", "2.0", 7, 0),
        order("changed", "1.5", 7, 100),
        trade,
        book,
        order("deleted", "1.5", 7, 300),
    ]
    return Sample("day.log", _lines(*rows), 5, {"orders": 3, "trades": 1, "levels": 2}, True)


def bats_pitch() -> Sample:
    rows = [
        "S28800011AAK27GA0000DTS000100SH    0000619200Y",
        "S28800012AAK27GA0000DUB000300ABCDEF0000619000Y",
        "S28800013EAK27GA0000DT0000401K27GA0000XA",
        "S28800014XAK27GA0000DT000060",
        "S28800015P4K27GA00004PB000300DXD   0000499600000N4AQ00003",
    ]
    rows[2] = "S28800013EAK27GA0000DT0000401K27GA0000XAB"[:40]
    return Sample("pitch_example", _lines(*rows, end="\r\n"), 5, {"orders": 5, "trades": 2}, True)


def databento_dbn() -> Sample:
    import databento_dbn as dbn

    metadata = dbn.Metadata(
        dataset="GLBX.MDP3",
        start=0,
        stype_in=dbn.SType.RAW_SYMBOL,
        stype_out=dbn.SType.INSTRUMENT_ID,
        schema=dbn.Schema.MBO,
        symbols=["ABC"],
        partial=[],
        not_found=[],
        mappings=[],
        end=None,
        limit=None,
    )
    # rtype 160: length in 4-byte words, rtype, publisher, instrument, ts_event; then order id, price, size, flags,
    # channel, action, side, ts_recv, delta, sequence.
    layout = struct.Struct("<BBHIQQqIBBccQiI")
    rows = [
        ("A", "B", 1, 5_000, 10),
        ("A", "A", 2, 5_010, 7),
        ("T", "A", 0, 5_000, 4),
        ("F", "B", 1, 5_000, 4),
        ("C", "B", 1, 5_000, 4),
    ]
    records = [
        layout.pack(
            14,
            160,
            1,
            77,
            T0_NS + i,
            number,
            price * 10**9,
            size,
            128,
            0,
            action.encode(),
            side.encode(),
            T0_NS + i,
            0,
            i,
        )
        for i, (action, side, number, price, size) in enumerate(rows)
    ]
    return Sample("abc.mbo.dbn", metadata.encode() + b"".join(records), 5, {"orders": 3, "trades": 1})


def databento_csv() -> Sample:
    header = (
        "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,price,size,channel_id,order_id,flags,"
        "ts_in_delta,sequence,symbol"
    )
    at = "2025-07-17T08:05:03.36084{}Z,2025-07-17T08:05:03.36067{}Z,160,2,1108"
    rows = ["R,N,,0,0,0,8,0,1", "A,B,5.51,100,0,11,130,0,2", "A,A,5.6,50,0,12,130,0,3", "C,B,5.51,100,0,11,130,0,4"]
    text = _lines(header, *(f"{at.format(i, i)},{row},ABC" for i, row in enumerate(rows)))
    return Sample("ABC_mbo.csv", text, 4, {"orders": 3}, True)


def itch() -> Sample:
    def message(kind: bytes, body: bytes, at: int) -> bytes:
        text = kind + struct.pack(">HH", 1, 0) + (34_200 * 10**9 + at).to_bytes(6, "big") + body
        return struct.pack(">H", len(text)) + text

    add = struct.Struct(">QcI8sI")
    parts = [
        message(b"S", b"O", 0),
        message(b"A", add.pack(5, b"B", 100, b"ABC     ", 1_000_000), 1),
        message(b"A", add.pack(6, b"S", 50, b"ABC     ", 1_000_200), 2),
        message(b"E", struct.pack(">QIQ", 5, 30, 900), 3),
        message(b"X", struct.pack(">QI", 5, 20), 4),
        message(b"U", struct.pack(">QQII", 6, 7, 40, 1_000_300), 5),
        message(b"D", struct.pack(">Q", 7), 6),
        message(b"P", struct.pack(">QcI8sIQ", 0, b"B", 10, b"ABC     ", 1_000_100, 901), 7),
    ]
    return Sample("20200102.TEST_ITCH_50", b"".join(parts), 8, {"orders": 8, "trades": 2})


def _bybit_rows() -> list[str]:
    def book(kind: str, number: int, bids: list[list[str]], asks: list[list[str]]) -> str:
        data = {"s": "ABCUSDT", "b": bids, "a": asks, "u": number, "seq": number}
        message = {"topic": "orderbook.500.ABCUSDT", "type": kind, "ts": T0_MS, "data": data, "cts": T0_MS + number}
        return _json(message)

    return [
        book("snapshot", 20, [["1.95", "6"]], [["1.97", "5"]]),
        book("delta", 21, [["1.96", "2"]], []),
        book("delta", 22, [], [["1.97", "0"], ["1.98", "1"]]),
    ]


def bybit_ob() -> Sample:
    text = _lines(*_bybit_rows())
    return Sample("2023-11-14_ABCUSDT_ob500.data", text, 3, {"levels": 5}, True)


def cme() -> Sample:
    columns: dict[str, list] = {"transact_time": [T0_MS * 1000 + i for i in range(4)]}
    for level in range(5):
        for side, sign in (("bid", -1), ("offer", 1)):
            columns[f"{side}_price_{level}"] = [1.25 + sign * 0.0001 * (level + 1)] * 3 + [float("nan")]
            columns[f"{side}_quantity_{level}"] = [3.0 + level] * 3 + [float("nan")]
    table = pa.table({**columns, "transact_time": pa.array(columns["transact_time"], pa.timestamp("us"))})
    out = io.BytesIO()
    pq.write_table(table, out)
    return Sample("abc_quotes_1.parquet", out.getvalue(), 4, {"levels": 30})


def gdax() -> Sample:
    rows = [
        f"{side},{price},{size},2018-04-24T03:52:17.{i}00Z"
        for i, (side, price, size) in enumerate(
            [("buy", "9170.51", "0.01"), ("sell", "9191.16", "0.5"), ("buy", "9170.51", "0.0")]
        )
    ]
    return Sample("l2update_2.csv", _lines("side,price,size,time", *rows), 3, {"levels": 3}, True)


def sgx() -> Sample:
    rows = ["Bid,Bid_Quantity,Ask,Ask_Quantity"]
    for i in range(3):
        rows += [
            f"TimeStamp,2014-01-29D08:46:0{i}.040796000",
            "672000.0,16.0,678000.0,16.0",
            "671000.0,16.0,679000.0,2.0",
        ]
    return Sample("order_book.csv", _lines(*rows), 3, {"levels": 12})


def session() -> Sample:
    rows = [
        _json({"t": "header", "format": 2, "exchange": "BYBIT", "recorded": 1.5}),
        _json({"t": "connect", "conn": "c", "ts": 1700000000.5, "addr": "wss://stream.bybit.com/v5/public/linear"}),
        *(_json({"t": "recv", "conn": "c", "ts": 1700000000.6, "data": row}) for row in _bybit_rows()),
    ]
    return Sample("BYBIT.jsonl", _lines(*rows), 5, {"levels": 5}, True)


def bars_json() -> Sample:
    bars = [
        {"O": 0.07, "H": 0.08, "L": 0.06, "C": 0.075, "V": 4.5, "T": f"2017-11-30T08:5{i}:00", "BV": 3.5}
        for i in range(5)
    ]
    return Sample("venue_ABC_1m.json", json.dumps(bars).encode(), 5, {"bars": 5})


def history() -> Sample:
    about = {
        "venue": "binance",
        "symbol": "ABC/USDT",
        "market": "ABCUSDT",
        "kind": "trades",
        "timeframe": "1m",
        "step": 1,
    }
    table = pa.table(
        {
            "id": [100 + i for i in range(5)],
            "time_ms": [T0_MS + i for i in range(5)],
            "side": ["buy", "sell", "buy", "buy", "sell"],
            "price": ["0.0014", "0.0015", "0.0016", "0.0014", "0.0015"],
            "size": ["23.0", "54.0", "1.5", "2.0", "3.0"],
        }
    ).replace_schema_metadata({"bookswarm.history": _json(about)})
    out = io.BytesIO()
    pq.write_table(table, out)
    return Sample("binance_ABCUSDT_trades.parquet", out.getvalue(), 5, {"trades": 5})


def feather() -> Sample:
    table = pa.table(
        {
            "timestamp": [T0_MS + i for i in range(5)],
            "id": [str(100 + i) for i in range(5)],
            "type": pa.nulls(5),
            "side": ["buy", "sell", "buy", "buy", "sell"],
            "price": [0.0014, 0.0015, 0.0016, 0.0014, 0.0015],
            "amount": [23.0, 54.0, 1.5, 2.0, 3.0],
            "cost": [0.1] * 5,
        }
    )
    out = io.BytesIO()
    feather_io.write_feather(table, out, compression="lz4")
    return Sample("ABC_XYZ-trades.feather", out.getvalue(), 5, {"trades": 5})


def lean() -> Sample:
    text = _lines(
        "14400614,139400,500,P,20002020,0", "14404499,139500,500,P,20002020,0", "22018359,139400,100,P,2000,0"
    )
    return Sample("equity_trade.zip", _zip(**{"20131007_abc_Trade_Tick.csv": text}), 3, {"trades": 3})


def tardis() -> Sample:
    rows = [f"binance,ABCUSDT,{T0_MS * 1000 + i},{T0_MS * 1000 + i + 5},{7 + i},buy,9682,0.13{i}" for i in range(4)]
    return Sample(
        "trades.csv",
        _lines("exchange,symbol,timestamp,local_timestamp,id,side,price,amount", *rows),
        4,
        {"trades": 4},
        True,
    )


def taq() -> Sample:
    rows = [f"2018-01-02T10:01:2{i}.479000,P,XXX,FTI,{2 + i},157.8,0" for i in range(4)]
    return Sample("trades_raw.csv", _lines("DT,EX,SYMBOL,COND,SIZE,PRICE,CORR", *rows), 4, {"trades": 4}, True)


def bars_csv() -> Sample:
    rows = [f"{month}/4/1999,1229.25,1248.5,1219.75,1228.5,1228.5,87700{month}" for month in range(1, 6)]
    return Sample("index.csv", _lines("Date,Open,High,Low,Close,Adj Close,Volume", *rows), 5, {"bars": 5}, True)


MAPPING = """
kind: trades
instrument: ABC
time: {column: when, unit: ms}
columns: {price: px, size: qty, side: who}
sides: {buy: B, sell: S}
"""


def mapping() -> Sample:
    rows = [f"{T0_MS + i},10.{i},1.5,{'BS'[i % 2]}" for i in range(4)]
    return Sample(
        "own.csv", _lines("when,px,qty,who", *rows), 4, {"trades": 4}, True, (("own.yaml", MAPPING.encode()),)
    )


SAMPLES: dict[str, Callable[[], Sample]] = {
    builder.__name__: builder
    for builder in (
        lobster,
        binance_raw,
        binance_json,
        bitfinex_l3,
        bitstamp,
        bats_pitch,
        databento_dbn,
        databento_csv,
        itch,
        bybit_ob,
        cme,
        gdax,
        sgx,
        session,
        bars_json,
        history,
        feather,
        lean,
        tardis,
        taq,
        bars_csv,
        mapping,
    )
}
