"""GRU and attention against flax, plain NumPy, and themselves run step by step."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from agents import memory_networks, memory_ppo, networks, ppo
from agents.memory_networks import empty_memory, kind_of, unroll
from agents.train_config import PPOConfig

D, N, S, L = 3, 4, 5, 12
KINDS = pytest.mark.parametrize("kind", ["gru", "attention"])


def agent(kind, seed=0):
    config = PPOConfig(network=kind, hidden=(6,), memory_width=8, window=4)
    params = memory_networks.init_population(jax.random.split(jax.random.key(seed), 1), D, N, config)
    rng = np.random.default_rng(seed)
    # Larger heads and biases than a fresh network has, so that every term matters.
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[0] + 0.3 * rng.normal(size=leaf.shape[1:]), jnp.float32), params)


def experience(seed=1):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(L, S, D)), jnp.float32), jnp.asarray(rng.random((L, S)) < 0.2)


@KINDS
def test_a_sequence_run_at_once_is_the_sequence_run_in_pieces_of_any_length(kind):
    params, (obs, first) = agent(kind), experience()
    run = jax.jit(unroll)
    whole = run(params, empty_memory(params, S, D), obs, first)
    for pieces in ([1] * L, [4, 8]):
        memory, at, parts = empty_memory(params, S, D), 0, []
        for length in pieces:
            memory, *out = run(params, memory, obs[at : at + length], first[at : at + length])
            parts.append(out)
            at += length
        for index in (0, 1):
            np.testing.assert_allclose(
                np.concatenate([p[index] for p in parts]), whole[1 + index], rtol=2e-5, atol=2e-5
            )
        for ours, other in zip(jax.tree.leaves(memory), jax.tree.leaves(whole[0]), strict=True):
            np.testing.assert_allclose(np.asarray(ours, float), np.asarray(other, float), rtol=2e-5, atol=2e-5)


@KINDS
def test_what_lies_before_an_episodes_beginning_or_behind_a_step_changes_nothing_and_the_past_does(kind):
    params, (obs, _) = agent(kind), experience()
    first = jnp.zeros((L, S), bool).at[6].set(True)
    run = jax.jit(unroll)
    before = run(params, empty_memory(params, S, D), obs, first)
    past = run(params, empty_memory(params, S, D), obs.at[:6].add(1.0), first)
    future = run(params, empty_memory(params, S, D), obs.at[9].add(1.0), first)
    for index in (1, 2):
        np.testing.assert_array_equal(past[index][6:], before[index][6:])
        assert np.abs(past[index][:6] - before[index][:6]).min(axis=(0, 1)).max() > 0
        np.testing.assert_array_equal(future[index][:9], before[index][:9])
        assert np.abs(np.asarray(future[index][10] - before[index][10])).max() > 1e-4, "the past is remembered"


def test_the_cell_is_flaxs_gru():
    params = agent("gru")
    part = dict(params["actor"]["gru"]["hidden"])
    part["bias"] = part["bias"].at[:16].set(0.0)  # flax has this bias for the new state alone
    names = ("r", "z", "n")
    split = lambda leaf: dict(zip(names, jnp.split(leaf, 3, axis=-1), strict=True))  # noqa: E731
    input_part = params["actor"]["gru"]["input"]
    given, own = split(input_part["kernel"]), split(part["kernel"])
    cell = {f"i{n}": {"kernel": given[n], "bias": split(input_part["bias"])[n]} for n in names}
    cell |= {f"h{n}": {"kernel": own[n]} for n in names}
    cell["hn"]["bias"] = split(part["bias"])["n"]
    rng = np.random.default_rng(3)
    x, hidden = (jnp.asarray(rng.normal(size=(7, size)), jnp.float32) for size in (6, 8))
    expected, _ = nn.GRUCell(features=8).apply({"params": cell}, hidden, x)
    ours = memory_networks.gru_step(part, x @ input_part["kernel"] + input_part["bias"], hidden)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_attention_is_the_formula_written_out_for_one_window():
    params, (obs, _) = agent("attention"), experience()
    first = jnp.zeros((L, S), bool).at[0].set(True).at[3, 2].set(True)
    _, outputs, values = unroll(params, empty_memory(params, S, D), obs, first)
    for name, ours in (("actor", outputs), ("critic", values[..., None])):
        parts = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params[name])
        for step, env, begin in ((7, 0, 4), (1, 1, 0), (4, 2, 3), (11, 4, 8)):
            window = np.asarray(obs[begin : step + 1, env], np.float64)
            np.testing.assert_allclose(ours[step, env], slow_attention(parts, window), rtol=1e-4, atol=1e-5)


def slow_attention(parts, window):
    """The last row of `window` [n, D] asks all its rows; n up to 4 places."""
    dense = lambda name, x: x @ parts[name]["kernel"] + parts[name]["bias"]  # noqa: E731
    norm = lambda x: x / np.sqrt((x * x).mean() + 1e-6)  # noqa: E731
    tokens = [dense("embed", row) + parts["positions"]["kernel"][4 - len(window) + i] for i, row in enumerate(window)]
    query = dense("query", norm(tokens[-1]))
    mixed = np.zeros(8)
    for head in range(4):
        place = slice(2 * head, 2 * head + 2)
        scores = np.array([query[place] @ dense("keys", norm(token))[place] / np.sqrt(2) for token in tokens])
        weights = np.exp(scores) / np.exp(scores).sum()
        mixed[place] = sum(w * dense("values", norm(t))[place] for w, t in zip(weights, tokens, strict=True))
    x = tokens[-1] + dense("mix", mixed)
    x = x + dense("narrow", np.tanh(dense("widen", norm(x))))
    return dense("head", norm(x))


@KINDS
def test_the_loss_of_sequences_is_ppos_loss_of_their_steps_and_gradients_reach_every_part(kind):
    params, (obs, first) = agent(kind), experience()
    memory = empty_memory(params, S, D)
    _, outputs, values = jax.jit(unroll)(params, memory, obs, first)
    rng = np.random.default_rng(5)
    action = jnp.asarray(rng.integers(N, size=(L, S)), jnp.int32)
    log_prob, advantage, target = (jnp.asarray(rng.normal(size=(L, S)), jnp.float32) for _ in range(3))
    batch = ppo.Batch(obs, action, log_prob, advantage, target)
    coefficient = ppo.Coefficients(*(jnp.float32(x) for x in (1e-2, 0.2, 0.03, 0.7, 0.5)))
    turned = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), (first, batch))
    gradient, parts = jax.jit(jax.grad(memory_ppo.loss, has_aux=True))(
        params, memory_ppo.Sequences(memory, *turned), coefficient
    )
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (outputs, values, batch))
    expected = ppo.judge(*flat, coefficient)[1]
    assert {n: float(x) for n, x in parts.items()} == pytest.approx(
        {n: float(x) for n, x in expected.items()}, rel=1e-4
    )
    for name, leaf in networks.named_tensors(gradient).items():
        silent = name.endswith(("positions/bias", "keys/bias"))  # a constant in every score
        assert bool(jnp.isfinite(leaf).all()) and bool((jnp.abs(leaf) > 0).any()) != (
            name.endswith("positions/bias")
        ), name
        assert not silent or float(jnp.abs(leaf).max()) < 1e-5


@KINDS
def test_a_population_read_back_is_the_one_that_was_saved_under_these_names(kind, tmp_path):
    config = PPOConfig(network=kind, hidden=(6, 5), memory_width=8, window=4)
    population = memory_networks.init_population(jax.random.split(jax.random.key(0), 3), D, N, config)
    assert kind_of(population) == kind
    names = load_file(networks.save_population(tmp_path, population))
    shown = {"gru": "actor/gru/hidden/kernel", "attention": "critic/positions/kernel"}
    assert names[shown[kind]].shape == {"gru": (3, 8, 24), "attention": (3, 4, 8)}[kind]
    again = networks.load_population(tmp_path)
    assert jax.tree.structure(again) == jax.tree.structure(population)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), population, again))
    left = {name: leaf for name, leaf in names.items() if name != "actor/head/bias"}
    save_file(left, tmp_path / networks.POPULATION_FILE)
    with pytest.raises(ValueError, match="'actor/head/bias' is missing"):
        networks.load_population(tmp_path)


GRU = PPOConfig(network="gru")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "lstm"}, "network is 'lstm'; valid: mlp, gru, attention"),
        ({"memory_width": 0}, "memory_width is 0"),
        ({"network": "attention", "memory_width": 6}, "memory_width is 6; .* in attention a multiple of 4"),
        ({"network": "attention", "window": 0}, "window is 0"),
        ({"sequence_length": 48}, "sequence_length is 48; valid: 0 .*steps_per_update = 128"),
        ({"minibatches": 8}, "minibatches is 8; it must divide the sequences = 4"),
    ],
)
def test_a_size_that_cannot_work_is_refused_with_what_is_valid(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(GRU, **changes)
