"""Strategies play the same episodes, and what is reported of them is what happened."""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import baselines_run, ensemble, networks, policy
from agents.baselines import STRATEGIES, batch_params
from agents.episodes import SEED_RANGES, Markets, Results, _checked, _chunks, play, recorded_markets, simulated_markets
from agents.players import ensemble_player, population_player, strategy_params, strategy_player
from kernels.execution import quotes
from kernels.lob import spec
from sim.vector import market_making_vector
from tests.support.markets import replay_market_making, row, small_market_making

EPISODES = 6
JOIN = quotes.CODE_NAMES.index("join") * (quotes.NUM_CODES + 1)


@cache
def markets() -> Markets:
    return simulated_markets(small_market_making(), "validation", EPISODES)


@cache
def population(num_agents: int = 3):
    env = small_market_making()
    keys = jax.random.split(jax.random.key(7), num_agents)
    params = networks.init_population(keys, env.observation_space().shape[0], env.num_actions, (8,))
    # The first policy is nearly uniform: larger last kernels make agents that differ.
    params["actor"]["1"]["kernel"] *= 300.0
    return params


@cache
def played() -> Results:
    return play(markets(), population_player(), population()["actor"])


def slow_episode(actor, index: int):
    """One agent in one market, step by step on the host: (info of the last step, equity path, inventories)."""
    env, params = markets().env, jax.tree.map(lambda leaf: leaf[index], markets().params)
    reset, step = jax.jit(env.reset_env), jax.jit(env.step_env)
    obs, state = reset(markets().key[index], params)
    equity, held, done, info = [], [], False, {}
    while not done:
        held.append(abs(int(state.account.inventory_lots)))
        action = jnp.argmax(networks.logits(actor, obs))
        obs, state, _, terminated, info = step(markets().key[index], state, action, params)
        equity.append(float(info["pnl_tick_lots"]))
        done = bool(terminated | env.is_truncated(state, params))
    return info, equity, held


def test_the_batched_program_is_the_episode_played_step_by_step():
    for agent, episode in ((0, 0), (2, 5)):
        actor = jax.tree.map(lambda leaf, a=agent: leaf[a], population()["actor"])
        info, equity, held = slow_episode(actor, episode)
        got = Results(*(field[agent, episode] for field in played()))
        assert got.num_steps == len(equity) == 12
        assert got.pnl_tick_lots == equity[-1]
        assert got.num_fills == int(info["num_fills"]) and got.traded_lots == int(info["traded_lots"])
        assert got.mean_abs_inventory_lots == pytest.approx(np.mean(held))
        assert got.final_inventory_lots == int(info["inventory"])
        fall = max(max([0.0, *equity[: i + 1]]) - equity[i] for i in range(len(equity)))
        assert got.max_drawdown_tick_lots >= fall - 1e-4
    assert len({tuple(pnl) for pnl in played().pnl_tick_lots}) == 3  # the agents do differ


def test_memory_bounds_do_not_change_a_bit():
    seen = []
    small = play(
        markets(), population_player(), population()["actor"], max_markets=4, progress=lambda *at: seen.append(at)
    )
    for a, b in zip(small, played(), strict=True):
        assert np.array_equal(a, b)
    assert len(seen) > 3 and seen[-1] == (18, 18)
    assert [at[0] for at in seen] == sorted(at[0] for at in seen)


@pytest.mark.parametrize(
    ("strategies", "episodes", "bound"), [(3, 6, 4), (1, 5, 100), (7, 33, 20), (100, 8, 64), (5, 3, 1)]
)
def test_chunks_cover_every_pair_in_one_shape_within_the_bound(strategies: int, episodes: int, bound: int):
    chunks = list(_chunks(strategies, episodes, bound))
    assert len({(len(rows), len(columns)) for rows, columns in chunks}) == 1
    pairs = {(int(r), int(c)) for rows, columns in chunks for r in rows for c in columns}
    assert pairs == {(r, c) for r in range(strategies) for c in range(episodes)}
    devices = jax.device_count()
    whole = -(-max(bound, devices) // devices) * devices  # every device gets the same number of episodes
    assert max(len(rows) * len(columns) for rows, columns in chunks) <= whole


def test_every_strategy_meets_the_same_market():
    """Two strategies that do the same thing have the same episodes, whoever they are and however many play."""
    idle = jax.tree.map(jnp.zeros_like, population()["actor"])  # all logits equal: action 0, no quotes
    nobody = play(markets(), population_player(), idle)
    assert not nobody.num_fills.any() and not nobody.pnl_tick_lots.any()
    join = jax.tree.map(jnp.zeros_like, population()["actor"])
    join["1"]["bias"] = join["1"]["bias"].at[:, JOIN].set(1.0)
    by_agents = play(markets(), population_player(), join)
    by_strategy = play(
        markets(),
        strategy_player(),
        strategy_params([("constant_action", {"action": float(JOIN)})] * 2 + [("glft", {})]),
    )
    for a, b in zip(by_agents, by_strategy, strict=True):
        assert np.array_equal(a[:2], b[:2]) and np.array_equal(a[0], a[1])
    assert by_agents.num_fills.sum() > 0
    more = simulated_markets(markets().env, "validation", EPISODES + 3)
    assert (jax.random.key_data(more.key[:EPISODES]) == jax.random.key_data(markets().key)).all()


def test_a_classical_strategy_earns_here_what_it_earns_in_its_own_runner():
    name, values = "avellaneda_stoikov", {"gamma": 0.01, "k": 0.8}
    params = jax.tree.map(jnp.asarray, markets().params)
    vector = market_making_vector(markets().env)
    strategy = batch_params(STRATEGIES[name], EPISODES, **values)
    run = baselines_run.run_strategy(vector, name, strategy, params, markets().key, 12)
    # The runner folds its own key for the reset.
    same = markets()._replace(key=jax.vmap(jax.random.fold_in, in_axes=(0, None))(markets().key, 0))
    got = play(
        same, strategy_player(), strategy_params([("constant_action", {"action": 0.0}), (name, values), (name, {})])
    )
    assert np.array_equal(np.asarray(run.info["episode_pnl"][-1]), got.pnl_tick_lots[1])
    assert got.num_fills[1].sum() > 0 and not got.num_fills[0].any()
    assert not np.array_equal(got.pnl_tick_lots[1], got.pnl_tick_lots[2])


def test_the_ensemble_of_one_is_that_agent_and_of_three_their_average():
    actor = population()["actor"]
    one = ensemble.take_members(population(), [1], [1.0])
    alone = play(markets(), ensemble_player(), jax.tree.map(lambda leaf: leaf[None], one))
    assert np.array_equal(alone.pnl_tick_lots[0], played().pnl_tick_lots[1])
    three = ensemble.take_members(population(), [0, 1, 2], [0.5, 0.25, 0.25])
    obs = jax.random.normal(jax.random.key(1), (50, actor["0"]["kernel"].shape[1]))
    scores = np.asarray(jax.vmap(networks.logits, in_axes=(0, None))(actor, obs), np.float64)
    probs = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    average = np.einsum("m,mba->ba", [0.5, 0.25, 0.25], probs)
    assert np.allclose(ensemble.probabilities(three, obs)[0], average, atol=1e-6)
    apart = np.einsum("m,mb->b", [0.5, 0.25, 0.25], 0.5 * np.abs(probs - average).sum(axis=-1))
    assert np.allclose(ensemble.probabilities(three, obs)[1], apart, atol=1e-6)
    assert np.array_equal(ensemble.act(three, obs), average.argmax(axis=-1))


def test_a_sampled_policy_draws_from_its_probabilities():
    sampled = play(markets(), population_player(sampled=True), population()["actor"])
    assert not np.array_equal(sampled.pnl_tick_lots, played().pnl_tick_lots)
    certain = jax.tree.map(jnp.zeros_like, population()["actor"])
    certain["1"]["bias"] = certain["1"]["bias"].at[:, JOIN].set(200.0)
    a = play(markets(), population_player(sampled=True), certain)
    b = play(markets(), population_player(), certain)
    assert np.array_equal(a.pnl_tick_lots, b.pnl_tick_lots)
    assert int(policy.sample_action(jnp.zeros(36).at[JOIN].set(200.0), jnp.float32(0.999))) == JOIN


def test_members_that_do_not_exist_are_refused():
    for members, shares, sentence in (
        ([3], [1.0], r"agents 0\.\.2"),
        ([], [], "at least one"),
        ([0, 1], [0.5, 0.6], "sum 1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            ensemble.take_members(population(), members, shares)


def test_the_seed_ranges_are_disjoint_and_cover_what_a_key_takes():
    ranges = sorted(SEED_RANGES.values())
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ranges))
    assert SEED_RANGES["train"] == (0, 2**31)  # TrainConfig.seed is below 2^31
    seeds = {split: simulated_markets(markets().env, split, 4).seed.tolist() for split in SEED_RANGES}
    assert len({seed for split in seeds.values() for seed in split}) == 12
    assert all(SEED_RANGES[split][0] <= min(s) <= max(s) < SEED_RANGES[split][1] for split, s in seeds.items())
    with pytest.raises(ValueError, match="split 'holdout' is not one of train, validation, test"):
        simulated_markets(markets().env, "holdout", 4)
    with pytest.raises(ValueError, match="episodes 0 is outside"):
        simulated_markets(markets().env, "test", 0)


BOOK = [
    row(spec.LIMIT, spec.BUY, 5, 100, 1),
    row(spec.LIMIT, spec.BUY, 20, 98, 2),
    row(spec.LIMIT, spec.SELL, 5, 110, 3),
    row(spec.LIMIT, spec.SELL, 20, 113, 4),
]


def test_a_recorded_window_is_an_episode_with_a_known_result():
    """Our bid joins 5 lots at 100; 8 are sold into it: 3 to us, marked at (98 + 110) / 2 = 104. Then the rows end."""
    background = [row(spec.NOP), row(spec.IOC, spec.SELL, 8, 100, 50), row(spec.NOP)]
    env = replay_market_making(BOOK, background, liquidate=0, max_steps_in_episode=9)
    join = strategy_params([("constant_action", {"action": JOIN})])
    result = play(recorded_markets(env), strategy_player(), join)
    assert result.num_steps.tolist() == [[3]]  # an episode that ended early stands as it ended
    assert result.pnl_tick_lots.tolist() == [[3 * 4.0]]
    assert result.num_fills.tolist() == [[1]] and result.final_inventory_lots.tolist() == [[3]]
    assert result.mean_abs_inventory_lots.tolist() == [[1.0]]  # 0, 0, 3 lots at the three decisions
    assert recorded_markets(env).source == "replay" and recorded_markets(env).split == "test"
    with pytest.raises(ValueError, match="split 'all' is not one of"):
        recorded_markets(env, "all")


def test_results_that_cannot_be_right_are_refused():
    good = Results(*(np.ones((2, 3), np.int32) for _ in Results._fields))._replace(overflows=np.zeros((2, 3), np.int32))
    assert _checked(good) is good
    with pytest.raises(ValueError, match="did not end within max_steps_in_episode"):
        _checked(good._replace(num_steps=np.array([[1, -1, 1], [1, 1, 1]])))
    with pytest.raises(ValueError, match=r"2 episodes passed a capacity \(up to 7 times\)"):
        _checked(good._replace(overflows=np.array([[0, 7, 0], [0, 1, 0]])))


def test_strategies_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="strategy 'luck' is not one of do_nothing"):
        strategy_params([("luck", {})])
    with pytest.raises(ValueError, match="glft has no parameter 'luck'"):
        strategy_params([("do_nothing", {}), ("glft", {"luck": 1.0})])
