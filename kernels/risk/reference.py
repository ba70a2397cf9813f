"""The risk gate in plain Python: the same promises written another way, with exact integers and no shared code.

It takes dictionaries and lists, repeats the encodings it needs, and is the judge of `kernels/risk/cpu.py`.
"""

from collections.abc import Mapping, Sequence

WORD_RANGE = 2**61
ENGINE_RANGE = 2**30

Order = tuple[int, int, int, int, int]


def gate(
    intents: Sequence[Order], live: Sequence[Order], limits: Mapping[str, int], state: Mapping[str, int]
) -> list[str]:
    """Return the reason's name for each intent (kind, side, price_tick, lots, reduce_only).

    `live`: (side, price_tick, lots, left_lots, cancelling); `limits` by the fields of RiskLimits; `state` by
    trading, position_lots, recent_orders, best_bid_tick, best_ask_tick, book_ns, now_ns, book_valid.
    """
    reasons: list[str] = []
    passed: list[Order] = []
    for intent in intents:
        if intent[0] == 2:
            reasons.append("OK")
            continue
        failed = [name for name, fails in _checks(intent, live, limits, state, passed) if fails()]
        reasons.append(failed[0] if failed else "OK")
        if not failed:
            passed.append(intent)
    return reasons


def _checks(intent, live, limits, state, passed):
    """Yield (reason, predicate) in the order of the typed reasons; a later predicate may assume the earlier passed."""
    kind, side, price, lots, reduce_only = intent

    def bad_input() -> bool:
        words = [*intent, *limits.values(), *state.values(), *(value for row in live for value in row)]
        return (
            any(abs(word) > WORD_RANGE for word in words)
            or kind != 1
            or side not in (0, 1)
            or reduce_only not in (0, 1)
            or abs(price) > ENGINE_RANGE
            or not 0 < lots <= ENGINE_RANGE
            or min(limits["price_step_tick"], limits["lot_step"]) < 1
            or min(limits["max_order_value_e8"], limits["collar_tick"], limits["max_age_ns"]) < 0
            or not 0 < limits["tick_value_e8"] <= 2**32
            or any(row[0] not in (0, 1) or not 0 <= row[3] <= ENGINE_RANGE for row in live)
        )

    broken = bad_input()
    yield "BAD_INPUT", lambda: broken
    if broken:
        return
    same_side = [row[3] for row in live if row[0] == side] + [order[3] for order in passed if order[1] == side]
    after = state["position_lots"] + (1 - 2 * side) * (sum(same_side) + lots)
    before = state["position_lots"]
    restricted = reduce_only == 1 or state["trading"] == 2
    flips = before == 0 or (before > 0) == (side == 0) or (after != 0 and (after > 0) != (before > 0))
    twins = [row[:3] for row in live if row[4] == 0] + [order[1:4] for order in passed]
    yield "HALTED", lambda: state["trading"] not in (1, 2)
    yield "NOT_TRADABLE", lambda: limits["tradable"] != 1
    yield (
        "INVALID_BOOK",
        lambda: state["book_valid"] != 1 or not state["best_bid_tick"] < state["best_ask_tick"],
    )
    yield "STALE_DATA", lambda: not 0 <= state["now_ns"] - state["book_ns"] <= limits["max_age_ns"]
    yield "PRICE_STEP", lambda: price % limits["price_step_tick"] != 0
    yield "LOT_STEP", lambda: lots % limits["lot_step"] != 0
    yield "MIN_LOTS", lambda: lots < limits["min_lots"]
    yield "MAX_LOTS", lambda: lots > limits["max_lots"]
    yield (
        "PRICE_COLLAR",
        lambda: (
            not (
                state["best_bid_tick"] - limits["collar_tick"]
                <= price
                <= state["best_ask_tick"] + limits["collar_tick"]
            )
        ),
    )
    yield "MAX_ORDER_VALUE", lambda: abs(price) * lots * limits["tick_value_e8"] > limits["max_order_value_e8"]
    yield "REDUCE_ONLY", lambda: restricted and flips
    yield "MAX_POSITION", lambda: not restricted and after * (1 - 2 * side) > limits["max_position_lots"]
    yield "MAX_OPEN_ORDERS", lambda: len(live) + len(passed) >= limits["max_open_orders"]
    yield "DUPLICATE_INTENT", lambda: (side, price, lots) in [tuple(twin) for twin in twins]
    yield "MESSAGE_RATE", lambda: state["recent_orders"] + len(passed) >= limits["max_messages"]
