"""SAC's density, targets and losses against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from agents import gaussian, networks, sac
from agents.off_policy_config import SACConfig
from agents.replay import Transition
from tests.oracles import off_policy_oracle as oracle

SIZE, OBS_DIM, DIMS = 10, 3, 2
BOUNDS = gaussian.LOG_STD_LOW, gaussian.LOG_STD_HIGH


def params_of(seed):
    """One agent's weights, far from the start's."""
    shapes = {"actor": ((OBS_DIM, 6, 2 * DIMS), 1.0)}
    shapes |= dict.fromkeys(sac.CRITICS, ((OBS_DIM + DIMS, 6, 1), 1.0))
    params = jax.jit(lambda key: networks.init_networks(key, shapes))(jax.random.key(seed))
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape).astype(np.float32), params)


@pytest.fixture(scope="module")
def setting():
    rng = np.random.default_rng(0)
    obs, next_obs = rng.normal(size=(2, SIZE, OBS_DIM)).astype(np.float32)
    action = rng.uniform(-1, 1, size=(SIZE, DIMS)).astype(np.float32)
    reward = rng.normal(size=SIZE).astype(np.float32)
    batch = Transition(*map(jnp.asarray, (obs, action, reward, rng.random(SIZE) < 0.3, next_obs)))
    params = params_of(1)
    target = {name: params_of(2)[name] for name in sac.CRITICS}
    start = jax.jit(sac.adam.init)
    critics = {name: params[name] for name in sac.CRITICS}
    log_temperature = jnp.float32(np.log(0.3))
    training = sac.Training(target, start(params["actor"]), start(critics), log_temperature, start(log_temperature))
    return params, training, batch, jnp.asarray(rng.normal(size=(SIZE, DIMS)).astype(np.float32))


def actions(params, obs, normal):
    return [
        oracle.tanh_normal(oracle.forward(params["actor"], row), np.asarray(n, np.float64), *BOUNDS)
        for row, n in zip(obs, normal, strict=True)
    ]


def test_the_density_is_that_of_the_change_of_variables_and_integrates_to_one(setting):
    params, _, batch, normal = setting
    action, log_prob = gaussian.sample(networks.mlp(params["actor"], batch.obs), normal)
    expected = actions(params, batch.obs, normal)
    np.testing.assert_allclose(action, [a for a, _ in expected], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(log_prob, [p for _, p in expected], rtol=1e-4, atol=1e-4)
    outputs = jnp.asarray([0.4, -0.2])
    normals = jnp.linspace(-9.0, 9.0, 20_001)[:, None]
    points, log_density = gaussian.sample(jnp.broadcast_to(outputs, (20_001, 2)), normals)
    total = integrate.trapezoid(np.exp(np.asarray(log_density, np.float64)), np.asarray(points[:, 0], np.float64))
    assert total == pytest.approx(1.0, abs=1e-3)


def test_the_density_stays_finite_where_tanh_rounds_to_one():
    outputs = jnp.asarray([50.0, 0.0])

    def log_prob(outputs):
        return gaussian.sample(outputs, jnp.zeros(1))[1]

    value, slope = jax.value_and_grad(log_prob)(outputs)
    # log N(0) - log std - log(4 exp(-2 u)), with log std in the middle of its bounds
    assert value == pytest.approx(-0.5 * np.log(2 * np.pi) - sum(BOUNDS) / 2 - np.log(4.0) + 100.0, rel=1e-5)
    assert np.isfinite(slope).all()


def test_targets_are_soft_and_stop_at_an_ending(setting):
    params, training, batch, normal = setting
    wanted = sac.targets(params, training, batch, jnp.float32(0.9), normal)
    expected = []
    for i, (action, log_prob) in enumerate(actions(params, batch.next_obs, normal)):
        soft = min(oracle.critics(training.target, batch.next_obs[i], action)) - 0.3 * log_prob
        expected.append(batch.reward[i] + (0.0 if batch.terminated[i] else 0.9 * soft))
    np.testing.assert_allclose(wanted, expected, rtol=1e-3, atol=1e-4)


def test_losses_of_critics_actor_and_temperature_are_those_of_the_paper(setting):
    params, training, batch, normal = setting
    wanted = sac.targets(params, training, batch, jnp.float32(0.9), normal)
    total, _ = sac.critic_loss(params, batch, wanted)
    pairs = [oracle.critics(params, o, a) for o, a in zip(batch.obs, batch.action, strict=True)]
    squares = [(a - w) ** 2 + (b - w) ** 2 for (a, b), w in zip(pairs, wanted, strict=True)]
    np.testing.assert_allclose(total, np.mean(squares) / 2, rtol=1e-4)
    loss, log_prob = sac.actor_loss(params["actor"], params, batch.obs, jnp.float32(0.3), normal)
    drawn = actions(params, batch.obs, normal)
    terms = [0.3 * p - min(oracle.critics(params, o, a)) for o, (a, p) in zip(batch.obs, drawn, strict=True)]
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-3)
    entropy = -np.mean([p for _, p in drawn])
    slope = jax.grad(sac.temperature_loss)(jnp.float32(0.1), log_prob, jnp.float32(-2.0))
    np.testing.assert_allclose(slope, entropy - -2.0, rtol=1e-3)


def test_the_temperature_rises_while_the_entropy_is_below_its_target_and_falls_above(setting):
    params, training, batch, _ = setting
    names = sac.Coefficients._fields
    numbers = dict.fromkeys(names, jnp.float32(1e-3)) | {"gamma": jnp.float32(0.9)}
    after, learn = {}, jax.jit(sac.learn, static_argnames="config")
    for target in (-50.0, 50.0):
        coefficient = sac.Coefficients(**numbers)._replace(target_entropy=jnp.float32(target))
        learned = learn(params, training, batch, coefficient, jax.random.key(0), config=SACConfig())
        after[target] = float(learned[1].log_temperature)
    assert after[-50.0] < float(training.log_temperature) < after[50.0]


def test_actions_before_the_start_of_learning_are_uniform(setting):
    params = setting[0]
    normal = jax.random.normal(jax.random.key(0), (20_000, DIMS))
    obs = jnp.zeros((20_000, OBS_DIM))
    action = np.asarray(sac.explore(params, obs, normal, None, jnp.bool_(False), SACConfig()))
    np.testing.assert_allclose(np.quantile(action, [0.1, 0.25, 0.5, 0.9]), [-0.8, -0.5, 0.0, 0.8], atol=0.02)
