"""Numba functions as XLA FFI handlers, without a compiler on the machine and without JAX.

XLA calls a handler as `XLA_FFI_Error* handler(XLA_FFI_CallFrame*)`. A numba `cfunc` of type int64(int64*) is such a
function; it reads the call frame as 64-bit words. Where each word lies follows from the structs of XLA's C header
(`xla/ffi/api/c_api.h`, shipped with jaxlib), which `frame_version` checks field by field before anything is registered.
"""

import ctypes
import re
from typing import Any

from numba import cfunc, njit, types
from numba.np.numpy_support import carray

from kernels.lob import cpu, spec, step
from kernels.lob._memory import INLINE, int64_view, stack_words
from kernels.lob.cpu import NUM_CALL_WORDS  # a module's attribute would not be a literal to numba
from kernels.lob.step import NUM_CALL_WORDS as NUM_STEP_WORDS

# The structs that handlers read, as (type, field) in the order that the offsets below stand for. One pointer is as good
# as another.
_BASE = (("size_t", "struct_size"), ("*", "extension_start"))
_EXPECTED = {
    "XLA_FFI_Extension_Base": (
        ("size_t", "struct_size"),
        ("XLA_FFI_Extension_Type", "type"),
        ("*", "next"),
    ),
    "XLA_FFI_Api_Version": (*_BASE, ("int", "major_version"), ("int", "minor_version")),
    "XLA_FFI_Buffer": (
        *_BASE,
        ("XLA_FFI_DataType", "dtype"),
        ("*", "data"),
        ("int64_t", "rank"),
        ("*", "dims"),
    ),
    "XLA_FFI_Args": (*_BASE, ("int64_t", "size"), ("*", "types"), ("*", "args")),
    "XLA_FFI_Rets": (*_BASE, ("int64_t", "size"), ("*", "types"), ("*", "rets")),
    "XLA_FFI_CallFrame": (
        *_BASE,
        ("*", "api"),
        ("*", "ctx"),
        ("XLA_FFI_ExecutionStage", "stage"),
        ("XLA_FFI_Args", "args"),
        ("XLA_FFI_Rets", "rets"),
    ),
    "XLA_FFI_Metadata_Extension": (
        ("XLA_FFI_Extension_Base", "extension_base"),
        ("*", "metadata"),
    ),
    "XLA_FFI_Metadata": (("size_t", "struct_size"), ("XLA_FFI_Api_Version", "api_version")),
}
_CONSTANTS = {"XLA_FFI_Extension_Metadata": 1, "XLA_FFI_ExecutionStage_EXECUTE": 3}
_MAJOR = 0
# Names that JAX 0.11 (API 0.4) changed without changing what they stand for.
_RENAMED = {
    "XLA_FFI_InternalExtension_Type": "XLA_FFI_Extension_Type",
    "XLA_FFI_InternalExtension": "XLA_FFI_Extension_Base",
}

# 64-bit words of the call frame, of a buffer and of the metadata, by the structs above.
_EXTENSION = 1
_STAGE = 4
_ARGS = 9
_RETS = 14
_BUFFER_DATA = 3
_BUFFER_RANK = 4
_BUFFER_DIMS = 5
_EXTENSION_TYPE = 1
_EXTENSION_NEXT = 2
_METADATA = 3
_METADATA_VERSION = 3
_TYPE_METADATA = 1
_STAGE_EXECUTE = 3


class FfiVersionError(RuntimeError):
    """The installed jaxlib lays its FFI call frame out in a way that this code does not know."""


def frame_version(header: str) -> tuple[int, int]:
    """Return the (major, minor) FFI API version of the C header; raise FfiVersionError if its layout differs."""
    header = with_old_names(header)
    version = tuple(_constant(header, rf"#define XLA_FFI_API_{part}\s+(\d+)") for part in ("MAJOR", "MINOR"))
    if version[0] != _MAJOR:
        raise FfiVersionError(f"XLA FFI API version is {version[0]}.{version[1]}, this code knows {_MAJOR}.x")
    for name, value in _CONSTANTS.items():
        found = _constant(header, rf"\b{name} = (\d+)")
        if found != value:
            raise FfiVersionError(f"{name} is {found} in XLA FFI API {version[0]}.{version[1]}, expected {value}")
    for name, expected in _EXPECTED.items():
        fields = struct_fields(header, name)[: len(expected)]
        if fields != expected:
            raise FfiVersionError(
                f"struct {name} begins with {fields} in XLA FFI API {version[0]}.{version[1]}, expected {expected}"
            )
    return version[0], version[1]


def _constant(header: str, pattern: str) -> int:
    found = re.search(pattern, header)
    if found is None:
        raise FfiVersionError(f"the XLA FFI header has no match for {pattern!r}")
    return int(found.group(1))


def with_old_names(header: str) -> str:
    """Return the header with the names of JAX 0.10 for what JAX 0.11 renamed."""
    for new, old in _RENAMED.items():
        header = re.sub(rf"\b{new}\b", old, header)
    return header


def struct_fields(header: str, struct: str) -> tuple[tuple[str, str], ...]:
    """Return the (type, name) of each field of a struct of the header; every pointer's type is "*"."""
    body = re.search(rf"(?:typedef )?struct {struct} \{{(.*?)\}}", header, re.DOTALL)
    if body is None:
        raise FfiVersionError(f"the XLA FFI header has no struct {struct}")
    text = re.sub(r"//[^\n]*|/\*.*?\*/|\bconst\b|\bstruct\b", " ", body.group(1), flags=re.DOTALL)
    fields = []
    for declaration in text.split(";"):
        words = declaration.replace("*", " * ").split()
        if words:
            fields.append(("*" if "*" in words else "".join(words[:-1]), words[-1]))
    return tuple(fields)


@njit(**INLINE)
def _words(address, count):
    return int64_view(address, (count,))


@njit(**INLINE)
def is_execution(frame, version):
    """Say whether the call is an execution; answer a metadata query with the API version."""
    if frame[_EXTENSION] != 0:
        extension = _words(frame[_EXTENSION], 4)
        if extension[_EXTENSION_TYPE] & 0xFFFFFFFF == _TYPE_METADATA:
            _words(extension[_METADATA], 4)[_METADATA_VERSION] = version
            return False
    return frame[_STAGE] & 0xFFFFFFFF == _STAGE_EXECUTE


@njit(**INLINE)
def argument(frame, index):
    """Return (address, rank, address of the dimensions) of argument `index`."""
    buffer = _words(_words(frame[_ARGS], index + 1)[index], 6)
    return buffer[_BUFFER_DATA], buffer[_BUFFER_RANK], buffer[_BUFFER_DIMS]


@njit(**INLINE)
def result(frame, index):
    """Return (address, rank, address of the dimensions) of result `index`."""
    buffer = _words(_words(frame[_RETS], index + 1)[index], 6)
    return buffer[_BUFFER_DATA], buffer[_BUFFER_RANK], buffer[_BUFFER_DIMS]


@njit(**INLINE)
def dimension(buffer, from_last):
    """Return a dimension of a buffer, counted from the last (0)."""
    return _words(buffer[2], buffer[1])[buffer[1] - 1 - from_last]


@njit(**INLINE)
def leading(buffer, own_rank):
    """Return the product of the dimensions before the last `own_rank`: the number of markets."""
    batch = 1
    dims = _words(buffer[2], buffer[1])
    for axis in range(buffer[1] - own_rank):
        batch *= dims[axis]
    return batch


@njit(**INLINE)
def carry_over(source, target, num_words):
    """Copy int32 words from an argument to the result it should alias, where XLA did not alias them."""
    if source != target:
        words = _words(source, num_words // 2)
        copy = _words(target, num_words // 2)
        for word in range(num_words // 2):
            copy[word] = words[word]


NUM_BOOK_FIELDS = len(spec.Book._fields)
NUM_OUTPUT_FIELDS = len(spec.LobOutput._fields)
NUM_MARKET_ALIASES = NUM_BOOK_FIELDS + 2  # inbox and meta are changed in place too
NUM_MARKET_OUTPUTS = len(step.MarketResult._fields)


@njit(**INLINE)
def book_results(frame, call, batch, capacity):
    """Carry the six book fields over to the results and write the results' addresses into the words of a call."""
    for field in range(NUM_BOOK_FIELDS):
        words = 2 * capacity if field < 4 else (2 if field == 4 else spec.NUM_COUNTERS)
        address = result(frame, field)[0]
        carry_over(argument(frame, field)[0], address, batch * words)
        call[field] = address


class Handler:
    """A compiled FFI handler. Keep it alive as long as a program may call it."""

    def __init__(self, function: Any, name: str) -> None:
        self.name = name
        self._function = function  # owns the machine code

    def capsule(self) -> Any:
        """Return the PyCapsule that `jax.ffi.register_ffi_target` takes."""
        make = ctypes.pythonapi.PyCapsule_New
        make.restype = ctypes.py_object
        make.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return make(self._function.address, b"xla._CUSTOM_CALL_TARGET", None)


def compile_handler(body: Any, name: str, version: tuple[int, int]) -> Handler:
    """Compile `body(frame: int64[20])`, an njit function, into a handler that answers metadata queries by itself."""
    packed_version = version[0] | version[1] << 32

    @cfunc(types.int64(types.CPointer(types.int64)), cache=False)
    def handler(call_frame):
        frame = carray(call_frame, (20,))
        if is_execution(frame, packed_version):
            body(frame)
        return 0

    return Handler(handler, name)


def make_process_handler(modes: tuple[int, int, int], version: tuple[int, int]) -> Handler:
    """Compile the handler of `process`.

    Arguments: the six book fields, messages, reference tick. Results: the six book fields, then `spec.LobOutput`.
    Shapes are read from the buffers, so one handler serves every configuration of `modes` (fills mode, self-trade
    policy, queue model).
    """
    kernel = cpu.process_kernel()
    fills_mode, self_trade, queue_model = modes

    @njit(**INLINE)
    def body(frame):
        address = stack_words(NUM_CALL_WORDS)
        call = int64_view(address, (NUM_CALL_WORDS,))
        messages = argument(frame, 6)
        batch = leading(messages, 2)
        capacity = dimension(argument(frame, 0), 0)
        call[cpu.CALL_BATCH] = batch
        call[cpu.CALL_CAPACITY] = capacity
        call[cpu.CALL_NUM_MESSAGES] = dimension(messages, 1)
        call[cpu.CALL_MAX_FILLS] = dimension(result(frame, 8), 1)
        call[cpu.CALL_LEVELS] = dimension(result(frame, 11), 1)
        call[cpu.CALL_FILLS_MODE] = fills_mode
        call[cpu.CALL_SELF_TRADE] = self_trade
        call[cpu.CALL_QUEUE_MODEL] = queue_model
        call[cpu.CALL_MESSAGES] = messages[0]
        call[cpu.CALL_REFERENCE] = argument(frame, 7)[0]
        book_results(frame, call, batch, capacity)
        for field in range(NUM_OUTPUT_FIELDS):
            call[cpu.CALL_OUTPUT + field] = result(frame, NUM_BOOK_FIELDS + field)[0]
        kernel(address)

    return compile_handler(body, process_target(modes), version)


def process_target(modes: tuple[int, int, int]) -> str:
    """Return the name under which the handler of `modes` is registered."""
    return "bookswarm_process_" + "_".join(map(str, modes))


def make_market_step_handler(sampler: Any, name: str, modes: tuple[int, int], version: tuple[int, int]) -> Handler:
    """Compile the handler of the market step around `sampler`, with `modes` (self-trade policy, queue model).

    Arguments: the fields of the book, inbox, meta, seed, agent messages, flow parameters, background, horizon.
    Results: the fields of the book, inbox, meta, then `step.MarketResult`.
    """
    kernel = step.market_step_kernel(sampler)
    self_trade, queue_model = modes

    @njit(**INLINE)
    def body(frame):
        address = stack_words(NUM_STEP_WORDS)
        call = int64_view(address, (NUM_STEP_WORDS,))
        meta = argument(frame, step.CALL_META)
        inbox_size = dimension(argument(frame, step.CALL_INBOX), 1)
        batch, capacity = leading(meta, 1), dimension(argument(frame, 0), 0)
        book_results(frame, call, batch, capacity)
        for field in range(step.CALL_INBOX, step.CALL_FILLS):
            call[field] = argument(frame, field)[0]
        call[step.CALL_INBOX] = result(frame, step.CALL_INBOX)[0]
        carry_over(argument(frame, step.CALL_INBOX)[0], call[step.CALL_INBOX], batch * 8 * inbox_size)
        call[step.CALL_META] = result(frame, step.CALL_META)[0]
        carry_over(meta[0], call[step.CALL_META], batch * spec.NUM_META)
        for field in range(NUM_MARKET_OUTPUTS):
            call[step.CALL_FILLS + field] = result(frame, NUM_MARKET_ALIASES + field)[0]
        call[step.CALL_BATCH] = batch
        call[step.CALL_CAPACITY] = capacity
        call[step.CALL_INBOX_SIZE] = inbox_size
        call[step.CALL_NUM_AGENT_MESSAGES] = dimension(argument(frame, step.CALL_AGENT_MESSAGES), 1)
        call[step.CALL_NUM_PARAMS] = dimension(argument(frame, step.CALL_FLOW_PARAMS), 0)
        call[step.CALL_NUM_BACKGROUND] = dimension(argument(frame, step.CALL_BACKGROUND), 1)
        call[step.CALL_MAX_FILLS] = dimension(result(frame, NUM_MARKET_ALIASES), 1)
        call[step.CALL_LEVELS] = dimension(result(frame, NUM_MARKET_ALIASES + 3), 1)
        call[step.CALL_NUM_LEARNERS] = dimension(result(frame, NUM_MARKET_ALIASES + 4), 2)
        call[step.CALL_SELF_TRADE] = self_trade
        call[step.CALL_QUEUE_MODEL] = queue_model
        kernel(address)

    return compile_handler(body, name, version)
