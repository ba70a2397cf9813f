"""Closed forms against the published tables."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.baselines import STRATEGIES, StrategyView, batch_params, decide, init
from agents.baselines_theory import avellaneda_stoikov, glft_approximation, glft_exact, glft_terms

SIGMA, DT, K, A = 2.0, 0.005, 1.5, 140.0

# gamma: inventory strategy (profit, its deviation, deviation of final inventory), symmetric one likewise, from 20,000
# paths of an independent program; the paper's own table of 1,000 paths agrees within its error.
JOURNAL = {
    0.1: ((64.90, 6.55, 2.92), (68.39, 13.48, 8.41), 1.49077),
    0.01: ((68.49, 8.96, 5.23), (68.83, 13.90, 8.73), 1.34891),
    1.0: ((31.49, 4.83, 1.64), (43.83, 10.76, 5.18), 3.02165),
}


def simulate(gamma, symmetric, paths=8000):
    """Play the paper's market: the mid moves by +-sigma sqrt(dt), a quote fills with probability A exp(-k d) dt."""
    rng = np.random.default_rng(7)
    steps = round(1.0 / DT)
    mid, cash, held = np.full(paths, 100.0), np.zeros(paths), np.zeros(paths)
    spread = 0.0
    for step in range(steps):
        skewed = np.zeros(paths) if symmetric else held
        bid, ask = avellaneda_stoikov(np, mid, skewed, SIGMA**2, 1.0 - step * DT, gamma, K)
        if symmetric:
            half = 0.5 * JOURNAL[gamma][2]
            bid, ask = mid - half, mid + half
        spread += np.mean(ask - bid) / steps
        bought = rng.random(paths) < A * np.exp(-K * (mid - bid)) * DT
        sold = rng.random(paths) < A * np.exp(-K * (ask - mid)) * DT
        cash += np.where(sold, ask, 0) - np.where(bought, bid, 0)
        held += bought.astype(float) - sold
        mid = mid + SIGMA * np.sqrt(DT) * np.where(rng.random(paths) < 0.5, 1, -1)
    return cash + held * mid, held, spread


@pytest.mark.parametrize("gamma", sorted(JOURNAL))
def test_avellaneda_stoikov_earns_what_the_journal_table_says(gamma):
    inventory_row, symmetric_row, mean_spread = JOURNAL[gamma]
    for symmetric, row in ((False, inventory_row), (True, symmetric_row)):
        profit, held, spread = simulate(gamma, symmetric)
        error = profit.std() / np.sqrt(profit.size)
        assert profit.mean() == pytest.approx(row[0], abs=4 * error + 0.15)
        assert profit.std() == pytest.approx(row[1], rel=0.05)
        assert held.std() == pytest.approx(row[2], rel=0.05)
        # The average over decisions t = 0 .. T - dt lies half a step above the integral.
        assert spread == pytest.approx(mean_spread, abs=0.5 * gamma * SIGMA**2 * DT + 1e-4)


START = 1_000_000
TICK = SIGMA * np.sqrt(DT) / 100  # a move of the mid is 100 ticks, so that rounding does not matter


@cache
def play_strategy(gamma, paths=8000):
    """Let the registered strategy quote the paper's market, its own estimate of the variance included."""
    strategy = STRATEGIES["avellaneda_stoikov"]
    given = {"gamma": gamma * TICK, "k": K * TICK, "horizon": 1e6, "window": 1e6}
    params = {name: value[0] for name, value in batch_params(strategy, 1, **given).items()}
    steps = round(1.0 / DT)

    def step(carry, t):
        memory, moved, mid, cash, held = carry
        best = jnp.stack([mid - 1, mid + 1])
        depth = jnp.zeros((2, 6, 2), jnp.int32).at[:, 0, 0].set(best).at[:, 0, 1].set(1)
        view = StrategyView(depth, 2 * moved, held, jnp.int32(1), steps - t)
        memory, quotes = decide(strategy, memory, view, params)
        draw = jax.random.uniform(jax.random.fold_in(memory.key, t), (3,))
        distance = jnp.array([1, -1]) * (mid - quotes.price_tick) * TICK
        hit = (draw[:2] < A * jnp.exp(-K * distance) * DT).astype(jnp.int32)
        # Cash against the start price: ticks of whole trades would lose their digits in float32.
        cash = cash + hit[1] * (quotes.price_tick[1] - START) - hit[0] * (quotes.price_tick[0] - START)
        moved = jnp.where(draw[2] < 0.5, 100, -100)
        carry = (memory, moved, mid + moved, cash, held + hit[0] - hit[1])
        return carry, quotes.price_tick[1] - quotes.price_tick[0]

    def episode(key):
        # One move has been seen before the start: the paper's quotes know the variance from the first one on.
        seen = init(key)._replace(decisions=jnp.int32(1))
        start = (seen, jnp.int32(100), jnp.int32(START), jnp.int32(0), jnp.int32(0))
        (_, _, mid, cash, held), spread = jax.lax.scan(step, start, jnp.arange(steps))
        return cash + held * (mid - START), held, spread[1:].mean()

    profit, held, spread = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(1), paths))
    return np.asarray(profit, np.float64) * TICK, np.asarray(held), float(spread.mean()) * TICK


@pytest.mark.parametrize("gamma", sorted(JOURNAL))
def test_the_strategy_of_the_registry_earns_what_the_journal_table_says(gamma):
    row, _, mean_spread = JOURNAL[gamma]
    profit, held, spread = play_strategy(gamma)
    error = profit.std() / np.sqrt(profit.size)
    assert profit.mean() == pytest.approx(row[0], abs=4 * error + 0.15)
    assert profit.std() == pytest.approx(row[1], rel=0.05) and held.std() == pytest.approx(row[2], rel=0.05)
    assert spread == pytest.approx(mean_spread, abs=0.5 * gamma * SIGMA**2 * DT + 4 * TICK)


GLFT = {"variance": 0.3**2, "gamma": 0.01, "k": 0.3, "intensity": 0.9}
# q: bid and ask exact, bid and ask approximate.
GLFT_TABLE = {
    -20: (1.9592, 4.6655, 1.9556, 4.6702),
    -10: (2.6328, 3.9929, 2.6343, 3.9916),
    -1: (3.2449, 3.3812, 3.2450, 3.3808),
    0: (3.3130, 3.3130, 3.3129, 3.3129),
    1: (3.3812, 3.2449, 3.3808, 3.2450),
    10: (3.9929, 2.6328, 3.9916, 2.6343),
    20: (4.6655, 1.9592, 4.6702, 1.9556),
}


@pytest.mark.parametrize("inventory", sorted(GLFT_TABLE))
def test_glft_quotes_are_those_of_the_table(inventory):
    bid_exact, ask_exact, bid_near, ask_near = GLFT_TABLE[inventory]
    exact = glft_exact(inventory, time_left=600.0, max_inventory=30, **GLFT)
    assert exact == pytest.approx((bid_exact, ask_exact), abs=6e-5)
    assert glft_approximation(np, inventory, **GLFT) == pytest.approx((bid_near, ask_near), abs=6e-5)


def test_glft_terms_are_the_printed_constants():
    base, slope = glft_terms(np, 0.09, 0.01, 0.3, 0.9)
    assert base == pytest.approx(3.278982, abs=1e-6) and slope == pytest.approx(0.0678658, abs=1e-7)


def test_glft_forbids_the_side_that_would_break_the_bound():
    assert glft_exact(3, time_left=10.0, max_inventory=3, **GLFT)[0] == np.inf
    assert glft_exact(-3, time_left=10.0, max_inventory=3, **GLFT)[1] == np.inf
    with pytest.raises(ValueError, match="inventory 4 is outside"):
        glft_exact(4, time_left=10.0, max_inventory=3, **GLFT)
