"""What is traded: the smallest price and size step, exactly, and the money that a tick-lot is worth.

Prices are integer ticks and sizes integer lots everywhere else; this module is where they meet decimal numbers.
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from kernels.lob.spec import MAX_ABS_PRICE_TICK, MAX_LOTS

MONEY_SCALE = 10**8  # money is int64 in 1e-8 of the quote currency
_PLAIN_DECIMAL = re.compile(r"\d+(\.\d+)?")


def divide_half_even(numerator: int, denominator: int) -> int:
    """Divide integers exactly and round to the nearest, ties to even; `denominator` is positive."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1):
        quotient += 1
    return quotient


@dataclass(frozen=True)
class Instrument:
    """One tradable instrument.

    Raises ValueError at construction if a step is not a plain positive decimal such as "0.01" with at most 8 decimals.
    """

    name: str
    tick_size: str  # smallest price step, decimal string in quote currency
    lot_size: str = "1"  # smallest size step, decimal string in base units (shares, coins)
    currency: str = "USD"  # quote currency

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("instrument name is empty")
        for field in ("tick_size", "lot_size"):
            _scaled(field, getattr(self, field))

    @property
    def tick_e8(self) -> int:
        """Price step in 1e-8 of the quote currency."""
        return _scaled("tick_size", self.tick_size)

    @property
    def lot_e8(self) -> int:
        """Size step in 1e-8 base units."""
        return _scaled("lot_size", self.lot_size)

    def to_tick(self, price: Decimal | str | int) -> int:
        """Return the price in ticks; ValueError if it is not a multiple of the tick or out of the engine's range."""
        tick = _exact_steps("price", price, self.tick_size, self.name)
        if abs(tick) > MAX_ABS_PRICE_TICK:
            raise ValueError(f"price {price} of {self.name} is outside +-{MAX_ABS_PRICE_TICK} ticks")
        return tick

    def to_lots(self, size: Decimal | str | int) -> int:
        """Return the size in lots; ValueError if it is not a multiple of the lot or outside 0..MAX_LOTS."""
        lots = _exact_steps("size", size, self.lot_size, self.name)
        if not 0 <= lots <= MAX_LOTS:
            raise ValueError(f"size {size} of {self.name} is outside 0..{MAX_LOTS} lots")
        return lots

    def to_price(self, price_tick: int) -> Decimal:
        """Return the price of `price_tick` ticks in quote currency, exactly."""
        return int(price_tick) * Decimal(self.tick_size)

    def to_size(self, lots: int) -> Decimal:
        """Return the size of `lots` lots in base units, exactly."""
        return int(lots) * Decimal(self.lot_size)

    def money_e8(self, tick_lots: int) -> int:
        """Return what `tick_lots` (price in ticks x lots, or PnL in tick-lots) is worth, 1e-8 of the quote currency.

        Exact where one tick-lot is a whole number of 1e-8 (nearly every venue), else rounded half to even.
        """
        return divide_half_even(int(tick_lots) * self.tick_e8 * self.lot_e8, MONEY_SCALE)


def _scaled(field: str, text: str) -> int:
    if not isinstance(text, str) or not _PLAIN_DECIMAL.fullmatch(text):
        raise ValueError(f'{field} {text!r} is not a plain decimal string such as "0.01"')
    scaled = Decimal(text) * MONEY_SCALE
    if scaled <= 0 or scaled != int(scaled):
        raise ValueError(f"{field} {text} is not a positive multiple of 1e-8")
    return int(scaled)


def _exact_steps(what: str, value: Decimal | str | int, step: str, name: str) -> int:
    if isinstance(value, float):
        raise ValueError(f"{what} {value!r} of {name} is a float: give a Decimal, a string or an integer")
    try:
        # Fractions, because a Decimal quotient is rounded to 28 digits.
        steps = Fraction(Decimal(value)) / Fraction(step)
    except (InvalidOperation, OverflowError, ValueError):
        raise ValueError(f"{what} {value!r} of {name} is not a finite number") from None
    if steps.denominator != 1:
        raise ValueError(f"{what} {value} of {name} is not a multiple of {step}")
    return steps.numerator
