"""Reader of five-level CME recordings: parquet with the best five levels after every change, and parquet of trades.

Quotes: `transact_time` (UTC), bid_price_i, bid_quantity_i, offer_price_i, offer_quantity_i for i = 0..4, best first; an
absent level is null or NaN. Trades: `transact_time`, side (of the RESTING order: B at the bid, O at the offer), price,
quantity in contracts. Prices are floats that stand for decimals: each is taken as the multiple of 1e-8 that it is
within rounding of float64, anything else is refused. Files are streamed by row groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kernels.lob.spec import BUY, MAX_ABS_PRICE_TICK, MAX_LOTS, SELL
from market_models.datasets.binance_raw import Print
from market_models.datasets.depth_book import Change
from market_models.datasets.depth_replay import Sides
from market_models.datasets.depth_trading import ApplyBatch, DepthTradingStream, write_stream
from market_models.datasets.errors import DataError
from market_models.datasets.steps import E8, from_e8
from market_models.instrument import Instrument

if TYPE_CHECKING:
    import pyarrow as pa

LEVELS = 5
TIME = "transact_time"
QUOTE_SIDES = ("bid", "offer")
PRICES = [f"{side}_price_{i}" for side in QUOTE_SIDES for i in range(LEVELS)]
QUANTITIES = [f"{side}_quantity_{i}" for side in QUOTE_SIDES for i in range(LEVELS)]
TRADE_COLUMNS = ("side", "price", "quantity")
BATCH_ROWS = 16_384
_FLOAT_SLACK = 2.0**-50  # of a price, where it was computed rather than parsed
_UNITS_PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_RESTING_SIDE = {"B": BUY, "O": SELL}


class QuoteRows(NamedTuple):
    """Some rows of a quotes file."""

    file: int  # place among the session's quote files
    first_row: int  # from 1
    time_ns: np.ndarray  # int64[N] exchange time
    levels: np.ndarray  # int64[N, 2, 5, 2] (price_tick, lots), bids first, best first, (0, 0) where absent


@dataclass(frozen=True)
class FiveLevelSession:
    """Quote and trade files of one session, in order of time."""

    quote_paths: tuple[str, ...]
    trade_paths: tuple[str, ...]
    instrument: Instrument
    num_rows: int

    def quotes(self) -> Iterator[QuoteRows]:
        """Yield the quotes in blocks. Raises DataError(path, row, reason) for what a book cannot be."""
        tick_e8 = self.instrument.tick_e8
        last_ns = 0
        for file, path in enumerate(self.quote_paths):
            for first_row, table in _tables(path, [TIME, *PRICES, *QUANTITIES]):
                rows = _quote_rows(path, file, first_row, table, tick_e8)
                _require(path, first_row, np.diff(rows.time_ns, prepend=last_ns) >= 0, f"{TIME} goes back")
                last_ns = int(rows.time_ns[-1])
                yield rows

    def prints(self) -> Iterator[Print]:
        """Yield the trades in order of the files, with the taker's side."""
        for path in self.trade_paths:
            for first_row, table in _tables(path, [TIME, *TRADE_COLUMNS]):
                side = np.array([_RESTING_SIDE.get(text, -1) for text in table.column("side").to_pylist()])
                _require(path, first_row, side >= 0, "side is neither B nor O")
                tick = _ticks(path, first_row, _e8(path, first_row, table, "price"), self.instrument.tick_e8)
                lots = _lots(path, first_row, _floats(path, table, "quantity"))
                _require(path, first_row, lots > 0, "quantity is missing")
                columns = (_time_ns(path, first_row, table), 1 - side, tick, lots)
                yield from (Print(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


def open_session(paths: Sequence[Path | str], *, tick_size: str | None = None) -> FiveLevelSession:
    """Tell quote from trade files by their columns and find the tick; DataError for a file that is neither."""
    quotes, trades, num_rows = [], [], 0
    for path in map(str, paths):
        names, rows = _columns(path)
        if not {TIME, *PRICES, *QUANTITIES} - names:
            quotes.append(path)
            num_rows += rows
        elif not {TIME, *TRADE_COLUMNS} - names:
            trades.append(path)
        else:
            missing = sorted({TIME, *PRICES, *QUANTITIES} - names)
            raise DataError(path, 0, f"columns {missing} of quotes are missing, nor has it {TRADE_COLUMNS} of trades")
    if not quotes:
        raise DataError(str(paths[0]), 0, "holds trades only: give the quotes file too")
    if not num_rows:
        raise DataError(quotes[0], 0, "holds no row")
    tick = tick_size or from_e8(_find_tick_e8(quotes))
    name = Path(quotes[0]).name.split("_")[0].split(".")[0]
    return FiveLevelSession(tuple(quotes), tuple(trades), Instrument(name, tick, "1", "USD"), num_rows)


def to_trading_stream(session: FiveLevelSession, window: int) -> DepthTradingStream:
    """Return the session as background rows for the replay flow; see `depth_trading` for what they mean.

    A level that leaves the visible five stays as it was last seen until a row shows otherwise, so that an order of ours
    there keeps its place in the queue.
    """
    prints = sorted(session.prints(), key=lambda event: event.time_ns)
    return write_stream(session.instrument, _batches(session), prints, window)


def _batches(session: FiveLevelSession) -> Iterator[tuple[int, ApplyBatch]]:
    for rows in session.quotes():
        yield from zip(rows.time_ns.tolist(), row_batches(rows), strict=True)


def row_batches(rows: QuoteRows) -> Iterator[ApplyBatch]:
    """Yield what each row does to the book."""
    for levels in rows.levels.tolist():
        yield _Row(*([(tick, lots) for tick, lots in side if lots] for side in levels))


class _Row(NamedTuple):
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]

    def __call__(self, sides: Sides) -> tuple[Change, Change]:
        bids, asks = sides
        return (
            bids.see(self.bids, len(self.bids) < LEVELS),
            asks.see(self.asks, len(self.asks) < LEVELS),
        )


def _columns(path: str) -> tuple[set[str], int]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            return set(file.schema_arrow.names), file.metadata.num_rows
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:  # a damaged name is a UnicodeDecodeError
        raise DataError(path, 0, f"not a whole parquet file ({error})") from error


def _tables(path: str, columns: list[str]) -> Iterator[tuple[int, "pa.RecordBatch"]]:
    """Yield (number of the first row, rows)."""
    import pyarrow as pa
    from pyarrow import parquet

    row = 1
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                if batch.num_rows:
                    yield row, batch
                row += batch.num_rows
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise DataError(path, row, f"not a whole parquet file ({error})") from error


def _find_tick_e8(paths: list[str]) -> int:
    divisor = 0
    for path in paths:
        for first_row, table in _tables(path, PRICES):
            parts = [_e8(path, first_row, table, column) for column in PRICES]
            divisor = int(np.gcd.reduce([divisor, *(int(np.gcd.reduce(np.unique(part))) for part in parts)]))
    return divisor or E8


def _floats(path: str, table: "pa.RecordBatch", column: str) -> np.ndarray:
    import pyarrow as pa

    values = table.column(column)
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        raise DataError(path, 0, f"{column} is {values.type}, expected a number")
    return values.to_numpy(zero_copy_only=False).astype(np.float64)


def _e8(path: str, first_row: int, table: "pa.RecordBatch", column: str) -> np.ndarray:
    """Return int64[N] prices in 1e-8, 0 where there is none."""
    price = np.nan_to_num(_floats(path, table, column), nan=0.0)
    _require(path, first_row, np.abs(price) < 2**33, f"{column} is not a finite price")
    scaled = np.rint(price * E8)
    near = np.abs(scaled / E8 - price) <= np.abs(price) * _FLOAT_SLACK
    _require(path, first_row, near, f"{column} has more than 8 decimals")
    return scaled.astype(np.int64)


def _ticks(path: str, first_row: int, price_e8: np.ndarray, tick_e8: int) -> np.ndarray:
    tick, rest = np.divmod(price_e8, tick_e8)
    _require(path, first_row, rest == 0, f"a price is not a multiple of the tick {from_e8(tick_e8)}")
    _require(path, first_row, np.abs(tick) <= MAX_ABS_PRICE_TICK, "a price is out of range")
    return tick


def _lots(path: str, first_row: int, quantity: np.ndarray) -> np.ndarray:
    lots = np.nan_to_num(quantity, nan=0.0)
    good = (lots == np.rint(lots)) & (lots >= 0) & (lots <= MAX_LOTS)
    _require(path, first_row, good, f"a quantity is not a whole number in 0..{MAX_LOTS}")
    return lots.astype(np.int64)


def _time_ns(path: str, first_row: int, table: "pa.RecordBatch") -> np.ndarray:
    import pyarrow as pa

    column = table.column(TIME)
    if not pa.types.is_timestamp(column.type):
        raise DataError(path, 0, f"{TIME} is {column.type}, expected a timestamp")
    _require(path, first_row, np.asarray(column.is_valid()), f"{TIME} is missing")
    # Compared before it is scaled: nanoseconds of a damaged time do not fit 64 bits.
    units = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    per_s = _UNITS_PER_S[column.type.unit]
    _require(path, first_row, (units >= 0) & (units < 2**31 * per_s), f"{TIME} is before 1970 or after 2038")
    return units * (10**9 // per_s)


def _quote_rows(path: str, file: int, first_row: int, table: "pa.RecordBatch", tick_e8: int) -> QuoteRows:
    count = table.num_rows
    shape = (count, 2, LEVELS)
    price_e8 = np.stack([_e8(path, first_row, table, column) for column in PRICES], axis=1)
    absent = np.stack([np.isnan(_floats(path, table, column)) for column in PRICES], axis=1).reshape(shape)
    quantity = np.stack([_floats(path, table, column) for column in QUANTITIES], axis=1)
    lots = _lots(path, first_row, quantity).reshape(shape)
    present = lots > 0
    tick = np.where(present, _ticks(path, first_row, price_e8, tick_e8).reshape(shape), 0)
    worse = np.stack([tick[:, BUY, 1:] < tick[:, BUY, :-1], tick[:, SELL, 1:] > tick[:, SELL, :-1]], axis=1)
    _require(path, first_row, present == ~absent, "a level has a price or a quantity only")
    _require(path, first_row, present[:, :, :-1] | ~present[:, :, 1:], "a level stands behind an absent one")
    _require(path, first_row, worse | ~present[:, :, 1:], "levels are not in order of price")
    return QuoteRows(file, first_row, _time_ns(path, first_row, table), np.stack([tick, lots], axis=-1))


def _require(path: str, first_row: int, good: np.ndarray, reason: str) -> None:
    """Raise DataError at the first row that is not `good` (bool[N, ...])."""
    if not np.all(good):
        bad = ~good if good.ndim == 1 else ~good.all(axis=tuple(range(1, good.ndim)))
        raise DataError(path, first_row + int(np.argmax(bad)), reason)
