"""Open a recorded file as a stream, whatever it is packed in; damage becomes a DataError that names the file."""

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from market_models.datasets.errors import DataError

HEAD_BYTES = 65_536
MAX_LINE_BYTES = 1 << 25
_CHUNK = 1 << 16
_PACKINGS = {"gz": "gzip", "xz": "xz", "bz2": "bzip2", "zst": "zstd", "zip": "zip", "tar": "tar"}


class _Zstd:
    """Streamed zstd that knows whether the last frame was whole (the library's own reader does not say)."""

    def __init__(self, file: BinaryIO) -> None:
        import zstandard

        self._new: Callable[[], Any] = lambda: zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        self._file, self._frame, self._left, self._ready = file, self._new(), b"", b""

    def read(self, size: int) -> bytes:
        while not self._ready:
            data = self._left or self._file.read(4096)
            if not data:
                if not self._frame.eof:
                    raise EOFError("the compressed stream ends in the middle")
                return b""
            if self._frame.eof:
                self._frame = self._new()
            self._ready, self._left = self._frame.decompress(data), self._frame.unused_data
        out, self._ready = self._ready[:size], self._ready[size:]
        return out


class _Guarded(io.RawIOBase):
    """Translates what the standard library raises on damaged data."""

    def __init__(
        self, name: str, inner: Any, on_read: Callable[[int], None] | None = None, packed: BinaryIO | None = None
    ) -> None:
        self._name, self._inner, self._on_read, self._packed = name, inner, on_read, packed

    def close(self) -> None:
        if not self.closed:
            for file in (self._inner, self._packed):
                if file is not None and hasattr(file, "close"):
                    file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except damage() as error:
            raise DataError(self._name, 0, f"damaged or cut short ({_one_line(error)})") from error
        buffer[: len(data)] = data
        if self._on_read and data:
            self._on_read(len(data))
        return len(data)


class _Remembering:
    """A stream that tells whether it ended with the zero block that ends a tar archive: tarfile does not complain."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._tail = inner, b""

    def read(self, size: int = -1) -> bytes:
        data = self._inner.read(size)
        if data:
            self._tail = (self._tail + data)[-512:]
        return data

    def ends_with_zeros(self) -> bool:
        while self.read(_CHUNK):
            pass
        return len(self._tail) == 512 and not any(self._tail)


def damage() -> tuple[type[BaseException], ...]:
    """Return the errors by which unpacking says that a file is damaged."""
    errors: list[type[BaseException]] = [OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile]
    errors += [tarfile.TarError, NotImplementedError, RuntimeError, ValueError, IndexError, OverflowError, MemoryError]
    try:
        import zstandard

        errors.append(zstandard.ZstdError)
    except ModuleNotFoundError:
        pass
    return tuple(errors)


@dataclass
class Source:
    """One recorded file: its path, how it is packed, and its beginning."""

    path: Path
    on_read: Callable[[int], None] | None = None  # told how many packed bytes were consumed
    packing: str = ""
    members: list[str] = field(default_factory=list)  # of an archive
    head: bytes = b""  # of the unpacked (first) file, at most HEAD_BYTES
    unpacked_bytes: int = 0  # read so far

    @property
    def name(self) -> str:
        """File name without the suffix of its packing."""
        suffix = self.path.suffix.lower().lstrip(".")
        return self.path.stem if suffix in _PACKINGS else self.path.name

    def open(self) -> BinaryIO:
        """Open the unpacked stream: of an archive, its first member."""
        if self.packing in ("zip", "tar"):
            raise DataError(self.path, 0, "holds several files where one is expected")
        raw = self._raw()
        return io.BufferedReader(_Guarded(str(self.path), _unpack(raw, self.packing), self._count, raw), _CHUNK)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Give the only stream of the file: it, or the only member of an archive."""
        if self.packing in ("zip", "tar"):
            with closing(self.each()) as each:
                for _, stream in each:
                    yield stream
                    return
            raise DataError(self.path, 0, "the archive is empty")
        with self.open() as stream:
            yield stream

    def each(self) -> Generator[tuple[str, BinaryIO]]:
        """Yield (member name, stream) of an archive, in its order; of any other file, its one stream."""
        if self.packing == "zip":
            yield from self._zip_members()
        elif self.packing == "tar":
            yield from self._tar_members()
        else:
            with self.open() as stream:
                yield self.name, stream

    def member(self, archive: zipfile.ZipFile, name: str) -> BinaryIO:
        """Open one member of the (zip) archive."""
        label = f"{self.path}:{name}"
        try:
            inner = archive.open(name)
        except damage() as error:
            raise DataError(label, 0, f"damaged ({_one_line(error)})") from error
        return io.BufferedReader(_Guarded(label, inner, self._count), _CHUNK)

    def _count(self, number: int) -> None:
        self.unpacked_bytes += number

    def _raw(self) -> BinaryIO:
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise DataError(self.path, 0, f"cannot be read ({error.strerror})") from error
        return io.BufferedReader(_Guarded(str(self.path), file, self.on_read), _CHUNK)

    def _zip_members(self) -> Iterator[tuple[str, BinaryIO]]:
        try:
            archive = zipfile.ZipFile(self.path)
        except damage() as error:
            raise DataError(self.path, 0, f"not a whole zip archive ({_one_line(error)})") from error
        with archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                yield info.filename, self.member(archive, info.filename)

    def _tar_members(self) -> Iterator[tuple[str, BinaryIO]]:
        inner = next((p for p in ("gz", "xz", "bz2", "zst") if self.path.name.lower().endswith(f".{p}")), "")
        try:
            with self._raw() as raw:
                stream = _Remembering(_unpack(raw, inner))
                with tarfile.open(fileobj=cast(Any, stream), mode="r|") as archive:
                    for info in archive:
                        file = archive.extractfile(info) if info.isfile() else None
                        if file is not None:
                            label = f"{self.path}:{info.name}"
                            yield info.name, io.BufferedReader(_Guarded(label, file, self._count), _CHUNK)
                if not stream.ends_with_zeros():
                    raise EOFError("the archive ends without its end mark")
        except DataError:
            raise
        except damage() as error:
            raise DataError(self.path, 0, f"not a whole tar archive ({_one_line(error)})") from error


def _unpack(raw: BinaryIO, packing: str) -> Any:
    openers: dict[str, Callable[[BinaryIO], Any]] = {
        "gz": lambda file: gzip.GzipFile(fileobj=file),
        "xz": lzma.LZMAFile,
        "bz2": bz2.BZ2File,
        "zst": _Zstd,
    }
    return openers[packing](raw) if packing in openers else raw


def open_source(path: Path, on_read: Callable[[int], None] | None = None) -> Source:
    """Look at a file: how it is packed and how it begins. Raises DataError if it cannot be read or unpacked."""
    source = Source(Path(path))
    if not source.path.is_file():
        raise DataError(path, 0, "no such file")
    name = source.path.name.lower()
    suffix = name.rsplit(".", 1)[-1]
    source.packing = "tar" if ".tar" in name else suffix if suffix in _PACKINGS else ""
    if source.packing == "zip":
        source.members = [member for member, _ in source._zip_members()]
    if source.packing in ("zip", "tar"):
        with closing(source.each()) as each:
            for member, stream in each:
                source.head = stream.read(HEAD_BYTES)
                source.members = source.members or [member]
                break
    else:
        with source.open() as stream:
            source.head = stream.read(HEAD_BYTES)
    source.on_read, source.unpacked_bytes = on_read, 0
    return source


def file_digest(*paths: Path) -> str:
    """Return the SHA-256 of the files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        except OSError as error:
            raise DataError(path, 0, f"cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def lines(name: object, stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a stream without their ends; DataError for one that is longer than 32 MiB."""
    while line := stream.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            raise DataError(name, 0, f"a line is longer than {MAX_LINE_BYTES} bytes")
        yield line.rstrip(b"\r\n")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
