"""What a rollout with a memory stores fits what learning makes of it, over episode ends and sequence borders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import hyperparameters, memory_ppo, ppo, sharding
from agents.memory_networks import empty_memory, unroll
from agents.program import Program
from agents.train_config import PPOConfig, TrainConfig
from agents.train_state import update_keys
from tests.support.probe_envs import MEMORY_PROBE, ProbeParams

LENGTH, ENVS, STEPS = 3, 2, 16
PARAMS = ProbeParams(match=1.0, length=LENGTH, wrap=7, truncates=True)


@pytest.fixture(scope="module", params=["gru", "attention"])
def collected(request):
    """One agent's parameters, experience and what learning would train on, in the second rollout of a run."""
    sizes = PPOConfig(
        envs_per_agent=ENVS,
        steps_per_update=STEPS,
        minibatches=2,
        hidden=(4,),
        network=request.param,
        memory_width=8,
        window=4,
        sequence_length=4,
    )
    config = TrainConfig(num_agents=1, num_updates=2, ppo=sizes)
    hyper = hyperparameters.sample(config)
    batched = hyperparameters.batch_env_params(PARAMS, hyper, sizes)
    program = Program(MEMORY_PROBE, sizes, sharding.make_mesh(1))
    state, _ = program(program.init(0, 2, hyper, batched), batched)
    grown = jax.tree.map(
        lambda leaf: leaf + 0.2 * jnp.sin(jnp.arange(leaf.size)).reshape(leaf.shape), state.learner.params
    )
    state = state._replace(learner=state.learner._replace(params=grown))
    run = jax.jit(lambda s: memory_ppo.collect(s, update_keys(s), batched, MEMORY_PROBE, sizes)[:2])
    carry, experience = run(state)
    return jax.tree.map(lambda leaf: leaf[0], grown), carry, experience


def by_time(leaf):
    return np.asarray(leaf.reshape(STEPS, ENVS, *leaf.shape[3:]))


def test_the_policy_that_learns_starts_as_the_one_that_collected(collected):
    params, _, experience = collected
    steps = experience.steps
    zeros = jnp.zeros_like(steps.reward)
    batch = ppo.Batch(steps.obs, steps.action, steps.log_prob, zeros, experience.value)
    cut = jax.tree.map(lambda leaf: memory_ppo.as_sequences(leaf.reshape(STEPS, ENVS, *leaf.shape[3:]), 4), batch)
    first = memory_ppo.as_sequences(experience.first.reshape(STEPS, ENVS), 4)
    memory = jax.tree.map(lambda leaf: leaf[:, 0].reshape(-1, *leaf.shape[3:]), experience.memory)
    coefficient = ppo.Coefficients(*(jnp.float32(x) for x in (1e-2, 0.2, 0.0, 1.0, 0.5)))
    _, parts = jax.jit(memory_ppo.loss)(params, memory_ppo.Sequences(memory, first, cut), coefficient)
    assert float(jnp.std(steps.log_prob)) > 0.01, "the policy must tell observations apart"
    assert float(parts["approx_kl"]) == pytest.approx(0.0, abs=1e-6)
    assert float(parts["value_loss"]) == pytest.approx(0.0, abs=1e-9)


def test_a_time_limit_is_judged_with_all_that_the_episode_showed(collected):
    """The critic is run again over each whole episode and the observation that the reset hid: the clock at its end."""
    params, _, experience = collected
    obs, truncated = by_time(experience.steps.obs), by_time(experience.steps.truncated)
    begins, bootstrap = by_time(experience.first), by_time(experience.steps.bootstrap)
    hidden, run = jnp.asarray([[[0.0, LENGTH / 7]]]), jax.jit(unroll)
    judged = 0
    for env in range(ENVS):
        for end in np.flatnonzero(truncated[:, env]):
            begin = end - LENGTH + 1
            if begin < 0:
                continue
            assert begins[begin : end + 1, env].tolist() == [True, False, False]
            episode = jnp.concatenate([jnp.asarray(obs[begin : end + 1, env])[:, None], hidden])
            nothing = empty_memory(params, 1, 2)
            values = run(params, nothing, episode, jnp.zeros((LENGTH + 1, 1), bool))[2]
            assert float(values[-1, 0]) == pytest.approx(float(bootstrap[end, env]), rel=1e-4, abs=1e-5)
            judged += 1
    assert judged >= 6
