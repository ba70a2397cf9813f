"""The account inside the simulator against a ledger of exact Python integers that keeps cash."""

from dataclasses import dataclass
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.lob import spec
from sim import accounts
from sim.accounts import FeeRates

OWNER = 1
ROWS = 6
RATES = FeeRates(-0.25, 0.5, -0.125, 0.25)  # exact in binary, so that only float32 sums differ from the ledger
settle = jax.jit(accounts.settle, static_argnames="owner")
liquidate = jax.jit(accounts.liquidate)


@dataclass
class Ledger:
    """Cash and inventory, nothing else."""

    cash: int = 0
    inventory: int = 0
    fees: Fraction = Fraction(0)
    traded: int = 0
    fills: int = 0

    def trade(self, signed_lots, price, maker):
        self.cash -= signed_lots * price
        self.inventory += signed_lots
        bps, per_lot = (
            (RATES.maker_bps, RATES.maker_per_lot_tick) if maker else (RATES.taker_bps, RATES.taker_per_lot_tick)
        )
        self.fees += abs(signed_lots) * (abs(price) * Fraction(bps) / 10_000 + Fraction(per_lot))
        self.traded += abs(signed_lots)

    def equity(self, mark_half_tick):
        return Fraction(self.cash) + Fraction(self.inventory * mark_half_tick, 2)


fill = st.tuples(
    st.integers(-3000, 3000),
    st.integers(1, 50),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([0, 1, 2]),
    st.integers(0, 1),
)
interval = st.tuples(st.lists(fill, max_size=ROWS), st.integers(-6000, 6000))


def rows_of(fills):
    rows = np.zeros((ROWS, spec.NUM_FILL_COLUMNS), np.int32)
    for i, (price, lots, maker, taker, side) in enumerate(fills):
        rows[i] = (i, price, lots, 5, 6, maker, taker, side)
    return rows


@settings(max_examples=60, deadline=None)
@given(st.lists(interval, min_size=1, max_size=12), st.integers(-6000, 6000))
def test_pnl_against_the_mark_equals_cash_plus_inventory_at_the_mark(intervals, first_mark):
    account, ledger = accounts.open_account(jnp.int32(first_mark)), Ledger()
    for fills, mark in intervals:
        account, _ = settle(account, rows_of(fills), jnp.int32(len(fills)), jnp.int32(mark), OWNER, RATES)
        for price, lots, maker, taker, side in fills:
            direction = 1 if side == spec.BUY else -1
            if taker == OWNER:
                ledger.trade(direction * lots, price, maker=False)
            if maker == OWNER:
                ledger.trade(-direction * lots, price, maker=True)
            ledger.fills += OWNER in (maker, taker)
        assert int(account.inventory_lots) == ledger.inventory
        assert Fraction(int(account.pnl_half_tick_lots), 2) == ledger.equity(mark)
        assert float(account.fees_tick_lots) == pytest.approx(float(ledger.fees), rel=1e-5, abs=1e-3)
        assert (int(account.num_fills), int(account.traded_lots)) == (ledger.fills, ledger.traded)
        assert int(account.num_overflows) == 0


level = st.tuples(st.integers(1, 4), st.integers(1, 60))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-150, 150),
    st.lists(level, max_size=5),
    st.lists(level, max_size=5),
    st.integers(0, 40),
    st.integers(1, 9),
)
def test_liquidation_walks_the_book_and_leaves_a_flat_account(inventory, bids, asks, beyond, spread):
    depth = np.zeros((2, 5, 2), np.int32)
    for side, rows in enumerate((bids, asks)):
        price = 1000 if side == spec.BUY else 1000 + spread
        for i, (gap, lots) in enumerate(rows):
            depth[side, i] = price, lots
            price += -gap if side == spec.BUY else gap
    mark = 2000 + spread
    account = accounts.open_account(jnp.int32(mark))._replace(inventory_lots=jnp.int32(inventory))
    closed, closing = liquidate(account, depth, jnp.int32(beyond), RATES)
    ledger = Ledger(inventory=inventory)
    before = ledger.equity(mark)
    side = spec.BUY if inventory > 0 else spec.SELL
    last = mark // 2
    sign = 1 if inventory > 0 else -1
    for price, lots in depth[side].tolist():
        if lots:
            last = price
            taken = min(lots, abs(ledger.inventory))
            if taken:
                ledger.trade(-sign * taken, price, maker=False)
    if ledger.inventory:
        ledger.trade(-ledger.inventory, last - sign * beyond, maker=False)
    assert int(closed.inventory_lots) == 0 == ledger.inventory
    assert Fraction(int(closed.pnl_half_tick_lots), 2) == ledger.equity(mark) - before
    assert float(closing.pnl_tick_lots) == float(ledger.equity(mark) - before)
    assert float(closing.fees_tick_lots) == pytest.approx(float(ledger.fees), rel=1e-5, abs=1e-3)
    assert int(closed.traded_lots) == abs(inventory)


def test_drawdown_is_the_deepest_fall_below_the_best_result_so_far():
    account = accounts.open_account(jnp.int32(0))._replace(inventory_lots=jnp.int32(2))
    seen = []
    for mark in (3, 10, 4, 8, -6, 20):
        account, _ = settle(account, rows_of([]), jnp.int32(0), jnp.int32(mark), OWNER, FeeRates())
        seen.append(float(account.drawdown_tick_lots))
    assert seen == [0, 0, 6, 6, 16, 16]
    assert float(accounts.pnl_tick_lots(account)) == 20.0


def test_a_pnl_beyond_the_range_is_counted():
    account = accounts.open_account(jnp.int32(0))._replace(inventory_lots=jnp.int32(2**20))
    account, _ = settle(account, rows_of([]), jnp.int32(0), jnp.int32(2**12), OWNER, FeeRates())
    assert int(account.num_overflows) == 1


def test_rows_past_the_count_and_strangers_fills_change_nothing():
    rows = rows_of([(10, 5, 2, 3, 0), (10, 5, OWNER, 0, 0)])
    account, _ = settle(accounts.open_account(jnp.int32(20)), rows, jnp.int32(1), jnp.int32(20), OWNER, RATES)
    assert int(account.inventory_lots) == 0 and int(account.num_fills) == 0
