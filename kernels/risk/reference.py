"""The risk gate in plain Python: the same promises written another way, with exact integers and no shared code.

It takes dictionaries and lists, repeats the encodings it needs, adds everything up again for every order, and is the
judge of `kernels/risk/cpu.py`. A world has

    strategies, venues   lists of scopes; firm: one scope. A scope: its nine limits, trading, equity_e8, recent
    instruments          their thirteen limits, group, mark_tick;  num_groups
    market               {(venue, instrument): bid_tick, ask_tick, reference_tick, book_ns, book_valid}
    cells                {(level, index, instrument): position_lots, max_position_lots, repeats}, level as in LEVELS
    live                 orders: strategy, venue, instrument, side, price_tick, lots, left_lots, cancelling, type
    now_ns

and an intent has kind, strategy, venue, instrument, side, price_tick, lots, reduce_only, type, loss_tick, target.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

WORD_RANGE = 2**61
ENGINE_RANGE = 2**30
NO_LIMIT = 2**61
LEVELS = ("strategies", "venues", "firm")

Row = Mapping[str, Any]


def gate(intents: Sequence[Row], world: Mapping[str, Any]) -> list[str]:
    """Return the reason's name for each intent."""
    cancelled = {intent["target"] for intent in intents if intent["kind"] == 2}
    leaving = {
        number for number, order in enumerate(world["live"], 1) if order["cancelling"] == 1 or number in cancelled
    }
    at_start = frozenset(leaving)
    reasons: list[str] = []
    passed: list[Row] = []
    for intent in intents:
        if intent["kind"] == 2:
            reasons.append("OK")
            continue
        reason = next((name for name, fails in _checks(intent, world, passed, leaving, at_start) if fails), "OK")
        reasons.append(reason)
        if reason == "OK":
            passed.append(intent)
            leaving.add(intent["target"])
    return reasons


def _number(value: Any) -> bool:
    return isinstance(value, int) and abs(value) <= WORD_RANGE


def _engine(value: Any) -> bool:
    return isinstance(value, int) and abs(value) <= ENGINE_RANGE


def _limits_present(row: Row, names: Sequence[str]) -> bool:
    return all(_number(row[name]) and row[name] >= 0 for name in names)


SCOPE_NAMES = (
    "max_order_lots",
    "max_order_value_e8",
    "max_loss_bps",
    "max_position_bps",
    "max_leverage_bps",
    "max_group_bps",
    "max_open_orders",
    "max_messages",
    "max_repeats",
)
INSTRUMENT_NAMES = (
    "tradable",
    "price_step_tick",
    "lot_step",
    "min_lots",
    "max_lots",
    "min_notional_e8",
    "collar_tick",
    "collar_bps",
    "reference_collar_tick",
    "reference_collar_bps",
    "adverse_bps",
    "tick_value_e8",
    "max_age_ns",
)


def _scope_whole(scope: Row) -> bool:
    return (
        _limits_present(scope, (*SCOPE_NAMES, "recent")) and _number(scope["trading"]) and _number(scope["equity_e8"])
    )


def _instrument_whole(row: Row, num_groups: int) -> bool:
    return (
        _limits_present(row, INSTRUMENT_NAMES)
        and min(row["price_step_tick"], row["lot_step"], row["tick_value_e8"]) > 0
        and row["tick_value_e8"] <= 2**32
        and row["group"] in range(num_groups)
    )


def _live_whole(order: Row, world: Mapping[str, Any]) -> bool:
    return (
        order["strategy"] in range(len(world["strategies"]))
        and order["venue"] in range(len(world["venues"]))
        and order["instrument"] in range(len(world["instruments"]))
        and order["side"] in (0, 1)
        and order["cancelling"] in (0, 1)
        and order["type"] in (1, 2, 3)
        and _engine(order["price_tick"])
        and _engine(order["lots"])
        and order["lots"] > 0
        and _engine(order["left_lots"])
        and order["left_lots"] >= 0
    )


def _broken(intent: Row, world: Mapping[str, Any], scopes: Sequence[Row]) -> bool:
    """Whether anything is missing or impossible in the order or in what judges it."""
    if not all(_number(cell["position_lots"]) for cell in world["cells"].values()):
        return True
    if not _number(world["now_ns"]) or not all(_live_whole(order, world) for order in world["live"]):
        return True
    if not all(_scope_whole(scope) for scope in scopes):
        return True
    if intent["instrument"] not in range(len(world["instruments"])):
        return False
    book = world["market"][intent["venue"], intent["instrument"]]
    return (
        not _instrument_whole(world["instruments"][intent["instrument"]], world["num_groups"])
        or not all(_engine(book[name]) for name in ("bid_tick", "ask_tick", "reference_tick"))
        or not (_number(book["book_ns"]) and _number(book["book_valid"]))
        or not all(
            _limits_present(cell, ("max_position_lots", "repeats"))
            for place, cell in world["cells"].items()
            if place[2] == intent["instrument"] and place[:2] in _places(intent)
        )
    )


def _places(intent: Row) -> list[tuple[str, int]]:
    return [("strategies", intent["strategy"]), ("venues", intent["venue"]), ("firm", 0)]


def _impossible(intent: Row, world: Mapping[str, Any]) -> bool:
    return (
        intent["kind"] not in (1, 3)
        or intent["strategy"] not in range(len(world["strategies"]))
        or intent["venue"] not in range(len(world["venues"]))
        or not _number(intent["instrument"])
        or intent["side"] not in (0, 1)
        or intent["reduce_only"] not in (0, 1)
        or intent["type"] not in (1, 2, 3)
        or not _engine(intent["price_tick"])
        or not _engine(intent["lots"])
        or intent["lots"] < 1
        or not _engine(intent["loss_tick"])
        or intent["loss_tick"] < 0
        or not _number(intent["target"])
        or (intent["kind"] == 1 and intent["target"] != 0)
    )


class _Held:
    """What a scope holds: positions and open orders, added up from the orders themselves."""

    def __init__(self, world: Mapping[str, Any], place: tuple[str, int], passed: Sequence[Row]) -> None:
        self.world, self.place = world, place
        key = {"strategies": "strategy", "venues": "venue"}.get(place[0])
        self.orders = [
            (order["instrument"], order["side"], order.get("left_lots", order["lots"]))
            for order in [*world["live"], *passed]
            if key is None or order[key] == place[1]
        ]
        self.num_passed = sum(key is None or order[key] == place[1] for order in passed)

    def position(self, instrument: int) -> int:
        return self.world["cells"][*self.place, instrument]["position_lots"]

    def opened(self, instrument: int, side: int) -> int:
        return sum(lots for where, way, lots in self.orders if where == instrument and way == side)

    def worst(self, instrument: int, extra: tuple[int, int] = (0, 0)) -> int:
        """The largest inventory either way, with `extra` lots of buys and sells beside."""
        position = self.position(instrument)
        return max(position + self.opened(instrument, 0) + extra[0], self.opened(instrument, 1) + extra[1] - position)

    def mark(self, instrument: int) -> int | None:
        """The worth of one lot, or None."""
        row = self.world["instruments"][instrument]
        if not _engine(row["mark_tick"]) or not _instrument_whole(row, self.world["num_groups"]):
            return None
        return abs(row["mark_tick"]) * row["tick_value_e8"]

    def exposure(self, instruments: Sequence[int], instrument: int, extra: tuple[int, int]) -> int:
        total = 0
        for each in instruments:
            worst = self.worst(each, extra if each == instrument else (0, 0))
            worth = self.mark(each)
            total += worst * worth if worst and worth is not None else 0
        return total


def _checks(
    intent: Row, world: Mapping[str, Any], passed: Sequence[Row], leaving: set[int], at_start: frozenset[int]
) -> Iterator[tuple[str, bool]]:
    """Yield (reason, whether it fails) in the documented order; a later one may assume that the earlier hold."""
    yield "BAD_INPUT", _impossible(intent, world)
    scopes = [world["strategies"][intent["strategy"]], world["venues"][intent["venue"]], world["firm"]]
    yield "BAD_INPUT", _broken(intent, world, scopes)
    yield "REPLACE_TARGET", intent["kind"] == 3 and not _replaceable(intent, world, leaving)
    yield "HALTED", any(scope["trading"] not in (1, 2) for scope in scopes)
    where = intent["instrument"]
    yield "NOT_TRADABLE", where not in range(len(world["instruments"])) or world["instruments"][where]["tradable"] != 1
    yield from _order_checks(intent, world, scopes)
    yield from _held_checks(intent, world, scopes, passed)
    held = [_Held(world, place, passed) for place in _places(intent)]
    counts = list(zip(scopes, held, strict=True))
    yield "MAX_OPEN_ORDERS", any(len(has.orders) >= scope["max_open_orders"] for scope, has in counts)
    alike = ("strategy", "venue", "instrument", "side", "price_tick", "lots")
    others = [order for number, order in enumerate(world["live"], 1) if number not in at_start] + list(passed)
    yield "DUPLICATE_INTENT", any(all(order[name] == intent[name] for name in alike) for order in others)
    yield "SELF_TRADE", intent["type"] != 3 and any(_meets(order, intent) for order in [*world["live"], *passed])
    yield "MESSAGE_RATE", any(scope["recent"] + has.num_passed >= scope["max_messages"] for scope, has in counts)


def _replaceable(intent: Row, world: Mapping[str, Any], leaving: set[int]) -> bool:
    number = intent["target"]
    if number in leaving or number not in range(1, len(world["live"]) + 1):
        return False
    return all(world["live"][number - 1][name] == intent[name] for name in ("strategy", "venue", "instrument", "side"))


def _order_checks(intent: Row, world: Mapping[str, Any], scopes: Sequence[Row]) -> Iterator[tuple[str, bool]]:
    """Throttle, market data, steps, sizes, collars, order volume and value."""
    price, lots, where = intent["price_tick"], intent["lots"], intent["instrument"]
    limits, book = world["instruments"][where], world["market"][intent["venue"], where]
    cells = [world["cells"][*place, where] for place in _places(intent)]
    worn = any(cell["repeats"] >= scope["max_repeats"] for scope, cell in zip(scopes, cells, strict=True))
    yield "THROTTLED", intent["reduce_only"] == 0 and worn
    yield "INVALID_BOOK", book["book_valid"] != 1 or book["bid_tick"] >= book["ask_tick"]
    yield "STALE_DATA", not 0 <= world["now_ns"] - book["book_ns"] <= limits["max_age_ns"]
    yield "PRICE_STEP", price % limits["price_step_tick"] != 0
    yield "LOT_STEP", lots % limits["lot_step"] != 0
    yield "MIN_LOTS", lots < limits["min_lots"]
    yield "MAX_LOTS", lots > limits["max_lots"]
    value = abs(price) * lots * limits["tick_value_e8"]
    yield "MIN_NOTIONAL", min(value, NO_LIMIT) < limits["min_notional_e8"]
    below = price < book["bid_tick"] and _far(price, book["bid_tick"], limits["collar_tick"], limits["collar_bps"])
    above = price > book["ask_tick"] and _far(price, book["ask_tick"], limits["collar_tick"], limits["collar_bps"])
    yield "PRICE_COLLAR", below or above
    collar = (limits["reference_collar_tick"], limits["reference_collar_bps"])
    yield "REFERENCE_COLLAR", _far(price, book["reference_tick"], *collar)
    yield "MAX_ORDER_LOTS", any(lots > scope["max_order_lots"] for scope in scopes)
    yield "MAX_ORDER_VALUE", any(_above(value, scope["max_order_value_e8"]) for scope in scopes)


def _held_checks(
    intent: Row, world: Mapping[str, Any], scopes: Sequence[Row], passed: Sequence[Row]
) -> Iterator[tuple[str, bool]]:
    """Loss budget, reduce-only, position, leverage, concentration."""
    side, price, lots, where = intent["side"], intent["price_tick"], intent["lots"], intent["instrument"]
    limits, places = world["instruments"][where], _places(intent)
    cells = [world["cells"][*place, where] for place in places]
    held = [_Held(world, place, passed) for place in places]
    bound = [
        scope["trading"] == 2 or (level == "strategies" and intent["reduce_only"] == 1)
        for scope, (level, _) in zip(scopes, places, strict=True)
    ]
    free = [(s, h, cell) for s, h, cell, tied in zip(scopes, held, cells, bound, strict=True) if not tied]
    per_lot = intent["loss_tick"] or -((-abs(price) * min(limits["adverse_bps"], 2**31)) // 10_000)
    loss = per_lot * lots * limits["tick_value_e8"]
    yield "LOSS_BUDGET", any(_above_share(loss, scope, "max_loss_bps") for scope, _, _ in free)
    sign = 1 - 2 * side
    flips = []
    for has, tied in zip(held, bound, strict=True):
        after = has.position(where) + sign * (has.opened(where, side) + lots)
        shrinks = has.position(where) * sign < 0 and after * sign <= 0
        flips.append(tied and not shrinks)
    yield "REDUCE_ONLY", any(flips)
    worth = held[0].mark(where)
    too_much = []
    for scope, has, cell in free:
        reached = has.position(where) * sign + has.opened(where, side) + lots
        over = reached > 0 and worth is not None and _above_share(reached * worth, scope, "max_position_bps")
        too_much.append(over or reached > cell["max_position_lots"])
    yield "MAX_POSITION", any(too_much)
    yield from _exposure_checks(intent, world, [(scope, has) for scope, has, _ in free])


def _exposure_checks(
    intent: Row, world: Mapping[str, Any], free: Sequence[tuple[Row, "_Held"]]
) -> Iterator[tuple[str, bool]]:
    """Only an order that raises the worst case of a scope is held against its exposure."""
    where, lots = intent["instrument"], intent["lots"]
    extra = (lots, 0) if intent["side"] == 0 else (0, lots)
    everything = range(len(world["instruments"]))
    growing = [(scope, has) for scope, has in free if has.worst(where, extra) > has.worst(where)]
    blind = any(has.worst(i) and has.mark(i) is None for _, has in growing for i in everything)
    yield "NO_MARK", blind or any(has.mark(where) is None for _, has in free)
    gross = [(scope, has.exposure(everything, where, extra)) for scope, has in growing]
    yield "LEVERAGE", any(_above_share(exposure, scope, "max_leverage_bps") for scope, exposure in gross)
    group = [i for i in everything if world["instruments"][i]["group"] == world["instruments"][where]["group"]]
    grouped = [(scope, has.exposure(group, where, extra)) for scope, has in growing]
    yield "CONCENTRATION", any(_above_share(exposure, scope, "max_group_bps") for scope, exposure in grouped)


def _far(price: int, reference: int, max_tick: int, max_bps: int) -> bool:
    if abs(price - reference) > max_tick:
        return True
    return max_bps != NO_LIMIT and abs(price - reference) > abs(reference) * Fraction(max_bps, 10_000)


def _above(value: int, limit: int) -> bool:
    return limit != NO_LIMIT and value > limit


def _above_share(value: int, scope: Row, name: str) -> bool:
    """Whether money is above a share of equity; what int64 cannot hold is above every share."""
    if scope[name] == NO_LIMIT:
        return False
    return value > min(max(scope["equity_e8"], 0) * Fraction(scope[name], 10_000), Fraction(NO_LIMIT - 1))


def _meets(order: Row, intent: Row) -> bool:
    """Whether an order of ours may rest at the same venue at a price that the intent would trade at."""
    if (order["venue"], order["instrument"], order["side"]) != (
        intent["venue"],
        intent["instrument"],
        1 - intent["side"],
    ):
        return False
    if order["type"] == 2 or order.get("left_lots", order["lots"]) == 0:
        return False
    if intent["side"] == 0:
        return intent["price_tick"] >= order["price_tick"]
    return intent["price_tick"] <= order["price_tick"]
