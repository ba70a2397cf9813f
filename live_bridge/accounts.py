"""The exact ledger: position in lots, money in integers of 1e-8 quote units; only half a tick at the mark is rounded.

cash changes by -sign x price_tick x lots x tick_value_e8 at each fill (buying spends), fees add up apart, and

    equity = cash - fees + position x mark        with the mark kept as twice the mid, an integer

`tick_value_e8` is what one lot times one tick is worth. An instrument where that is no whole number of 1e-8 is refused.
"""

from typing import Final, NamedTuple

from market_models.instrument import MONEY_SCALE, Instrument, divide_half_even

INT64_MAX: Final = 2**63 - 1


class LedgerOverflowError(ArithmeticError):
    """Money or lots left int64; the session must halt."""


class Account(NamedTuple):
    """One instrument's account."""

    position_lots: int = 0
    cash_e8: int = 0  # before fees
    fees_e8: int = 0  # paid so far; positive is a cost
    num_fills: int = 0
    traded_lots: int = 0


def tick_value_e8(instrument: Instrument) -> int:
    """Return the worth of one lot times one tick in 1e-8 quote units; ValueError if it is not a whole number."""
    value, rest = divmod(instrument.tick_e8 * instrument.lot_e8, MONEY_SCALE)
    if rest:
        raise ValueError(
            f"{instrument.name}: one lot ({instrument.lot_size}) times one tick ({instrument.tick_size}) is no whole "
            f"number of 1e-8 {instrument.currency}; choose a larger lot"
        )
    return value


def apply_fill(account: Account, side: int, price_tick: int, lots: int, fee_e8: int, value_e8: int) -> Account:
    """Return the account after a fill (side 0 BUY, 1 SELL); LedgerOverflowError if a sum leaves int64."""
    sign = 1 - 2 * side
    after = Account(
        position_lots=account.position_lots + sign * lots,
        cash_e8=account.cash_e8 - sign * price_tick * lots * value_e8,
        fees_e8=account.fees_e8 + fee_e8,
        num_fills=account.num_fills + 1,
        traded_lots=account.traded_lots + lots,
    )
    if any(abs(value) > INT64_MAX for value in after):
        raise LedgerOverflowError(f"the ledger leaves int64: {after}")
    return after


def equity_e8(account: Account, mark_tick_x2: int, value_e8: int) -> int:
    """Return cash - fees + position at the mark, 1e-8 quote units; an odd half is rounded to even."""
    held = divide_half_even(account.position_lots * mark_tick_x2 * value_e8, 2)
    return account.cash_e8 - account.fees_e8 + held
