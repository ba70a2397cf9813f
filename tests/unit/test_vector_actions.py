"""Vector environments say what an action is, and a continuous one steps as gymnax's own does."""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sim.vector import (
    GymnaxContinuous,
    action_kind,
    bounded_action,
    broadcast_params,
    describe_actions,
    first_actions,
    from_gymnax,
)
from tests.support.probe_envs import CONTINUOUS_PROBE, PROBE


def test_actions_are_mapped_from_one_around_zero_to_the_bounds():
    actions = jnp.asarray([[-1.0], [0.0], [0.5], [1.0]])
    np.testing.assert_allclose(bounded_action(CONTINUOUS_PROBE, actions)[:, 0], [-1.0, 1.0, 2.0, 3.0], rtol=1e-6)
    np.testing.assert_allclose(first_actions(CONTINUOUS_PROBE, 2), [[1.0], [1.0]])
    assert first_actions(PROBE, 3).shape == (3,)
    assert [action_kind(env) for env in (PROBE, CONTINUOUS_PROBE)] == ["discrete", "continuous"]
    assert describe_actions(PROBE) == "2 actions"
    assert describe_actions(CONTINUOUS_PROBE) == "1 continuous actions from [-1.0] to [3.0]"


def test_pendulum_steps_as_gymnax_does_and_is_cut_off_but_never_ends():
    env, params = gymnax.make("Pendulum-v1")
    vector = from_gymnax(env)
    assert isinstance(vector, GymnaxContinuous)
    assert (vector.obs_dim, vector.action_dim, vector.action_low, vector.action_high) == (3, 1, (-2.0,), (2.0,))
    batched = broadcast_params(params.replace(max_steps_in_episode=3), 4)
    keys = jax.random.split(jax.random.key(0), 4)
    state, _ = vector.reset(keys, batched)
    step = jax.jit(vector.step)
    for time in range(3):
        action = jnp.linspace(-2.0, 2.0, 4)[:, None] * (1 if time % 2 else -1)
        expected = [
            env.step_env(keys[i], jax.tree.map(lambda leaf, i=i: leaf[i], state), action[i], params) for i in range(4)
        ]
        state, result = step(keys, state, action, batched)
        np.testing.assert_allclose(result.reward, [float(e[2]) for e in expected], rtol=1e-5)
        np.testing.assert_allclose(result.final_obs, np.stack([e[0] for e in expected]), rtol=1e-4, atol=1e-5)
        assert not result.terminated.any()
        assert (result.truncated == (time == 2)).all()


def test_an_environment_with_discrete_actions_is_no_continuous_one():
    env, _ = gymnax.make("CartPole-v1")
    with pytest.raises(ValueError, match=r"CartPole-v1 takes .*needs a box of one axis"):
        GymnaxContinuous(env)
