"""What every registered environment promises: gymnax 1.0's contract, and that of a vector environment."""

from functools import cache, partial

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces

from sim.registry import ENVIRONMENTS, make_environment
from sim.vector import GymnaxVector, broadcast_params, from_gymnax, market_making_vector
from tests.support.markets import CONFIG, small_calibration, small_market_making

OPTIONS = {
    "market_making": {
        "calibration": small_calibration(),
        "config": CONFIG,
        "pool_size": 6,
        "max_steps_in_episode": 5,
        "quote_lots": 10,
        "inventory_cap_lots": 25,
    },
    "execution": {
        "calibration": small_calibration(),
        "config": CONFIG,
        "pool_size": 6,
        "max_steps_in_episode": 5,
        "parent_lots": 4000,
    },
    "execution_on_prices": {"num_bars": 5, "path_count": 7, "num_slices": 5},
    "multi_agent": {
        "calibration": small_calibration(),
        "config": CONFIG._replace(market=CONFIG.market._replace(num_learners=2)),
        "num_makers": 1,
        "pool_size": 6,
        "max_steps_in_episode": 5,
        "makers": {"quote_lots": 10, "inventory_cap_lots": 25},
        "executors": {"parent_lots": 400},
    },
    "pairs": {"num_bars": 5, "path_count": 7, "levels": (-1.0, 0.0, 1.0)},
    "portfolio": {"num_bars": 5, "path_count": 7},
    "trading": {"num_bars": 5, "path_count": 7},
}
KEY = jax.random.key(3)


@cache
def environment(name):
    return make_environment(name, **OPTIONS[name])


def test_every_registered_environment_is_tested():
    assert set(OPTIONS) == set(ENVIRONMENTS)


def test_an_unknown_name_or_parameter_is_refused_with_the_valid_ones():
    with pytest.raises(ValueError, match=r"environment 'nothing' is not one of \['execution', 'execution_on_prices'"):
        make_environment("nothing")
    with pytest.raises(ValueError, match="EnvParams has no field 'quote_lot'"):
        make_environment("market_making", calibration=small_calibration(), quote_lot=3)


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_reset_and_step_keep_shapes_and_dtypes(name):
    env = environment(name)
    params = env.default_params
    obs, state = env.reset(KEY, params)
    space = env.observation_space(params)
    actions = env.action_space(params)
    assert (actions.n if isinstance(actions, spaces.Discrete) else actions.shape[0]) == env.num_actions
    assert bool(jnp.all(actions.contains(actions.sample(KEY))))
    assert obs.shape == space.shape and obs.dtype == jnp.float32 and bool(space.contains(obs))
    action = actions.sample(KEY)
    result = env.step(KEY, state, action, params)
    assert len(result) == 6 and len(env.step_env(KEY, state, action, params)) == 5
    next_obs, next_state, reward, terminated, truncated, info = result
    assert next_obs.shape == obs.shape and next_obs.dtype == obs.dtype
    assert reward.shape == obs.shape[:-1] and reward.dtype == jnp.float32  # several learners: one for each
    assert terminated.shape == truncated.shape == ()
    assert terminated.dtype == truncated.dtype == jnp.bool_
    assert {"terminated", "truncated", "final_observation"} <= set(info)
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(next_state), strict=True):
        assert before.shape == after.shape and before.dtype == after.dtype and not after.weak_type


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_the_same_keys_give_the_same_episode_and_other_keys_another(name):
    env = environment(name)
    params = env.default_params

    @jax.jit
    def episode(key):
        key_reset, key_steps = jax.random.split(key)

        def step(state, key):
            action = env.action_space(params).sample(key)
            obs, state, reward, *_ = env.step_env(key, state, action, params)
            return state, (obs, reward)

        return jax.lax.scan(step, env.reset_env(key_reset, params)[1], jax.random.split(key_steps, 4))[1]

    first, again, other = episode(KEY), episode(KEY), episode(jax.random.key(4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_a_batch_is_the_same_environments_one_by_one(name):
    env = environment(name)
    params = env.default_params
    keys = jax.random.split(KEY, 3)
    actions = jax.vmap(env.action_space(params).sample)(jax.random.split(jax.random.key(5), 3))
    single_step, single_reset = jax.jit(env.step_env), jax.jit(env.reset_env)

    @jax.jit
    def batched(keys, actions):
        _, state = jax.vmap(env.reset_env, in_axes=(0, None))(keys, params)
        for _ in range(2):
            obs, state, reward, *_ = jax.vmap(env.step_env, in_axes=(0, 0, 0, None))(keys, state, actions, params)
        return obs, reward

    obs, reward = batched(keys, actions)
    for i in range(3):
        _, state = single_reset(keys[i], params)
        for _ in range(2):
            one_obs, state, one_reward, *_ = single_step(keys[i], state, actions[i], params)
        np.testing.assert_allclose(obs[i], one_obs, rtol=0, atol=1e-6)
        np.testing.assert_allclose(reward[i], one_reward, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_an_episode_ends_at_its_limit_and_the_step_resets(name):
    env = environment(name)
    closes_or_not = (0, 1) if hasattr(env.default_params, "liquidate") else (1,)  # a parent order ends by itself
    for liquidate in closes_or_not:
        params = env.default_params
        if len(closes_or_not) == 2:
            params = params.replace(liquidate=np.int32(liquidate))
        _, state = env.reset(KEY, params)
        flags = []
        for i in range(5):
            obs, state, _, terminated, truncated, info = env.step(
                jax.random.fold_in(KEY, i), state, env.action_space(params).sample(KEY), params
            )
            flags.append((bool(terminated), bool(truncated)))
        assert flags == [(False, False)] * 4 + [(liquidate == 1, liquidate == 0)]
        assert int(state.time) == 0
        assert not np.array_equal(obs, info["final_observation"])


def make_vector(phases=1):
    return market_making_vector(environment("market_making"), phases)


@partial(jax.jit, static_argnames=("vector", "steps"))
def run(vector, key, params, steps):
    key_reset, key_steps = jax.random.split(key)
    state, obs = vector.reset(key_reset, params)

    def step(state, key):
        action = jax.random.randint(key, obs.shape[:1], 0, vector.num_actions)
        state, result = vector.step(key, state, action, params)
        return state, (result, state.time)

    return jax.lax.scan(step, state, jax.random.split(key_steps, steps))[1]


def test_a_vector_step_shows_the_last_observation_and_starts_a_new_episode():
    vector = make_vector()
    params = broadcast_params(vector.env.default_params, 4)
    result, time = run(vector, KEY, params, 12)
    assert result.obs.shape == (12, 4, vector.obs_dim) and result.obs.dtype == jnp.float32
    done = np.asarray(result.terminated | result.truncated)
    assert done[[4, 9]].all() and done.sum() == 8
    assert np.array_equal(np.asarray(time)[:, 0], [1, 2, 3, 4, 0] * 2 + [1, 2])
    assert not np.array_equal(result.obs[4], result.final_obs[4])
    np.testing.assert_array_equal(result.obs[3], result.final_obs[3])
    for name in ("pnl_tick_lots", "inventory", "num_fills", "traded_lots", "episode_pnl"):
        assert result.info[name].shape == (12, 4)
    np.testing.assert_array_equal(result.info["episode_pnl"][4], result.info["pnl_tick_lots"][4])
    assert not np.any(result.info["episode_pnl"][3]) and not np.any(result.info["overflows"])


def test_only_environments_that_are_done_are_reset():
    vector = make_vector(phases=5)
    params = broadcast_params(vector.env.default_params, 16)
    result, time = run(vector, KEY, params, 6)
    time, done = np.asarray(time), np.asarray(result.terminated)
    assert len(set(time[0].tolist())) > 2
    assert np.all(time[done] == 0)
    later = time[1:][~done[1:]]
    assert np.all(later == time[:-1][~done[1:]] + 1)


def test_results_do_not_depend_on_how_the_batch_is_split():
    vector = make_vector(phases=3)
    params = broadcast_params(vector.env.default_params, 4)
    keys = jax.random.split(KEY, 4)
    step, reset = jax.jit(vector.step), jax.jit(vector.reset)

    def play(keys, params, size):
        state, _ = reset(keys, params)
        out = []
        for i in range(7):
            step_keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, i)
            state, result = step(step_keys, state, jnp.full(size, 14, jnp.int32), params)
            out.append((result.obs, result.reward))
        return jax.tree.map(lambda *leaves: np.stack(leaves), *out)

    whole = play(keys, params, 4)
    halves = [play(keys[i : i + 2], jax.tree.map(lambda x, i=i: x[i : i + 2], params), 2) for i in (0, 2)]
    for i, part in enumerate(halves):
        np.testing.assert_array_equal(whole[1][:, 2 * i : 2 * i + 2], part[1])
        np.testing.assert_allclose(whole[0][:, 2 * i : 2 * i + 2], part[0], rtol=0, atol=1e-6)


def test_a_gymnax_environment_of_somebody_else_fits_the_same_interface():
    env, params = gymnax.make("CartPole-v1")
    vector = from_gymnax(env)
    assert isinstance(vector, GymnaxVector) and vector.obs_dim == 4 and vector.num_actions == 2
    batch = broadcast_params(params.replace(max_steps_in_episode=10), 3)
    result, time = run(vector, KEY, batch, 25)
    done = np.asarray(result.terminated | result.truncated)
    assert done.any() and not np.any(result.terminated & result.truncated)
    assert np.all(np.asarray(time)[done] == 0)


def test_held_out_starts_come_from_another_seed():
    one, other = small_market_making(), small_market_making(pool_seed=9)
    assert not np.array_equal(one.pool.book.price_tick, other.pool.book.price_tick)
