"""A driver of CUDA and a call frame of XLA by hand: what the launch handlers meet, without a GPU.

`FakeDriver` has the interface of `kernels.lob.cuda.driver.Driver` and records launches; `Frame` lays out the structs of
XLA's C header (xla/ffi/api/c_api.h) with ctypes, so that a handler reads what XLA would hand it.
"""

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_P = ctypes.c_void_p
_U = ctypes.c_uint
LAUNCH = ctypes.CFUNCTYPE(ctypes.c_int, _P, _U, _U, _U, _U, _U, _U, _U, _P, ctypes.POINTER(_P), _P)


@dataclass
class Launch:
    """One recorded call of cuLaunchKernel."""

    kernel: int
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
    stream: int
    words: np.ndarray  # the words that the only parameter pointed to


@dataclass
class FakeDriver:
    """Records what would be launched; `status` is what cuLaunchKernel answers."""

    num_words: int  # of the call
    status: int = 0
    launches: list[Launch] = field(default_factory=list)
    loaded: list[tuple[int, str]] = field(default_factory=list)  # (bytes of code, entry)

    def __post_init__(self) -> None:
        self._function = LAUNCH(self._launch)

    def arch(self) -> str:
        return "sm_90"

    def load(self, cubin: bytes, entry: str) -> int:
        self.loaded.append((len(cubin), entry))
        return 1000 + len(self.loaded)

    def launch_address(self) -> int:
        address = ctypes.cast(self._function, _P).value
        assert address is not None
        return address

    def _launch(self, kernel, gx, gy, gz, bx, by, bz, shared, stream, parameters, extra) -> int:
        assert not extra
        words = np.ctypeslib.as_array(ctypes.cast(parameters[0], ctypes.POINTER(ctypes.c_int64)), (self.num_words,))
        self.launches.append(Launch(kernel, (gx, gy, gz), (bx, by, bz), shared, stream or 0, words.copy()))
        return self.status


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", _P),
        ("dtype", ctypes.c_int),
        ("data", _P),
        ("rank", ctypes.c_int64),
        ("dims", ctypes.POINTER(ctypes.c_int64)),
    )


class _Buffers(ctypes.Structure):  # XLA_FFI_Args and XLA_FFI_Rets
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", _P),
        ("size", ctypes.c_int64),
        ("types", _P),
        ("buffers", ctypes.POINTER(_P)),
    )


class _Version(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", _P),
        ("major", ctypes.c_int),
        ("minor", ctypes.c_int),
    )


class _StreamArgs(ctypes.Structure):
    _fields_ = (("struct_size", ctypes.c_size_t), ("extension_start", _P), ("ctx", _P), ("stream", _P))


class _ErrorArgs(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", _P),
        ("message", ctypes.c_char_p),
        ("errc", ctypes.c_int),
    )


_STREAM_GET = ctypes.CFUNCTYPE(_P, ctypes.POINTER(_StreamArgs))
_ERROR_CREATE = ctypes.CFUNCTYPE(_P, ctypes.POINTER(_ErrorArgs))


class _Api(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", _P),
        ("version", _Version),
        ("internal_api", _P),
        ("error_create", _ERROR_CREATE),
        ("error_get_message", _P),
        ("error_destroy", _P),
        ("handler_register", _P),
        ("stream_get", _STREAM_GET),
    )


class _CallFrame(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", _P),
        ("api", ctypes.POINTER(_Api)),
        ("ctx", _P),
        ("stage", ctypes.c_int),
        ("args", _Buffers),
        ("rets", _Buffers),
        ("attrs", ctypes.c_int64 * 6),
    )


class Frame:
    """One call of a handler with NumPy arrays as arguments and results."""

    CONTEXT = 0xC0DE
    ERROR = 0xBAD

    def __init__(self, arguments: list[np.ndarray], results: list[np.ndarray], stream: int = 0x57, error: int = 0):
        self.stream, self.stream_error = stream, error
        self.errors: list[tuple[str, int]] = []
        self._alive: list[Any] = [arguments, results]
        self._api = _Api(ctypes.sizeof(_Api))
        self._api.stream_get, self._api.error_create = _STREAM_GET(self._stream_get), _ERROR_CREATE(self._error_create)
        self.frame = _CallFrame(ctypes.sizeof(_CallFrame), None, ctypes.pointer(self._api), self.CONTEXT, 3)
        self.frame.args, self.frame.rets = self._buffers(arguments), self._buffers(results)

    def call(self, address: int) -> int:
        """Call the handler at `address`; return the address of its error, 0 for none."""
        handler = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.POINTER(_CallFrame))(address)
        return handler(ctypes.byref(self.frame))

    def _buffers(self, arrays: list[np.ndarray]) -> _Buffers:
        pointers = (_P * len(arrays))()
        for place, array in enumerate(arrays):
            dims = (ctypes.c_int64 * array.ndim)(*array.shape)
            data = array.ctypes.data
            buffer = _Buffer(ctypes.sizeof(_Buffer), None, 4, data, array.ndim, dims)
            self._alive += [dims, buffer]
            pointers[place] = ctypes.addressof(buffer)
        self._alive.append(pointers)
        return _Buffers(ctypes.sizeof(_Buffers), None, len(arrays), None, pointers)

    def _stream_get(self, arguments: Any) -> int:
        asked = arguments.contents
        assert asked.struct_size == ctypes.sizeof(_StreamArgs) and asked.ctx == self.CONTEXT
        asked.stream = self.stream
        return self.stream_error

    def _error_create(self, arguments: Any) -> int:
        made = arguments.contents
        assert made.struct_size == _ErrorArgs.errc.offset + 4
        self.errors.append((made.message.decode(), made.errc))
        return self.ERROR
