"""From cumulative fractions to whole children: never beyond the parent, never beyond a cap, all of it where caps allow.

With U = parent_lots // lot_step units to trade, cap_k in whole units and F_k the cumulative fraction after slice k:
    wanted_k = max(rint(U F_k), U - sum_{j > k} cap_j)         largest remainder of the cumulative schedule, and what
                                                               must be done by now for the later caps to suffice
    done_k   = min(done_{k-1} + cap_k, wanted_k),   child_k = (done_k - done_{k-1}) lot_step
`wanted` ascends, so children are never negative; done_k <= U; child_k <= cap_k; by induction done_k is at least
U - sum_{j > k} cap_j wherever all caps together reach U, so then the children sum to U; where they do not, every cap is
used up. Where no cap binds, the cumulative schedule is kept to half a unit at every slice.
An odd part of the parent below one lot step is not traded: the caller sees it as parent_lots - sum of children.
"""

from typing import Any

import numpy as np

from kernels.lob.spec import MAX_LOTS

MAX_SLICES = 2**20  # slices times MAX_LOTS holds in int64 with room


def check_rounding(num_slices: Any, parent_lots: Any, lot_step: Any, cap_lots: Any) -> None:
    """Raise ValueError, naming field and parent, unless the integers are in range."""
    rows, count = cap_lots.shape
    if rows > MAX_SLICES:
        raise ValueError(f"{rows} slices are more than {MAX_SLICES}")
    for name, values, low, high in (
        ("num_slices", num_slices, 1, rows),
        ("parent_lots", parent_lots, 0, MAX_LOTS),
        ("lot_step", lot_step, 1, MAX_LOTS),
    ):
        if values.shape != (count,):
            raise ValueError(f"{name} has shape {values.shape}, cap_lots has {count} parents")
        bad = (values < low) | (values > high)
        if bad.any():
            parent = int(np.argmax(bad))
            raise ValueError(f"{name} {values[parent]} of parent {parent} is outside {low}..{high}")
    if (cap_lots < 0).any():
        parent = int(np.argmax((cap_lots < 0).any(axis=0)))
        raise ValueError(f"cap_lots of parent {parent} has a value below 0")


def participation_caps(volume_lots: Any, max_rate_ppm: Any, child_cap_lots: Any) -> np.ndarray:
    """Return int64[N, P]: the smaller of a child's cap and the share `max_rate_ppm` [1e-6] of each slice's volume."""
    volume, rate, cap = np.broadcast_arrays(
        *(np.asarray(v, np.int64) for v in (volume_lots, max_rate_ppm, child_cap_lots))
    )
    if (volume < 0).any() or (volume > 2**40).any() or (rate < 0).any() or (rate > 1_000_000).any() or (cap < 0).any():
        raise ValueError("volume_lots is 0..2^40, max_rate_ppm 0..1000000, child_cap_lots at least 0")
    return np.minimum(cap, volume * rate // 1_000_000)


def round_children(
    fractions: Any, num_slices: Any, parent_lots: Any, lot_step: Any, cap_lots: Any, child_lots: Any
) -> None:
    """Write child lots int64[N, P] from cumulative `fractions` float64[N, P]; NumPy, the reference.

    The recursion of the module's head in closed form: done_k = min_{j <= k}(wanted_j - caps up to j) + caps up to k.
    """
    live = np.arange(fractions.shape[0])[:, None] < num_slices
    units = parent_lots // lot_step
    caps = np.where(live, np.minimum(cap_lots // lot_step, units), 0)
    upto = np.cumsum(caps, axis=0)
    wanted = np.maximum(np.rint(units * fractions).astype(np.int64), units - (upto[-1] - upto))
    done = np.minimum(np.minimum.accumulate(wanted - upto, axis=0), 0) + upto
    child_lots[:] = np.diff(done, axis=0, prepend=0) * lot_step


def round_cumulative(fractions: Any, parent_lots: int, *, lot_step: int = 1, cap_lots: Any = MAX_LOTS) -> np.ndarray:
    """Return the children int64[N] of one parent from its cumulative fractions float64[N], checked.

    ValueError unless the fractions ascend from at least 0 to 1.
    """
    shares = np.asarray(fractions, np.float64)
    ascending = shares.ndim == 1 and shares.size > 0 and bool(np.all(np.diff(shares) >= 0))
    if not (ascending and shares[0] >= 0 and shares[-1] == 1):
        raise ValueError(f"fractions {fractions} do not ascend from at least 0 to exactly 1")
    caps = np.ascontiguousarray(np.broadcast_to(np.asarray(cap_lots, np.int64), shares.shape))[:, None]
    counts, lots, steps = (np.array([value], np.int64) for value in (shares.size, parent_lots, lot_step))
    check_rounding(counts, lots, steps, caps)
    child_lots = np.empty((shares.size, 1), np.int64)
    round_children(shares[:, None], counts, lots, steps, caps, child_lots)
    return child_lots[:, 0]
