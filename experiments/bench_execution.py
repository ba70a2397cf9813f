"""`bookswarm bench execution`: children planned, machine steps and routes a second, the NumPy reference beside them."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.execution import parent, routing, routing_cpu, routing_reference
from kernels.execution.algorithms import make_instructions
from kernels.execution.participation import start, step
from kernels.execution.schedules import Parents, make_parents, plan_children

REPEATS = 3
ROUTES = 2_000


def bench_execution(parents: int, slices: int, seed: int = 0) -> dict[str, Any]:
    """Measure `parents` parent orders of all four schedules over `slices` slices; best of three, one core.

    Returns `children_per_s` of numba with the NumPy reference as `reference` and `ratio`; `machine_steps_per_s` of one
    parent order in plain Python; `routes_per_s` over 5 venues of 10 levels with minimums; `correct`: every backend gave
    the same integers.
    """
    batch = _batch(parents, slices, seed)
    planned = {backend: plan_children(batch, backend) for backend in ("cpu", "reference")}
    speed = {backend: parents * slices / _best(lambda b=backend: plan_children(batch, b)) for backend in planned}
    routes, routed = _routes(seed)
    return {
        "parents": parents,
        "slices": slices,
        "children_per_s": round(speed["cpu"]),
        "machine_steps_per_s": round(_machine_steps(20_000)),
        "routes_per_s": round(routes),
        "correct": bool(np.array_equal(planned["cpu"], planned["reference"]) and routed),
        "reference": "NumPy, same batch, same run",
        "reference_children_per_s": round(speed["reference"]),
        "ratio": round(speed["cpu"] / speed["reference"], 2),
    }


def _batch(parents: int, slices: int, seed: int) -> Parents:
    rng = np.random.default_rng(seed)
    return make_parents(
        rng.integers(0, 4, parents),
        slices,
        rng.integers(1, 1_000_000, parents),
        shape=rng.random(parents),
        curve=rng.random((slices, parents)) + 0.1,
        cap_lots=rng.integers(1_000, 100_000, (slices, parents)),
    )


def _machine_steps(steps: int) -> float:
    order, schedule = make_instructions(
        "pov", side=0, parent_lots=10**6, start_ns=0, end_ns=steps + 1, limit_price_tick=200, rate_ppm=100_000
    )
    seen = [parent.Observation(k, k, 1, 100 + k % 3, 102 + k % 3, 10 * k, k // 2, 0) for k in range(steps)]

    def run() -> None:
        state = start(order)
        for facts in seen:
            state, _ = step(order, schedule, state, facts)

    return steps / _best(run)


def _routes(seed: int) -> tuple[float, bool]:
    """Return routes a second, and whether a small order's route is the exhaustive reference's."""
    rng = np.random.default_rng(seed)
    price = 10_000 + rng.integers(-3, 4, (5, 1)) + rng.integers(1, 4, (5, 10)).cumsum(axis=1)
    levels = np.stack([price, rng.integers(1, 500, (5, 10))], axis=-1).astype(np.int64)
    venues = np.array([[int(fee), 0, int(ns), 1, 40, 0] for fee, ns in rng.integers(0, 50_000, (5, 2))], np.int64)
    allocated, expected = np.zeros(5, np.int64), np.zeros(5, np.int64)

    def run() -> None:
        for lots in range(ROUTES):
            routing_cpu.allocate(0, lots, 20_000, levels, venues, 0, allocated)

    routing.check_routing(0, ROUTES, 20_000, levels, venues)
    run()
    seconds = _best(run)
    routing_cpu.allocate(0, 150, 20_000, levels, venues, 0, allocated)
    routing_reference.allocate(0, 150, 20_000, levels, venues, 0, expected)
    return ROUTES / seconds, bool(np.array_equal(allocated, expected))


def _best(run: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)
