"""Worlds for the risk gate: one description, given to the oracle as it is and to the kernel as arrays.

`random_world` takes any `random.Random`: hypothesis gives one that it can shrink, the soak a seeded one.
"""

import random
from typing import Any

from kernels.risk import columns, reference, spec
from kernels.risk.spec import RiskLimits, RiskReason
from kernels.risk.workspace import GateWorkspace

INTENT = (  # in the order of the columns, as the other lists
    *("kind", "strategy", "venue", "instrument", "side", "price_tick", "lots"),
    *("reduce_only", "type", "loss_tick", "target"),
)
LIVE = ["strategy", "venue", "instrument", "side", "price_tick", "lots", "left_lots", "cancelling", "type"]
MARKET = ["bid_tick", "ask_tick", "reference_tick", "book_ns", "book_valid"]
NEW, CANCEL, REPLACE = 1, 2, 3
ODD = (spec.ABSENT, spec.ABSENT + 1, 2**62, -(2**62), 2**61, -(2**61), 2**61 + 1, 2**30, 2**30 + 1, -(2**30), 0, -1, 1)


def scope(**changes: Any) -> dict[str, Any]:
    """A scope at which nothing is near a limit."""
    limits = RiskLimits(max_order_lots=100, max_open_orders=16)._asdict()
    row = {name: limits[name] for name in spec.SCOPE_LIMITS}
    return row | {"trading": spec.ACTIVE, "equity_e8": 10**15, "recent": 0} | changes


def instrument(**changes: Any) -> dict[str, Any]:
    limits = RiskLimits()._asdict()
    return {name: limits[name] for name in spec.INSTRUMENT_LIMITS} | {"group": 0, "mark_tick": 10_000} | changes


def book(**changes: Any) -> dict[str, Any]:
    fields = {"bid_tick": 9_990, "ask_tick": 10_010, "reference_tick": 10_000, "book_ns": 1_000, "book_valid": 1}
    return fields | changes


def cell(**changes: Any) -> dict[str, Any]:
    return {"position_lots": 0, "max_position_lots": 10_000, "repeats": 0} | changes


def order(**changes: Any) -> dict[str, Any]:
    """A buy of one lot at the bid that passes everything."""
    fields = dict.fromkeys(INTENT, 0) | {"kind": NEW, "price_tick": 9_990, "lots": 1, "type": 1}
    return fields | changes


def resting(**changes: Any) -> dict[str, Any]:
    fields = dict.fromkeys(LIVE, 0) | {"price_tick": 9_980, "lots": 2, "left_lots": 2, "type": 1}
    return fields | changes


def world(
    strategies: int = 2, venues: int = 2, instruments: int = 2, groups: int = 2, **changes: Any
) -> dict[str, Any]:
    """An ordinary world of that size; instrument i is of group i modulo groups."""
    places = [("strategies", s) for s in range(strategies)] + [("venues", v) for v in range(venues)] + [("firm", 0)]
    fields = {
        "strategies": [scope() for _ in range(strategies)],
        "venues": [scope() for _ in range(venues)],
        "firm": scope(),
        "instruments": [instrument(group=i % groups) for i in range(instruments)],
        "num_groups": groups,
        "market": {(v, i): book() for v in range(venues) for i in range(instruments)},
        "cells": {(*place, i): cell() for place in places for i in range(instruments)},
        "live": [],
        "now_ns": 1_000,
    }
    return fields | changes


def kernel_reasons(intents: list[dict[str, Any]], here: dict[str, Any]) -> list[str]:
    """Put a world into arrays and ask the kernel."""
    space = GateWorkspace(len(here["strategies"]), len(here["venues"]), len(here["instruments"]), here["num_groups"])
    for number, row in enumerate(here["instruments"]):
        fields = {name: row[name] for name in spec.INSTRUMENT_LIMITS}
        space.set_instrument(number, RiskLimits(**fields), row["group"])
        space.set_mark(number, row["mark_tick"])
    for (venue, number), row in here["market"].items():
        space.set_market(venue, number, [row[name] for name in MARKET])
    rows = [*here["strategies"], *here["venues"], here["firm"]]
    for number, row in enumerate(rows):
        space.set_scope_limits(number, RiskLimits(**{name: row[name] for name in spec.SCOPE_LIMITS}))
        space.set_scope(number, row["trading"], row["equity_e8"], row["recent"])
    levels = {"strategies": "strategy", "venues": "venue", "firm": "firm"}
    for (level, index, number), row in here["cells"].items():
        place = space.scope(levels[level], index)
        space.set_cell(place, number, row["position_lots"], row["repeats"])
        space.cells[place, number, columns.CELL_MAX_POSITION_LOTS] = spec.word(row["max_position_lots"])
    for row in here["live"]:
        space.add_live([row[name] for name in LIVE])
    for row in intents:
        space.add_intent([row[name] for name in INTENT])
    return [RiskReason(reason).name for reason in space.judge(spec.word(here["now_ns"])).tolist()]


def both(intents: list[dict[str, Any]], here: dict[str, Any]) -> list[str]:
    """Return the reasons, on which kernel and oracle agree."""
    ours, theirs = kernel_reasons(intents, here), reference.gate(intents, here)
    assert ours == theirs, (ours, theirs, intents, here)
    return ours


# Random worlds: small numbers near the limits, so that every check is met from both sides; sometimes an odd word.
# In a world few things are tight at once, or the first check would hide the later ones.


def random_world(rng: random.Random) -> dict[str, Any]:
    draw = _Draw(rng, rng.choice((0.02, 0.06, 0.2)))
    strategies, venues, instruments = rng.randint(1, 2), rng.randint(1, 2), rng.randint(1, 3)
    here = world(strategies, venues, instruments, rng.randint(1, 2))
    for row in [*here["strategies"], *here["venues"], here["firm"]]:
        row.update(_random_scope(draw))
    for row in here["instruments"]:
        row.update(_random_instrument(draw))
    for row in here["market"].values():
        bid = rng.randint(98, 101)
        row.update(bid_tick=bid, ask_tick=bid + draw.rarely(rng.randint(1, 3), (0, -1)))
        row.update(book_ns=1_000 - draw.rarely(0, (3, 9, -1)), book_valid=draw.rarely(1, (0, 2)))
        row.update(reference_tick=rng.randint(97, 103))
    for row in here["cells"].values():
        row.update(position_lots=rng.choice((0, rng.randint(-12, 12), rng.randint(-12, 12))))
        row.update(max_position_lots=draw.rarely(40, range(16)), repeats=draw.rarely(0, (1, 2, 9)))
    here["live"] = [_random_live(rng, here) for _ in range(rng.choice((0, 0, 1, 2, 3)))]
    return here


class _Draw:
    """Draws the loose value, or seldom one of the tight ones."""

    def __init__(self, rng: random.Random, share: float) -> None:
        self._rng, self._share = rng, share

    def rarely(self, loose: int, tight: Any) -> int:
        return self._rng.choice(tight) if self._rng.random() < self._share else loose


def _random_scope(draw: _Draw) -> dict[str, int]:
    return {
        "trading": draw.rarely(spec.ACTIVE, (2, 2, 2, 3, 0)),
        "equity_e8": draw.rarely(100_000, (spec.UNLIMITED, 0, -5, *range(2_000, 40_000, 500))),
        "recent": draw.rarely(0, (1, 2)),
        "max_order_lots": draw.rarely(9, range(8)),
        "max_order_value_e8": draw.rarely(3_000, range(200, 2_000, 50)),
        "max_loss_bps": draw.rarely(5_000, range(0, 500, 10)),
        "max_position_bps": draw.rarely(20_000, range(0, 3_000, 50)),
        "max_leverage_bps": draw.rarely(60_000, range(0, 4_000, 50)),
        "max_group_bps": draw.rarely(60_000, range(0, 4_000, 50)),
        "max_open_orders": draw.rarely(9, range(5)),
        "max_messages": draw.rarely(9, range(4)),
        "max_repeats": draw.rarely(9, range(4)),
    }


def _random_instrument(draw: _Draw) -> dict[str, int]:
    return {
        "tradable": draw.rarely(1, (0, 2)),
        "price_step_tick": draw.rarely(1, (2, 5)),
        "lot_step": draw.rarely(1, (2, 3)),
        "min_lots": draw.rarely(1, (0, 2, 4)),
        "max_lots": draw.rarely(9, range(8)),
        "min_notional_e8": draw.rarely(0, range(0, 1_000, 50)),
        "collar_tick": draw.rarely(12, range(6)),
        "collar_bps": draw.rarely(1_000, (spec.UNLIMITED, *range(0, 500, 20))),
        "reference_collar_tick": draw.rarely(spec.UNLIMITED, range(12)),
        "reference_collar_bps": draw.rarely(1_500, (spec.UNLIMITED, *range(0, 900, 50))),
        "adverse_bps": draw.rarely(1_000, (1, 5_000, spec.UNLIMITED)),
        "tick_value_e8": draw.rarely(1, (2, 3)),
        "max_age_ns": draw.rarely(60, range(5)),
        "mark_tick": draw.rarely(100, (0, -100, 97, spec.ABSENT, spec.ABSENT, 2**30 + 1)),
    }


def _random_live(rng: random.Random, here: dict[str, Any]) -> dict[str, int]:
    lots = rng.randint(1, 6)
    return {
        "strategy": rng.randrange(len(here["strategies"])),
        "venue": rng.randrange(len(here["venues"])),
        "instrument": rng.randrange(len(here["instruments"])),
        "side": rng.randint(0, 1),
        "price_tick": rng.randint(96, 106),
        "lots": lots,
        "left_lots": rng.randint(0, lots),
        "cancelling": int(rng.random() < 0.2),
        "type": rng.choice((1, 1, 2, 3)),
    }


def random_intents(rng: random.Random, here: dict[str, Any]) -> list[dict[str, int]]:
    intents = []
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        kind = rng.choice((NEW,) * 8 + (CANCEL, REPLACE, REPLACE))
        drawn = _random_live(rng, here)
        target = 0 if kind == NEW else rng.randint(min(len(here["live"]), 1), len(here["live"]))
        target += int(kind != NEW and rng.random() < 0.1)
        fields = {name: drawn[name] for name in ("strategy", "venue", "instrument", "side", "price_tick", "type")}
        if here["live"] and rng.random() < 0.1:  # like one that is there, or against it
            fields = {name: rng.choice(here["live"])[name] for name in fields} | {"side": rng.randint(0, 1)}
        if kind == REPLACE and 1 <= target <= len(here["live"]) and rng.random() < 0.9:
            fields |= {name: here["live"][target - 1][name] for name in ("strategy", "venue", "instrument", "side")}
        near = rng.random() < 0.9
        intents.append(
            fields
            | {
                "kind": kind,
                "price_tick": fields["price_tick"] if near else rng.randint(80, 120),
                "lots": rng.choice((drawn["lots"], rng.randint(1, 8))),
                "reduce_only": int(rng.random() < 0.2),
                "loss_tick": rng.choice((0, 0, 1, 5)),
                "target": target,
            }
        )
    return intents


def spoil(rng: random.Random, here: dict[str, Any], intents: list[dict[str, int]]) -> None:
    """Put an odd word somewhere: something that was not there, or not finite, or is impossible."""
    rows = [*here["strategies"], *here["venues"], here["firm"], *here["instruments"]]
    rows += [*here["market"].values(), *here["cells"].values(), *here["live"], *intents]
    row = rng.choice(rows)
    name = rng.choice(sorted(row))
    if name != "kind":
        row[name] = rng.choice(ODD)


def check_sequence(rng: random.Random) -> list[str]:
    """Judge up to four batches in a row, each in the world that the ones before it left; return all reasons.

    AssertionError where kernel and oracle differ, or where what passed could break a limit by its fills alone.
    """
    here, reasons = random_world(rng), []
    for _ in range(rng.randint(1, 4)):
        intents = random_intents(rng, here)
        if rng.random() < 0.04:
            spoil(rng, here, intents)
            return reasons + both(intents, here)
        judged = both(intents, here)
        passed = [each for each, why in zip(intents, judged, strict=True) if why == "OK" and each["kind"] != CANCEL]
        check_worst_case(here, passed)
        reasons += judged
        here = next_world(rng, here, intents, judged)
    return reasons


def check_worst_case(here: dict[str, Any], passed: list[dict[str, Any]]) -> None:
    """Fill what is open and what passed on one side, nothing on the other: no scope may leave its limits by it.

    An order that says reduce-only is judged with what came before it; later ones may go through zero.
    """
    for place, new in enumerate(passed):
        sign = 1 if new["side"] == 0 else -1
        for level, index, own in (
            ("strategies", new["strategy"], "strategy"),
            ("venues", new["venue"], "venue"),
            ("firm", 0, None),
        ):
            scope_row = here["firm"] if level == "firm" else here[level][index]
            held = here["cells"][(level, index, new["instrument"])]
            flagged = own == "strategy" and new["reduce_only"] == 1
            batch = passed[: place + 1] if flagged else passed
            mine = [each for each in [*here["live"], *batch] if own is None or each[own] == index]
            same = [each for each in mine if (each["instrument"], each["side"]) == (new["instrument"], new["side"])]
            reached = sign * held["position_lots"] + sum(each.get("left_lots", each["lots"]) for each in same)
            if scope_row["trading"] == spec.REDUCE_ONLY or flagged:
                assert reached <= 0, (new, here)
            else:
                assert reached <= held["max_position_lots"], (new, here)
            assert scope_row["trading"] in (spec.ACTIVE, spec.REDUCE_ONLY)
            assert len(mine) <= scope_row["max_open_orders"]
            assert new["lots"] <= scope_row["max_order_lots"]


def next_world(rng: random.Random, here: dict[str, Any], intents: list[dict[str, Any]], reasons: list[str]) -> Any:
    """Return the world after a batch: what passed is live, some of it has filled, some is gone, time has passed."""
    after = _copied(here)
    cancelled = {each["target"] for each in intents if each["kind"] == CANCEL}
    replaced = {each["target"] for each, why in zip(intents, reasons, strict=True) if why == "OK"}
    for number, row in enumerate(after["live"], 1):
        row["cancelling"] = int(row["cancelling"] == 1 or number in cancelled | replaced)
    for intent, reason in zip(intents, reasons, strict=True):
        if reason == "OK" and intent["kind"] != CANCEL:
            row = {name: intent.get(name, 0) for name in LIVE}
            after["live"].append(row | {"left_lots": intent["lots"], "cancelling": 0})
            for each in (after["strategies"][intent["strategy"]], after["venues"][intent["venue"]], after["firm"]):
                each["recent"] += 1
    for row in after["live"]:
        _maybe_fill(rng, after, row)
    after["live"] = [row for row in after["live"] if row["left_lots"] > 0 and rng.random() > 0.1]
    after["now_ns"] += rng.choice((0, 0, 1, 4))
    return after


def _copied(here: dict[str, Any]) -> dict[str, Any]:
    """Return a world that shares no row with the given one; words are immutable, so copying stops at the rows."""
    after = dict(here) | {"firm": dict(here["firm"])}
    for name in ("strategies", "venues", "instruments", "live"):
        after[name] = [dict(row) for row in here[name]]
    for name in ("market", "cells"):
        after[name] = {place: dict(row) for place, row in here[name].items()}
    return after


def _maybe_fill(rng: random.Random, here: dict[str, Any], row: dict[str, Any]) -> None:
    lots = rng.choice((0, 0, row["left_lots"], rng.randint(0, max(row["left_lots"], 0))))
    row["left_lots"] -= lots
    for place in (("strategies", row["strategy"]), ("venues", row["venue"]), ("firm", 0)):
        held = here["cells"][(*place, row["instrument"])]
        held["position_lots"] += lots if row["side"] == 0 else -lots
        held["repeats"] += int(lots > 0)
