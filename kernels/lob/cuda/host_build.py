"""The CUDA source compiled for the host, 32 lanes in lockstep: how its logic is tested without a GPU.

A C++ compiler of the machine, else the `ziglang` package, builds a shared library that ctypes calls with the same words
that the launcher packs for the GPU. A test tool: slow (a book at a time), but it counts what a warp does, and every
access that a GPU would leave to chance because a sync is missing.
"""

import ctypes
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from kernels.lob.cuda.source import KernelSource

_FLAGS = ("-std=c++17", "-O2", "-fno-strict-aliasing", "-shared", "-fPIC", "-x", "c++")


class CompilerMissingError(RuntimeError):
    """No C++ compiler on this machine."""


class HostBuildError(RuntimeError):
    """The source does not compile for the host."""


class RaceError(AssertionError):
    """A lane read or wrote a word that another lane accessed since the last sync."""


class _Run(ctypes.Structure):
    _fields_ = (
        ("epoch", ctypes.c_uint64),
        ("races", ctypes.c_int64),
        ("loads", ctypes.c_int64),
        ("stores", ctypes.c_int64),
        ("votes", ctypes.c_int64),
        ("syncs", ctypes.c_int64),
        ("reductions", ctypes.c_int64),
    )


@dataclass(frozen=True)
class WarpCounts:
    """What the warps of a call did: instructions of each kind, a whole warp's as one."""

    loads: int
    stores: int
    votes: int
    syncs: int
    reductions: int


def compiler() -> list[str]:
    """Return the command of a C++ compiler: c++, g++ or clang++ of the machine, else that of the ziglang package.

    Raises CompilerMissingError that says how to get one.
    """
    for name in ("c++", "g++", "clang++"):
        path = shutil.which(name)
        if path is not None:
            return [path]
    if find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "c++"]
    raise CompilerMissingError("no C++ compiler (c++, g++, clang++): install one, or `pip install ziglang`")


class HostKernel:
    """One kernel for one capacity, compiled for the host."""

    def __init__(self, source: KernelSource, library: Path) -> None:
        self.source = source
        self._function = getattr(ctypes.CDLL(str(library)), source.entry)
        self._function.restype = None
        self._function.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Run))

    def __call__(self, call_words: np.ndarray) -> WarpCounts:
        """Run on the words int64[...] of a call, whose addresses the caller vouches for.

        Raises RaceError if lanes raced for a word.
        """
        words, run = np.ascontiguousarray(call_words, np.int64), _Run()
        self._function(words.ctypes.data, ctypes.byref(run))
        if run.races:
            raise RaceError(f"{run.races} accesses of {self.source.entry} depend on which lane runs first")
        return WarpCounts(run.loads, run.stores, run.votes, run.syncs, run.reductions)


def compile_library(main: Path, library: Path, flags: tuple[str, ...], command: list[str] | None = None) -> None:
    """Compile the C++ file `main` into the shared library `library`, which appears when it is whole.

    `command` is the compiler, by default that of `compiler`. Raises CompilerMissingError or HostBuildError with the
    compiler's words.
    """
    command = compiler() if command is None else command
    new = library.with_name("new.so")
    arguments = [*command, *_FLAGS, *flags, str(main), "-o", str(new)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HostBuildError(f"{main.name} for the host: {done.stderr}")
    new.replace(library)


def build(source: KernelSource, directory: Path, command: list[str] | None = None) -> HostKernel:
    """Compile `source` into `directory` (made if missing; an earlier build of the same source is taken) and load it.

    Raises CompilerMissingError or HostBuildError with the compiler's words.
    """
    target = Path(directory) / f"{source.kernel}-{source.capacity}-{source.digest[:16]}"
    library = target / "kernel.so"
    if not library.is_file():
        target.mkdir(parents=True, exist_ok=True)
        main = f"{source.kernel}.cu"
        for name, text in (*source.headers, (main, source.main)):
            (target / name).write_text(text)
        compile_library(target / main, library, ("-DLOB_HOST", *source.defines, f"-I{target}"), command)
    return HostKernel(source, library)
