"""Lines of a text file that may be gzipped, streamed, with damage reported by file and line."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from market_models.datasets.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"


def read_lines(path: Path | str) -> Iterator[bytes]:
    """Yield the lines, without their end; DataError if the file cannot be read or its gzip stream is not whole."""
    number = 0
    try:
        with Path(path).open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            with gzip.open(raw, "rb") if packed else raw as lines:
                for number, line in enumerate(lines, 1):  # noqa: B007 - the number is told where the stream breaks
                    yield line.rstrip(b"\r\n")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(path, number + 1, f"not a whole gzip file ({error})") from error
    except OSError as error:
        raise DataError(path, 0, f"cannot be read ({error.strerror or error})") from error
