"""NYSE TAQ trades and quotes as delimited text, raw or cleaned, named as the R package highfrequency names columns."""

import numpy as np

from market_models.datasets.formats.blocks import NO_SIDE, NULL, make_rows
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source
from market_models.datasets.formats.tables import Checked, batches, split_header
from market_models.datasets.formats.times import Clock

_TRADES = {"DT", "SYMBOL", "PRICE", "SIZE"}
_QUOTES = {"DT", "SYMBOL", "BID", "BIDSIZ", "OFR", "OFRSIZ"}


def recognise(source: Source) -> bool:
    """A header with TAQ's columns."""
    header = set(split_header(source.head.split(b"\n", 1)[0]))
    return header >= _TRADES or header >= _QUOTES


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read batch by batch."""
    clock = Clock()
    with source.opened() as stream:
        for batch in batches(sink, source.path, stream):
            check = Checked(sink, batch)
            names = set(batch.columns)
            if not (names >= _TRADES or names >= _QUOTES):
                check.require(np.zeros(batch.num_rows, bool), "TAQ's columns are missing")
                continue
            known = _QUOTES if names >= _QUOTES else _TRADES | {"CORR"}
            sink.report.unused_columns = sorted(names - known)
            time_ns, understood = clock.to_ns(batch.columns["DT"])
            check.require(understood, "time is not understood")
            instrument = _symbols(sink, check, options)
            (_quotes if names >= _QUOTES else _trades)(sink, check, time_ns, instrument)


def _symbols(sink: Sink, check: Checked, options: ImportOptions) -> np.ndarray:
    words = check.text("SYMBOL")
    check.require(np.array([0 < len(word) <= 64 for word in words], bool), "no symbol")
    names = {word: sink.instrument(options.name_or(word.decode("utf-8", "replace"))) for word in set(words[check.good])}
    return np.array([names.get(word, 0) for word in words], np.int64)


def _trades(sink: Sink, check: Checked, time_ns: np.ndarray, instrument: np.ndarray) -> None:
    price, size = check.price("PRICE"), check.size("SIZE")
    if "CORR" in check.batch.columns:
        check.require(check.integer("CORR") == 0, "corrected or cancelled (CORR is not 0)")
    check.require(price > 0, "price is not positive")
    check.watch_time(time_ns)
    good = check.good
    picked = {"exchange_ns": time_ns[good], "instrument": instrument[good], "price": price[good], "size": size[good]}
    sink.write("trades", make_rows("trades", int(good.sum()), side=NO_SIDE, **picked))


def _quotes(sink: Sink, check: Checked, time_ns: np.ndarray, instrument: np.ndarray) -> None:
    columns = {"bid_price": check.price("BID"), "bid_size": check.size("BIDSIZ")}
    columns |= {"ask_price": check.price("OFR"), "ask_size": check.size("OFRSIZ")}
    check.require((columns["bid_price"] >= 0) & (columns["ask_price"] >= 0), "a price is negative")
    check.watch_time(time_ns)
    good = check.good
    picked = {key: values[good] for key, values in columns.items()}
    for side in ("bid", "ask"):  # a price of zero says that there is no quote
        absent = picked[f"{side}_price"] == 0
        for what in ("price", "size"):
            picked[f"{side}_{what}"] = np.where(absent, NULL, picked[f"{side}_{what}"])
    both = (picked["bid_price"] != NULL) & (picked["ask_price"] != NULL)
    sink.report.crossed += int((both & (picked["bid_price"] > picked["ask_price"])).sum())
    sink.report.locked += int((both & (picked["bid_price"] == picked["ask_price"])).sum())
    common = {"exchange_ns": time_ns[good], "instrument": instrument[good]}
    sink.write("quotes", make_rows("quotes", int(good.sum()), **common, **picked))


FORMAT = Format("taq", recognise, read)
