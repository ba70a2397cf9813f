"""One tick, lot or unit inside a limit passes, one outside is refused with that check's reason; every check is here."""

from collections.abc import Callable
from typing import Any

import pytest

from kernels.risk import spec
from kernels.risk.spec import CHECKS, RiskReason
from tests.support.risk_worlds import REPLACE, both, order, resting, world

World = dict[str, Any]
Order = dict[str, Any]
# Levels at which a scope's limit is tried: the limit of any one of the three is enough.
LEVELS = {
    "strategy": lambda here: (here["strategies"][0], here["cells"]["strategies", 0, 0]),
    "venue": lambda here: (here["venues"][0], here["cells"]["venues", 0, 0]),
    "firm": lambda here: (here["firm"], here["cells"]["firm", 0, 0]),
}
BUY_ONE_E8 = 9_990 * 10**6  # value of one lot at the bid
MARK_E8 = 10_000 * 10**6  # value of one lot at the mark


def case(intent: Order | None = None, before: list[Order] | None = None, **rows: Any) -> Callable[..., tuple]:
    """A world changed at one level (or in the instrument or market), and the order to judge after those before it."""

    def build(level: str) -> tuple[list[Order], World]:
        here = world(live=rows.get("live", []))
        scope, cell = LEVELS[level](here)
        scope |= rows.get("scope", {})
        cell |= rows.get("cell", {})
        here["instruments"][0] |= rows.get("instrument", {})
        here["market"][0, 0] |= rows.get("market", {})
        if "now_ns" in rows:
            here["now_ns"] = rows["now_ns"]
        if "positions" in rows:
            for place in (("strategies", 0), ("venues", 0), ("firm", 0)):
                here["cells"][(*place, 0)]["position_lots"] = rows["positions"]
        return [*(before or []), intent or order()], here

    return build


SELL = {"side": 1, "price_tick": 10_010}
ONLY_LOSS = {"max_position_bps": spec.UNLIMITED, "max_leverage_bps": spec.UNLIMITED, "max_group_bps": spec.UNLIMITED}
# reason -> pairs (inside, outside)
BOUNDARIES: dict[RiskReason, list[tuple[Callable, Callable]]] = {
    RiskReason.BAD_INPUT: [
        (case(order(lots=1)), case(order(lots=0))),
        (case(scope={"recent": 0}), case(scope={"recent": -1})),
        (case(order(loss_tick=0)), case(order(loss_tick=-1))),
        (case(instrument={"tick_value_e8": 1}), case(instrument={"tick_value_e8": 0})),
        (case(cell={"position_lots": -1}), case(cell={"position_lots": spec.ABSENT})),
    ],
    RiskReason.REPLACE_TARGET: [
        (case(order(kind=REPLACE, target=1), live=[resting()]), case(order(kind=REPLACE, target=2), live=[resting()])),
        (
            case(order(kind=REPLACE, target=1), live=[resting()]),
            case(order(kind=REPLACE, target=1), live=[resting(cancelling=1)]),
        ),
        (
            case(order(kind=REPLACE, target=1), live=[resting()]),
            case(order(kind=REPLACE, target=1), live=[resting(strategy=1)]),
        ),
    ],
    RiskReason.HALTED: [(case(scope={"trading": spec.ACTIVE}), case(scope={"trading": spec.HALTED}))],
    RiskReason.NOT_TRADABLE: [
        (case(instrument={"tradable": 1}), case(instrument={"tradable": 0})),
        (case(order(instrument=1)), case(order(instrument=2))),
        (case(order(instrument=0)), case(order(instrument=-1))),
    ],
    RiskReason.THROTTLED: [
        (case(scope={"max_repeats": 5}, cell={"repeats": 4}), case(scope={"max_repeats": 5}, cell={"repeats": 5}))
    ],
    RiskReason.INVALID_BOOK: [
        (case(market={"bid_tick": 10_009}), case(market={"bid_tick": 10_010})),
        (case(market={"book_valid": 1}), case(market={"book_valid": 0})),
    ],
    RiskReason.STALE_DATA: [
        (case(instrument={"max_age_ns": 5}, now_ns=1_005), case(instrument={"max_age_ns": 5}, now_ns=1_006)),
        (case(now_ns=1_000), case(now_ns=999)),
    ],
    RiskReason.PRICE_STEP: [
        (
            case(order(price_tick=9_990), instrument={"price_step_tick": 5}),
            case(order(price_tick=9_991), instrument={"price_step_tick": 5}),
        ),
    ],
    RiskReason.LOT_STEP: [
        (case(order(lots=10), instrument={"lot_step": 10}), case(order(lots=11), instrument={"lot_step": 10})),
    ],
    RiskReason.MIN_LOTS: [
        (case(order(lots=3), instrument={"min_lots": 3}), case(order(lots=2), instrument={"min_lots": 3})),
    ],
    RiskReason.MAX_LOTS: [
        (case(order(lots=3), instrument={"max_lots": 3}), case(order(lots=4), instrument={"max_lots": 3})),
    ],
    RiskReason.MIN_NOTIONAL: [
        (
            case(order(lots=2), instrument={"min_notional_e8": 2 * BUY_ONE_E8}),
            case(order(lots=2), instrument={"min_notional_e8": 2 * BUY_ONE_E8 + 1}),
        ),
    ],
    RiskReason.PRICE_COLLAR: [
        (
            case(order(price_tick=9_983), instrument={"collar_tick": 7}),
            case(order(price_tick=9_982), instrument={"collar_tick": 7}),
        ),
        (
            case(order(**SELL | {"price_tick": 10_017}), instrument={"collar_tick": 7}),
            case(order(**SELL | {"price_tick": 10_018}), instrument={"collar_tick": 7}),
        ),
        # 10 bps of the ask at 10,010 are 10.01 ticks.
        (
            case(order(price_tick=10_020), instrument={"collar_bps": 10}),
            case(order(price_tick=10_021), instrument={"collar_bps": 10}),
        ),
        (
            case(order(price_tick=9_981), instrument={"collar_bps": 10}),
            case(order(price_tick=9_980), instrument={"collar_bps": 10}),
        ),
    ],
    RiskReason.REFERENCE_COLLAR: [
        (
            case(order(price_tick=9_993), instrument={"reference_collar_tick": 7}),
            case(order(price_tick=9_992), instrument={"reference_collar_tick": 7}),
        ),
        (
            case(order(price_tick=10_010), instrument={"reference_collar_bps": 10}),
            case(order(price_tick=10_011), instrument={"reference_collar_bps": 10}),
        ),
    ],
    RiskReason.MAX_ORDER_LOTS: [
        (case(order(lots=3), scope={"max_order_lots": 3}), case(order(lots=4), scope={"max_order_lots": 3})),
    ],
    RiskReason.MAX_ORDER_VALUE: [
        (
            case(order(lots=3), scope={"max_order_value_e8": 3 * BUY_ONE_E8}),
            case(order(lots=3), scope={"max_order_value_e8": 3 * BUY_ONE_E8 - 1}),
        ),
    ],
    RiskReason.LOSS_BUDGET: [
        # 2 % of 50 x 10^8 x 10^6 is 10^14: a stop 100 ticks away costs 10^8 a lot.
        (
            case(order(lots=50, loss_tick=100), scope=ONLY_LOSS | {"equity_e8": 50 * 5 * 10**9}),
            case(order(lots=50, loss_tick=100), scope=ONLY_LOSS | {"equity_e8": 50 * 5 * 10**9 - 1}),
        ),
        (
            case(order(lots=50, loss_tick=100), scope=ONLY_LOSS | {"equity_e8": 50 * 5 * 10**9}),
            case(order(lots=50, loss_tick=101), scope=ONLY_LOSS | {"equity_e8": 50 * 5 * 10**9}),
        ),
        # Without a stop: 20 % of 9,990 ticks are 1,998 ticks a lot.
        (
            case(order(), scope=ONLY_LOSS | {"equity_e8": 1_998 * 50 * 10**6}),
            case(order(), scope=ONLY_LOSS | {"equity_e8": 1_998 * 50 * 10**6 - 1}),
        ),
    ],
    RiskReason.REDUCE_ONLY: [
        (
            case(order(**SELL, lots=3, reduce_only=1), positions=3),
            case(order(**SELL, lots=4, reduce_only=1), positions=3),
        ),
        (
            case(order(**SELL, lots=1, reduce_only=1), positions=3, live=[resting(side=1, price_tick=10_020)]),
            case(order(**SELL, lots=2, reduce_only=1), positions=3, live=[resting(side=1, price_tick=10_020)]),
        ),
        (
            case(order(lots=3), scope={"trading": spec.REDUCE_ONLY}, positions=-3),
            case(order(lots=4), scope={"trading": spec.REDUCE_ONLY}, positions=-3),
        ),
    ],
    RiskReason.MAX_POSITION: [
        (
            case(order(lots=3), cell={"max_position_lots": 7}, positions=4),
            case(order(lots=4), cell={"max_position_lots": 7}, positions=4),
        ),
        (
            case(order(lots=3), cell={"max_position_lots": 5}, live=[resting(cancelling=1)]),
            case(order(lots=4), cell={"max_position_lots": 5}, live=[resting(cancelling=1)]),
        ),
        (
            case(order(lots=5), before=[order(lots=2)], cell={"max_position_lots": 7}),
            case(order(lots=6), before=[order(lots=2)], cell={"max_position_lots": 7}),
        ),
        (  # 10 % of equity
            case(order(lots=3), scope={"equity_e8": 10 * 3 * MARK_E8}),
            case(order(lots=3), scope={"equity_e8": 10 * 3 * MARK_E8 - 1}),
        ),
        (
            case(order(**SELL, lots=3), scope={"equity_e8": 10 * 8 * MARK_E8}, positions=-5),
            case(order(**SELL, lots=4), scope={"equity_e8": 10 * 8 * MARK_E8}, positions=-5),
        ),
    ],
    RiskReason.NO_MARK: [
        (
            case(instrument={"mark_tick": 2**30, "tick_value_e8": 1}),
            case(instrument={"mark_tick": 2**30 + 1, "tick_value_e8": 1}),
        ),
        (
            case(instrument={"mark_tick": -(2**30), "tick_value_e8": 1}),
            case(instrument={"mark_tick": -(2**30) - 1, "tick_value_e8": 1}),
        ),
    ],
    RiskReason.LEVERAGE: [
        (
            case(
                order(lots=3),
                scope={"max_leverage_bps": 200, "max_position_bps": 2**61, "equity_e8": 50 * 8 * MARK_E8},
                positions=5,
            ),
            case(
                order(lots=4),
                scope={"max_leverage_bps": 200, "max_position_bps": 2**61, "equity_e8": 50 * 8 * MARK_E8},
                positions=5,
            ),
        ),
    ],
    RiskReason.CONCENTRATION: [
        (
            case(
                order(lots=3),
                scope={"max_position_bps": 2**61, "equity_e8": 4 * 8 * MARK_E8, "max_loss_bps": 2**61},
                positions=5,
            ),
            case(
                order(lots=4),
                scope={"max_position_bps": 2**61, "equity_e8": 4 * 8 * MARK_E8, "max_loss_bps": 2**61},
                positions=5,
            ),
        ),
    ],
    RiskReason.MAX_OPEN_ORDERS: [
        (case(scope={"max_open_orders": 2}, live=[resting()]), case(scope={"max_open_orders": 1}, live=[resting()])),
    ],
    RiskReason.DUPLICATE_INTENT: [
        (
            case(order(lots=2, price_tick=9_981), live=[resting()]),
            case(order(lots=2, price_tick=9_980), live=[resting()]),
        ),
        (
            case(order(lots=1, price_tick=9_980), live=[resting()]),
            case(order(lots=2, price_tick=9_980), live=[resting()]),
        ),
        (
            case(order(lots=2, price_tick=9_980), live=[resting(cancelling=1)]),
            case(order(lots=2, price_tick=9_980), live=[resting(left_lots=0)]),
        ),
    ],
    RiskReason.SELF_TRADE: [
        (
            case(order(**SELL | {"price_tick": 9_981}), live=[resting()]),
            case(order(**SELL | {"price_tick": 9_980}), live=[resting()]),
        ),
        (
            case(order(price_tick=10_004), live=[resting(side=1, price_tick=10_005)]),
            case(order(price_tick=10_005), live=[resting(side=1, price_tick=10_005, strategy=1)]),
        ),
        (
            case(order(price_tick=10_005, type=3), live=[resting(side=1, price_tick=10_005)]),
            case(order(price_tick=10_005, type=2), live=[resting(side=1, price_tick=10_005)]),
        ),
        (
            case(order(price_tick=10_005), live=[resting(side=1, price_tick=10_005, venue=1)]),
            case(order(price_tick=10_005), live=[resting(side=1, price_tick=10_005, cancelling=1)]),
        ),
    ],
    RiskReason.MESSAGE_RATE: [
        (case(scope={"max_messages": 4, "recent": 3}), case(scope={"max_messages": 4, "recent": 4})),
        (
            case(scope={"max_messages": 4, "recent": 2}, before=[order(lots=2)]),
            case(scope={"max_messages": 4, "recent": 3}, before=[order(lots=2)]),
        ),
    ],
}
SCOPED = {  # the checks whose limit stands at every level
    RiskReason.HALTED,
    RiskReason.THROTTLED,
    RiskReason.MAX_ORDER_LOTS,
    RiskReason.MAX_ORDER_VALUE,
    RiskReason.LOSS_BUDGET,
    RiskReason.MAX_POSITION,
    RiskReason.LEVERAGE,
    RiskReason.CONCENTRATION,
    RiskReason.MAX_OPEN_ORDERS,
    RiskReason.MESSAGE_RATE,
}
PAIRS = [
    (reason, pair, level)
    for reason, pairs in BOUNDARIES.items()
    for pair in pairs
    for level in (LEVELS if reason in SCOPED else ["strategy"])
]


def test_every_check_has_a_boundary_test():
    assert set(BOUNDARIES) == set(CHECKS)


@pytest.mark.parametrize(("reason", "pair", "level"), PAIRS, ids=lambda each: getattr(each, "name", str(each)[:9]))
def test_one_unit_inside_passes_and_one_outside_is_refused_with_the_checks_reason(reason, pair, level):
    inside, outside = pair
    assert both(*inside(level))[-1] == "OK"
    assert both(*outside(level))[-1] == reason.name
