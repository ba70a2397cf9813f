"""Reader of LOBSTER recordings: a message file and the order-book file with the state after each message.

Format: csv without header. Message: seconds after midnight with up to nine decimals, event type 1..7, order id, size,
price in 1e-4 dollars, direction (1: a buy limit order, -1: a sell). Order book: ask price, ask size, bid price, bid
size, level by level; an absent level is +-9999999999 with size 0. Source: the readme in LOBSTER's sample files.

A file that is malformed raises DataError. A row that is merely odd stays in place, changes nothing and is counted: an
execution of a hidden order or a cross at a price between two ticks. Times finer than a nanosecond (LOBSTER's files hold
a few, traces of binary fractions) are rounded down and counted.
"""

import gzip
import hashlib
import io
import re
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.lob.spec import BUY, MAX_ABS_PRICE_TICK, MAX_LOTS, SELL
from market_models.datasets import recording as rec
from market_models.datasets.errors import DataError
from market_models.datasets.recording import Recording, remap_ids
from market_models.instrument import Instrument

if TYPE_CHECKING:
    import pyarrow as pa

PRICE_UNIT_E8 = 10_000  # a price of 1 is 1e-4 dollars
ABSENT_PRICE = 9_999_999_999
NS_PER_S = 1_000_000_000
MESSAGE_COLUMNS = ("time", "type", "order_id", "size", "price", "direction")
OFF_TICK = "hidden or cross execution between two ticks"
FINE_TIME = "time finer than a nanosecond"
_FINE_DECIMALS = 18


def read(path: Path | str, book_path: Path | str | None = None, *, tick_size: str = "0.01") -> Recording:
    """Read a LOBSTER zip, or a message csv and its order-book csv (each may be .gz), and validate every row.

    Without `book_path` the order-book file is looked for beside the message file under LOBSTER's name. The instrument
    is the first part of the message file's name, its lot one share. Raises DataError(path, row, reason).
    """
    names, texts, digest = _load(Path(path), None if book_path is None else Path(book_path))
    instrument = Instrument(_instrument_name(names[0]), tick_size, "1", "USD")
    if instrument.tick_e8 % PRICE_UNIT_E8:
        raise ValueError(f"tick_size {tick_size} is not a multiple of 0.0001, LOBSTER's unit of price")
    time_total_ns, columns, num_fine = _parse_messages(names[0], texts[0])
    raw_book = _parse_book(names[1], texts[1])
    if len(raw_book) != len(time_total_ns):
        reason = f"{len(time_total_ns)} messages but {len(raw_book)} rows in the order-book file {names[1]}"
        raise DataError(names[0], min(len(raw_book), len(time_total_ns)) + 1, reason)
    unit = instrument.tick_e8 // PRICE_UNIT_E8
    book = _convert_book(names[1], raw_book, unit)
    _check_messages(names[0], time_total_ns, columns)
    recording = _convert(path, digest, instrument, time_total_ns, columns, book, unit, names[0])
    return replace(recording, rounded_counts={FINE_TIME: num_fine}) if num_fine else recording


def _load(path: Path, book_path: Path | None) -> tuple[list[str], list[bytes], str]:
    """Return the names and texts of (message file, order-book file) and the digest."""
    if zipfile.is_zipfile(path) or path.suffix == ".zip":
        return _load_zip(path)
    if book_path is None:
        path, book_path = _pair(path)
    raw = [_read_bytes(part) for part in (path, book_path)]
    texts = [_gunzip(part, data) for part, data in zip((path, book_path), raw, strict=True)]
    return [str(path), str(book_path)], texts, hashlib.sha256(raw[0] + raw[1]).hexdigest()


def _load_zip(path: Path) -> tuple[list[str], list[bytes], str]:
    raw = _read_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = [_member(path, archive, part) for part in ("message", "orderbook")]
            texts = [archive.read(member) for member in members]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(path, 0, f"not a whole zip archive ({error})") from error
    return [f"{path}:{member}" for member in members], texts, hashlib.sha256(raw).hexdigest()


def _member(path: Path, archive: zipfile.ZipFile, part: str) -> str:
    found = [name for name in archive.namelist() if f"_{part}_" in Path(name).name and name.endswith(".csv")]
    if len(found) != 1:
        raise DataError(path, 0, f"{len(found)} members are named *_{part}_*.csv, there must be one")
    return found[0]


def _pair(path: Path) -> tuple[Path, Path]:
    for own, other in (("message", "orderbook"), ("orderbook", "message")):
        if f"_{own}_" in path.name:
            partner = path.with_name(path.name.replace(f"_{own}_", f"_{other}_"))
            if not partner.is_file():
                raise DataError(path, 0, f"its {other} file {partner.name} is not beside it")
            return (path, partner) if own == "message" else (partner, path)
    raise DataError(path, 0, "neither a zip nor named *_message_* or *_orderbook_*: name the order-book file too")


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(path, 0, f"cannot be read ({error.strerror})") from error


def _gunzip(path: Path, data: bytes) -> bytes:
    if path.suffix != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, 0, f"not a whole gzip file ({error})") from error


def _instrument_name(member: str) -> str:
    return re.split(r"[_.]", member.replace(":", "/").rsplit("/", 1)[-1])[0] or "unknown"


def _parse_messages(name: str, text: bytes) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Return int64[N] nanoseconds, the other columns as int64[N], and how many times were finer than a nanosecond."""
    table = _parse_csv(name, text, MESSAGE_COLUMNS)
    time_total_ns, num_fine = _nanoseconds(name, table.column("time"))
    columns = {column: table.column(column).to_numpy() for column in MESSAGE_COLUMNS[1:]}
    return time_total_ns, columns, num_fine


def _parse_book(name: str, text: bytes) -> np.ndarray:
    """Return int64[N, 4 L] as the file has it."""
    count = text.split(b"\n", 1)[0].count(b",") + 1
    if count % 4:
        raise DataError(name, 1, f"{count} columns are not ask price, ask size, bid price, bid size of each level")
    table = _parse_csv(name, text, tuple(str(i) for i in range(count)))
    return np.stack([column.to_numpy() for column in table.columns], axis=1)


def _parse_csv(name: str, text: bytes, columns: tuple[str, ...]) -> "pa.Table":
    """Parse strictly: every row has these columns, all int64 but `time`, a decimal."""
    import pyarrow as pa
    from pyarrow import csv

    types = {column: pa.decimal128(38, _FINE_DECIMALS) if column == "time" else pa.int64() for column in columns}
    convert = csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False)
    parse = csv.ParseOptions(quote_char=False, ignore_empty_lines=False)
    error: Exception | None = None
    for use_threads in (True, False):  # only a single thread knows the row of an error
        options = csv.ReadOptions(column_names=list(columns), use_threads=use_threads)
        try:
            return csv.read_csv(io.BytesIO(text), options, parse, convert)
        except pa.ArrowInvalid as invalid:
            error = invalid
    row = re.search(r"Row #(\d+)", str(error))
    raise DataError(name, int(row[1]) if row else 0, f"not a LOBSTER row ({error})") from error


def _nanoseconds(name: str, seconds: "pa.ChunkedArray") -> tuple[np.ndarray, int]:
    """Return decimal seconds as int64[N] nanoseconds, rounded down, and how many were rounded."""
    import pyarrow as pa
    import pyarrow.compute as pc

    down = pc.cast(seconds, pa.decimal128(38, 9), safe=False)
    again = pc.cast(down, pa.decimal128(38, _FINE_DECIMALS), safe=False)
    num_fine = pc.call_function("sum", [pc.call_function("not_equal", [again, seconds])]).as_py()
    array = pa.concat_arrays(down.chunks)
    words = np.frombuffer(array.buffers()[1], np.int64)[2 * array.offset :][: 2 * len(array)]
    _require(name, words[1::2] == 0, "time is before midnight or too large")  # the high half of 128 bits
    return words[0::2], int(num_fine)


def _require(name: str, good: Any, reason: str) -> None:
    """Raise DataError at the first row that is not `good` (bool[N])."""
    if not np.all(good):
        raise DataError(name, int(np.argmin(good)) + 1, reason)


def _in_range(tick: np.ndarray) -> np.ndarray:
    return (tick >= -MAX_ABS_PRICE_TICK) & (tick <= MAX_ABS_PRICE_TICK)


def _check_messages(name: str, time_total_ns: np.ndarray, columns: dict[str, np.ndarray]) -> None:
    kind, size = columns["type"], columns["size"]
    _require(name, (time_total_ns >= 0) & (time_total_ns < 2**31 * NS_PER_S), "time is too large")
    _require(name, np.diff(time_total_ns, prepend=time_total_ns[:1]) >= 0, "time goes back")
    _require(name, (kind >= rec.NEW) & (kind <= rec.HALT), "event type is outside 1..7")
    _require(name, np.abs(columns["direction"]) == 1, "direction is neither 1 nor -1")
    sized = kind <= rec.CROSS_TRADE
    _require(name, ~sized | ((size >= 1) & (size <= MAX_LOTS)), f"size is outside 1..{MAX_LOTS}")
    _require(name, (kind > rec.VISIBLE_EXECUTION) | (columns["order_id"] >= 1), "order id is below 1")


def _convert_book(name: str, raw: np.ndarray, unit: int) -> np.ndarray:
    """Check int64[N, 4 L] and return int32[N, 2, L, 2] in ticks and lots, side 0 the bids."""
    asks_first = raw.reshape(len(raw), -1, 2, 2).transpose(0, 2, 1, 3)  # [N, side, L, (price, size)]
    price, size = asks_first[:, ::-1, :, 0], asks_first[:, ::-1, :, 1]
    absent = (size == 0) & (np.abs(price) == ABSENT_PRICE)
    _require(name, ((size >= 1) | absent).all((1, 2)), "a level has a size below 1")
    _require(name, (size <= MAX_LOTS).all((1, 2)), f"a level is larger than {MAX_LOTS}")
    _require(name, ((price % unit == 0) | absent).all((1, 2)), f"a price is not a multiple of {unit}, the tick")
    tick = price // unit
    _require(name, (_in_range(tick) | absent).all((1, 2)), "a price is out of range")
    _require(name, ~(absent[:, :, :-1] & ~absent[:, :, 1:]).any((1, 2)), "a level stands behind an absent one")
    pair_present = ~absent[:, :, 1:]
    worse = np.stack([tick[:, BUY, 1:] < tick[:, BUY, :-1], tick[:, SELL, 1:] > tick[:, SELL, :-1]], axis=1)
    _require(name, (worse | ~pair_present).all((1, 2)), "levels are not in order of price")
    one_sided = absent[:, :, 0].any(1)
    _require(name, one_sided | (tick[:, BUY, 0] < tick[:, SELL, 0]), "the book is crossed")
    return np.where(absent[..., None], 0, np.stack([tick, size], axis=-1)).astype(np.int32)


def _convert(
    path: Path | str,
    digest: str,
    instrument: Instrument,
    time_total_ns: np.ndarray,
    columns: dict[str, np.ndarray],
    book: np.ndarray,
    unit: int,
    name: str,
) -> Recording:
    kind, price = columns["type"].astype(np.int32), columns["price"]
    off_tick = (price % unit != 0) & (kind != rec.HALT)
    visible = kind <= rec.VISIBLE_EXECUTION
    _require(name, ~(off_tick & visible), f"price is not a multiple of {unit}, the tick")
    tick = np.where(kind == rec.HALT, 0, price // unit)  # a halt's price is a code
    _require(name, _in_range(tick), "price is out of range")
    # A reveal is at most one a row and side; the seed is one a level and side.
    spare = 2 * len(kind) + 2 * book.shape[2]
    try:
        order_id, id_map, first_free = remap_ids(np.where(visible, columns["order_id"], 0), spare)
    except ValueError as error:
        raise DataError(name, 0, str(error)) from error
    return Recording(
        path=str(path),
        digest=digest,
        instrument=instrument,
        time_s=(time_total_ns // NS_PER_S).astype(np.int32),
        time_ns=(time_total_ns % NS_PER_S).astype(np.int32),
        kind=kind,
        side=np.where(columns["direction"] == 1, BUY, SELL).astype(np.int32),
        lots=np.clip(columns["size"], 0, MAX_LOTS).astype(np.int32),
        price_tick=tick.astype(np.int32),
        order_id=order_id,
        book=book,
        quarantined=off_tick,
        quarantine_counts={OFF_TICK: int(off_tick.sum())} if off_tick.any() else {},
        id_map=id_map,
        first_free_id=first_free,
    )
