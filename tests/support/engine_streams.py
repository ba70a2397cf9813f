"""Random message streams for the engine's tests, and comparisons that say where two results differ."""

from typing import Any

import numpy as np

from kernels.lob import spec

_KINDS = (
    [spec.LIMIT] * 6
    + [spec.MARKET, spec.IOC, spec.FOK, spec.POST_ONLY, spec.NOP]
    + [spec.REDUCE, spec.DELETE, spec.REPLACE] * 2
    + [spec.EXECUTE, 11, -1]
    + [spec.LEVEL_SET] * 4
)
_BAD_WORDS = (-1, 0, 2, 2**30, 2**30 + 1, 2**31 - 1, -(2**31), -(2**30), -(2**30) - 1)


def random_messages(
    rng: np.random.Generator, num_messages: int, *, span: int = 12, max_lots: int = 50, ids: int = 90, owners: int = 3
) -> np.ndarray:
    """Return int32[M, 8] of every kind, with about 3 % of words out of range and 5 % of orders near MAX_LOTS."""
    shape = num_messages
    out = np.zeros((shape, spec.NUM_MESSAGE_COLUMNS), np.int32)
    out[:, spec.KIND] = rng.choice(_KINDS, shape)
    out[:, spec.SIDE] = rng.integers(0, 2, shape)
    out[:, spec.LOTS] = rng.integers(1, max_lots + 1, shape)
    # Half of the prices lie close together, so that a REPLACE often names the price that its order has.
    out[:, spec.PRICE_TICK] = np.where(
        rng.random(shape) < 0.5, rng.integers(-1, 2, shape), rng.integers(-span, span + 1, shape)
    )
    out[:, spec.ORDER_ID] = rng.integers(1, ids, shape)
    out[:, spec.OWNER] = rng.integers(0, owners, shape) * rng.integers(0, 2, shape)
    out[:, spec.TIME_S] = 34_200 + np.arange(shape)
    huge = rng.random(shape) < 0.05
    out[huge, spec.LOTS] = spec.MAX_LOTS - rng.integers(0, 3, huge.sum())
    column = rng.integers(spec.SIDE, spec.OWNER + 1, shape)
    for row in np.flatnonzero(rng.random(shape) < 0.03):
        out[row, column[row]] = rng.choice(_BAD_WORDS)
    return out


def filling_messages(rng: np.random.Generator, num_messages: int, capacity: int) -> np.ndarray:
    """Return int32[M, 8] that fill both sides, mostly with background orders, and press on: evictions, SIDE_FULL."""
    out = np.zeros((num_messages, spec.NUM_MESSAGE_COLUMNS), np.int32)
    out[:, spec.KIND] = rng.choice(
        [spec.LIMIT] * 12 + [spec.POST_ONLY, spec.DELETE, spec.REPLACE, spec.MARKET, spec.LEVEL_SET], num_messages
    )
    side = rng.integers(0, 2, num_messages)
    out[:, spec.SIDE] = side
    out[:, spec.LOTS] = rng.integers(1, 20, num_messages)
    out[:, spec.PRICE_TICK] = np.where(side == spec.BUY, -1, 1) * rng.integers(-1, 40, num_messages)
    out[:, spec.ORDER_ID] = np.arange(1, num_messages + 1)
    named = np.isin(out[:, spec.KIND], (spec.DELETE, spec.REPLACE))
    out[named, spec.ORDER_ID] = np.maximum(out[named, spec.ORDER_ID] - rng.integers(1, 3 * capacity, named.sum()), 1)
    out[:, spec.OWNER] = (rng.random(num_messages) < 0.4) * rng.integers(1, 3, num_messages)
    return out


def agent_messages(rng: np.random.Generator, count: int, clock_s: int, first_id: int) -> np.ndarray:
    """Return int32[K, 8] of owners 1 and 2 that arrive within the next seconds, some at the same time, some NOP.

    A part are orders that rest deep on their own side, so that something is left to report.
    """
    out = random_messages(rng, count, span=6, max_lots=30, ids=8)
    deep = rng.random(count) < 0.3
    out[deep, spec.KIND] = spec.LIMIT
    sign = 2 * np.clip(out[deep, spec.SIDE], 0, 1) - 1
    out[deep, spec.PRICE_TICK] = sign * rng.integers(5, 12, deep.sum())
    out[:, spec.ORDER_ID] += first_id
    out[:, spec.OWNER] = rng.integers(1, 3, count)
    out[:, spec.TIME_S] = clock_s + rng.integers(0, 3, count)
    out[:, spec.TIME_NS] = rng.integers(0, 3, count) * 250_000_000
    return out


def assert_same(expected: Any, actual: Any, context: str = "") -> None:
    """Compare two tuples of arrays with the same fields word by word; name the first difference."""
    for name, expected_field, actual_field in zip(expected._fields, expected, actual, strict=True):
        if hasattr(expected_field, "_fields"):
            assert_same(expected_field, actual_field, f"{context} {name}")
            continue
        want, have = np.asarray(expected_field), np.asarray(actual_field)
        assert want.shape == have.shape, f"{context} {name}: shape {have.shape}, expected {want.shape}"
        if not np.array_equal(want, have):
            place = tuple(int(index) for index in np.argwhere(want != have)[0])
            raise AssertionError(f"{context} {name}{list(place)}: {have[place]}, expected {want[place]}")
