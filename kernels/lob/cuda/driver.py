"""The few calls of the CUDA driver that the backend needs, through ctypes. Not run on a GPU yet."""

import ctypes
from functools import cache
from typing import Any

from kernels.lob.cuda.errors import CudaMissingError

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_MINIMUM_VERSION = 12000  # the first whose kernels of a library run in whatever context the stream has


class CudaError(RuntimeError):
    """The driver refused a call."""


class Driver:
    """The driver of this machine, with at least one GPU. Raises CudaMissingError without driver or GPU."""

    def __init__(self) -> None:
        try:
            self._cuda: Any = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise CudaMissingError(
                "no CUDA device: this machine has no NVIDIA driver (libcuda.so.1); run on a machine with a GPU, or use "
                "--backend cpu"
            ) from error
        if self._cuda.cuInit(0) != 0 or self.num_devices() == 0:
            raise CudaMissingError("no CUDA device: the NVIDIA driver finds no GPU; use --backend cpu")
        version = ctypes.c_int()
        self._check(self._cuda.cuDriverGetVersion(ctypes.byref(version)), "cuDriverGetVersion")
        if version.value < _MINIMUM_VERSION:
            raise CudaMissingError(
                f"the NVIDIA driver supports CUDA {version.value // 1000}; the cuda backend needs 12: update it"
            )

    def num_devices(self) -> int:
        """Return how many GPUs the driver sees."""
        count = ctypes.c_int()
        return count.value if self._cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0

    def arch(self) -> str:
        """Return the architecture of the GPUs, such as sm_90. Raises CudaMissingError if they differ."""
        found = {self._capability(device) for device in range(self.num_devices())}
        if len(found) > 1:
            raise CudaMissingError(
                f"the GPUs of this machine differ ({', '.join(sorted(found))}); set CUDA_VISIBLE_DEVICES to equal ones"
            )
        return found.pop()

    def _capability(self, device: int) -> str:
        parts = []
        for attribute in (_MAJOR, _MINOR):
            value, handle = ctypes.c_int(), ctypes.c_int()
            self._check(self._cuda.cuDeviceGet(ctypes.byref(handle), device), "cuDeviceGet")
            result = self._cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle)
            self._check(result, "cuDeviceGetAttribute")
            parts.append(str(value.value))
        return f"sm_{''.join(parts)}"

    def load(self, cubin: bytes, entry: str) -> int:
        """Return the handle of the kernel `entry`, valid on every device as long as the process lives."""
        library, kernel = ctypes.c_void_p(), ctypes.c_void_p()
        options = (None, None, ctypes.c_uint(0), None, None, ctypes.c_uint(0))
        self._check(self._cuda.cuLibraryLoadData(ctypes.byref(library), cubin, *options), "cuLibraryLoadData")
        self._check(self._cuda.cuLibraryGetKernel(ctypes.byref(kernel), library, entry.encode()), "cuLibraryGetKernel")
        assert kernel.value is not None
        return kernel.value

    def launch_address(self) -> int:
        """Return the address of cuLaunchKernel, for machine code to call."""
        address = ctypes.cast(self._cuda.cuLaunchKernel, ctypes.c_void_p).value
        assert address is not None
        return address

    def _check(self, result: int, call: str) -> None:
        if result != 0:
            name = ctypes.c_char_p()
            self._cuda.cuGetErrorName(result, ctypes.byref(name))
            raise CudaError(f"{call}: {name.value.decode() if name.value else result}")


@cache
def the_driver() -> Driver:
    """Return the driver, opened once a process; raises CudaMissingError like `Driver`."""
    return Driver()
