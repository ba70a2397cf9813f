"""Measure the risk gate: one order through all checks, packing included, and a batch of many orders on one core.

A check is one order through one named check of `kernels/risk/spec.py` CHECKS; one of strategy, venue and firm counts
once. An order that is refused counts the checks up to the one that refused it. The reference of the batch is the plain
Python gate on the first of the same orders.
"""

import time
from typing import Any

import numpy as np

from kernels.risk import columns as c
from kernels.risk import reference, spec
from kernels.risk.spec import CHECKS, RiskLimits, RiskReason
from kernels.risk.workspace import GateWorkspace

STRATEGIES, VENUES, INSTRUMENTS, GROUPS = 4, 2, 8, 2
EVERYTHING = RiskLimits(
    max_open_orders=10**9, max_messages=10**9, max_position_lots=2**40, max_position_bps=10**9, max_leverage_bps=10**9
)._replace(max_group_bps=10**9)


def bench_gate(orders: int = 1_000_000, single: int = 50_000, seed: int = 0) -> dict[str, Any]:
    """Return `check_p50_us, check_p99_us, checks_per_s, orders_per_s, passed, reference, ratio` and what they count."""
    latency = _one_by_one(single)
    space = _workspace(EVERYTHING)
    batch = _orders(orders, seed)
    space.judge_batch(batch, 0)  # compiled, and every page touched
    began = time.perf_counter()
    reasons = space.judge_batch(batch, 0)
    seconds = time.perf_counter() - began
    checks = _checks_made(reasons)
    plain = _plain_checks_per_s(batch[:200])
    return latency | {
        "checks_per_s": checks / seconds,
        "orders_per_s": orders / seconds,
        "orders": orders,
        "passed": int((reasons == RiskReason.OK).sum()),
        "checks_per_order": checks / orders,
        "reference": {"what": "kernels/risk/reference.py on the first 200 orders", "checks_per_s": plain},
        "ratio": checks / seconds / plain,
    }


def _one_by_one(count: int) -> dict[str, Any]:
    """Pack and judge single orders against a session with live orders; all of them pass every check."""
    space = _workspace(RiskLimits())
    for k in range(12):
        space.add_live((0, 0, k % INSTRUMENTS, k % 2, 9_980 if k % 2 == 0 else 10_020, 10, 7, 0, 1))
    times_ns = np.zeros(count, np.int64)
    passed = 0
    for n in range(-2_000, count):
        began = time.perf_counter_ns()
        space.set_market(1, 3, (9_990, 10_010, 10_000, 0, 1))
        space.clear_intents()
        space.add_intent((c.NEW, 1, 1, 3, 0, 9_990, 5, 0, c.LIMIT, 0, 0))
        reason = space.judge(0)[0]
        took = time.perf_counter_ns() - began
        if n >= 0:
            times_ns[n] = took
            passed += int(reason == RiskReason.OK)
    p50, p99, p999 = (float(np.percentile(times_ns, q)) / 1e3 for q in (50, 99, 99.9))
    return {"check_p50_us": p50, "check_p99_us": p99, "check_p999_us": p999, "single": count, "single_passed": passed}


def _workspace(limits: RiskLimits) -> GateWorkspace:
    space = GateWorkspace(STRATEGIES, VENUES, INSTRUMENTS, GROUPS)
    for number in range(INSTRUMENTS):
        space.set_instrument(number, limits, number % GROUPS)
        space.set_mark(number, 10_000)
        for venue in range(VENUES):
            space.set_market(venue, number, (9_990, 10_010, 10_000, 0, 1))
    for number in range(STRATEGIES + VENUES + 1):
        space.set_scope_limits(number, limits)
        space.set_scope(number, spec.ACTIVE, 10**15, 0)
        for each in range(INSTRUMENTS):
            space.set_cell(number, each, 5, 0)
    return space


def _orders(count: int, seed: int) -> np.ndarray:
    """Return new orders that rest on either side of the book, nearly all different."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, c.NUM_INTENT_COLUMNS), np.int64)
    rows[:, c.INTENT_KIND], rows[:, c.INTENT_TYPE] = c.NEW, c.LIMIT
    rows[:, c.INTENT_STRATEGY] = rng.integers(0, STRATEGIES, count)
    rows[:, c.INTENT_VENUE] = rng.integers(0, VENUES, count)
    rows[:, c.INTENT_INSTRUMENT] = rng.integers(0, INSTRUMENTS, count)
    rows[:, c.INTENT_SIDE] = rng.integers(0, 2, count)
    rows[:, c.INTENT_LOTS] = rng.integers(1, 101, count)
    away = rng.integers(0, 400, count)
    rows[:, c.INTENT_PRICE_TICK] = np.where(rows[:, c.INTENT_SIDE] == 0, 9_990 - away, 10_010 + away)
    return rows


def _checks_made(reasons: np.ndarray) -> int:
    made = np.full(len(RiskReason), len(CHECKS))
    for place, reason in enumerate(CHECKS, 1):
        made[reason] = place
    return int(made[reasons].sum())


def _plain_checks_per_s(batch: np.ndarray) -> float:
    world = _plain_world()
    intents: list[dict[str, Any]] = [dict(zip(_COLUMNS, row, strict=True)) for row in batch.tolist()]
    began = time.perf_counter()
    reasons = reference.gate(intents, world)
    seconds = time.perf_counter() - began
    return _checks_made(np.array([RiskReason[reason] for reason in reasons])) / seconds


_COLUMNS: tuple[str, ...] = (
    *("kind", "strategy", "venue", "instrument", "side", "price_tick", "lots"),
    *("reduce_only", "type", "loss_tick", "target"),
)


def _plain_world() -> dict[str, Any]:
    """Return what `_workspace` holds as the oracle takes it."""
    limits = EVERYTHING._asdict()
    state = {"trading": spec.ACTIVE, "equity_e8": 10**15, "recent": 0}
    scope = {name: limits[name] for name in spec.SCOPE_LIMITS} | state
    places = [("strategies", n) for n in range(STRATEGIES)] + [("venues", n) for n in range(VENUES)] + [("firm", 0)]
    book = {"bid_tick": 9_990, "ask_tick": 10_010, "reference_tick": 10_000, "book_ns": 0, "book_valid": 1}
    held = {"position_lots": 5, "max_position_lots": limits["max_position_lots"], "repeats": 0}
    instrument = {name: limits[name] for name in spec.INSTRUMENT_LIMITS} | {"mark_tick": 10_000}
    return {
        "strategies": [scope] * STRATEGIES,
        "venues": [scope] * VENUES,
        "firm": scope,
        "instruments": [instrument | {"group": n % GROUPS} for n in range(INSTRUMENTS)],
        "num_groups": GROUPS,
        "market": {(v, n): book for v in range(VENUES) for n in range(INSTRUMENTS)},
        "cells": {(*place, n): held for place in places for n in range(INSTRUMENTS)},
        "live": [],
        "now_ns": 0,
    }


if __name__ == "__main__":
    import json

    print(json.dumps(bench_gate()))
