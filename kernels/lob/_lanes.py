"""Sixteen 32-bit words at a time: search and shift of the book's rows, as LLVM vector instructions in numba.

A row is `count` words at `address`, in memory of a multiple of LANES words. LLVM turns the vectors into what a machine
has (one AVX-512, two AVX2, four NEON registers). Written out here, because plain loops made the whole kernel 1.4 times
slower, and loops that LLVM vectorised by itself made it twice as slow: prologues and overlap checks cost more than they
save at about 25 words.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from kernels.lob._memory import INLINE

LANES = 16
WORD_BYTES = 4
_WORD = ir.IntType(32)
_INT64 = ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, LANES)
_MASK = ir.VectorType(ir.IntType(1), LANES)
_ZEROS = [0] * LANES


def _splat(builder: Any, word: Any) -> Any:
    first = builder.insert_element(
        ir.Constant(_VECTOR, ir.Undefined), builder.trunc(word, _WORD), ir.Constant(_WORD, 0)
    )
    return builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(_VECTOR, _ZEROS))


def _load(builder: Any, address: Any) -> Any:
    return builder.load(builder.inttoptr(address, _VECTOR.as_pointer()), align=WORD_BYTES)


def _bits(builder: Any, lanes: Any) -> Any:
    return builder.zext(builder.bitcast(lanes, ir.IntType(LANES)), _INT64)


@intrinsic
def _equal_bits(typingctx, address, word):
    def codegen(context, builder, signature, args):
        return _bits(builder, builder.icmp_signed("==", _load(builder, args[0]), _splat(builder, args[1])))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _less_bits(typingctx, address, flip, key):
    def codegen(context, builder, signature, args):
        keys = builder.xor(_load(builder, args[0]), _splat(builder, args[1]))
        return _bits(builder, builder.icmp_signed("<", keys, _splat(builder, args[2])))

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def _popcount(typingctx, word):
    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.int64), codegen


@intrinsic
def _bit_length(typingctx, word):
    def codegen(context, builder, signature, args):
        return builder.sub(ir.Constant(_INT64, 64), builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0)))

    return types.int64(types.int64), codegen


def _masked_copy(builder: Any, target: Any, source: Any, lanes: Any) -> None:
    """Copy the lanes that are set; the others are neither read nor written."""
    pointer = _VECTOR.as_pointer()
    align = ir.Constant(_WORD, WORD_BYTES)
    read = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_VECTOR, [pointer, _WORD, _MASK, _VECTOR]), "llvm.masked.load.v16i32.p0"
    )
    write = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [_VECTOR, pointer, _WORD, _MASK]), "llvm.masked.store.v16i32.p0"
    )
    words = builder.call(read, [builder.inttoptr(source, pointer), align, lanes, ir.Constant(_VECTOR, ir.Undefined)])
    builder.call(write, [words, builder.inttoptr(target, pointer), align, lanes])


def _shift(comparison: str, source_bytes: int, target_bytes: int) -> Any:
    """Return an intrinsic (address, bound) that copies the lanes whose number compares so with `bound`."""

    @intrinsic
    def shift(typingctx, address, bound):
        def codegen(context, builder, signature, args):
            lanes = builder.icmp_signed(comparison, ir.Constant(_VECTOR, list(range(LANES))), _splat(builder, args[1]))
            source = builder.add(args[0], ir.Constant(_INT64, source_bytes))
            _masked_copy(builder, builder.add(args[0], ir.Constant(_INT64, target_bytes)), source, lanes)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return shift


# Lanes from `bound` on move one word up; lanes below `bound` take the word above them.
block_up: Any = _shift(">=", 0, WORD_BYTES)
block_down: Any = _shift("<", WORD_BYTES, 0)
equal_bits: Any = _equal_bits
less_bits: Any = _less_bits
popcount: Any = _popcount
bit_length: Any = _bit_length


@njit(**INLINE)
def last_equal(address, count, word):
    """Return 1 + the place of the last of `count` words that equals `word`, 0 if none does.

    Words past `count` are 0 and `word` is not. No early exit: a mispredicted branch costs more than the few vectors.
    """
    place = 0
    for base in range(0, count, LANES):
        found = equal_bits(address + WORD_BYTES * base, word)
        place = base + bit_length(found) if found else place
    return place


@njit(**INLINE)
def count_less(address, count, flip, key):
    """Return how many of the first `count` words are below `key` after exclusive or with `flip`."""
    less = 0
    for base in range(0, count, LANES):
        present = (1 << min(count - base, LANES)) - 1
        less += popcount(less_bits(address + WORD_BYTES * base, flip, key) & present)
    return less
