"""The parts of XLA's FFI call frame that a GPU handler needs: the stream, and an error with words.

A handler for CUDA asks XLA for the stream that the program runs on (`XLA_FFI_Stream_Get`) and puts the launch there.
As in `kernels/lob/ffi.py`, words are read at the places that the structs of XLA's C header say, and `frame_version`
compares the header before anything is registered.
"""

import re
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from kernels.lob import ffi
from kernels.lob._memory import INLINE, int64_view, stack_words

_API = 2  # words of the call frame
_CONTEXT = 3
_API_ERROR_CREATE = 6  # words of XLA_FFI_Api: size, extension, version (3 words), internal api, then the functions
_API_STREAM_GET = 10
_API_WORDS = 11
_FUNCTIONS = {0: "XLA_FFI_Error_Create", 4: "XLA_FFI_Stream_Get"}  # by place among the functions
_STREAM_ARGS_BYTES = 32
_ERROR_ARGS_BYTES = 28
_ERROR_INTERNAL = 13
_ARGUMENTS = {
    "XLA_FFI_Stream_Get_Args": (("size_t", "struct_size"), ("*", "extension_start"), ("*", "ctx"), ("*", "stream")),
    "XLA_FFI_Error_Create_Args": (
        ("size_t", "struct_size"),
        ("*", "extension_start"),
        ("*", "message"),
        ("XLA_FFI_Error_Code", "errc"),
    ),
}


def frame_version(header: str) -> tuple[int, int]:
    """Return the (major, minor) FFI API version of the C header; raise FfiVersionError if its layout differs."""
    version = ffi.frame_version(header)
    where = f"in XLA FFI API {version[0]}.{version[1]}"
    old = ffi.with_old_names(header)
    for name, expected in _ARGUMENTS.items():
        fields = ffi.struct_fields(old, name)
        if fields != expected:
            raise ffi.FfiVersionError(f"struct {name} is {fields} {where}, expected {expected}")
    if not re.search(rf"XLA_FFI_Error_Code_INTERNAL = {_ERROR_INTERNAL}\b", header):
        raise ffi.FfiVersionError(f"XLA_FFI_Error_Code_INTERNAL is not {_ERROR_INTERNAL} {where}")
    body = re.search(r"struct XLA_FFI_Api \{(.*?)\n\};", old, re.DOTALL)
    if body is None:
        raise ffi.FfiVersionError(f"the header has no struct XLA_FFI_Api {where}")
    before, *functions = re.split(r"_XLA_FFI_API_STRUCT_FIELD\(", body.group(1))
    lead = [line.split()[-1] for line in before.replace(";", " ;").split(";") if line.strip()]
    if lead != ["struct_size", "extension_start", "api_version", "internal_api"]:
        raise ffi.FfiVersionError(f"struct XLA_FFI_Api begins with {lead} {where}")
    for place, name in _FUNCTIONS.items():
        found = functions[place].split(")")[0] if place < len(functions) else None
        if found != name:
            raise ffi.FfiVersionError(f"function {place} of struct XLA_FFI_Api is {found} {where}, expected {name}")
    return version


@intrinsic
def _call_api(typingctx, function, arguments):
    """Call an XLA API function `XLA_FFI_Error*(Args*)` by its address; return the error's address, 0 for none."""

    def codegen(context, builder, signature, values):
        word = ir.IntType(64)
        pointer = ir.FunctionType(word, [word]).as_pointer()
        return builder.call(builder.inttoptr(values[0], pointer), [values[1]])

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _call_launch(typingctx, function, kernel, grid, lanes, warps, stream, parameters):
    """Call cuLaunchKernel by its address with a grid of (grid, 1, 1) blocks of (lanes, warps, 1); return its result."""

    def codegen(context, builder, signature, values):
        word, half = ir.IntType(64), ir.IntType(32)
        pointer = ir.FunctionType(half, [word, *[half] * 7, word, word, word]).as_pointer()
        one, none = half(1), half(0)
        grid, lanes, warps = (builder.trunc(value, half) for value in values[2:5])
        arguments = [values[1], grid, one, one, lanes, warps, one, none, values[5], values[6], word(0)]
        return builder.sext(builder.call(builder.inttoptr(values[0], pointer), arguments), word)

    return types.int64(*[types.int64] * 7), codegen


call_api: Any = _call_api
call_launch: Any = _call_launch


@njit(**INLINE)
def stream_of(frame, arguments_address):
    """Ask XLA for the program's stream; return (error's address or 0, stream). Takes 4 words of scratch."""
    arguments = int64_view(arguments_address, (4,))
    arguments[0], arguments[1], arguments[2], arguments[3] = _STREAM_ARGS_BYTES, 0, frame[_CONTEXT], 0
    api = int64_view(frame[_API], (_API_WORDS,))
    error = call_api(api[_API_STREAM_GET], arguments_address)
    return error, arguments[3]


@njit(**INLINE)
def make_error(frame, message_address):
    """Return the address of an XLA error with the zero-terminated message; XLA copies it and owns the error."""
    arguments_address = stack_words(4)
    arguments = int64_view(arguments_address, (4,))
    arguments[0], arguments[1], arguments[2], arguments[3] = _ERROR_ARGS_BYTES, 0, message_address, _ERROR_INTERNAL
    api = int64_view(frame[_API], (_API_WORDS,))
    return call_api(api[_API_ERROR_CREATE], arguments_address)
