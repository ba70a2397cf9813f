"""Networks: initialisation, names, files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from agents import networks, policy


@pytest.fixture(scope="module")
def population():
    return networks.init_population(jax.random.split(jax.random.key(0), 5), 7, 4, (16, 12))


def test_kernels_have_orthonormal_rows_or_columns_times_their_gain(population):
    gains = {"actor": (2**0.5, 2**0.5, 0.01), "critic": (2**0.5, 2**0.5, 1.0)}
    for network, layers in population.items():
        for index, gain in enumerate(gains[network]):
            for kernel in np.asarray(layers[str(index)]["kernel"], np.float64) / gain:
                small = kernel @ kernel.T if kernel.shape[0] <= kernel.shape[1] else kernel.T @ kernel
                np.testing.assert_allclose(small, np.eye(len(small)), atol=3e-6)


def test_every_agent_and_every_layer_is_drawn_anew(population):
    kernels = population["actor"]["1"]["kernel"]
    assert not np.allclose(kernels[0], kernels[1])
    assert not np.allclose(kernels[0], population["critic"]["1"]["kernel"][0])


def test_an_agents_weights_depend_on_its_key_alone(population):
    keys = jax.random.split(jax.random.key(0), 5)
    alone = networks.init_population(keys[3:4], 7, 4, (16, 12))
    for ours, other in zip(jax.tree.leaves(population), jax.tree.leaves(alone), strict=True):
        np.testing.assert_array_equal(ours[3], other[0])


def test_the_forward_pass_equals_plain_numpy(population):
    obs = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    agent = networks.unstack(population)[2]
    x = obs.astype(np.float64)
    for index in range(3):
        layer = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), agent["actor"][str(index)])
        x = x @ layer["kernel"] + layer["bias"]
        x = np.tanh(x) if index < 2 else x
    np.testing.assert_allclose(networks.logits(agent["actor"], jnp.asarray(obs)), x, rtol=1e-4, atol=1e-6)
    assert networks.value(agent["critic"], jnp.asarray(obs)).shape == (3,)


def test_stacking_undoes_unstacking(population):
    again = networks.stack(networks.unstack(population))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), population, again))


def test_a_population_read_back_is_the_one_that_was_saved(population, tmp_path):
    path = networks.save_population(tmp_path, population)
    assert list(tmp_path.iterdir()) == [path]
    names = load_file(path)
    assert names["actor/0/kernel"].shape == (5, 7, 16)
    assert names["critic/2/bias"].shape == (5, 1)
    again = networks.load_population(tmp_path)
    assert jax.tree.structure(again) == jax.tree.structure(population)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), population, again))


def test_a_missing_population_and_a_foreign_tensor_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"population\.safetensors: no trained population"):
        networks.load_population(tmp_path)
    save_file({"actor/0/weight": np.zeros(3, np.float32)}, tmp_path / networks.POPULATION_FILE)
    with pytest.raises(ValueError, match="'actor/0/weight': the last part must be kernel or bias"):
        networks.load_population(tmp_path)
    save_file({"actor/1/kernel": np.zeros((2, 2), np.float32)}, tmp_path / networks.POPULATION_FILE)
    with pytest.raises(ValueError, match="'actor/0/bias' is missing"):
        networks.load_population(tmp_path)


def test_greedy_actions_are_the_most_probable_and_sampled_ones_follow_the_key(population):
    obs = jax.random.normal(jax.random.key(1), (5, 6, 7))
    scores = policy.population_logits(population, obs)
    np.testing.assert_array_equal(policy.act_greedy(population, obs), np.argmax(scores, axis=-1))
    first, second = (policy.act(population, obs, jax.random.key(k)) for k in (2, 2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (5, 6)
