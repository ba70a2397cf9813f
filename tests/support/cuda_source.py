"""CUDA C without a GPU, for kernels of one text: machine code from NVRTC, and the logic run as host code.

The compilers are those of the order-book engine (`kernels/lob/cuda`); a test skips where one is missing and says so.
"""

import ctypes
from pathlib import Path

import pytest

from kernels.lob.cuda import host_build, nvrtc
from kernels.lob.cuda.errors import CudaMissingError

HOST_PRELUDE = r"""
#include <cmath>
using std::rint;
#define __global__
#define __device__
#define __host__
struct Index { unsigned x, y, z; };
static const Index blockIdx = {0, 0, 0}, threadIdx = {0, 0, 0}, blockDim = {1, 1, 1}, gridDim = {1, 1, 1};
"""


def compile_cubin(source: str, options: tuple[str, ...]) -> bytes:
    """Compile CUDA C to machine code of sm_90; skip without NVRTC, CompileError with the compiler's words."""
    try:
        cubin, _, _ = nvrtc.compile_text("kernel.cu", source, (), options)
    except CudaMissingError as error:
        pytest.skip(str(error))
    return cubin


def host_library(source: str, directory: Path) -> ctypes.CDLL:
    """Compile CUDA C as C++ for one thread of one block and load it; skip where there is no C++ compiler."""
    code, library = directory / "kernel.cpp", directory / "kernel.so"
    code.write_text(HOST_PRELUDE + source)
    try:
        host_build.compile_library(code, library, ("-ffp-contract=off",))
    except host_build.CompilerMissingError as error:
        pytest.skip(str(error))
    return ctypes.CDLL(str(library))
