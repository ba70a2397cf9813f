"""Environments in a book on backend cpu and on backend xla: the same episode, bit for bit."""

import jax
import numpy as np

from sim.registry import make_environment
from sim.start_states import make_pool
from sim.vector import broadcast_params, market_making_vector
from tests.support.markets import CONFIG, small_calibration

NUM_ENVS, NUM_STEPS = 3, 14


def play(backend, pool):
    env = make_environment(
        "market_making",
        calibration=small_calibration(),
        config=CONFIG,
        backend=backend,
        pool=pool,
        max_steps_in_episode=9,
        quote_lots=10,
        inventory_cap_lots=25,
        latency_ns=30_000_000,
        horizon=np.array([6, 0], np.int32),
    )
    vector = market_making_vector(env, phases=2)
    params = broadcast_params(env.default_params, NUM_ENVS)

    @jax.jit
    def episode(key):
        key_reset, key_steps = jax.random.split(key)
        state, _ = vector.reset(key_reset, params)

        def step(state, key):
            action = jax.random.randint(key, (NUM_ENVS,), 0, env.num_actions)
            state, result = vector.step(key, state, action, params)
            integers = (state.market, state.view, state.account.inventory_lots, state.account.pnl_half_tick_lots)
            return state, (integers, jax.vmap(env.columns)(state, params), result)

        return jax.lax.scan(step, state, jax.random.split(key_steps, NUM_STEPS))[1]

    return jax.tree.map(np.asarray, episode(jax.random.key(11)))


def test_start_states_and_an_episode_have_the_same_bits_on_both_backends():
    pools = [
        make_pool(
            CONFIG.market, small_calibration(), 4, backend=backend, burn_in_events=60, spacing_events=10, num_markets=3
        )
        for backend in ("cpu", "xla")
    ]
    for left, right in zip(jax.tree.leaves(pools[0]), jax.tree.leaves(pools[1]), strict=True):
        np.testing.assert_array_equal(left, right)
    cpu, xla = play("cpu", pools[0]), play("xla", pools[0])
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(cpu)]
    for name, left, right in zip(names, jax.tree.leaves(cpu), jax.tree.leaves(xla), strict=True):
        np.testing.assert_array_equal(left, right, err_msg=name)
    result = cpu[2]
    assert result.terminated.sum() >= NUM_ENVS and result.info["num_fills"].max() > 0
    assert len({tuple(row) for row in result.obs.reshape(-1, result.obs.shape[-1]).tolist()}) == NUM_ENVS * NUM_STEPS
