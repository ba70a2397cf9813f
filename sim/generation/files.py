"""Files of generated sequences: LOBSTER's names, pairs of csv or a zip of both, whole or not there."""

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from market_models.instrument import Instrument

_COPY_BYTES = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip's bytes depend on its contents alone


def stem_of(instrument: Instrument, label: int, start_s: int, end_s: int) -> str:
    """Return the first part of a sequence's file names: instrument, number, window in milliseconds after midnight."""
    return f"{instrument.name}_GENERATED-{label:04d}_{start_s * 1000}_{end_s * 1000}"


def existing_files(out_dir: Path, instrument: Instrument, levels: int) -> list[Path]:
    """Return the generated files of an instrument and depth that a folder holds already."""
    wanted = re.compile(
        rf"{re.escape(instrument.name)}_GENERATED-\d+_\d+_\d+_((message|orderbook)_{levels}\.csv|{levels}\.zip)"
    )
    return sorted(path for path in out_dir.glob("*") if wanted.fullmatch(path.name))


@contextmanager
def staged(out_dir: Path) -> Iterator[Path]:
    """Yield a hidden folder inside `out_dir` to write into; it is gone afterwards, whatever happened."""
    out_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=out_dir, prefix=".generating-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(parts: list[Path], replaced: list[Path], out_dir: Path) -> list[Path]:
    """Move finished files into `out_dir` and remove what they replace; return their paths."""
    targets = [out_dir / part.name for part in parts]
    for part, target in zip(parts, targets, strict=True):
        part.chmod(0o644)
        part.replace(target)
    for old in set(replaced) - set(targets):
        old.unlink(missing_ok=True)
    return targets


class PairFile:
    """The message and order-book csv of one sequence under construction in a folder."""

    def __init__(self, folder: Path, label: int) -> None:
        self._paths = [folder / f"{label}.{part}.part" for part in ("message", "orderbook")]
        self._files: list[FileIO] = [path.open("wb", buffering=0) for path in self._paths]

    def write(self, texts: tuple[memoryview, memoryview]) -> None:
        """Append the bytes of some rows to both files."""
        for file, text in zip(self._files, texts, strict=True):
            _write_all(file, text)

    def close(self) -> None:
        """Close both files."""
        for file in self._files:
            file.close()

    def finish(self, stem: str, levels: int, *, as_zip: bool) -> list[Path]:
        """Close the files and give them their names, or put them into one zip; return what there is now."""
        self.close()
        names = [f"{stem}_{part}_{levels}.csv" for part in ("message", "orderbook")]
        if not as_zip:
            return [path.replace(path.with_name(name)) for path, name in zip(self._paths, names, strict=True)]
        archive = self._paths[0].with_name(f"{stem}_{levels}.zip")
        _zip_files(archive, dict(zip(names, self._paths, strict=True)))
        for path in self._paths:
            path.unlink()
        return [archive]


def _write_all(file: FileIO, text: memoryview) -> None:
    """Write every byte: a raw file may take fewer than it is given."""
    while text:
        text = text[file.write(text) :]


def _zip_files(target: Path, members: dict[str, Path]) -> None:
    """Write files as members of a zip, piece by piece."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in members.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.file_size = path.stat().st_size  # the header's size decides whether it is a zip64
            with path.open("rb") as source, archive.open(info, "w") as member:
                shutil.copyfileobj(source, member, _COPY_BYTES)
