"""CUDA C without a GPU: compiled to a cubin by NVRTC, and its logic run as host code by a C++ compiler.

NVRTC comes with the PyPI package nvidia-cuda-nvrtc. Neither is needed to use bookswarm; a test skips where one is
missing and says so.
"""

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

HOST_PRELUDE = r"""
#include <cmath>
using std::rint;
#define __global__
#define __device__
#define __host__
struct Index { unsigned x, y, z; };
static const Index blockIdx = {0, 0, 0}, threadIdx = {0, 0, 0}, blockDim = {1, 1, 1}, gridDim = {1, 1, 1};
"""


def find_nvrtc() -> Path | None:
    """Return the NVRTC library of the package nvidia-cuda-nvrtc, None where it is not installed."""
    spec = importlib.util.find_spec("nvidia")
    for root in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(root).glob("*/lib/libnvrtc.so.*")):
            return path
    return None


def compile_cubin(source: str, options: tuple[str, ...], architecture: str = "sm_90") -> bytes:
    """Compile CUDA C to a cubin; skip without NVRTC, fail with the compiler's log."""
    path = find_nvrtc()
    if path is None:
        pytest.skip("NVRTC is not installed: pip install nvidia-cuda-nvrtc")
    nvrtc = ctypes.CDLL(str(path))
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    flags = [f"--gpu-architecture={architecture}".encode(), *(option.encode() for option in options)]
    failed = nvrtc.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
    if failed:
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        raise AssertionError(f"NVRTC refused the source:\n{log.value.decode()}")
    nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    cubin = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetCUBIN(program, cubin)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return cubin.raw


def host_library(source: str, directory: Path) -> ctypes.CDLL:
    """Compile CUDA C as C++ for one thread of one block and load it; skip where there is no C++ compiler."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler to run the CUDA source as host code")
    code, library = directory / "kernel.cpp", directory / "kernel.so"
    code.write_text(HOST_PRELUDE + source)
    command = [compiler, "-O1", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC", "-o", str(library), str(code)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return ctypes.CDLL(str(library))
