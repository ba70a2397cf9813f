"""One learner's account inside the simulator: inventory, PnL against the mark, fees, drawdown.

Money is integer half tick-lots: the mark is best bid + best ask of others, which is twice the mid. No cash is kept,
since a price times lots passes int32 within minutes; the PnL of an interval is

    sum over fills q (m1 - p) + inventory0 (m1 - m0)        q signed lots, p price, m0 and m1 the mark before and after

which equals the change of cash + inventory x mark exactly. One interval's PnL, and an episode's, must stay below 2^30
half tick-lots; an interval that does not is counted in `num_overflows` (its PnL is then wrong, so the count must be 0).
Fees are float32 tick-lots by `market_models.fees`. One market; `vmap` outside.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.lob import spec
from market_models.fees import fee_tick_lots

OVERFLOW_LIMIT = 2.0**30


Number = jax.Array | np.ndarray | float


class FeeRates(NamedTuple):
    """Traced fees, float32[]: positive costs, negative rebates."""

    maker_bps: Number = 0.0  # basis points of the notional
    taker_bps: Number = 0.0
    maker_per_lot_tick: Number = 0.0  # ticks per lot, on top
    taker_per_lot_tick: Number = 0.0


class Account(NamedTuple):
    """One learner's account over one episode."""

    inventory_lots: jax.Array  # int32[] signed
    mark_half_tick: jax.Array  # int32[] mark at the last settlement
    pnl_half_tick_lots: jax.Array  # int32[] before fees
    fees_tick_lots: jax.Array  # float32[] paid so far
    peak_tick_lots: jax.Array  # float32[] best PnL after fees so far, at least 0
    drawdown_tick_lots: jax.Array  # float32[] deepest fall below the peak so far
    num_fills: jax.Array  # int32[]
    traded_lots: jax.Array  # int32[] bought plus sold
    num_overflows: jax.Array  # int32[] settlements that passed OVERFLOW_LIMIT


class Settlement(NamedTuple):
    """What one interval did to the account."""

    pnl_tick_lots: jax.Array  # float32[] PnL of the interval before fees
    fees_tick_lots: jax.Array  # float32[]


def open_account(mark_half_tick: jax.Array) -> Account:
    """Return a flat account marked at `mark_half_tick` int32[]."""
    zero = jnp.zeros((), jnp.int32)
    none = jnp.zeros((), jnp.float32)
    return Account(zero, jnp.asarray(mark_half_tick, jnp.int32), zero, none, none, none, zero, zero, zero)


def pnl_tick_lots(account: Account) -> jax.Array:
    """Return the episode's PnL after fees, float32[] tick-lots."""
    return 0.5 * account.pnl_half_tick_lots.astype(jnp.float32) - account.fees_tick_lots


def settle(
    account: Account,
    fills: jax.Array,
    num_fills: jax.Array,
    mark_half_tick: jax.Array,
    owner: int | jax.Array,
    fees: FeeRates,
) -> tuple[Account, Settlement]:
    """Book the fills int32[F, 8] (FILL_* columns, the first `num_fills` rows) of `owner` and move the mark.

    A fill against ourselves leaves the inventory alone and pays both fees.
    """
    row = jnp.arange(fills.shape[0]) < num_fills
    made = row & (fills[:, spec.FILL_MAKER_OWNER] == owner)
    took = row & (fills[:, spec.FILL_TAKER_OWNER] == owner)
    lots, price_tick = fills[:, spec.FILL_LOTS], fills[:, spec.FILL_PRICE_TICK]
    taker_sign = 1 - 2 * fills[:, spec.FILL_TAKER_SIDE]
    ours = took.astype(jnp.int32) - made.astype(jnp.int32)
    signed = lots * taker_sign * ours
    move = mark_half_tick - account.mark_half_tick
    to_mark = jnp.where(ours == 0, 0, mark_half_tick - 2 * price_tick)
    change = jnp.sum(signed * to_mark) + account.inventory_lots * move
    size = jnp.sum(jnp.abs(_product(signed, to_mark))) + jnp.abs(_product(account.inventory_lots, move))
    paid = _fees(price_tick, jnp.where(made, lots, 0), fees.maker_bps, fees.maker_per_lot_tick) + _fees(
        price_tick, jnp.where(took, lots, 0), fees.taker_bps, fees.taker_per_lot_tick
    )
    account = account._replace(
        inventory_lots=account.inventory_lots + jnp.sum(signed),
        mark_half_tick=jnp.asarray(mark_half_tick, jnp.int32),
        num_fills=account.num_fills + jnp.sum(made | took, dtype=jnp.int32),
        traded_lots=account.traded_lots + jnp.sum(lots * (made.astype(jnp.int32) + took.astype(jnp.int32))),
    )
    return _book(account, change, size, paid)


def liquidate(
    account: Account, net_depth: jax.Array, beyond_tick: jax.Array, fees: FeeRates
) -> tuple[Account, Settlement]:
    """Close the inventory against the visible book of others at taker fees, and return the flat account.

    `net_depth` int32[2, L, 2]. The opposite side is walked level by level. Lots that the visible depth does not cover
    trade `beyond_tick` int32[] ticks worse than its deepest level (than the mid, if that side is empty).
    """
    inventory = account.inventory_lots
    size = jnp.abs(inventory)
    direction = jnp.sign(inventory)
    side = jnp.where(inventory > 0, net_depth[spec.BUY], net_depth[spec.SELL])
    price_tick, lots = side[:, 0], side[:, 1]
    # Lots beyond our size do not matter, and clipping them keeps the running sum in int32.
    lots = jnp.minimum(lots, size)
    before = jnp.minimum(jnp.cumsum(lots) - lots, size)
    taken = jnp.minimum(lots, size - before)
    rest = size - jnp.sum(taken)
    level = jnp.arange(lots.shape[0])
    deepest = jnp.max(jnp.where(lots > 0, level, -1))
    mid_tick = account.mark_half_tick // 2
    last_tick = jnp.where(deepest >= 0, price_tick[jnp.maximum(deepest, 0)], mid_tick)
    rest_tick = last_tick - direction * beyond_tick
    prices = jnp.append(price_tick, rest_tick)
    sold = jnp.append(taken, rest)
    gain = jnp.where(sold > 0, (2 * prices - account.mark_half_tick) * direction, 0)
    paid = _fees(prices, sold, fees.taker_bps, fees.taker_per_lot_tick)
    account = account._replace(
        inventory_lots=jnp.zeros_like(inventory),
        num_fills=account.num_fills + jnp.sum(sold > 0, dtype=jnp.int32),
        traded_lots=account.traded_lots + size,
    )
    return _book(account, jnp.sum(gain * sold), jnp.sum(jnp.abs(_product(gain, sold))), paid)


def _book(account: Account, change: jax.Array, size: jax.Array, paid: jax.Array) -> tuple[Account, Settlement]:
    total = account.pnl_half_tick_lots + change
    # The size is a float32 bound on every partial sum, so it sees what int32 could no longer show.
    overflow = (size > OVERFLOW_LIMIT) | (_product(total, 1) > OVERFLOW_LIMIT) | (_product(total, 1) < -OVERFLOW_LIMIT)
    account = account._replace(
        pnl_half_tick_lots=total,
        fees_tick_lots=account.fees_tick_lots + paid,
        num_overflows=account.num_overflows + overflow.astype(jnp.int32),
    )
    now = pnl_tick_lots(account)
    peak = jnp.maximum(account.peak_tick_lots, now)
    account = account._replace(
        peak_tick_lots=peak, drawdown_tick_lots=jnp.maximum(account.drawdown_tick_lots, peak - now)
    )
    return account, Settlement(pnl_tick_lots=0.5 * change.astype(jnp.float32), fees_tick_lots=paid)


def _fees(price_tick: jax.Array, lots: jax.Array, bps: Number, per_lot: Number) -> jax.Array:
    return jnp.sum(fee_tick_lots(price_tick, lots, bps, per_lot), dtype=jnp.float32)


def _product(a: jax.Array, b: jax.Array | int) -> jax.Array:
    return a.astype(jnp.float32) * jnp.asarray(b).astype(jnp.float32)
