"""What a compiled kernel takes of a multiprocessor, and how many of its warps fit: known without a GPU."""

import re
import struct
from dataclasses import dataclass
from typing import Final

from kernels.lob.cuda.nvrtc import Compiled
from kernels.lob.cuda.source import WARP, WARPS

INSTRUCTION_BYTES: Final = 16  # every instruction of sm_70 and later
_SECTION_HEADER: Final = struct.Struct("<IIQQQQIIQQ")


@dataclass(frozen=True)
class Multiprocessor:
    """Limits of one multiprocessor. Source: CUDA C++ Programming Guide, table of compute capabilities, 9.0."""

    warps: int = 64
    blocks: int = 32
    registers: int = 65536
    register_unit: int = 256  # registers are given out to a warp in multiples of this
    shared_bytes: int = 228 * 1024
    reserved_shared_bytes: int = 1024  # of every block, for the system
    issue_per_cycle: int = 4  # warp instructions


SM_90: Final = Multiprocessor()


@dataclass(frozen=True)
class Resources:
    """What one kernel takes."""

    registers: int  # a thread
    stack_bytes: int  # local memory a thread
    spill_stores_bytes: int
    spill_loads_bytes: int
    shared_bytes: int  # a block
    instructions: int  # of the whole kernel, padding at its end included


@dataclass(frozen=True)
class Occupancy:
    """How many warps of a kernel a multiprocessor holds."""

    blocks: int
    warps: int
    share: float  # of the warps that a multiprocessor can hold
    limited_by: str  # registers, shared memory, blocks or warps


def resources(compiled: Compiled) -> Resources:
    """Read them from ptxas's report and the machine code. Raises ValueError if the report has another form."""
    found = {
        name: re.search(pattern, compiled.log)
        for name, pattern in (
            ("stack", r"(\d+) bytes stack frame"),
            ("stores", r"(\d+) bytes spill stores"),
            ("loads", r"(\d+) bytes spill loads"),
            ("registers", r"Used (\d+) registers"),
            ("shared", r"(\d+) bytes smem"),
        )
    }
    missing = [name for name, match in found.items() if match is None]
    if missing:
        raise ValueError(f"ptxas's report does not say {', '.join(missing)}: {compiled.log}")
    number = {name: int(match.group(1)) for name, match in found.items() if match is not None}
    code = section_size(compiled.cubin, f".text.{compiled.source.entry}")
    return Resources(
        registers=number["registers"],
        stack_bytes=number["stack"],
        spill_stores_bytes=number["stores"],
        spill_loads_bytes=number["loads"],
        shared_bytes=number["shared"],
        instructions=code // INSTRUCTION_BYTES,
    )


def occupancy(taken: Resources, capacity: int, processor: Multiprocessor = SM_90) -> Occupancy:
    """Return how many warps of the kernel for `capacity` a multiprocessor holds."""
    warps = WARPS[capacity]
    a_warp = -(-taken.registers * WARP // processor.register_unit) * processor.register_unit
    limits = {
        "registers": processor.registers // a_warp // warps,
        "shared memory": processor.shared_bytes // (taken.shared_bytes + processor.reserved_shared_bytes),
        "blocks": processor.blocks,
        "warps": processor.warps // warps,
    }
    limited_by = min(limits, key=lambda name: limits[name])
    blocks = limits[limited_by]
    return Occupancy(blocks, blocks * warps, blocks * warps / processor.warps, limited_by)


def section_size(elf: bytes, name: str) -> int:
    """Return the size in bytes of a section of a 64-bit little-endian ELF file. Raises ValueError if there is none."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise ValueError("the machine code is no 64-bit little-endian ELF file")
    (offset,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [_SECTION_HEADER.unpack_from(elf, offset + size * index) for index in range(count)]
    for header in headers:
        start = headers[names][4] + header[0]
        if elf[start : elf.index(b"\0", start)].decode() == name:
            return header[5]
    raise ValueError(f"the machine code has no section {name}")
