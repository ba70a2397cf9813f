"""How much of each parent order should be done by the end of each slice: TWAP, VWAP, Almgren-Chriss, Obizhaeva-Wang.

A batch of P parents over at most N slices; arrays are slice-major [N, P], so that the threads of a GPU, one a parent,
read neighbouring addresses. Output: the cumulative fraction float64[N, P], ascending, 1 from a parent's last slice on.

| kind | shape | fraction done after slice k = 1..n |
|---|---|---|
| TWAP | - | k / n |
| VWAP | - | curve_1 + .. + curve_k over the sum of the curve |
| ALMGREN_CHRISS | u = kappa~^2 tau^2 (`almgren_chriss.curvature`) | 1 - x_k, x_{k-1} - (2 + u) x_k + x_{k+1} = 0 |
| OBIZHAEVA_WANG | s = 1 - exp(-rho tau) (`obizhaeva_wang.refill_share`) | (1 + (k - 1) s) / ((n - 2) s + 2), k < n |

Only + - * / are used, in one fixed order, so NumPy, numba (`cpu.py`) and CUDA (`cuda.py`, compiled without fused
multiply-add) give the same bits: Almgren-Chriss solves its recurrence from the end, r_{k-1} = 1 / (2 + u - r_k) with
r_k = x_{k+1} / x_k, which is stable and needs no hyperbolic function.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from kernels.execution.rounding import check_rounding, round_children
from kernels.lob.spec import MAX_LOTS

TWAP: Final = 0
VWAP: Final = 1
ALMGREN_CHRISS: Final = 2
OBIZHAEVA_WANG: Final = 3
KIND_NAMES: Final = ("twap", "vwap", "almgren_chriss", "obizhaeva_wang")
BACKENDS: Final = ("reference", "cpu", "cuda")


class Parents(NamedTuple):
    """A batch of parent orders to slice."""

    kind: Any  # int32[P] TWAP .. OBIZHAEVA_WANG
    num_slices: Any  # int32[P] 1..N
    shape: Any  # float64[P] see the module's table; 0 where the kind has none
    curve: Any  # float64[N, P] market volume expected in each slice, any unit; read for VWAP only
    parent_lots: Any  # int64[P] 0..MAX_LOTS
    lot_step: Any  # int64[P] a child is a multiple of this
    cap_lots: Any  # int64[N, P] most that slice k may trade: the smaller of a child's and a participation cap


def make_parents(
    kind: Any,
    num_slices: Any,
    parent_lots: Any,
    *,
    shape: Any = 0.0,
    curve: Any = 1.0,
    lot_step: Any = 1,
    cap_lots: Any = MAX_LOTS,
    slices: int | None = None,
) -> Parents:
    """Broadcast scalars to a batch, set the types and check it; ValueError names the field and the parent."""
    count = max(np.size(value) for value in (kind, num_slices, parent_lots, shape, lot_step))
    rows = int(np.max(num_slices)) if slices is None else slices

    def row(value: Any, dtype: Any) -> np.ndarray:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype), (count,)))

    def table(value: Any, dtype: Any) -> np.ndarray:
        array = np.asarray(value, dtype)
        if array.ndim == 1 and array.shape[0] == rows:
            array = array[:, None]
        return np.ascontiguousarray(np.broadcast_to(array, (rows, count)))

    parents = Parents(
        row(kind, np.int32),
        row(num_slices, np.int32),
        row(shape, np.float64),
        table(curve, np.float64),
        row(parent_lots, np.int64),
        row(lot_step, np.int64),
        table(cap_lots, np.int64),
    )
    check_parents(parents)
    return parents


def check_parents(parents: Parents) -> None:
    """Raise ValueError, naming field and parent, unless every parent of the batch can be sliced."""
    rows = parents.curve.shape[0]
    kind, count, shape = parents.kind, parents.num_slices, parents.shape
    check_rounding(count, parents.parent_lots, parents.lot_step, parents.cap_lots)
    _refuse("kind", kind, (kind < TWAP) | (kind > OBIZHAEVA_WANG), f"0..{OBIZHAEVA_WANG}, {KIND_NAMES}")
    _refuse("shape", shape, ~np.isfinite(shape), "a finite number")
    bad = (kind == OBIZHAEVA_WANG) & ((shape < 0) | (shape > 1))
    _refuse("shape", shape, bad, "0..1 for obizhaeva_wang: 1 - exp(-rho tau)")
    turns = (kind == ALMGREN_CHRISS) & turns_back(shape, count)
    _refuse("shape", shape, turns, "a curvature with kappa T of at most pi / 2; below that the schedule turns back")
    used = (np.arange(rows)[:, None] < count) & (kind == VWAP)
    broken = used & ~(np.isfinite(parents.curve) & (parents.curve >= 0))
    _refuse("curve", parents.curve.min(axis=0), broken.any(axis=0), "finite and at least 0 in every slice")
    with np.errstate(over="ignore"):
        total = np.where(used, parents.curve, 0.0).sum(axis=0)
    bad = (kind == VWAP) & ~((total > 0) & np.isfinite(total))
    _refuse("curve", total, bad, "a finite volume above 0 over the horizon")


def volume_curve(volume_lots: Any) -> np.ndarray:
    """Return the mean share of a day's volume in each slice, float64[N], from D earlier days, [D, N].

    Each day counts the same, whatever it traded. ValueError for a negative or missing volume, or a day without trades.
    """
    days = np.asarray(volume_lots, np.float64)
    if days.ndim != 2 or days.size == 0 or not (np.isfinite(days) & (days >= 0)).all() or (days.sum(axis=1) <= 0).any():
        raise ValueError(f"volume_lots {days.shape} is not days by slices of finite volumes, each day with trades")
    return (days / days.sum(axis=1, keepdims=True)).mean(axis=0)


def turns_back(curvature: Any, num_slices: Any) -> Any:
    """Return where an Almgren-Chriss schedule would first trade the wrong way (kappa T above pi / 2), bool[P]."""
    half = np.sqrt(np.clip(-np.asarray(curvature, np.float64), 0.0, 4.0)) / 2
    return (np.asarray(curvature) <= -4) | (2 * np.arcsin(half) * num_slices > np.pi / 2)


def schedule_fractions(kind: Any, num_slices: Any, shape: Any, curve: Any, fractions: Any) -> None:
    """Write the cumulative fractions float64[N, P] of a checked batch; NumPy, the reference of `cpu.py` and `cuda.py`.

    Cost: O(N) vector operations over P.
    """
    rows, _ = fractions.shape
    slot = np.arange(rows)[:, None]
    live = slot < num_slices
    with np.errstate(all="ignore"):  # every kind is computed for every parent and one is taken
        twap = (slot + 1.0) / num_slices
        volume = np.cumsum(np.where(live, curve, 0.0), axis=0)
        vwap = volume / volume[-1]
        end = 1.0 / ((num_slices - 2.0) * shape + 2.0)
        obizhaeva_wang = end * (1.0 + slot * shape)
        chosen = np.choose(kind, [twap, vwap, _almgren_chriss(num_slices, shape, live), obizhaeva_wang])
    fractions[:] = np.where(slot < num_slices - 1, np.minimum(chosen, 1.0), 1.0)


def _almgren_chriss(num_slices: Any, shape: Any, live: np.ndarray) -> np.ndarray:
    rows, count = live.shape
    ratio = np.zeros((rows + 1, count))
    for k in range(rows - 1, -1, -1):
        # Slice k is a parent's last where its holdings after it are 0, so its ratio is 0.
        ratio[k] = np.where(k < num_slices - 1, 1.0 / (2.0 + shape - ratio[k + 1]), 0.0)
    return 1.0 - np.cumprod(ratio[:rows], axis=0)


def plan_children(parents: Parents, backend: str = "cpu") -> np.ndarray:
    """Return the child lots int64[N, P] of a batch: schedule, then rounding that never exceeds parent or cap.

    `backend` is "reference" (NumPy), "cpu" (numba) or "cuda" (CuPy, for a machine with a GPU); all give the same
    integers. ValueError for a batch that `check_parents` refuses, RuntimeError where CuPy or a GPU is missing.
    """
    check_parents(parents)
    fractions = np.empty(parents.curve.shape)
    child_lots = np.empty(parents.curve.shape, np.int64)
    if backend == "reference":
        schedule, rounding = schedule_fractions, round_children
    elif backend == "cpu":
        from kernels.execution import cpu

        schedule, rounding = cpu.schedule_fractions, cpu.round_children
    elif backend == "cuda":
        from kernels.execution import cuda

        schedule, rounding = cuda.schedule_fractions, cuda.round_children
    else:
        raise ValueError(f"backend {backend!r} is not one of {BACKENDS}")
    schedule(parents.kind, parents.num_slices, parents.shape, parents.curve, fractions)
    rounding(fractions, parents.num_slices, parents.parent_lots, parents.lot_step, parents.cap_lots, child_lots)
    return child_lots


def _refuse(field: str, values: Any, bad: np.ndarray, valid: str) -> None:
    if bad.any():
        parent = int(np.argmax(bad))
        raise ValueError(f"{field} {values[parent]} of parent {parent} is not valid: {valid}")
