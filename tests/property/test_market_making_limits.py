"""What holds in every episode of market making, whatever is quoted and however late it arrives."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.execution.quotes import Quotes
from kernels.lob import spec
from sim.vector import broadcast_params, market_making_vector
from tests.support.markets import small_market_making

SIZE, STEPS, CAP = 16, 40, 25
LATENCIES_NS = (0, 100_000_000, 1_900_000_000)  # none, about an event, several decisions


@cache
def played(latency_ns):
    """Play random actions and random native prices, half of the environments each way in turn."""
    env = small_market_making(max_steps_in_episode=STEPS)
    vector = market_making_vector(env)
    params = broadcast_params(env.default_params, SIZE).replace(
        latency_ns=jnp.full(SIZE, latency_ns, jnp.int32), horizon=jnp.full((SIZE, 2), jnp.array([4, 0], jnp.int32))
    )

    def step(state, key):
        key_action, key_price, key_present = jax.random.split(key, 3)
        actions = jax.random.randint(key_action, (SIZE,), 0, env.num_actions)
        by_table, _ = vector.step(key, state, actions, params)
        mid = state.account.mark_half_tick[:, None] // 2
        prices = mid + jax.random.randint(key_price, (SIZE, 2), -6, 7)
        wanted = Quotes(jax.random.bernoulli(key_present, 0.8, (SIZE, 2)), prices)
        by_price, _ = vector.step_quotes(key, state, wanted, params)
        odd = jnp.arange(SIZE) % 2 == 1
        pick = lambda a, b: jnp.where(odd.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)  # noqa: E731
        state = jax.tree.map(pick, by_table, by_price)
        return state, (state.account, state.view, state.market, jax.vmap(env.net_depth)(state))

    state, _ = vector.reset(jax.random.key(1), params)
    out = jax.jit(lambda s: jax.lax.scan(step, s, jax.random.split(jax.random.key(2), STEPS - 1))[1])(state)
    return jax.tree.map(np.asarray, out)


@pytest.mark.parametrize("latency_ns", LATENCIES_NS)
def test_inventory_and_orders_stay_within_their_limits(latency_ns):
    account, view, market, _ = played(latency_ns)
    assert np.abs(account.inventory_lots).max() <= CAP
    assert account.num_fills[-1].mean() > 1
    working = np.zeros(view.own.shape[:3], np.int64)
    working += view.own[..., spec.OWN_LOTS]
    posts = market.inbox[..., spec.KIND] == spec.POST_ONLY
    for side in (spec.BUY, spec.SELL):
        on_side = posts & (market.inbox[..., spec.SIDE] == side)
        working[..., side] += (on_side * market.inbox[..., spec.LOTS]).sum(axis=-1)
        assert on_side.sum(axis=-1).max() <= 1
    assert view.own[..., spec.OWN_NUM_ORDERS].max() == 1
    worst = np.stack([account.inventory_lots + working[..., 0], working[..., 1] - account.inventory_lots], axis=-1)
    assert worst.max() <= CAP
    assert account.num_overflows.max() == 0 and market.meta[..., spec.META_INBOX_DROPPED].max() == 0
    assert market.book.counters[..., spec.NUM_FILLS_DROPPED].max() == 0


@pytest.mark.parametrize("latency_ns", LATENCIES_NS)
def test_we_are_never_the_taker_and_the_mark_is_the_mid_of_others(latency_ns):
    account, view, _, net = played(latency_ns)
    both = (net[..., 0, 1] > 0).all(axis=-1)
    mid = net[..., 0, 0].sum(axis=-1)
    assert np.array_equal(account.mark_half_tick[both], mid[both])
    # Maker fees are a rebate of a quarter of a tick a lot: a single taker fill would show.
    np.testing.assert_allclose(account.fees_tick_lots, -0.25 * account.traded_lots, rtol=1e-5)
    assert view.summary.shape[-1] == spec.NUM_SUMMARY
