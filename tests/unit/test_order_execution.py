"""Execution of a parent order in a book on hand-written messages: every fill, cost and end is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.execution import child
from kernels.features.table import FEATURE_NAMES, NUM_FEATURES
from kernels.lob import spec
from sim.accounts import FeeRates
from sim.executor import PARENT_COLUMNS
from tests.support.markets import replay_execution, row

KEY = jax.random.key(0)
BIDS, ASKS = [(100, 5), (98, 20)], [(110, 5), (113, 20)]
BOOK = [
    *(row(spec.LIMIT, spec.BUY, lots, price_tick, 1 + i) for i, (price_tick, lots) in enumerate(BIDS)),
    *(row(spec.LIMIT, spec.SELL, lots, price_tick, 3 + i) for i, (price_tick, lots) in enumerate(ASKS)),
]
QUIET = row(spec.NOP)
FEES = FeeRates(0.0, 0.0, 0.5, 1.0)
ARRIVAL = 105
TAKE = child.encode(child.TWAP, child.CROSS)
JOIN = child.encode(child.REST, child.JOIN)


def walked(levels, lots, beyond_tick=0):
    """Return what `lots` cost against the arrival mid, level by level; what is beyond the depth pays more."""
    cost = 0
    for price_tick, there in levels:
        taken = min(lots, there)
        cost += taken * abs(price_tick - ARRIVAL)
        lots -= taken
    return cost + lots * (abs(levels[-1][0] - ARRIVAL) + beyond_tick)


def play(env, actions):
    """Return the list of (state, reward, terminated, info) of a sequence of actions."""
    params = env.default_params
    _, state = env.reset_env(KEY, params)
    rows = []
    for action in actions:
        _, state, reward, terminated, info = env.step_env(KEY, state, jnp.asarray(action), params)
        rows.append((state, float(reward), bool(terminated), {name: float(value) for name, value in info.items()}))
        assert not env.is_truncated(state, params)
    return rows


def seen(env, state, name):
    return float(env.observe(KEY, state, None, env.default_params)[NUM_FEATURES + PARENT_COLUMNS.index(name)])


@pytest.mark.parametrize(("side", "levels"), [(spec.BUY, ASKS), (spec.SELL, BIDS)])
def test_a_twap_taker_in_a_still_book_costs_exactly_the_walked_depth_and_the_fees(side, levels):
    env = replay_execution(BOOK, [QUIET] * 3, side=side, fees=FEES, cross_tick=10)
    rows = play(env, [TAKE] * 3)
    assert [r[3]["lots_left"] for r in rows] == [8, 4, 0] and [r[2] for r in rows] == [False, False, True]
    cost = walked(levels, 12) + 12 * 1.0
    info = rows[-1][3]
    assert info["shortfall_tick_lots"] == cost == -info["pnl_tick_lots"] and info["fees_tick_lots"] == 12
    assert sum(r[1] for r in rows) == pytest.approx(-cost / 12, rel=1e-6)
    assert info["swept_lots"] == 0 and info["participation_frac"] == 1.0 and info["overflows"] == 0


@pytest.mark.parametrize(("lots", "beyond"), [(12, 0), (30, 5)])
def test_cancelling_everything_leaves_the_cost_of_the_last_market_order(lots, beyond):
    env = replay_execution(BOOK, [QUIET] * 3, parent_lots=lots, fees=FEES, liquidation_beyond_tick=7)
    rows = play(env, [child.DO_NOTHING] * 3)
    assert [r[1] for r in rows[:2]] == [0.0, 0.0] and [r[2] for r in rows] == [False, False, True]
    cost = walked(ASKS, lots, 7) + lots * 1.0
    assert (beyond > 0) == (cost > walked(ASKS, lots) + lots)
    info = rows[-1][3]
    assert info["shortfall_tick_lots"] == cost and info["swept_lots"] == lots == info["traded_lots"]
    assert info["lots_left"] == 0 and info["participation_frac"] == 0


def test_a_joined_child_waits_in_the_queue_and_gains_the_half_spread_less_the_fee():
    background = [QUIET, row(spec.IOC, spec.SELL, 8, 100, 50), QUIET]
    env = replay_execution(BOOK, background, fees=FEES)
    (first, reward, *_), (second, filled, _, info), *_ = play(env, [JOIN] * 3)
    assert reward == 0 and seen(env, first, "queue") == pytest.approx(5 / (5 + 12)) and seen(env, first, "working") == 1
    # 5 of the 8 lots went to the queue, 3 to us at 100: 5 below the arrival mid each, fee 0.5 each.
    assert info["lots_left"] == 9 and info["shortfall_tick_lots"] == -3 * 5 + 3 * 0.5
    assert filled == pytest.approx((3 * 5 - 3 * 0.5) / 12)
    assert seen(env, second, "queue") == 0 and seen(env, second, "left") == 0.75
    assert info["participation_frac"] == pytest.approx(3 / 8)
    inventory = env.columns(second, env.default_params)[FEATURE_NAMES.index("inventory")]
    assert int(inventory) == 3


def test_a_parent_that_is_filled_ends_its_episode():
    background = [QUIET, row(spec.IOC, spec.SELL, 17, 100, 50), QUIET, QUIET]
    rows = play(replay_execution(BOOK, background), [JOIN] * 2)
    assert [r[2] for r in rows] == [False, True]
    assert rows[-1][3]["swept_lots"] == 0 and rows[-1][3]["shortfall_tick_lots"] == -12 * 5


def test_a_recording_that_ends_takes_the_rest():
    env = replay_execution(BOOK, [QUIET] * 2, max_steps_in_episode=100)
    rows = play(env, [child.DO_NOTHING] * 2)
    assert [r[2] for r in rows] == [False, True] and rows[-1][3]["shortfall_tick_lots"] == walked(ASKS, 12)


def test_a_taker_pays_no_more_than_its_price_limit():
    # The ask at 110 is taken before our order arrives; the next is 3 ticks away.
    background = [row(spec.IOC, spec.BUY, 5, 110, 50), QUIET]
    for cross_tick, left in ((2, 12), (3, 6)):
        env = replay_execution(BOOK, background, cross_tick=cross_tick)
        assert play(env, [TAKE])[0][3]["lots_left"] == left


def test_messages_arrive_after_their_latency_and_one_child_at_a_time_lives():
    later = [row(spec.NOP, at_ns=1_000_000), row(spec.NOP, at_ns=2_500_000), row(spec.NOP, at_ns=4_000_000)]
    env = replay_execution(BOOK, later, latency_ns=2_000_000)
    states = [r[0] for r in play(env, [JOIN, JOIN, JOIN])]
    assert [seen(env, s, "working") for s in states[:2]] == [0, 1]
    assert int(states[-1].market.book.num_orders[0]) == 3


def test_an_order_that_fills_while_its_cancel_is_under_way_never_overfills_the_parent():
    # We join with all 12, then cross with all: the cancel and the taker arrive after the 12 are filled at 100.
    background = [QUIET, row(spec.IOC, spec.SELL, 17, 100, 50), QUIET, QUIET]
    rows = play(replay_execution(BOOK, background, cross_tick=10), [JOIN, child.encode(child.REST, child.CROSS)])
    assert rows[-1][3]["lots_left"] == 0 and rows[-1][3]["traded_lots"] == 12


def test_the_risk_penalty_is_the_written_formula():
    plain = play(replay_execution(BOOK, [QUIET] * 3, cross_tick=10), [TAKE] * 3)
    averse = play(replay_execution(BOOK, [QUIET] * 3, cross_tick=10, risk_penalty=6.0), [TAKE] * 3)
    penalties = [a[1] - b[1] for a, b in zip(plain, averse, strict=True)]
    assert penalties == pytest.approx([6.0 * left**2 / 12**2 for left in (8, 4, 0)], abs=1e-5)


def test_the_continuous_taker_is_the_discrete_one():
    table = play(replay_execution(BOOK, [QUIET] * 3, cross_tick=10), [TAKE] * 3)
    shaped = play(
        replay_execution(BOOK, [QUIET] * 3, cross_tick=10, continuous=True), [np.array([0.0, 1.0], np.float32)] * 3
    )
    assert [r[1] for r in shaped] == [r[1] for r in table]


def test_a_drawn_side_is_either_and_stays_for_the_episode():
    env = replay_execution(BOOK, [QUIET] * 3, side=2)
    reset = jax.vmap(env.reset_env, in_axes=(0, None))
    _, states = reset(jax.random.split(KEY, 32), env.default_params)
    assert 4 < int(states.parent.side.sum()) < 28
    sign = 2 * np.asarray(states.parent.side) - 1
    np.testing.assert_array_equal(states.parent.account.inventory_lots, 12 * sign)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("side", 3, "side 3 is not an integer in 0..2"),
        ("parent_lots", 0, "parent_lots 0 is not an integer in 1..1048576"),
        ("cross_tick", -1, "cross_tick -1 is not an integer in 0"),
        ("risk_penalty", -0.5, "risk_penalty -0.5 is below 0"),
        ("risk_penalty", np.inf, "risk_penalty inf is not finite"),
        ("latency_ns", -1, "latency_ns -1 is not an integer in 0"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        replay_execution(BOOK, [QUIET], **{field: value})


def test_a_start_without_a_mid_is_refused():
    with pytest.raises(ValueError, match="empty side: a parent order needs an arrival mid"):
        replay_execution(BOOK[:2], [QUIET])
