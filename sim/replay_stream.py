"""Reader of synthetic order streams with the expected outcome (npz), the engine's first test of truth.

Arrays: `init_msgs` [B, I, 8] opening orders, `msgs` [B, M, 8] the stream, both in the columns of COLUMNS; expected
`l2` [B, 10, 4] and `bbo` [B, M, 4] (ask price, ask lots, bid price, bid lots; -1 and 0 where there is no level),
`trades` [N, 8], `n_trades`, `traded_qty`, `traded_notional` [B], `n_orders_max` [B, 2].
"""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from kernels.lob import spec
from market_models.datasets.errors import DataError

COLUMNS: Final = ("type", "side", "qty", "price", "order_id", "trader_id", "time_s", "time_ns")
PRICE_UNITS_PER_TICK: Final = 100
LEVELS: Final = 10  # of the expected final book

_AXES: Final = {
    "init_msgs": ("B", None, 8),
    "msgs": ("B", "M", 8),
    "l2": ("B", LEVELS, 4),
    "bbo": ("B", "M", 4),
    "trades": (None, 8),
    "n_trades": ("B",),
    "traded_qty": ("B",),
    "traded_notional": ("B",),
    "n_orders_max": ("B", 2),
}
_KINDS: Final = np.array([spec.NOP, spec.LIMIT, spec.REDUCE, spec.DELETE], np.int32)  # by stream type


class Stream(NamedTuple):
    """B books of M messages each and what must come of them. Prices in ticks, lots as in the file."""

    opening: np.ndarray  # int32[B, I, 8] engine messages
    messages: np.ndarray  # int32[B, M, 8] engine messages
    touch: np.ndarray  # int64[B, M, 2, 2] (price_tick, lots) of best bid and ask after each message, (0, 0) where none
    depth: np.ndarray  # int64[B, 2, 10, 2] at the end
    trades: np.ndarray  # int64[N, 8] book, message, price_tick, lots, maker id, taker id, maker owner, taker owner
    totals: np.ndarray  # int64[B, 3] trades, traded lots, traded lots x price_tick
    max_orders: int  # most orders that rested on one side of a book


def read_stream(path: Path | str) -> Stream:
    """Read and validate a stream. DataError names the file and the array that is missing or malformed."""
    arrays = _load(Path(path))
    _check_shapes(path, arrays)
    names = [str(name) for name in arrays["columns"].ravel()]
    if names != list(COLUMNS):
        raise DataError(path, 0, f"columns are {names}, expected {list(COLUMNS)}")
    trades = arrays["trades"].astype(np.int64)
    trades[:, 2] = _ticks(path, "trades", trades[:, 2])
    notional = _ticks(path, "traded_notional", arrays["traded_notional"].astype(np.int64))
    return Stream(
        opening=_messages(path, "init_msgs", arrays["init_msgs"]),
        messages=_messages(path, "msgs", arrays["msgs"]),
        touch=_levels(path, "bbo", arrays["bbo"][:, :, None])[..., 0, :],
        depth=_levels(path, "l2", arrays["l2"]),
        trades=trades,
        totals=np.stack([arrays["n_trades"], arrays["traded_qty"], notional], axis=-1).astype(np.int64),
        max_orders=int(arrays["n_orders_max"].max(initial=0)),
    )


def _load(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays by name; everything that a damaged file can raise becomes a DataError."""
    try:
        # From memory: np.load of a damaged file by its name leaves the file open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            missing = sorted({"columns", *_AXES} - set(archive.files))
            if missing:
                raise DataError(path, 0, f"arrays {missing} are missing; it has {sorted(archive.files)}")
            return {name: _member(path, archive, name) for name in ("columns", *_AXES)}
    except DataError:
        raise
    except OSError as error:
        raise DataError(path, 0, f"cannot be read ({error.strerror or error})") from error
    except (ValueError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(path, 0, f"not a whole npz archive ({error})") from error


def _member(path: Path, archive: "np.lib.npyio.NpzFile", name: str) -> np.ndarray:
    try:
        return archive[name]
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(path, 0, f"array {name!r} cannot be read ({error})") from error


def _check_shapes(path: Path | str, arrays: dict[str, np.ndarray]) -> None:
    """Raise DataError unless every array has integers on the axes that the format says."""
    sizes: dict[str, int] = {}
    for name, axes in _AXES.items():
        array = arrays[name]
        if not np.issubdtype(array.dtype, np.integer):
            raise DataError(path, 0, f"array {name!r} is {array.dtype}, expected integers")
        shape = ", ".join(str(axis or "any") for axis in axes)
        if array.ndim != len(axes):
            raise DataError(path, 0, f"array {name!r} has shape {list(array.shape)}, expected [{shape}]")
        for axis, size in zip(axes, array.shape, strict=True):
            wanted = sizes.setdefault(axis, size) if isinstance(axis, str) else axis
            if wanted is not None and wanted != size:
                known = "".join(f", {key} = {value}" for key, value in sizes.items())
                raise DataError(path, 0, f"array {name!r} has shape {list(array.shape)}, expected [{shape}]{known}")


def _ticks(path: Path | str, name: str, price: np.ndarray) -> np.ndarray:
    """Return prices, or sums of them, in ticks."""
    tick, rest = np.divmod(price, PRICE_UNITS_PER_TICK)
    if rest.any():
        place = [int(index) for index in np.argwhere(rest)[0]]
        raise DataError(path, 0, f"array {name!r}{place} is not a multiple of {PRICE_UNITS_PER_TICK}, the tick")
    return tick


def _messages(path: Path | str, name: str, rows: np.ndarray) -> np.ndarray:
    """Return engine messages int32[B, M, 8]."""
    kind, side = rows[..., 0], rows[..., 1]
    for column, bad in (("type", (kind < 1) | (kind > 3)), ("side", np.abs(side) != 1)):
        if bad.any():
            place = [int(index) for index in np.argwhere(bad)[0]]
            valid = "1, 2, 3" if column == "type" else "1, -1"
            value = int(rows[(*place, COLUMNS.index(column))])
            raise DataError(path, 0, f"array {name!r}{place}: {column} {value} is not one of {valid}")
    out = rows.astype(np.int32)
    out[..., spec.KIND] = _KINDS[kind]
    out[..., spec.SIDE] = np.where(side == 1, spec.BUY, spec.SELL)
    out[..., spec.PRICE_TICK] = _ticks(path, name, rows[..., 3])
    return out


def _levels(path: Path | str, name: str, rows: np.ndarray) -> np.ndarray:
    """Return [..., 2, L, 2] with bids first from [..., L, 4], asks first; absent levels are (0, 0)."""
    levels = rows.astype(np.int64).reshape(*rows.shape[:-1], 2, 2)[..., ::-1, :]
    present = levels[..., 1] > 0
    price = _ticks(path, name, np.where(present, levels[..., 0], 0))
    return np.moveaxis(np.stack([price, np.where(present, levels[..., 1], 0)], axis=-1), -2, -3)
