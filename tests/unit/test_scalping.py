"""Scalping earns where the imbalance knows the next move, and pays its fees where it does not."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.baselines import STRATEGIES, StrategyView, batch_params, decide, init
from agents.statistics import bootstrap_mean

START, HALF_SPREAD, MOVE, FEE, STEPS = 10_000, 3, 4, 3.0, 120


@cache
def play(informed, stop_tick=6.0, paths=1500):
    """PnL float64[P] after fees and the deepest loss of a position, ticks, in a market of one step a decision.

    The touch stands HALF_SPREAD from the mid; its lots lean to one side for a while, and the mid moves with them with
    probability 1/2 + informed. A quote fills with probability 1/2 at the touch or better, whatever the mid does next.
    """
    strategy = STRATEGIES["scalping"]
    given = {"entry": 0.5, "stop_tick": stop_tick, "target_tick": 20.0, "trend_weight": 0.0}
    params = {name: value[0] for name, value in batch_params(strategy, 1, **given).items()}

    def step(carry, t):
        memory, moved, mid, lean, cash, held, worst = carry
        draw = jax.random.uniform(jax.random.fold_in(memory.key, t), (4,))
        lean = jnp.where(draw[0] < 0.1, -lean, lean)
        best = jnp.stack([mid - HALF_SPREAD, mid + HALF_SPREAD])
        lots = jnp.stack([5 + 4 * lean, 5 - 4 * lean])
        depth = jnp.zeros((2, 6, 2), jnp.int32).at[:, 0, 0].set(best).at[:, 0, 1].set(lots)
        memory, quotes = decide(strategy, memory, StrategyView(depth, 2 * moved, held, jnp.int32(1), STEPS - t), params)
        near = jnp.array([1, -1]) * (quotes.price_tick - best) >= 0
        hit = (quotes.present & near & (draw[1:3] < 0.5)).astype(jnp.int32)
        paid = hit[0] * (quotes.price_tick[0] - START) - hit[1] * (quotes.price_tick[1] - START)
        cash = cash - paid - FEE * hit.sum()
        held = held + hit[0] - hit[1]
        moved = jnp.where(draw[3] < 0.5 + informed * lean, MOVE, -MOVE)
        worst = jnp.minimum(worst, memory.held_move * jnp.sign(held))
        return (memory, moved, mid + moved, lean, cash, held, worst), jnp.abs(held)

    def episode(key):
        zero = jnp.int32(0)
        start = (init(key), zero, jnp.int32(START), jnp.int32(1), jnp.float32(0), zero, jnp.float32(0))
        (*_, mid, _, cash, held, worst), inventory = jax.lax.scan(step, start, jnp.arange(STEPS))
        return cash + held * (mid - START), worst, inventory.max()

    keys = jax.random.split(jax.random.key(4), paths)
    profit, worst, inventory = (np.asarray(out, np.float64) for out in jax.jit(jax.vmap(episode))(keys))
    assert inventory.max() == 1.0  # one trade at a time
    return profit, worst


def test_scalping_earns_where_the_imbalance_is_informed_and_loses_its_fees_where_it_is_not():
    informed, blind = (bootstrap_mean(play(edge)[0], seed=1, resamples=2000) for edge in (0.4, 0.0))
    assert informed.low > 20.0 and blind.high < 0.0


@pytest.mark.parametrize("informed", [0.0, 0.2])
def test_a_tight_stop_bounds_what_one_position_loses(informed):
    tight, wide = (play(informed, stop)[1] for stop in (6.0, 1000.0))
    assert np.quantile(tight, 0.05) > np.quantile(wide, 0.05) + MOVE
