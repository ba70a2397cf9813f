"""Several learners in one book: cash and inventory add up, messages take turns, each sees its own, rows for agents."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.execution import child, quotes
from kernels.features.table import FEATURE_NAMES, NUM_FEATURES
from kernels.lob import spec
from sim.multi_agent_types import Learners
from sim.multi_agent_vector import MultiAgentVector
from sim.registry import make_multi_agent
from sim.vector import broadcast_params
from tests.support.markets import CONFIG, replay_multi_agent, row, small_calibration

KEY = jax.random.key(0)
BOOK = [
    row(spec.LIMIT, spec.BUY, 5, 100, 1),
    row(spec.LIMIT, spec.BUY, 20, 98, 2),
    row(spec.LIMIT, spec.SELL, 5, 110, 3),
    row(spec.LIMIT, spec.SELL, 20, 113, 4),
]
TAKE = child.encode(child.TWAP, child.CROSS)
IDLE = quotes.DO_NOTHING
THREE = CONFIG._replace(market=CONFIG.market._replace(num_learners=3))


def code(bid, ask):
    return quotes.CODE_NAMES.index(bid) * quotes.NUM_CODES + quotes.CODE_NAMES.index(ask)


@cache
def still():
    """Two makers and an executor alone in a book in which nothing else happens; nobody may trade with himself."""
    background = [row(spec.NOP)] * 6
    return replay_multi_agent(BOOK, background, Learners(2, 1), self_trade=spec.SELF_TRADE_CANCEL_TAKER)


@cache
def lively():
    """Two makers and two executors in the small market, one buying and one selling."""
    return make_multi_agent(
        small_calibration(),
        num_executors=2,
        config=CONFIG._replace(market=CONFIG.market._replace(num_learners=4)),
        pool_size=4,
        max_steps_in_episode=8,
        horizon=np.array([6, 0], np.int32),
        makers={"quote_lots": [10, 4], "inventory_cap_lots": 60, "latency_ns": [10_000_000, 17_000_000]},
        executors={"parent_lots": 90, "side": [0, 1], "cross_tick": 4, "latency_ns": [23_000_000, 29_000_000]},
    )


@cache
def compiled(env):
    """Return the compiled step, which also returns the engine's output, and the compiled reset."""
    seen, advance = [], env.venue.advance

    def recording(*args):
        result = advance(*args)
        seen.append(result[1])
        return result

    env.venue.advance = recording
    step = jax.jit(lambda state, action, params: (env.step_env(KEY, state, action, params), seen[-1]))
    return step, jax.jit(env.reset_env)


def play(env, actions, seed=0, params=None):
    """Return the start state and, for each row of actions, (obs, state, reward, terminated, info, engine's output)."""
    params = env.default_params if params is None else params
    step, reset = compiled(env)
    obs, state = reset(jax.random.key(seed), params)
    start, rows = (obs, state), []
    for action in actions:
        (*result, info), out = step(state, jnp.asarray(action, jnp.int32), params)
        state = result[1]
        rows.append((*result, info, out))
    return start, rows


def cash_and_lots(start, state):
    """Return what each learner holds in cash (half tick-lots) and has traded in lots, from its account."""
    held, work, opened = state.accounts, state.parents.account, start.parents.account
    whole = [np.asarray(leaf, np.int64) for leaf in (held.pnl_half_tick_lots, held.inventory_lots, held.mark_half_tick)]
    makers = whole[0] - whole[1] * whole[2], whole[1]
    traded = np.asarray(work.inventory_lots, np.int64) - np.asarray(opened.inventory_lots, np.int64)
    executors = (
        np.asarray(work.pnl_half_tick_lots, np.int64) - traded * np.asarray(work.mark_half_tick, np.int64),
        traded,
    )
    return tuple(np.concatenate(pair) for pair in zip(makers, executors, strict=True))


def test_cash_and_inventory_of_learners_and_background_sum_to_zero_and_fees_add_up():
    env = lively()
    size, rng = env.learners.size, np.random.default_rng(1)
    actions = rng.integers(1, env.num_actions, (4, 7, size))
    actions[:2, :, :2] = code("improve", "improve")
    actions[:2, :, 2:] = TAKE
    between = 0
    for seed, sequence in enumerate(actions):
        (_, start), rows = play(env, sequence, seed)
        cash, lots, fees = np.zeros(size + 1, np.int64), np.zeros(size + 1, np.int64), np.zeros(size + 1)
        for *_, out in rows:
            for fill in np.asarray(out.fills, np.int64)[: int(out.num_fills)]:
                taker, maker_ = fill[spec.FILL_TAKER_OWNER], fill[spec.FILL_MAKER_OWNER]
                signed = fill[spec.FILL_LOTS] * (1 - 2 * fill[spec.FILL_TAKER_SIDE])
                for owner, change in ((taker, signed), (maker_, -signed)):
                    lots[owner] += change
                    cash[owner] -= 2 * change * fill[spec.FILL_PRICE_TICK]
                fees[taker] += 0.5 * abs(signed)
                fees[maker_] -= 0.25 * abs(signed)
                between += taker > 0 and maker_ > 0
                assert taker != maker_
        ours, traded = cash_and_lots(start, rows[-1][1])
        np.testing.assert_array_equal(ours, cash[1:])
        np.testing.assert_array_equal(traded, lots[1:])
        # The background's own side of its fills closes the system.
        assert ours.sum() + cash[0] == 0 and traded.sum() + lots[0] == 0
        info = rows[-1][4]
        np.testing.assert_allclose(info["fees_tick_lots"], fees[1:], atol=1e-3)
        np.testing.assert_array_equal(info["inventory"][2:], traded[2:])
        assert not np.asarray(info["overflows"]).any() and not rows[-1][3]
    assert between > 10


def test_learners_alone_trade_only_with_each_other_and_what_one_gains_another_loses():
    env = still()
    (_, start), rows = play(env, [[code("none", "middle"), code("none", "improve"), TAKE]] * 5)
    state = rows[-1][1]
    cash, lots = cash_and_lots(start, state)
    assert lots.sum() == 0 and cash.sum() == 0 and lots[2] == 10 and (lots[:2] <= 0).all()
    book, owner = state.market.book, np.asarray(state.market.book.owner)
    for side, expected in ((spec.BUY, {100: 5, 98: 20}), (spec.SELL, {110: 5, 113: 20})):
        resting = {
            int(book.price_tick[side, slot]): int(book.lots[side, slot])
            for slot in range(int(book.num_orders[side]))
            if owner[side, slot] == 0
        }
        assert resting == expected
    assert int(book.counters[spec.NUM_SELF_TRADES]) == 0


def test_who_enters_first_turns_with_the_time():
    both = [code("middle", "none")] * 2, [code("improve", "none")] * 2
    _, rows = play(still(), [[*codes, IDLE] for codes in both])
    ahead = [np.asarray(row[1].view.own[:2, spec.BUY, spec.OWN_LOTS_AHEAD]).tolist() for row in rows]
    prices = [np.asarray(row[1].view.own[:2, spec.BUY, spec.OWN_PRICE_TICK]).tolist() for row in rows]
    assert ahead[0] == [0, 10] and prices[0][0] == prices[0][1] == 104
    assert prices[1][0] == prices[1][1] and ahead[1] == [10, 0]


def test_a_learner_sees_its_own_orders_apart_and_those_of_others_as_the_market():
    _, rows = play(still(), [[code("middle", "none"), IDLE, IDLE]])
    obs = np.asarray(rows[0][0])
    flag, spread = FEATURE_NAMES.index("own_bid_present"), FEATURE_NAMES.index("spread")
    assert (obs[:, flag] > 0).tolist() == [True, False, False]
    assert obs[0, spread] > obs[1, spread] == obs[2, spread]
    assert obs[:, -2:].tolist() == [[1, 0], [1, 0], [0, 1]]
    assert not obs[:2, NUM_FEATURES:-2].any() and obs[2, NUM_FEATURES:-2].any()


def test_permuted_learners_of_a_role_have_permuted_results():
    env = lively()
    order = np.array([1, 0, 3, 2])
    params = env.default_params
    swap = lambda tree: jax.tree.map(lambda leaf: leaf[::-1], tree)  # noqa: E731
    swapped = params.replace(makers=swap(params.makers), executors=swap(params.executors))
    actions = np.random.default_rng(4).integers(1, env.num_actions, (8, 4))
    rows, others = play(env, actions)[1], play(env, actions[:, order], params=swapped)[1]
    for (obs, _, reward, ended, info, _), (other_obs, _, other_reward, other_ended, other_info, _) in zip(
        rows, others, strict=True
    ):
        np.testing.assert_array_equal(obs, other_obs[order])
        np.testing.assert_array_equal(reward, other_reward[order])
        assert ended == other_ended
        for name, value in info.items():
            np.testing.assert_array_equal(value, other_info[name][order], err_msg=name)
    assert rows[-1][3] and np.asarray(rows[-1][4]["num_fills"]).min() > 0


def test_at_the_end_makers_are_flat_and_parents_are_done():
    env = lively()
    info = play(env, np.full((8, 4), code("join", "join")))[1][-1][4]
    assert not np.asarray(info["inventory"][:2]).any() and not np.asarray(info["lots_left"]).any()


@pytest.mark.slow
def test_rows_of_the_vector_are_the_learners_of_each_market():
    env = lively()
    vector = MultiAgentVector(env)
    params = broadcast_params(env.default_params, 8)
    keys = jax.random.split(jax.random.key(9), 8)
    state, obs = jax.jit(vector.reset)(keys, params)
    step = jax.jit(vector.step)
    actions = np.random.default_rng(2).integers(1, env.num_actions, (8, 8))
    results = []
    for action in actions:
        state, result = step(keys, state, jnp.asarray(action, jnp.int32), params)
        results.append(result)
    assert obs.shape == (8, vector.obs_dim) and all(leaf.shape[0] == 8 for leaf in jax.tree.leaves(state))
    single, reset = compiled(env)
    for market in range(2):
        rows = slice(4 * market, 4 * market + 4)
        first, one = reset(keys[4 * market], env.default_params)
        np.testing.assert_allclose(obs[rows], first, atol=1e-6)
        for action, result in zip(actions, results, strict=True):
            (seen, one, reward, ended, _), _ = single(one, jnp.asarray(action[rows], jnp.int32), env.default_params)
            np.testing.assert_allclose(result.final_obs[rows], seen, atol=1e-6)
            np.testing.assert_allclose(result.reward[rows], reward, rtol=1e-5, atol=1e-6)
            assert (np.asarray(result.terminated[rows]) == bool(ended)).all()
    assert np.asarray(results[-1].terminated).all() and not np.asarray(state.time).any()
    assert np.asarray(results[-1].info["episode_pnl"]).any() and results[-1].info["num_fills"].shape == (8,)
    roles = vector.by_role(results[-1].reward)
    np.testing.assert_array_equal(roles["maker"][1], results[-1].reward[4:6])
    np.testing.assert_array_equal(roles["executor"][0], results[-1].reward[2:4])
    with pytest.raises(ValueError, match="7 rows are not a multiple of the 4 learners"):
        vector.reset(keys[:7], broadcast_params(env.default_params, 7))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"makers": {"quote_lot": 3}}, "makers: EnvParams has no field 'quote_lot'"),
        ({"makers": {"quote_lots": [1, 2, 3]}}, r"makers: quote_lots has shape \(3,\); valid: one value, or one for"),
        ({"executors": {"parent_lots": 0}}, "parent_lots 0 is not an integer in 1"),
        ({"num_executors": 0}, "at least one maker and one executor, at most 16"),
        ({"config": CONFIG}, "market.num_learners 1 is not the 3 of"),
        ({"max_steps": 3}, "MultiAgentParams has no field 'max_steps'"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        make_multi_agent(small_calibration(), **{"pool": lively().pool, "config": THREE, **options})
