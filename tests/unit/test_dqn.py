"""The DQN family against plain NumPy, in every combination of double, dueling and distributional."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import dqn, networks, q_networks
from agents.off_policy_config import DQNConfig
from agents.replay import Transition
from tests.oracles import off_policy_oracle as oracle

SIZE, OBS_DIM, NUM_ACTIONS = 12, 3, 4
FAMILY = pytest.mark.parametrize(
    ("double", "dueling", "quantiles"), list(itertools.product((False, True), (False, True), (1, 5)))
)


# Compiled whole: one operation at a time each costs a compilation of its own.
targets = jax.jit(dqn.targets, static_argnames="config")
loss = jax.jit(dqn.loss, static_argnames="config")
learn = jax.jit(dqn.learn, static_argnames="config")
explore = jax.jit(dqn.explore, static_argnames="config")
init = jax.jit(q_networks.init_population, static_argnums=(1, 2, 3, 4, 5))


def network(seed, config):
    """One agent's weights, far from the start's, biases too."""
    keys = jax.random.split(jax.random.key(seed), 1)
    params = init(keys, OBS_DIM, NUM_ACTIONS, config.hidden, config.quantiles, config.dueling)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: leaf[0] + rng.normal(size=leaf.shape[1:]).astype(np.float32), params)


def batch(seed=0):
    rng = np.random.default_rng(seed)
    obs, next_obs = rng.normal(size=(2, SIZE, OBS_DIM)).astype(np.float32)
    action = rng.integers(NUM_ACTIONS, size=SIZE).astype(np.int32)
    reward = rng.normal(size=SIZE).astype(np.float32)
    return Transition(*map(jnp.asarray, (obs, action, reward, rng.random(SIZE) < 0.3, next_obs)))


@FAMILY
def test_targets_and_loss_are_those_of_the_papers(double, dueling, quantiles):
    config = DQNConfig(hidden=(6, 5), double=double, dueling=dueling, quantiles=quantiles)
    online, target, data = network(1, config), network(2, config), batch()
    wanted = targets(online, target, data, jnp.float32(0.9), config)
    expected = [
        oracle.dqn_target(online, target, *row, 0.9, double, quantiles)
        for row in zip(data.reward, data.terminated, data.next_obs, strict=True)
    ]
    np.testing.assert_allclose(wanted, expected, rtol=1e-4, atol=1e-4)
    threshold = 0.7
    total, stats = loss(online, data, wanted, jnp.float32(threshold), config)
    chosen = [
        oracle.quantile_values(online, obs, quantiles)[action]
        for obs, action in zip(data.obs, data.action, strict=True)
    ]
    losses = [oracle.quantile_huber(p, w, threshold) for p, w in zip(chosen, expected, strict=True)]
    np.testing.assert_allclose(total, np.mean(losses), rtol=1e-4)
    np.testing.assert_allclose(stats["q_mean"], np.mean(chosen), rtol=1e-4, atol=1e-5)


def test_double_and_plain_targets_differ_where_the_networks_disagree():
    config = DQNConfig(hidden=(6,), double=True)
    online, target, data = network(1, config), network(2, config), batch()
    double = targets(online, target, data, jnp.float32(0.9), config)
    plain = targets(online, target, data, jnp.float32(0.9), DQNConfig(hidden=(6,), double=False))
    assert (plain >= double - 1e-6).all(), "the maximum is never below another action's value"
    assert (plain > double + 1e-3).any()


@FAMILY
def test_the_published_network_gives_the_mean_over_quantiles(double, dueling, quantiles):
    config = DQNConfig(hidden=(6, 5), double=double, dueling=dueling, quantiles=quantiles)
    params, obs = network(3, config), batch().obs
    values = networks.logits(q_networks.as_actor(params, quantiles)["actor"], obs)
    expected = [oracle.quantile_values(params, row, quantiles).mean(axis=1) for row in obs]
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)


def test_the_gradient_descends_to_the_quantiles_of_a_distribution():
    """Regression on a thousand draws of an exponential: quantile i must arrive at the inverse CDF of (i + 1/2) / N."""
    config = DQNConfig(hidden=(4,), quantiles=4, dueling=False)
    params = network(0, config)
    data = jax.tree.map(lambda leaf: leaf[:1], batch())
    draws = np.quantile(np.random.default_rng(0).exponential(size=100_000), (np.arange(1000) + 0.5) / 1000)
    wanted = jnp.asarray(draws, jnp.float32)[None]

    def descend(step, params):
        slope = jax.grad(lambda p: dqn.loss(p, data, wanted, jnp.float32(1e-3), config)[0])(params)
        return jax.tree.map(lambda p, g: p - 0.05 / (1 + step / 300) * g, params, slope)

    params = jax.jit(lambda params: jax.lax.fori_loop(0, 3000, descend, params))(params)
    learned = q_networks.quantile_values(params, data.obs, 4)[0, int(data.action[0])]
    np.testing.assert_allclose(learned, -np.log(1 - (np.arange(4) + 0.5) / 4), atol=0.05)


def test_one_step_moves_the_network_and_the_target_a_share_of_the_way():
    config = DQNConfig(hidden=(6,), dueling=True)
    keys = jax.random.split(jax.random.key(0), 1)
    params = jax.tree.map(lambda leaf: leaf[0], init(keys, OBS_DIM, NUM_ACTIONS, (6,), 1, True))
    training = dqn.Training(jax.tree.map(lambda leaf: leaf + 1.0, params), dqn.adam.init(params))
    numbers = dict.fromkeys(dqn.Coefficients._fields, 0.9) | {"learning_rate": 1e-2, "tau": 0.25, "max_grad_norm": 10.0}
    coefficient = dqn.Coefficients(**{name: jnp.float32(value) for name, value in numbers.items()})
    moved, after, stats = learn(params, training, batch(), coefficient, jax.random.key(0), config)
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(params), strict=True))
    for new, old, online in zip(*map(jax.tree.leaves, (after.target, training.target, moved)), strict=True):
        np.testing.assert_allclose(new, 0.75 * old + 0.25 * online, rtol=1e-5, atol=1e-6)
    assert stats["skipped_steps"] == 0.0
    poisoned = batch()._replace(reward=jnp.full(SIZE, jnp.nan))
    kept, _, stats = learn(params, training, poisoned, coefficient, jax.random.key(0), config)
    assert stats["skipped_steps"] == 1.0
    for new, old in zip(jax.tree.leaves(kept), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(new, old)


def test_exploration_draws_every_action_equally_and_is_greedy_otherwise():
    config = DQNConfig(hidden=(6,))
    params, count = network(5, config), 40_000
    obs = jnp.broadcast_to(jnp.asarray([0.3, -0.2, 0.9]), (count, 3))
    uniform = jnp.asarray(np.random.default_rng(0).random(count), jnp.float32)
    numbers = dict.fromkeys(dqn.Coefficients._fields, jnp.float32(0.4))
    actions = np.asarray(explore(params, obs, uniform, dqn.Coefficients(**numbers), jnp.bool_(True), config))
    best = int(np.argmax(oracle.quantile_values(params, obs[0], 1).mean(axis=1)))
    share = np.bincount(actions, minlength=NUM_ACTIONS) / count
    expected = np.full(NUM_ACTIONS, 0.1)
    expected[best] += 0.6
    np.testing.assert_allclose(share, expected, atol=0.01)  # six standard errors
    greedy = dqn.Coefficients(**numbers)._replace(epsilon=jnp.float32(0.0))
    assert (explore(params, obs[:50], uniform[:50], greedy, jnp.bool_(True), config) == best).all()


def test_epsilon_falls_linearly_over_its_share_of_the_run():
    ones = jnp.ones(2)
    names = [name for name in dqn.DQNHyperparameters._fields if name != "env"]
    hyper = dqn.DQNHyperparameters(**dict.fromkeys(names, ones), env={})
    hyper = hyper._replace(epsilon_end=jnp.asarray([0.1, 0.2]), exploration_frac=jnp.asarray([0.5, 0.0]))
    for progress, expected in ((0.0, (1.0, 1.0)), (0.25, (0.55, 0.2)), (0.5, (0.1, 0.2)), (1.0, (0.1, 0.2))):
        np.testing.assert_allclose(dqn.coefficients(hyper, jnp.float32(progress)).epsilon, expected, rtol=1e-5)
