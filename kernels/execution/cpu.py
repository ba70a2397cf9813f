"""Schedules and rounding in numba: the signatures and the bits of the NumPy reference, one pass a parent.

Arrays are slice-major [N, P]; see schedules.py and rounding.py for formulas. Cost: O(N P), no allocation. Inputs are
checked by `schedules.check_parents`, not here.
"""

import numpy as np
from numba import njit

from kernels.execution.schedules import ALMGREN_CHRISS, TWAP, VWAP


@njit(nogil=True, cache=True)
def schedule_fractions(kind, num_slices, shape, curve, fractions):
    """Write the cumulative fractions float64[N, P] of a checked batch."""
    rows, count = fractions.shape
    for parent in range(count):
        slices = num_slices[parent]
        if kind[parent] == TWAP:
            for k in range(slices):
                fractions[k, parent] = (k + 1.0) / slices
        elif kind[parent] == VWAP:
            _vwap(parent, slices, curve, fractions)
        elif kind[parent] == ALMGREN_CHRISS:
            _almgren_chriss(parent, slices, shape[parent], fractions)
        else:
            end = 1.0 / ((slices - 2.0) * shape[parent] + 2.0)
            for k in range(slices):
                fractions[k, parent] = end * (1.0 + k * shape[parent])
        for k in range(slices - 1):
            fractions[k, parent] = min(fractions[k, parent], 1.0)
        for k in range(slices - 1, rows):
            fractions[k, parent] = 1.0


@njit(nogil=True, cache=True)
def _vwap(parent, slices, curve, fractions):
    total = 0.0
    for k in range(slices):
        total += curve[k, parent]
        fractions[k, parent] = total
    for k in range(slices):
        fractions[k, parent] /= total


@njit(nogil=True, cache=True)
def _almgren_chriss(parent, slices, curvature, fractions):
    # The output serves as scratch: first the ratios, from the end; then the fractions, from the start.
    ratio = 0.0
    fractions[slices - 1, parent] = 0.0
    for k in range(slices - 2, -1, -1):
        ratio = 1.0 / (2.0 + curvature - ratio)
        fractions[k, parent] = ratio
    held = 1.0
    for k in range(slices):
        held *= fractions[k, parent]
        fractions[k, parent] = 1.0 - held


@njit(nogil=True, cache=True)
def round_children(fractions, num_slices, parent_lots, lot_step, cap_lots, child_lots):
    """Write child lots int64[N, P] from cumulative fractions float64[N, P]."""
    rows, count = fractions.shape
    for parent in range(count):
        slices, step = num_slices[parent], lot_step[parent]
        units = parent_lots[parent] // step
        later = 0  # units that the caps of later slices allow
        for k in range(slices):
            later += min(cap_lots[k, parent] // step, units)
        done = 0
        for k in range(slices):
            cap = min(cap_lots[k, parent] // step, units)
            later -= cap
            wanted = max(np.int64(np.rint(units * fractions[k, parent])), units - later)
            now = min(done + cap, wanted)
            child_lots[k, parent] = (now - done) * step
            done = now
        for k in range(slices, rows):
            child_lots[k, parent] = 0
