"""Compiled kernels on disk, so that a process does not compile what an earlier one has compiled."""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

from kernels.lob.cuda import nvrtc
from kernels.lob.cuda.source import KernelSource

_DIGEST_BYTES = 32


def cache_directory() -> Path:
    """Return where cubins are kept: $XDG_CACHE_HOME/bookswarm/cuda, ~/.cache/bookswarm/cuda by default."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bookswarm" / "cuda"


def cubin(source: KernelSource, arch: str, directory: Path | None = None) -> bytes:
    """Return the machine code of a kernel, from `directory` (default: the cache) or from NVRTC.

    A file that is damaged is compiled anew; a directory that cannot be written only costs the time to compile.
    Raises CudaMissingError without NVRTC, CompileError where it refuses the source.
    """
    major, minor = nvrtc.version()
    folder = cache_directory() if directory is None else directory
    name = f"{source.kernel}-{source.capacity}-{arch}-nvrtc{major}.{minor}-{source.digest[:32]}.cubin"
    kept = _read(folder / name)
    if kept is not None:
        return kept
    code = nvrtc.compile_source(source, arch).cubin
    with suppress(OSError):
        _write(folder / name, code)
    return code


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return code if sha256(code).digest() == digest else None


def _write(path: Path, code: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(sha256(code).digest() + code)
    Path(file.name).replace(path)
