"""What the risk launcher asks of CuPy, with memory of the host and the kernels compiled for it: no GPU is needed.

Every argument is held against the kernel's signature in the source: a word of another type would be garbage on a GPU.
"""

import ctypes
import re
from typing import Any

import numpy as np

TYPES = {"i64": np.int64, "u32": np.uint32, "double": np.float64}
CTYPES = {"i64": ctypes.c_longlong, "u32": ctypes.c_uint, "double": ctypes.c_double}
THREADS_A_BLOCK = 1024


class Device(np.ndarray):
    """An array that only `get` brings to the host."""

    def get(self) -> np.ndarray:
        return np.array(self)


class HostCupy:
    """The functions of CuPy that the launcher calls."""

    isfinite = staticmethod(np.isfinite)

    def asarray(self, values: Any) -> Device:
        return np.array(values, order="C").view(Device)

    def empty(self, shape: Any) -> Device:
        return np.full(shape, np.nan).view(Device)


class HostModule:
    """A compiled source whose kernels run as one thread that strides over everything."""

    def __init__(self, source: str, library: ctypes.CDLL) -> None:
        self.library, self.launched = library, []
        found = re.findall(r'extern "C" __global__ void (\w+)\((.*?)\)', source, re.S)
        self.signatures = {name: [" ".join(one.split()[:-1]) for one in text.split(",")] for name, text in found}

    def get_function(self, name: str) -> Any:
        def launch(grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
            assert 0 < grid[0] < 2**31 and 0 < block[0] <= THREADS_A_BLOCK
            signature = self.signatures[name]
            assert len(arguments) == len(signature)
            words = [word(kind, value) for kind, value in zip(signature, arguments, strict=True)]
            self.launched.append(name)
            getattr(self.library, name)(*words)

        return launch


def word(kind: str, value: Any) -> Any:
    """The C word of an argument; AssertionError where it is not what the signature says."""
    if kind.endswith("*"):
        if isinstance(value, np.uint64) and value == 0:
            return None
        assert isinstance(value, Device) and value.dtype == np.float64 and value.flags.c_contiguous
        return value.ctypes.data_as(ctypes.c_void_p)
    assert type(value) is TYPES[kind]
    return CTYPES[kind](value)
