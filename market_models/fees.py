"""Fees of a venue: basis points of the notional plus ticks per lot, apart for maker and taker; and what holding costs.

fee = |notional| x bps / 10,000 + lots x per_lot_tick. Positive hurts, negative is a rebate. Two versions of one
formula: `fee_tick_lots` in the simulator's unit for NumPy and jax.numpy alike, and `fee_money_e8`, exact and rounded
per fill by the venue's rule, for live accounts. `FeeSchedule` picks the `Fees` of a traded volume. Funding of perpetual
contracts and the borrow fee of short positions follow the same two forms. Assumption: no minimum fee per order.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor, isfinite
from typing import Any

from market_models.instrument import MONEY_SCALE, Instrument, divide_half_even

YEAR_NS = 365 * 86_400 * 10**9
# Rounding rules of venues; "up" is against the client for a fee and for a rebate.
ROUNDINGS = ("half_even", "half_up", "up", "down")


@dataclass(frozen=True)
class Fees:
    """A fee schedule. Raises ValueError at construction with the field that is wrong."""

    maker_bps: float = 0.0  # basis points of the notional
    taker_bps: float = 0.0
    maker_per_lot_tick: float = 0.0  # ticks per lot, on top
    taker_per_lot_tick: float = 0.0
    rounding: str = "half_even"  # of each fill's fee, one of ROUNDINGS; live only
    rounding_unit_e8: int = 1  # 1e-8 of the quote currency that the venue rounds to: 1_000_000 is a cent

    def __post_init__(self) -> None:
        for field in ("maker_bps", "taker_bps"):
            if not (isfinite(getattr(self, field)) and abs(getattr(self, field)) <= 1_000):
                raise ValueError(f"{field} {getattr(self, field)} is outside -1000..1000 basis points")
        for field in ("maker_per_lot_tick", "taker_per_lot_tick"):
            if not isfinite(getattr(self, field)):
                raise ValueError(f"{field} {getattr(self, field)} is not finite")
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"rounding {self.rounding!r} is not one of {ROUNDINGS}")
        if self.rounding_unit_e8 < 1:
            raise ValueError(f"rounding_unit_e8 {self.rounding_unit_e8} is below 1")


@dataclass(frozen=True)
class FeeTier:
    """The fees from a traded volume on."""

    min_volume_e8: int  # volume of the venue's window (often 30 days), 1e-8 of the quote currency
    fees: Fees


@dataclass(frozen=True)
class FeeSchedule:
    """Volume tiers, ascending, the first from volume 0. Raises ValueError at construction where they are not."""

    tiers: tuple[FeeTier, ...]

    def __post_init__(self) -> None:
        starts = [tier.min_volume_e8 for tier in self.tiers]
        if not starts or starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
            raise ValueError(f"tiers start at volumes {starts}: expected 0 first, then ascending")

    def at(self, volume_e8: int) -> Fees:
        """Return the fees at a traded volume in 1e-8 of the quote currency; ValueError below 0."""
        if volume_e8 < 0:
            raise ValueError(f"volume_e8 {volume_e8} is below 0")
        return [tier.fees for tier in self.tiers if tier.min_volume_e8 <= volume_e8][-1]


def fee_tick_lots(price_tick: Any, lots: Any, bps: Any, per_lot_tick: Any) -> Any:
    """Return the fee of fills in tick-lots, float32, for NumPy or jax.numpy arrays that broadcast.

    The products are taken in float32, so the relative error of one fill is below 3e-7; a sum over an episode is the
    caller's. `price_tick` and `lots` are int32, `bps` and `per_lot_tick` scalars or float32 arrays (traced parameters).
    """
    price, size = price_tick.astype("float32"), lots.astype("float32")
    return size * (abs(price) * (bps * 1e-4) + per_lot_tick)


def fee_money_e8(fees: Fees, instrument: Instrument, price_tick: int, lots: int, is_maker: bool) -> int:
    """Return the fee of one fill in 1e-8 of the quote currency, computed exactly and rounded by the venue's rule."""
    bps = fees.maker_bps if is_maker else fees.taker_bps
    per_lot_tick = fees.maker_per_lot_tick if is_maker else fees.taker_per_lot_tick
    # `str` first: 0.1 basis points mean one tenth, not the nearest binary fraction.
    tick_lots = int(lots) * (abs(int(price_tick)) * Fraction(str(bps)) / 10_000 + Fraction(str(per_lot_tick)))
    units = tick_lots * instrument.tick_e8 * instrument.lot_e8 / (MONEY_SCALE * fees.rounding_unit_e8)
    return _round(units, fees.rounding) * fees.rounding_unit_e8


def funding_money_e8(instrument: Instrument, position_lots: int, mark_tick: int, rate_e8: int) -> int:
    """Return what one funding time costs a position, 1e-8 of the quote currency, half to even.

    `rate_e8` 1e-8 of the notional for the interval, as the venue publishes it: positive means that longs pay shorts, so
    a short's funding is negative. Sign of the notional: lots x mark, so a negative mark turns it around.
    """
    return _carry(instrument, position_lots * mark_tick, rate_e8, 10**8)


def borrow_money_e8(instrument: Instrument, position_lots: int, mark_tick: int, annual_e8: int, elapsed_ns: int) -> int:
    """Return what borrowing a short position costs over `elapsed_ns`, 1e-8 of the quote currency, half to even.

    `annual_e8` 1e-8 of the notional for 365 days, simple interest; long positions borrow nothing. ValueError if either
    is below 0.
    """
    if annual_e8 < 0 or elapsed_ns < 0:
        raise ValueError(f"annual_e8 {annual_e8} and elapsed_ns {elapsed_ns} must not be below 0")
    short_lots = max(-position_lots, 0)
    return _carry(instrument, short_lots * abs(mark_tick), annual_e8 * elapsed_ns, 10**8 * YEAR_NS)


def holding_tick_lots(xp: Any, position_lots: Any, mark_tick: Any, funding_rate: Any, borrow_rate: Any) -> Any:
    """Return funding plus borrow of one interval in tick-lots, float32, for `xp` numpy or jax.numpy.

    Rates are shares of the notional for the interval: funding signed (positive: longs pay), borrow on shorts only.
    """
    lots, mark = position_lots.astype("float32"), mark_tick.astype("float32")
    return lots * mark * funding_rate + xp.maximum(-lots, 0.0) * xp.abs(mark) * borrow_rate


def _carry(instrument: Instrument, tick_lots: int, rate: int, unit: int) -> int:
    numerator = int(tick_lots) * instrument.tick_e8 * instrument.lot_e8 * int(rate)
    return divide_half_even(numerator, MONEY_SCALE * unit)


def _round(units: Fraction, rounding: str) -> int:
    if rounding == "half_even":
        return divide_half_even(units.numerator, units.denominator)
    if rounding == "half_up":
        return floor(units + Fraction(1, 2))
    return ceil(units) if rounding == "up" else floor(units)
