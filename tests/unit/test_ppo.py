"""PPO's parts against slow NumPy versions of the same formulas."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from agents import actions, adam, networks, normaliser, policy, ppo
from agents.ppo import Batch, Coefficients
from agents.train_config import PPOConfig
from agents.update import chunk_size, nan_mean
from tests.oracles import ppo_oracle as oracle


@functools.cache
def _params(seed, obs_dim=3, num_actions=4, hidden=(5, 6)):
    params = jax.jit(networks.init_agent, static_argnums=(1, 2, 3))(jax.random.key(seed), obs_dim, num_actions, hidden)
    # Larger last layers and biases than a fresh network has, so that every term matters.
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: (leaf + 0.3 * rng.normal(size=leaf.shape)).astype(np.float32), params)


def _batch(seed, size=24, obs_dim=3, num_actions=4):
    rng = np.random.default_rng(seed)
    return Batch(
        obs=rng.normal(size=(size, obs_dim)).astype(np.float32),
        action=rng.integers(num_actions, size=size).astype(np.int32),
        log_prob=np.log(rng.uniform(0.1, 0.6, size)).astype(np.float32),
        advantage=rng.normal(1.0, 3.0, size).astype(np.float32),
        target=rng.normal(size=size).astype(np.float32),
    )


CONTINUOUS_PAIR = SimpleNamespace(action_dim=2, action_low=(-1.0, -5.0), action_high=(3.0, 5.0))
STEP = jax.jit(ppo.minibatch_step)
GRADIENT = jax.jit(jax.grad(ppo.loss, has_aux=True))
COEFFICIENTS = Coefficients(*(jnp.float32(x) for x in (1e-2, 0.2, 0.03, 0.7, 0.5)))


def test_advantages_equal_the_sums_of_discounted_deltas_up_to_each_episodes_end():
    rng = np.random.default_rng(0)
    steps, envs = 17, 6
    reward, value, next_value = rng.normal(size=(3, steps, envs)).astype(np.float32)
    done = rng.random((steps, envs)) < 0.2
    gamma, gae_lambda = rng.uniform(0.8, 1.0, (2, envs)).astype(np.float32)
    ours = jax.jit(ppo.advantages)(*map(jnp.asarray, (reward, value, next_value, done, gamma, gae_lambda)))
    for env in range(envs):
        slow = oracle.advantages(
            reward[:, env], value[:, env], next_value[:, env], done[:, env], gamma[env], gae_lambda[env]
        )
        np.testing.assert_allclose(ours[:, env], slow, rtol=1e-4, atol=1e-4)


def test_loss_and_every_part_of_it_equal_the_hand_worked_ones():
    params, batch = _params(1), _batch(2)
    total, parts = jax.jit(ppo.loss)(params, batch, COEFFICIENTS)
    slow_total, slow_parts = oracle.loss(params, *batch, clip=0.2, entropy_coef=0.03, value_coef=0.7)
    assert 0.1 < slow_parts["clip_frac"] < 1.0, "the batch must exercise the clipping"
    assert total == pytest.approx(slow_total, rel=1e-4)
    assert {name: float(x) for name, x in parts.items()} == pytest.approx(slow_parts, rel=1e-4)


def test_gradient_equals_the_finite_differences_of_the_hand_worked_loss():
    params, batch = _params(3), _batch(4)
    gradient = GRADIENT(params, batch, COEFFICIENTS)[0]
    for network, layer, leaf, index in (
        ("actor", "0", "kernel", (1, 2)),
        ("actor", "2", "bias", (3,)),
        ("critic", "1", "kernel", (0, 4)),
    ):
        ends = []
        for step in (-1e-4, 1e-4):
            moved = jax.tree.map(lambda x: np.array(x, np.float64), params)
            moved[network][layer][leaf][index] += step
            ends.append(oracle.loss(moved, *batch, clip=0.2, entropy_coef=0.03, value_coef=0.7)[0])
        slope = (ends[1] - ends[0]) / 2e-4
        assert float(gradient[network][layer][leaf][index]) == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_two_steps_equal_adam_on_the_gradient_clipped_by_its_global_norm():
    params, batch = _params(5), jax.tree.map(jnp.asarray, _batch(6))
    optimizer, slow, moments = adam.init(params), jax.tree.leaves(params), None
    for step in (1, 2):
        leaves = jax.tree.leaves(GRADIENT(params, batch, COEFFICIENTS)[0])
        norm = np.sqrt(sum((np.asarray(g, np.float64) ** 2).sum() for g in leaves))
        assert norm > 0.5, "the clipping must be exercised"
        moments = moments or [(0.0, 0.0)] * len(leaves)
        stepped = [
            oracle.adam_step(np.asarray(p, np.float64), np.asarray(g, np.float64), m, step, 1e-2, 0.5, norm)
            for p, g, m in zip(slow, leaves, moments, strict=True)
        ]
        slow, moments = [p for p, _ in stepped], [m for _, m in stepped]
        params, optimizer, stats = STEP(params, optimizer, batch, COEFFICIENTS)
        assert float(stats["grad_norm"]) == pytest.approx(norm, rel=1e-4)
    for ours, expected in zip(jax.tree.leaves(params), slow, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_gradient_that_is_not_finite_leaves_weights_and_optimizer_as_they_were():
    params, batch = _params(7), jax.tree.map(jnp.asarray, _batch(8))
    optimizer = adam.init(params)
    broken = batch._replace(target=batch.target.at[3].set(jnp.inf))
    after, optimizer_after, stats = STEP(params, optimizer, broken, COEFFICIENTS)
    assert float(stats["skipped_steps"]) == 1.0
    for before, now in zip(
        jax.tree.leaves((params, optimizer)), jax.tree.leaves((after, optimizer_after)), strict=True
    ):
        np.testing.assert_array_equal(before, now)


def test_every_epoch_visits_every_row_once_and_in_another_order():
    rows = np.asarray(ppo.shuffles(jax.random.key(0), 48, epochs=3, minibatches=4))
    epochs = rows.reshape(3, 48)
    assert rows.shape == (12, 12)
    assert (np.sort(epochs, axis=1) == np.arange(48)).all()
    assert (epochs[0] != epochs[1]).any()


def test_actions_drawn_from_one_uniform_number_have_the_networks_probabilities():
    scores = jnp.asarray([2.0, -1.0, 0.5, -30.0, 1.0])
    uniform = (jnp.arange(20_000) + 0.5) / 20_000
    drawn = policy.sample_action(jnp.broadcast_to(scores, (20_000, 5)), uniform)
    frequencies = np.bincount(drawn, minlength=5) / 20_000
    expected = np.exp(np.array(scores, np.float64))
    np.testing.assert_allclose(frequencies, expected / expected.sum(), atol=1e-4)
    edge = policy.sample_action(scores[None], jnp.asarray([1.0 - 2**-24]))
    assert int(edge[0]) == 4


def test_log_probability_and_entropy_equal_the_definitions():
    rng = np.random.default_rng(1)
    scores, action = rng.normal(size=(7, 4)), rng.integers(4, size=7)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        policy.log_prob(jnp.asarray(scores, jnp.float32), jnp.asarray(action)),
        np.log(p[np.arange(7), action]),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        policy.entropy(jnp.asarray(scores, jnp.float32)), -(p * np.log(p)).sum(axis=1), rtol=1e-5
    )


def test_the_gaussians_density_and_entropy_are_scipys():
    rng = np.random.default_rng(3)
    outputs, action = rng.normal(0.0, 2.0, (50, 6)), rng.normal(0.0, 2.0, (50, 3))
    mean, log_std = outputs[:, :3], -5.0 + 3.5 * (np.tanh(outputs[:, 3:]) + 1.0)
    law = scipy.stats.norm(mean, np.exp(log_std))
    ours = actions.GAUSSIAN.log_prob(jnp.asarray(outputs, jnp.float32), jnp.asarray(action, jnp.float32))
    np.testing.assert_allclose(ours, law.logpdf(action).sum(axis=1), rtol=2e-5)
    log_prob, entropy = actions.GAUSSIAN.terms(jnp.asarray(outputs, jnp.float32), jnp.asarray(action, jnp.float32))
    np.testing.assert_array_equal(log_prob, ours)
    assert float(entropy) == pytest.approx(law.entropy().sum(axis=1).mean(), rel=1e-5)


def test_continuous_actions_are_drawn_from_that_gaussian_and_clipped_to_the_environments_bounds():
    outputs = jnp.asarray([[0.3, -0.5, 0.4, -0.2]])
    deviation = np.exp(-5.0 + 3.5 * (np.tanh([0.4, -0.2]) + 1.0))
    noise = actions.GAUSSIAN.noise(jax.random.key(0), (4000,), CONTINUOUS_PAIR)
    drawn = np.asarray(actions.GAUSSIAN.sample(outputs, noise))
    for k in (0, 1):
        test = scipy.stats.kstest(drawn[:, k], scipy.stats.norm(outputs[0, k], deviation[k]).cdf)
        assert test.pvalue > 0.01
    bounded = np.asarray(actions.GAUSSIAN.to_env(jnp.asarray(drawn), CONTINUOUS_PAIR))
    np.testing.assert_allclose(bounded, np.clip([1.0, 0.0] + np.array([2.0, 5.0]) * drawn, [-1, -5], [3, 5]), atol=1e-5)


def test_the_continuous_loss_and_its_gradient_equal_scipys_and_its_finite_differences():
    params, batch = _params(9, num_actions=4), _batch(10)
    rng = np.random.default_rng(11)
    outputs = networks.logits(params["actor"], batch.obs)
    drawn = actions.GAUSSIAN.sample(outputs, rng.normal(size=(24, 2)).astype(np.float32))
    batch = batch._replace(action=np.asarray(drawn))
    near = actions.GAUSSIAN.log_prob(outputs, batch.action)
    batch = batch._replace(log_prob=np.asarray(near + rng.normal(0.0, 0.3, 24), np.float32))
    total, parts = jax.jit(ppo.loss)(params, batch, COEFFICIENTS)
    assert 0.1 < float(parts["clip_frac"]) < 1.0, "the batch must exercise the clipping"

    def slow(moved):
        outputs = np.array([oracle.forward(moved["actor"], row) for row in batch.obs])
        law = scipy.stats.norm(outputs[:, :2], np.exp(-5.0 + 3.5 * (np.tanh(outputs[:, 2:]) + 1.0)))
        ratio = np.exp(law.logpdf(batch.action).sum(axis=1) - batch.log_prob)
        scaled = (batch.advantage - batch.advantage.mean()) / (batch.advantage.std() + 1e-8)
        gain = np.minimum(ratio * scaled, np.clip(ratio, 0.8, 1.2) * scaled).mean()
        value = np.array([oracle.forward(moved["critic"], row)[0] for row in batch.obs])
        return -gain + 0.7 * ((value - batch.target) ** 2).mean() / 2 - 0.03 * law.entropy().sum(axis=1).mean()

    assert float(total) == pytest.approx(slow(params), rel=1e-4)
    gradient = GRADIENT(params, batch, COEFFICIENTS)[0]
    for leaf, index in (("bias", (0,)), ("bias", (3,)), ("kernel", (2, 1)), ("kernel", (1, 2))):
        ends = []
        for step in (-1e-6, 1e-6):
            moved = jax.tree.map(lambda x: np.array(x, np.float64), params)
            moved["actor"]["2"][leaf][index] += step
            ends.append(slow(moved))
        slope = (ends[1] - ends[0]) / 2e-6
        assert float(gradient["actor"]["2"][leaf][index]) == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_the_return_normaliser_has_the_deviation_of_everything_it_saw():
    seen = np.random.default_rng(2).normal(3.0, 2.0, (5, 8, 6)).astype(np.float32)  # five updates of 8 steps
    running = normaliser.ReturnNormaliser(*(jnp.float32(0) for _ in range(3)))
    for discounted in seen:
        running = normaliser.merge(running, jnp.asarray(discounted))
    assert float(normaliser.deviation(running)) == pytest.approx(seen.std(), rel=1e-5)
    assert float(running.mean) == pytest.approx(seen.mean(), rel=1e-5)


def test_adam_takes_the_steps_of_optax():
    params = {"w": jnp.asarray([1.0, -2.0, 3.0]), "b": jnp.asarray([[0.5]])}
    ours, state = params, adam.init(params)
    reference = optax.chain(optax.scale(0.3), optax.scale_by_adam(eps=adam.EPS), optax.scale(-0.02))
    theirs, reference_state = params, reference.init(params)
    for index in range(5):
        gradient = jax.tree.map(lambda p, i=index: jnp.sin(p + i), params)
        ours, state = adam.step(ours, state, gradient, jnp.float32(0.3), jnp.float32(0.02))
        change, reference_state = reference.update(gradient, reference_state)
        theirs = optax.apply_updates(theirs, change)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_the_mean_of_a_window_leaves_out_what_is_not_a_number():
    window = jnp.asarray([[1.0, jnp.nan, 3.0], [jnp.nan, jnp.nan, jnp.nan]])
    means = np.asarray(nan_mean(window))
    assert means[0] == 2.0
    assert np.isnan(means[1])


@pytest.mark.parametrize("wanted", [0, 1, 5, 16])
@pytest.mark.parametrize("agents", [1, 6, 8, 34, 256, 1000])
def test_a_chunk_divides_every_devices_share_and_is_the_same_for_1_2_and_4_devices(wanted, agents):
    devices = [n for n in (1, 2, 4) if agents % n == 0]
    chunks = [chunk_size(PPOConfig(agents_per_chunk=wanted), agents, n, "cpu") for n in devices]
    assert all((agents // n) % chunk == 0 for n, chunk in zip(devices, chunks, strict=True))
    assert all(agents // n // chunk >= min(2, agents // n) for n, chunk in zip(devices, chunks, strict=True))
    assert len(set(chunks)) == 1
    assert chunks[0] <= (wanted or 16)


def test_an_accelerator_fits_all_its_agents_at_once_and_other_device_counts_still_divide():
    assert chunk_size(PPOConfig(), 256, 1, "gpu") == 256
    assert chunk_size(PPOConfig(), 256, 4, "gpu") == 64
    assert chunk_size(PPOConfig(), 256, 2, "cpu") == 16
    assert chunk_size(PPOConfig(), 48, 3, "cpu") == 8
    assert chunk_size(PPOConfig(), 90, 45, "cpu") == 1
