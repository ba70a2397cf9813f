"""Any delimited text or Parquet table, by a YAML file that says which column is what.

    kind: trades                # trades, quotes, bars, levels
    instrument: XYZ             # or instrument_column: symbol
    time: {column: ts, unit: ms}  # unit: s, ms, us, ns, or iso (a text)
    columns: {price: px, size: qty, side: aggressor}
    sides: {buy: b, sell: s}    # words of the side column
    names: [ts, px, qty]        # where the text has no header line
    skip_lines: 0

Columns of `trades`: price, size, side (may be left out), trade_id (may be left out); of `quotes`: bid_price, bid_size,
ask_price, ask_size; of `bars`: open, high, low, close, size (only close is required); of `levels`: side, price, size,
event_id (may be left out).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from market_models.datasets.errors import DataError
from market_models.datasets.formats.arrow_tables import column_names, is_arrow, record_batches
from market_models.datasets.formats.blocks import NO_SIDE, NULL, PRICE_COLUMNS, SIZE_COLUMNS, make_rows
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source
from market_models.datasets.formats.tables import Batch, Checked, batches
from market_models.datasets.formats.times import Clock

_UNITS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1, "iso": 0}
_COLUMNS = {
    "trades": ({"price", "size"}, {"side", "trade_id"}),
    "quotes": ({"bid_price", "ask_price"}, {"bid_size", "ask_size"}),
    "bars": ({"close"}, {"open", "high", "low", "size"}),
    "levels": ({"side", "price", "size"}, {"event_id"}),
}
_KEYS = {"kind", "instrument", "instrument_column", "time", "columns", "sides", "names", "skip_lines"}


def recognise(source: Source) -> bool:
    """Never by itself: a mapping is named."""
    return False


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read the table as the mapping says."""
    if options.mapping is None:
        raise ValueError("--format mapping needs --mapping FILE.yaml, which says what the columns are")
    mapping = load_mapping(options.mapping)
    table = _Table(sink, mapping, options, _stem(source))
    for batch in _all_batches(source, sink, mapping, table.wanted):
        table.store(batch)


def load_mapping(path: Path) -> dict[str, Any]:
    """Read and check a mapping. ValueError names the key and what would be valid."""
    import yaml

    try:
        mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"mapping {path}: cannot be read ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(mapping, dict):
        raise ValueError(f"mapping {path}: not a YAML mapping; the keys are {', '.join(sorted(_KEYS))}")
    if strange := sorted(set(map(str, mapping)) - _KEYS):
        raise ValueError(f"mapping {path}: unknown key {strange[0]!r}; the keys are {', '.join(sorted(_KEYS))}")
    if mapping.get("kind") not in _COLUMNS:
        raise ValueError(f"mapping {path}: kind is {mapping.get('kind')!r}; valid are {', '.join(_COLUMNS)}")
    _check_columns(path, mapping)
    return mapping


def _check_columns(path: Path, mapping: dict[str, Any]) -> None:
    required, optional = _COLUMNS[mapping["kind"]]
    columns, time = mapping.get("columns"), mapping.get("time")
    if not isinstance(columns, dict) or not required <= set(columns) <= required | optional:
        must, may = ", ".join(sorted(required)), ", ".join(sorted(optional))
        raise ValueError(f"mapping {path}: columns must name {must} and may name {may}")
    if not isinstance(time, dict) or "column" not in time or time.get("unit", "iso") not in _UNITS:
        raise ValueError(f"mapping {path}: time must be {{column: NAME, unit: one of {', '.join(_UNITS)}}}")
    if not isinstance(mapping.get("sides", {}), dict) or set(mapping.get("sides", {})) - {"buy", "sell"}:
        raise ValueError(f"mapping {path}: sides must be {{buy: WORD, sell: WORD}}")
    names = mapping.get("names")
    if names is not None and (not isinstance(names, list) or not names):
        raise ValueError(f"mapping {path}: names must be a list of column names")
    if type(mapping.get("skip_lines", 0)) is not int or not 0 <= mapping.get("skip_lines", 0) <= 1000:
        raise ValueError(f"mapping {path}: skip_lines must be a number of lines, 0 to 1000")


def _stem(source: Source) -> str:
    return source.name.rsplit(".", 1)[0]


def _all_batches(source: Source, sink: Sink, mapping: dict[str, Any], wanted: set[str]) -> Iterator[Batch]:
    if is_arrow(source):
        present = column_names(source)
        if missing := sorted(wanted - set(present)):
            raise DataError(source.path, 0, f"there is no column {missing[0]!r}; the columns are {', '.join(present)}")
        first_row = 0
        for part in record_batches(source, sorted(wanted)):
            sink.report.rows += part.num_rows
            yield Batch({name: _as_bytes(part.column(name)) for name in wanted}, part.num_rows, first_row)
            first_row += part.num_rows
        return
    names = [str(name) for name in mapping["names"]] if mapping.get("names") else None
    for member, stream in source.each():
        label = f"{source.path}:{member}"
        for batch in batches(sink, label, stream, names, skip_lines=mapping.get("skip_lines", 0)):
            if missing := sorted(wanted - set(batch.columns)):
                have = ", ".join(batch.columns)
                raise DataError(label, 1, f"there is no column {missing[0]!r}; the columns are {have}")
            yield batch


def _as_bytes(column: Any) -> Any:
    """Return an Arrow column as the text that a csv would have."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type):
        column = pc.cast(column, pa.timestamp("ns"), safe=False)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return pc.fill_null(pc.cast(pc.cast(column, pa.string()), pa.binary()), b"")


class _Table:
    """Turns batches into rows of one kind."""

    def __init__(self, sink: Sink, mapping: dict[str, Any], options: ImportOptions, stem: str) -> None:
        self.sink, self.mapping, self.clock = sink, mapping, Clock()
        self.columns = {key: str(value) for key, value in mapping["columns"].items()}
        self.time = str(mapping["time"]["column"])
        self.unit = mapping["time"].get("unit", "iso")
        self.symbol = str(mapping["instrument_column"]) if mapping.get("instrument_column") else None
        self.name = options.name_or(str(mapping.get("instrument") or stem))
        sides = mapping.get("sides", {})
        self.sides = {str(sides.get("buy", "buy")).encode(): 0, str(sides.get("sell", "sell")).encode(): 1}
        self.wanted = {self.time, *self.columns.values(), *([self.symbol] if self.symbol else [])}

    def store(self, batch: Batch) -> None:
        """Check and write one batch."""
        check, kind = Checked(self.sink, batch), self.mapping["kind"]
        values: dict[str, np.ndarray] = {"exchange_ns": self._times(check)}
        for own, column in self.columns.items():
            values[own] = self._column(check, own, column)
        if kind == "trades" and "side" not in values:
            values["side"] = np.full(batch.num_rows, NO_SIDE, np.int64)
        values["instrument"] = self._instruments(check)
        check.watch_time(values["exchange_ns"])
        good = check.good
        rows = make_rows(kind, int(good.sum()), **{key: column[good] for key, column in values.items()})
        if kind == "quotes":
            both = (rows["bid_price"] != NULL) & (rows["ask_price"] != NULL)
            self.sink.report.crossed += int((both & (rows["bid_price"] > rows["ask_price"])).sum())
            self.sink.report.locked += int((both & (rows["bid_price"] == rows["ask_price"])).sum())
        self.sink.write(kind, rows)

    def _times(self, check: Checked) -> np.ndarray:
        if self.unit != "iso":
            return check.time(self.time, _UNITS[self.unit])
        time_ns, understood = self.clock.to_ns(check.batch.columns[self.time])
        check.require(understood, "time is not understood")
        return time_ns

    def _column(self, check: Checked, own: str, column: str) -> np.ndarray:
        if own in PRICE_COLUMNS:
            return check.price(column)
        if own in SIZE_COLUMNS:
            return check.size(column)
        return check.code(column, self.sides) if own == "side" else check.integer(column)

    def _instruments(self, check: Checked) -> np.ndarray:
        if self.symbol is None:
            return np.full(check.batch.num_rows, self.sink.instrument(self.name))
        words = check.text(self.symbol)
        check.require(np.array([0 < len(word) <= 64 for word in words], bool), "no symbol")
        names = {word: self.sink.instrument(word.decode("utf-8", "replace")) for word in set(words[check.good])}
        return np.array([names.get(word, 0) for word in words], np.int64)


FORMAT = Format("mapping", recognise, read)
