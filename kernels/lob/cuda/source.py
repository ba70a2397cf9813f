"""The CUDA source of the engine: files of this package, constants from `spec`, and a flow's sampler as text.

Everything that compiles the source (NVRTC for a GPU, a C++ compiler for tests on the host) starts from `KernelSource`.
"""

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from kernels.lob import spec

DIRECTORY: Final = Path(__file__).parent
PROCESS: Final = "process"
MARKET_STEP: Final = "market_step"
ENTRY: Final = {PROCESS: "lob_process", MARKET_STEP: "lob_market_step"}
WARP: Final = 32

# Warps (books) a block: the static shared memory of a block stays below 48 KiB, the limit that needs no opt-in.
WARPS: Final = {64: 4, 128: 4, 256: 4, 512: 2}

# Blocks that a multiprocessor of sm_90 is to hold at least: the most at which ptxas needs no spills for any flow.
BLOCKS: Final = {
    PROCESS: {64: 8, 128: 8, 256: 6, 512: 6},
    MARKET_STEP: {64: 6, 128: 6, 256: 6, 512: 6},
}

_HEADERS: Final = (
    "prelude.cuh",
    "warp_device.cuh",
    "warp_host.h",
    "book.cuh",
    "level.cuh",
    "message.cuh",
    "transfer.cuh",
    "philox.cuh",
    "market.cuh",
)


@dataclass(frozen=True)
class KernelSource:
    """One kernel for one capacity, ready to compile."""

    kernel: str  # PROCESS or MARKET_STEP
    capacity: int  # one of spec.CAPACITIES
    main: str  # text of the .cu file
    headers: tuple[tuple[str, str], ...]  # (name, text) of what it includes

    @property
    def entry(self) -> str:
        """Name of the compiled function."""
        return ENTRY[self.kernel]

    @property
    def defines(self) -> tuple[str, ...]:
        """Options that every compiler gets."""
        sizes = {"CAPACITY": self.capacity, "WARPS": WARPS[self.capacity], "BLOCKS": BLOCKS[self.kernel][self.capacity]}
        return tuple(f"-DLOB_{name}={size}" for name, size in sizes.items())

    @property
    def digest(self) -> str:
        """SHA-256 of everything that goes into the compilation but the compiler."""
        text = "\0".join((self.main, *(part for header in self.headers for part in header), *self.defines))
        return sha256(text.encode()).hexdigest()


@cache
def constants_header() -> str:
    """Return `spec.cuh`: every integer constant of `kernels.lob.spec`, so that there is one table."""
    names = [name for name, value in vars(spec).items() if name.isupper() and type(value) is int]
    constants = [f"constexpr int {name} = {getattr(spec, name)};" for name in names]
    return "\n".join(["#pragma once", "namespace spec {", *constants, "}  // namespace spec", ""])


def kernel_source(kernel: str, capacity: int, flow_source: Path | str | None = None) -> KernelSource:
    """Return the source of a kernel; the market step takes the file of a flow's CUDA sampler.

    Raises ValueError for an unknown kernel or capacity, or a market step without a flow; FileNotFoundError for a file
    that is not there.
    """
    if kernel not in ENTRY:
        raise ValueError(f"kernel {kernel!r} is not one of {sorted(ENTRY)}")
    if capacity not in WARPS:
        raise ValueError(f"capacity {capacity} is not one of {sorted(WARPS)}")
    if (kernel == MARKET_STEP) != (flow_source is not None):
        raise ValueError(f"{kernel!r} {'needs' if kernel == MARKET_STEP else 'takes no'} CUDA source of a flow")
    headers = [(name, (DIRECTORY / name).read_text()) for name in _HEADERS]
    headers.append(("spec.cuh", constants_header()))
    if flow_source is not None:
        headers.extend(_flow_headers(Path(flow_source)))
    return KernelSource(kernel, capacity, (DIRECTORY / f"{kernel}.cu").read_text(), tuple(headers))


def _flow_headers(path: Path) -> list[tuple[str, str]]:
    """Return a flow's sampler as flow.cuh, and before it the files beside it that it includes."""
    text = path.read_text()
    beside = [name for name in re.findall(r'^#include "(\S+)"', text, re.MULTILINE) if name not in _HEADERS]
    return [*((name, path.with_name(name).read_text()) for name in beside), ("flow.cuh", text)]
