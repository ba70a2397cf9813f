"""The gate in every combination of trading states, order kinds, sides, sizes, positions and open orders.

What a state allows is written here again, in two lines, and compared with what the kernel lets through: in a halted
scope nothing, in a reduce-only one what reduces with all of its side filled, and cancels always.
"""

import itertools

import numpy as np
import pytest

from kernels.risk import columns as c
from kernels.risk import spec
from kernels.risk.spec import RiskLimits, RiskReason
from kernels.risk.workspace import GateWorkspace

STATES = (spec.ACTIVE, spec.REDUCE_ONLY, spec.HALTED, 0, spec.ABSENT)  # the last two are none: they halt
TYPES = (c.LIMIT, c.IOC, c.POST_ONLY)
POSITIONS, LOTS, OPENED = (-5, 0, 5), (1, 2, 3, 5, 6), (0, 3)
BID, ASK = 9_990, 10_010


def gate() -> GateWorkspace:
    """One strategy, venue and instrument at which nothing but the states can refuse."""
    space = GateWorkspace()
    limits = RiskLimits()
    space.set_instrument(0, limits)
    space.set_mark(0, 10_000)
    space.set_market(0, 0, (BID, ASK, 10_000, 0, 1))
    for place in range(3):
        space.set_scope_limits(place, limits)
    return space


def rows(opened: int) -> list[tuple[int, ...]]:
    """Every order, replace and cancel, in the order of the INTENT columns."""
    made = []
    for kind, order_type, side, lots, flag in itertools.product((1, 2, 3), TYPES, (0, 1), LOTS, (0, 1)):
        price = BID + 3 if side == 0 else ASK - 3  # inside the spread: it meets nothing of ours
        target = 1 + side if kind == c.REPLACE and opened else 0
        if kind != c.REPLACE or opened:
            made.append((kind, 0, 0, 0, side, price, lots, flag, order_type, 0, target))
    return made


def allowed(states: tuple[int, ...], row: tuple[int, ...], position: int, opened: int) -> bool:
    """Whether the trading states let an order pass; a replaced order counts until the venue says that it is gone."""
    kind, side, lots, flag = row[0], row[4], row[6], row[7]
    if kind == c.CANCEL:
        return True
    reduces = opened + lots <= (-position if side == 0 else position)
    if not set(states) <= {spec.ACTIVE, spec.REDUCE_ONLY}:
        return False
    return reduces or not (flag or spec.REDUCE_ONLY in states)


@pytest.mark.parametrize("killed", [None, 0, 1, 2], ids=["none", "strategy", "venue", "firm"])
def test_in_every_state_of_every_scope_only_what_the_states_allow_passes_and_after_a_kill_no_more(killed):
    space, judged, passed = gate(), 0, 0
    for states in itertools.product(STATES, repeat=3):
        if killed is not None and states[killed] == spec.ACTIVE:
            continue  # what a kill leads to: halted, or reduce-only while the position is traded to zero
        for position, opened in itertools.product(POSITIONS, OPENED):
            for place, state in enumerate(states):
                space.set_scope(place, state, 10**15, 0)
                space.set_cell(place, 0, position, 0)
            space.clear_live()
            for side in (0, 1) if opened else ():
                space.add_live((0, 0, 0, side, 9_900 + 200 * side, opened, opened, 0, c.LIMIT))
            for row in rows(opened):
                reason = int(space.judge_batch(np.array([row], np.int64), 0)[0])
                judged += 1
                passed += reason == RiskReason.OK and row[0] != c.CANCEL
                assert (reason == RiskReason.OK) == allowed(states, row, position, opened), (states, row, position)
                if killed is not None and reason == RiskReason.OK and row[0] != c.CANCEL:
                    sign = 1 - 2 * row[4]
                    assert position * sign < 0
                    assert (position + sign * (opened + row[6])) * sign <= 0, "it could pass zero"
    assert judged > 40_000
    assert passed > 300
