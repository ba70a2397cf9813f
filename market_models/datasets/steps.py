"""Decimal text of prices and sizes to integer ticks and lots, exactly, and the steps themselves found from the data.

Feeds repeat few different texts, so every converter is a dictionary that computes what it has not seen. No float is
involved; what is not a plain decimal of at most eight decimals raises ValueError with a reason.
"""

import re
from math import gcd

from kernels.lob.spec import MAX_ABS_PRICE_TICK, MAX_LOTS

E8 = 10**8  # values are compared in units of 1e-8
DECIMALS = 8
_MEMO_SIZE = 2**20  # texts remembered before a converter starts anew
_PLAIN = re.compile(r"-?\d{1,18}(?:\.(\d+))?", re.ASCII)


def to_e8(text: object) -> int:
    """Return a plain decimal string in units of 1e-8; ValueError if it is not one or is finer than that."""
    match = _PLAIN.fullmatch(text) if isinstance(text, str) else None
    if match is None or not isinstance(text, str):
        raise ValueError(f"{text!r} is not a decimal string")
    decimals = match[1] or ""
    if decimals[DECIMALS:].strip("0"):
        raise ValueError(f"{text!r} has more than {DECIMALS} decimals")
    whole = text[: -len(decimals) - 1] if decimals else text
    return int(whole + decimals[:DECIMALS].ljust(DECIMALS, "0"))


def from_e8(value: int) -> str:
    """Return a positive number of 1e-8 as a plain decimal string without superfluous zeros."""
    whole, rest = divmod(value, E8)
    return f"{whole}.{rest:0{DECIMALS}d}".rstrip("0").rstrip(".")


class StepFinder(dict[str, int]):
    """Text to units of 1e-8, remembering the greatest common divisor and the largest value of all texts seen."""

    def __init__(self, signed: bool) -> None:
        super().__init__()
        self.signed = signed  # whether values below 0 are allowed
        self.divisor = 0
        self.largest = 0

    def __missing__(self, text: str) -> int:
        value = to_e8(text)
        if value < 0 and not self.signed:
            raise ValueError(f"{text} is negative")
        self.divisor = gcd(self.divisor, value)
        self.largest = max(self.largest, abs(value))
        _remember(self, text, value)
        return value

    def step(self, most: int) -> str:
        """Return the step: the divisor, times a power of ten where `largest` would be more than `most` steps."""
        step = self.divisor or E8
        while self.largest > most * step:
            step *= 10
        return from_e8(step)


class Ticks(dict[str, int]):
    """Price text to ticks; ValueError for a price that is not a multiple of the tick or out of the engine's range."""

    def __init__(self, tick_size: str) -> None:
        super().__init__()
        self.tick_size, self.tick_e8 = tick_size, to_e8(tick_size)

    def __missing__(self, text: str) -> int:
        tick, rest = divmod(to_e8(text), self.tick_e8)
        if rest:
            raise ValueError(f"price {text} is not a multiple of the tick {self.tick_size}")
        if abs(tick) > MAX_ABS_PRICE_TICK:
            raise ValueError(f"price {text} is outside +-{MAX_ABS_PRICE_TICK} ticks of {self.tick_size}")
        return _remember(self, text, tick)


class Lots(dict[str, int]):
    """Size text to lots. A size between two lots is rounded to the nearest, never to 0, and counted in `rounded`."""

    def __init__(self, lot_size: str) -> None:
        super().__init__()
        self.lot_size, self.lot_e8 = lot_size, to_e8(lot_size)
        self.rounded = 0

    def __missing__(self, text: str) -> int:
        value = to_e8(text)
        lots, rest = divmod(value, self.lot_e8)
        if value < 0:
            raise ValueError(f"size {text} is negative")
        if rest:
            lots = max(lots + (2 * rest >= self.lot_e8), 1)
        if lots > MAX_LOTS:
            raise ValueError(f"size {text} is more than {MAX_LOTS} lots of {self.lot_size}: take a larger lot")
        if rest:
            self.rounded += 1  # not remembered, so that every occurrence is counted
            return lots
        return _remember(self, text, lots)


def _remember(memo: dict[str, int], text: str, value: int) -> int:
    if len(memo) >= _MEMO_SIZE:
        memo.clear()
    memo[text] = value
    return value
