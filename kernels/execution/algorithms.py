"""Parent orders by name: what `participation.step` needs for TWAP, VWAP, POV, iceberg and the rest.

Each builder takes the order's common fields (side, parent_lots, start_ns, end_ns, limit_price_tick and any other field
of `ParentOrder`) and its own, and returns checked `Instructions`. A new algorithm is a builder and one line in
ALGORITHMS, which the contract tests run over.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from kernels.execution import parent, schedules
from kernels.execution.almgren_chriss import ImpactParams, curvature
from kernels.execution.obizhaeva_wang import refill_share
from kernels.execution.parent import ParentOrder, check_parent


class Instructions(NamedTuple):
    """What the machine is started with."""

    parent: ParentOrder
    schedule: np.ndarray  # int64[N] cumulative lots due from the start of each slice; [0] where there is none


def twap(*, slices: int, **fields: Any) -> Instructions:
    """Spread the parent evenly over `slices` equal slices of time."""
    return _scheduled(schedules.TWAP, slices, fields)


def vwap(*, curve: Any, **fields: Any) -> Instructions:
    """Follow a volume curve: the volume expected in each of its equal slices of time, any unit."""
    return _scheduled(schedules.VWAP, len(curve), fields, curve=np.asarray(curve, np.float64))


def almgren_chriss(*, impact: ImpactParams, risk_aversion: float, **fields: Any) -> Instructions:
    """Follow the optimal trajectory of `impact` (its intervals are the slices) at `risk_aversion`."""
    return _scheduled(schedules.ALMGREN_CHRISS, impact.intervals, fields, shape=curvature(impact, risk_aversion))


def obizhaeva_wang(*, slices: int, resilience: float, **fields: Any) -> Instructions:
    """Trade blocks at both ends and what refills between; `resilience` rho per horizon (rate x its length)."""
    return _scheduled(schedules.OBIZHAEVA_WANG, slices, fields, shape=refill_share(resilience, 1.0, slices))


def pov(*, rate_ppm: int, **fields: Any) -> Instructions:
    """Follow `rate_ppm` of the volume that is really traded; the same rate is the cap unless max_rate_ppm says else."""
    order = ParentOrder(algorithm=parent.POV, rate_ppm=rate_ppm, **{"max_rate_ppm": rate_ppm, **fields})
    return Instructions(order, check_parent(order))


def iceberg(*, display_lots: int, **fields: Any) -> Instructions:
    """Rest everything, showing `display_lots` (plus or minus display_jitter_lots) at a time."""
    if display_lots < 1:
        raise ValueError(f"display_lots {display_lots} is below 1")
    order = ParentOrder(algorithm=parent.ALL, display_lots=display_lots, **{"tactic": parent.REST, **fields})
    return Instructions(order, check_parent(order))


def limit_then_cross(*, patience_ns: int, **fields: Any) -> Instructions:
    """Rest everything at the touch; cross what is left after `patience_ns`, or when the touch runs away."""
    order = ParentOrder(algorithm=parent.ALL, patience_ns=patience_ns, **{"tactic": parent.REST_THEN_CROSS, **fields})
    return Instructions(order, check_parent(order))


ALGORITHMS: Final[dict[str, Callable[..., Instructions]]] = {
    "twap": twap,
    "vwap": vwap,
    "almgren_chriss": almgren_chriss,
    "obizhaeva_wang": obizhaeva_wang,
    "pov": pov,
    "iceberg": iceberg,
    "limit_then_cross": limit_then_cross,
}


def make_instructions(name: str, **fields: Any) -> Instructions:
    """Return the instructions of the algorithm `name`; ValueError names the valid ones, or the field that is wrong."""
    if name not in ALGORITHMS:
        raise ValueError(f"execution algorithm {name!r} is not one of {sorted(ALGORITHMS)}")
    try:
        return ALGORITHMS[name](**fields)
    except TypeError as error:
        raise ValueError(f"execution algorithm {name!r}: {error}") from None


def _scheduled(kind: int, slices: int, fields: dict[str, Any], **shape: Any) -> Instructions:
    order = ParentOrder(algorithm=parent.SCHEDULE, **fields)
    # Fields are checked before they are rounded; the schedule of one slice is any parent's.
    check_parent(order, [order.parent_lots])
    batch = schedules.make_parents(kind, slices, order.parent_lots, lot_step=order.lot_step, **shape)
    due = np.cumsum(schedules.plan_children(batch, "reference")[:, 0])
    return Instructions(order, check_parent(order, due))
