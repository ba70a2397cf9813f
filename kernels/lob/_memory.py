"""Raw memory in numba: views on addresses and scratch words on the stack.

The kernels work on views that own nothing. Numba counts references (an atomic operation) whenever an array that owns
its memory is passed or packed into a tuple, which made the kernel ten times slower; on a view of a bare address the
compiler sees that there is nothing to count.
"""

from typing import Any

from llvmlite import ir
from numba import cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import carray

# Slots past num_orders are read by nobody, so bounds checks and division guards would only cost.
FLAGS: dict[str, Any] = {"boundscheck": False, "error_model": "numpy"}
# Only numba code may call the inner functions: without the wrappers, which cost half of the compile time, a call from
# Python crashes.
_BARE = {"nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
INLINE: dict[str, Any] = {**FLAGS, **_BARE, "forceinline": True}
RARE: dict[str, Any] = {**INLINE, "forceinline": False}


def _address_cast(element: Any) -> Any:
    @intrinsic
    def cast(typingctx, address):
        def codegen(context, builder, signature, args):
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(types.int64), codegen

    return cast


_int32_pointer = _address_cast(types.int32)
_uint32_pointer = _address_cast(types.uint32)
_int64_pointer = _address_cast(types.int64)


@njit(**INLINE)
def int32_view(address, shape):
    """Return a C-contiguous int32 array of `shape` over the memory at `address`."""
    return carray(_int32_pointer(address), shape)


@njit(**INLINE)
def uint32_view(address, shape):
    """Return a C-contiguous uint32 array of `shape` over the memory at `address`."""
    return carray(_uint32_pointer(address), shape)


@njit(**INLINE)
def int64_view(address, shape):
    """Return a C-contiguous int64 array of `shape` over the memory at `address`."""
    return carray(_int64_pointer(address), shape)


# Loops instead of slice assignments, which compile to a page of code each.
@njit(**INLINE)
def fill_words(words, value):
    """Write `value` into every word of a one-dimensional view."""
    for word in range(words.shape[0]):
        words[word] = value


@njit(**INLINE)
def copy_words(target, source):
    """Copy the words of a one-dimensional view into another of the same length."""
    for word in range(target.shape[0]):
        target[word] = source[word]


@intrinsic
def _zero_bytes(typingctx, address, count):
    def codegen(context, builder, signature, args):
        cgutils.memset(builder, builder.inttoptr(args[0], ir.IntType(8).as_pointer()), args[1], 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


# Writes zeros into `count` bytes from `address` on.
zero_bytes: Any = _zero_bytes


@intrinsic
def _stack_words(typingctx, count):
    """Return the address of `count` (a literal) 64-bit words on the stack of the enclosing function."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    words = count.literal_value

    def codegen(context, builder, signature, args):
        pointer = cgutils.alloca_once(builder, ir.IntType(64), size=words)
        return builder.ptrtoint(pointer, ir.IntType(64))

    return types.int64(count), codegen


# The name that other modules import; the decorator's type hides that it takes one argument.
stack_words: Any = _stack_words

_ALIVE: list[Any] = []


def compile_kernel(function: Any, signature: Any) -> Any:
    """Compile a Python function of int64 words and return it as a ctypes function, alive as long as the process.

    Compiled code calls such a function by its address, so a kernel that calls another does not compile it again.
    """
    compiled = cfunc(signature, cache=False, **FLAGS)(function)
    _ALIVE.append(compiled)
    return compiled.ctypes
