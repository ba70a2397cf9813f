"""Several learners in one book on backend cpu and on backend xla: the same episode, bit for bit."""

import jax
import numpy as np
import pytest

from sim.registry import make_multi_agent
from sim.start_states import make_pool
from tests.support.markets import CONFIG, small_calibration

TWO = CONFIG._replace(market=CONFIG.market._replace(num_learners=2))


@pytest.mark.slow
def test_an_episode_of_a_maker_and_an_executor_has_the_same_bits_on_both_backends():
    pool = make_pool(CONFIG.market, small_calibration(), 4, burn_in_events=60, spacing_events=10, num_markets=3)
    actions = np.random.default_rng(7).integers(1, 36, (6, 2)).astype(np.int32)

    def episode(backend):
        env = make_multi_agent(
            small_calibration(),
            num_makers=1,
            config=TWO,
            backend=backend,
            pool=pool,
            max_steps_in_episode=6,
            horizon=np.array([6, 0], np.int32),
            makers={"quote_lots": 10, "inventory_cap_lots": 40, "latency_ns": 30_000_000},
            executors={"parent_lots": 80, "latency_ns": 30_000_000},
        )
        step = jax.jit(env.step_env)
        _, state = jax.jit(env.reset_env)(jax.random.key(1), env.default_params)
        rows = []
        for action in actions:
            obs, state, reward, ended, info = step(jax.random.key(0), state, action, env.default_params)
            rows.append(jax.tree.map(np.asarray, (obs, state, reward, ended, info)))
        return rows

    cpu, xla = episode("cpu"), episode("xla")
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(cpu)]
    for name, left, right in zip(names, jax.tree.leaves(cpu), jax.tree.leaves(xla), strict=True):
        np.testing.assert_array_equal(left, right, err_msg=name)
    assert cpu[-1][3] and (cpu[-2][-1]["num_fills"] > 0).all()
