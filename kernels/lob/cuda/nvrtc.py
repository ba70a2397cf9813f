"""CUDA C++ to a GPU's machine code with NVRTC, which needs neither a GPU nor a CUDA toolkit.

The library comes with the `nvidia-cuda-nvrtc` wheel (a part of `jax[cuda13]` too) and is called through ctypes.
"""

import ctypes
import ctypes.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kernels.lob.cuda.errors import CudaMissingError
from kernels.lob.cuda.source import KernelSource

HOW_TO_GET = "pip install 'bookswarm[cuda]' (or nvidia-cuda-nvrtc)"
_OPTIONS = ("-std=c++17", "--ptxas-options=-v")


class CompileError(RuntimeError):
    """NVRTC refuses the source."""


@dataclass(frozen=True)
class Compiled:
    """Machine code of one kernel for one architecture."""

    source: KernelSource
    arch: str  # such as sm_90
    cubin: bytes
    ptx: str
    log: str  # what ptxas says of registers, spills and memory


def _candidates() -> Iterator[str]:
    nvidia = find_spec("nvidia")
    for root in (nvidia.submodule_search_locations or ()) if nvidia else ():
        yield from map(str, sorted(Path(root).glob("*/lib/libnvrtc.so.*"), reverse=True))
    found = ctypes.util.find_library("nvrtc")
    if found:
        yield found


@cache
def _library() -> Any:
    for path in _candidates():
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise CudaMissingError(f"NVRTC, which compiles the CUDA kernels, is not installed: {HOW_TO_GET}")


def version() -> tuple[int, int]:
    """Return NVRTC's (major, minor) version; raise CudaMissingError without it."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)), "nvrtcVersion")
    return major.value, minor.value


def compile_source(source: KernelSource, arch: str = "sm_90") -> Compiled:
    """Compile a kernel for `arch`. Raises CudaMissingError, or CompileError with the compiler's words."""
    title = f"{source.kernel}.cu, capacity {source.capacity}"
    return Compiled(source, arch, *compile_text(title, source.main, source.headers, source.defines, arch))


def compile_text(
    title: str, main: str, headers: tuple[tuple[str, str], ...], options: tuple[str, ...], arch: str = "sm_90"
) -> tuple[bytes, str, str]:
    """Compile CUDA C++ that includes `headers` (name, text); return (cubin, ptx, what ptxas says).

    Raises CudaMissingError, or CompileError with `title` and the compiler's words.
    """
    library, program = _library(), ctypes.c_void_p()
    names = (ctypes.c_char_p * len(headers))(*(name.encode() for name, _ in headers))
    texts = (ctypes.c_char_p * len(headers))(*(text.encode() for _, text in headers))
    created = library.nvrtcCreateProgram(
        ctypes.byref(program), main.encode(), title.encode(), len(headers), texts, names
    )
    _check(created, "nvrtcCreateProgram")
    try:
        flags = [option.encode() for option in (f"--gpu-architecture={arch}", *_OPTIONS, *options)]
        result = library.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
        log = _text(library, program, "ProgramLog").rstrip(b"\0").decode(errors="replace").strip()
        if result != 0:
            raise CompileError(f"NVRTC refuses {title}, for {arch}: {log}")
        ptx = _text(library, program, "PTX").rstrip(b"\0").decode()
        return _text(library, program, "CUBIN"), ptx, log
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _text(library: Any, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)), f"nvrtcGet{what}Size")
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(library, f"nvrtcGet{what}")(program, buffer), f"nvrtcGet{what}")
    return buffer.raw


def _check(result: int, call: str) -> None:
    if result != 0:
        _library().nvrtcGetErrorString.restype = ctypes.c_char_p
        raise CompileError(f"{call}: {_library().nvrtcGetErrorString(result).decode()}")
