"""What the risk gate promises: its checks in order, its typed reasons, its limits. Arrays: kernels/risk/columns.py.

Source: MiFID II RTS 6 (EU 2017/589) article 15; SEC rule 15c3-5.
"""

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np

# A word that is absent, not finite or not an integer: whatever meets it is refused (fail closed).
ABSENT: Final = -(2**63)
MAX_ABS_WORD: Final = 2**61  # words beyond are refused too, so that sums and differences hold in int64
UNLIMITED: Final = MAX_ABS_WORD  # as a limit: this check is switched off, on purpose and visibly
MAX_TICK_VALUE_E8: Final = 2**32  # so that price times tick value holds in int64

# Trading states, from the freest to the strictest.
ACTIVE: Final = 1
REDUCE_ONLY: Final = 2
HALTED: Final = 3


class RiskReason(IntEnum):
    """Why the gate refused. Numbers are on record and never change; the order of the checks is `CHECKS`."""

    OK = 0
    BAD_INPUT = 1  # an absent or impossible word in the order, or in what the gate needs to judge it
    HALTED = 2  # its strategy, its venue or the firm
    NOT_TRADABLE = 3  # instrument unknown or not tradable
    INVALID_BOOK = 4  # absent, gapped, crossed or one-sided
    STALE_DATA = 5  # also where the book is from the future
    PRICE_STEP = 6
    LOT_STEP = 7
    MIN_LOTS = 8
    MAX_LOTS = 9  # of the instrument
    PRICE_COLLAR = 10  # beyond the touch, in ticks or bps
    MAX_ORDER_VALUE = 11
    REDUCE_ONLY = 12  # would not reduce, or could flip the position through zero
    MAX_POSITION = 13  # lots, or value against equity, with every live order of the side filled
    MAX_OPEN_ORDERS = 14
    DUPLICATE_INTENT = 15  # side, price and lots of an order of the same strategy that is live or earlier in the batch
    MESSAGE_RATE = 16
    THROTTLED = 17  # too many executions in a row: a person must re-enable
    MIN_NOTIONAL = 18
    REFERENCE_COLLAR = 19  # from the reference price, in ticks or bps
    MAX_ORDER_LOTS = 20  # of a scope
    LOSS_BUDGET = 21  # to the order's stop, or over the assumed adverse move
    NO_MARK = 22  # exposure that cannot be valued
    LEVERAGE = 23
    CONCENTRATION = 24  # of one group
    SELF_TRADE = 25  # would match an order of our own that rests at that venue
    REPLACE_TARGET = 26  # no live order there, another's, or one already on its way out


_R = RiskReason
# The first check that fails gives the reason. Cancels always pass, and are taken before all else of their batch.
CHECKS: Final = (
    _R.BAD_INPUT,
    _R.REPLACE_TARGET,
    _R.HALTED,
    _R.NOT_TRADABLE,
    _R.THROTTLED,
    _R.INVALID_BOOK,
    _R.STALE_DATA,
    _R.PRICE_STEP,
    _R.LOT_STEP,
    _R.MIN_LOTS,
    _R.MAX_LOTS,
    _R.MIN_NOTIONAL,
    _R.PRICE_COLLAR,
    _R.REFERENCE_COLLAR,
    _R.MAX_ORDER_LOTS,
    _R.MAX_ORDER_VALUE,
    _R.LOSS_BUDGET,
    _R.REDUCE_ONLY,
    _R.MAX_POSITION,
    _R.NO_MARK,
    _R.LEVERAGE,
    _R.CONCENTRATION,
    _R.MAX_OPEN_ORDERS,
    _R.DUPLICATE_INTENT,
    _R.SELF_TRADE,
    _R.MESSAGE_RATE,
)


class RiskLimits(NamedTuple):
    """The limits of one instrument and of the scopes that trade it; bps are of equity unless said otherwise."""

    tradable: int = 1  # 1: the instrument is known and tradable
    price_step_tick: int = 1  # a price is a multiple of this
    lot_step: int = 1  # a quantity is a multiple of this
    min_lots: int = 1
    max_lots: int = 1_000
    collar_tick: int = 500  # beyond the touch
    max_order_value_e8: int = 1_000_000 * 10**8  # 1e-8 quote units
    tick_value_e8: int = 10**6  # value of one lot times one tick, 1e-8 quote units
    max_position_lots: int = 10_000
    max_open_orders: int = 16
    max_messages: int = 1_000  # new orders and replaces within the window; the caller counts them by event time
    max_age_ns: int = 60_000_000_000  # older market data is stale
    min_notional_e8: int = 0
    collar_bps: int = 1_000  # of the touch
    reference_collar_tick: int = UNLIMITED
    reference_collar_bps: int = 1_000  # of the reference price
    adverse_bps: int = 2_000  # of the price: what an order without a stop is taken to lose
    max_order_lots: int = 1_000
    max_loss_bps: int = 200
    max_position_bps: int = 1_000
    max_leverage_bps: int = 30_000
    max_group_bps: int = 2_500
    max_repeats: int = 1_000  # executed orders in a row on one side

    def instrument_words(self) -> list[int]:
        """Return the instrument's limits in the order of the columns, bad values as ABSENT."""
        return [word(getattr(self, name)) for name in INSTRUMENT_LIMITS]

    def scope_words(self) -> list[int]:
        """Return a scope's limits in the order of the columns, bad values as ABSENT."""
        return [word(getattr(self, name)) for name in SCOPE_LIMITS]

    def checked(self) -> "RiskLimits":
        """Return the limits; ValueError names the first field that the gate could only refuse everything for."""
        for name, value in self._asdict().items():
            low = 1 if name in ("price_step_tick", "lot_step", "tick_value_e8") else 0
            high = {"tradable": 1, "tick_value_e8": MAX_TICK_VALUE_E8}.get(name, UNLIMITED)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"limit {name} is {value!r}, expected a whole number from {low} to {high}")
        return self


INSTRUMENT_LIMITS: Final = (
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
SCOPE_LIMITS: Final = (
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


def word(value: Any) -> int:
    """Return an int64 word, or ABSENT for None, a fraction, a non-finite float or what int64 cannot hold."""
    if type(value) is int and ABSENT < value < -ABSENT:
        return value
    if isinstance(value, float | np.floating):
        if not float(value).is_integer():
            return ABSENT
        value = int(value)
    if not isinstance(value, int | np.integer | np.bool_) or not -(2**63) < int(value) < 2**63:
        return ABSENT
    return int(value)
