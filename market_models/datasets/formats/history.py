"""History that `bookswarm data fetch` wrote: Parquet with the venue's own text of prices and sizes.

The file's metadata name the market and the step between keys (ids of trades, opening times of bars [ms]) where there is
one: a difference that is not the step is a gap. A funding rate is stored as a bar with a close and nothing else, of the
instrument `MARKET funding`.
"""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from market_models.datasets.errors import DataError
from market_models.datasets.formats.arrow_tables import is_arrow, record_batches, time_column
from market_models.datasets.formats.blocks import PRICE_DECIMALS, SIZE_DECIMALS, make_rows
from market_models.datasets.formats.fixed import column_to_fixed
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY = b"bookswarm.history"
COLUMNS = {
    "trades": ("id", "time_ms", "side", "price", "size"),
    "ohlcv": ("time_ms", "open", "high", "low", "close", "volume"),
    "funding": ("time_ms", "rate"),
}


def recognise(source: Source) -> bool:
    """A Parquet file with our metadata."""
    return _about(source) is not None


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read batch by batch."""
    about = _about(source)
    if about is None:
        raise DataError(source.path, 0, "damaged, or not written by 'bookswarm data fetch'")
    kind, step = about["kind"], about["step"]
    name = about["market"] + (" funding" if kind == "funding" else "")
    instrument = sink.instrument(options.name_or(name))
    sink.report.sequenced = step is not None
    last: int | None = None
    for batch in record_batches(source, list(COLUMNS[kind])):
        sink.report.rows += batch.num_rows
        columns = {name: batch.column(name) for name in COLUMNS[kind]}
        keys = _Table(sink, columns).store(kind, instrument)
        if step is not None and len(keys):
            before = keys[0] - step if last is None else last
            sink.report.gaps += int((np.diff(keys, prepend=before) != step).sum())
            last = int(keys[-1])


class _Table:
    """One batch: text to fixed-point columns, each bad row counted once."""

    def __init__(self, sink: Sink, columns: dict[str, "pa.Array"]) -> None:
        self.sink, self.columns = sink, columns
        self.time_ns, self.good = time_column(columns["time_ms"])
        sink.quarantine("no time", int((~self.good).sum()))

    def store(self, kind: str, instrument: int) -> np.ndarray:
        """Write the good rows; return their keys."""
        keys = np.asarray(self.columns["id" if kind == "trades" else "time_ms"].fill_null(0)).astype(np.int64)
        values = getattr(self, f"_{kind}")(keys)
        good = self.good
        picked = {name: column[good] for name, column in values.items()}
        self.sink.watch_times(self.time_ns[good])
        rows = make_rows(
            "trades" if kind == "trades" else "bars",
            int(good.sum()),
            exchange_ns=self.time_ns[good],
            instrument=instrument,
            **picked,
        )
        self.sink.write("trades" if kind == "trades" else "bars", rows)
        return keys[good]

    def _trades(self, keys: np.ndarray) -> dict[str, np.ndarray]:
        words = self.columns["side"].to_pylist()
        side = np.array([{"buy": 0, "sell": 1}.get(word, -1) for word in words], np.int64)
        self._require(side >= 0, "side is none of buy, sell")
        self._require(keys >= 0, "no trade id")
        return {"trade_id": keys, "side": side, "price": self._fixed("price"), "size": self._size("size")}

    def _ohlcv(self, keys: np.ndarray) -> dict[str, np.ndarray]:
        out = {name: self._fixed(name) for name in ("open", "high", "low", "close")}
        top, bottom = np.maximum(out["open"], out["close"]), np.minimum(out["open"], out["close"])
        enclose = (out["high"] >= top) & (out["low"] <= bottom)
        self._require(enclose, "high and low do not enclose open and close")
        return {**out, "size": self._size("volume")}

    def _funding(self, keys: np.ndarray) -> dict[str, np.ndarray]:
        return {"close": self._fixed("rate")}

    def _require(self, mask: np.ndarray, reason: str) -> None:
        self.sink.quarantine(reason, int((self.good & ~mask).sum()))
        self.good = self.good & mask

    def _fixed(self, name: str, decimals: int = PRICE_DECIMALS) -> np.ndarray:
        values, fits, rounded = column_to_fixed(_as_bytes(self.columns[name]), decimals)
        self._require(fits, f"{name} is not a number")
        self.sink.report.rounded += rounded
        return values

    def _size(self, name: str) -> np.ndarray:
        values = self._fixed(name, SIZE_DECIMALS)
        self._require(values >= 0, f"{name} is negative")
        return values


def _as_bytes(column: "pa.Array") -> "pa.Array":
    import pyarrow as pa

    return column.cast(pa.string()).fill_null("").cast(pa.binary())


def _about(source: Source) -> dict[str, Any] | None:
    """Return what the metadata say, or None if the file is not ours."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not is_arrow(source):
        return None
    try:
        schema = pq.read_schema(source.path)
        about = json.loads((schema.metadata or {})[METADATA_KEY])
        kind, step = about["kind"], about["step"]
        known = set(schema.names).issuperset(COLUMNS[kind]) and type(about["market"]) is str
        return about if known and (step is None or (type(step) is int and step > 0)) else None
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        return None


FORMAT = Format("history", recognise, read)
