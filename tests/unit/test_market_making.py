"""The market-making environment on hand-written messages: every fill, reward and end is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.execution import quotes
from kernels.execution.quotes import Quotes
from kernels.features.table import FEATURE_NAMES
from kernels.lob import spec
from sim.accounts import FeeRates
from sim.market_making_types import EnvParams, MarketMakingConfig
from tests.support.markets import CONFIG, replay_market_making, row

KEY = jax.random.key(0)
BOOK = [
    row(spec.LIMIT, spec.BUY, 5, 100, 1),
    row(spec.LIMIT, spec.BUY, 20, 98, 2),
    row(spec.LIMIT, spec.SELL, 5, 110, 3),
    row(spec.LIMIT, spec.SELL, 20, 113, 4),
]
QUIET = row(spec.NOP)


def play(env, actions, params=None):
    """Return the list of (state, reward, terminated, truncated, info) of a sequence of actions."""
    params = env.default_params if params is None else params
    _, state = env.reset_env(KEY, params)
    step = env.step_env  # op by op: the operations are compiled once for all tests
    rows = []
    for action in actions:
        _, state, reward, terminated, info = step(KEY, state, jnp.int32(action), params)
        rows.append((state, float(reward), bool(terminated), bool(env.is_truncated(state, params)), info))
    return rows


def code(bid, ask):
    return quotes.CODE_NAMES.index(bid) * quotes.NUM_CODES + quotes.CODE_NAMES.index(ask)


def column(env, state, name):
    return int(env.columns(state, env.default_params)[FEATURE_NAMES.index(name)])


JOIN, IDLE = code("join", "join"), quotes.DO_NOTHING
FEES = FeeRates(0.0, 0.0, 0.5, 1.0)


def test_a_joined_quote_waits_behind_the_queue_and_earns_the_half_spread_less_the_fee():
    # Row 1 lets our orders in behind 5 lots; row 2 sells 8: 5 to the queue, 3 to us at 100, mid 99.5 afterwards.
    background = [QUIET, row(spec.IOC, spec.SELL, 8, 100, 50), QUIET]
    env = replay_market_making(BOOK, background, fees=FEES, liquidate=0)
    (first, reward, *_), (second, fill_reward, *_), (_, _, terminated, truncated, info) = play(env, [JOIN] * 3)
    assert reward == 0.0 and column(env, first, "own_bid_lots_ahead") == 5
    assert int(second.account.inventory_lots) == 3
    # The level of others at 100 is gone: best bid 98, mid 104. 3 lots bought at 100 are worth 4 each, fee 0.5 each.
    assert fill_reward == 3 * (104 - 100) - 3 * 0.5
    assert column(env, second, "own_bid_lots") == 7 and column(env, second, "own_bid_behind") == -2
    assert not terminated and truncated
    assert int(info["num_fills"]) == 1 and int(info["traded_lots"]) == 3 and int(info["inventory"]) == 3
    assert float(info["pnl_tick_lots"]) == fill_reward


def test_the_end_closes_the_inventory_through_the_book_at_the_takers_fee():
    background = [QUIET, row(spec.IOC, spec.SELL, 15, 100, 50), QUIET]
    env = replay_market_making(BOOK, background, fees=FEES, liquidation_beyond_tick=7)
    rows = play(env, [JOIN] * 3)
    state, reward, terminated, truncated, info = rows[-1]
    assert terminated and not truncated and int(state.account.inventory_lots) == 0
    # 10 lots bought at 100 and sold into the 20 at 98.
    assert reward == 10 * (98 - 104) - 10 * 1.0
    assert float(info["pnl_tick_lots"]) == 10 * (98 - 100) - 10 * 0.5 - 10 * 1.0
    assert sum(r[1] for r in rows) == float(info["pnl_tick_lots"])


def test_lots_beyond_the_visible_depth_lose_what_the_parameter_says():
    thin = [row(spec.LIMIT, spec.BUY, 1, 100, 1), row(spec.LIMIT, spec.SELL, 5, 110, 3)]
    background = [QUIET, row(spec.IOC, spec.SELL, 5, 100, 50), row(spec.LIMIT, spec.BUY, 1, 99, 60)]
    env = replay_market_making(thin, background, liquidation_beyond_tick=7)
    _, _, terminated, _, info = play(env, [JOIN, JOIN, IDLE])[-1]
    # 4 lots bought at 100; 1 sold at 99, 3 at 99 - 7.
    assert terminated and float(info["pnl_tick_lots"]) == -400 + 99 + 3 * 92


def test_doing_nothing_is_worth_exactly_nothing():
    background = [row(spec.IOC, spec.SELL, 8, 98, 50), row(spec.LIMIT, spec.BUY, 3, 105, 51), QUIET]
    rows = play(replay_market_making(BOOK, background), [IDLE] * 3)
    assert [r[1] for r in rows] == [0.0, 0.0, 0.0]
    assert float(rows[-1][-1]["pnl_tick_lots"]) == 0.0 and int(rows[-1][-1]["num_fills"]) == 0


def test_our_messages_arrive_after_their_latency_and_never_before_one_event():
    later = [row(spec.NOP, at_ns=1_000_000), row(spec.NOP, at_ns=2_500_000), row(spec.NOP, at_ns=4_000_000)]
    env = replay_market_making(BOOK, later, latency_ns=2_000_000)
    states = [r[0] for r in play(env, [JOIN, JOIN, JOIN])]
    assert [column(env, s, "own_bid_present") for s in states] == [0, 1, 1]
    assert [column(env, s, "own_bid_pending") for s in states] == [1, 0, 0]
    # One order a side although two decisions were made before the first arrived.
    assert int(states[-1].market.book.num_orders[0]) == 3


def test_the_cap_holds_even_if_the_order_that_is_replaced_fills_first():
    # Our bid at 100 fills 10, then the cap leaves room for 15: the next orders are limited by what may still fill.
    background = [
        QUIET,
        row(spec.IOC, spec.SELL, 15, 100, 50),
        QUIET,
        row(spec.IOC, spec.SELL, 100, 90, 51),
        QUIET,
        QUIET,
    ]
    env = replay_market_making(BOOK, background, inventory_cap_lots=15, liquidate=0)
    rows = play(env, [JOIN, JOIN, JOIN, code("improve", "none"), JOIN, JOIN])
    held = [int(r[0].account.inventory_lots) for r in rows]
    assert held[1] == 10 and max(held) == 15


def test_the_inventory_penalty_is_the_written_formula():
    background = [QUIET, row(spec.IOC, spec.SELL, 8, 100, 50), QUIET]
    plain = play(replay_market_making(BOOK, background, liquidate=0), [JOIN] * 3)
    held = play(replay_market_making(BOOK, background, liquidate=0, inventory_penalty=2.0), [JOIN] * 3)
    assert [b[1] - a[1] for a, b in zip(plain, held, strict=True)] == pytest.approx([0.0, -1.8, -1.8])


def test_a_reward_counts_the_share_of_the_mark_that_it_is_told_to_and_the_result_all_of_it():
    # 3 lots bought at 100, worth 104; then a bid at 105 moves the mid from 104 to 107.5.
    background = [QUIET, row(spec.IOC, spec.SELL, 8, 100, 50), row(spec.LIMIT, spec.BUY, 3, 105, 51)]
    whole = play(replay_market_making(BOOK, background, liquidate=0), [JOIN] * 3)
    quarter = play(replay_market_making(BOOK, background, liquidate=0, held_mark_share=0.25), [JOIN] * 3)
    assert [r[1] for r in whole] == [0.0, 12.0, 10.5]
    assert [r[1] for r in quarter] == [0.0, 12.0, 0.25 * 10.5]
    assert float(quarter[-1][-1]["pnl_tick_lots"]) == 22.5


def test_our_own_quote_does_not_move_our_mark():
    env = replay_market_making(BOOK, [QUIET, QUIET], liquidate=0)
    state = play(env, [code("middle", "none")] * 2)[0][0]
    assert column(env, state, "own_bid_present") == 1 and int(state.view.depth[0, 0, 0]) == 104
    assert int(state.account.mark_half_tick) == 210


def test_our_quote_does_not_chase_itself():
    env = replay_market_making(BOOK, [QUIET] * 3, liquidate=0)
    states = [r[0] for r in play(env, [code("improve", "improve")] * 3)]
    for side, price in ((spec.BUY, 101), (spec.SELL, 109)):
        assert [int(s.view.own[side, spec.OWN_PRICE_TICK]) for s in states] == [price] * 3
        assert len({int(s.view.own[side, spec.OWN_ORDER_ID]) for s in states}) == 1


def test_native_prices_pass_the_same_limits():
    env = replay_market_making(BOOK, [QUIET, QUIET], liquidate=0)
    _, state = env.reset_env(KEY, env.default_params)
    wanted = Quotes(jnp.array([True, True]), jnp.array([104, 60], jnp.int32))
    _, state, *_ = env.step_quotes(KEY, state, wanted, env.default_params)
    assert [int(state.view.own[s, spec.OWN_PRICE_TICK]) for s in (0, 1)] == [104, 105]


def test_a_recording_that_ends_ends_the_episode():
    env = replay_market_making(BOOK, [QUIET, QUIET, QUIET], max_steps_in_episode=100)
    ends = [r[2] for r in play(env, [IDLE] * 3)]
    assert ends == [False, False, True]


def test_a_step_of_several_events_takes_as_many_rows():
    background = [row(spec.NOP, at_ns=i + 1) for i in range(6)]
    env = replay_market_making(BOOK, background, events=3)
    states = [r[0] for r in play(env, [IDLE] * 2)]
    assert [int(s.row) for s in states] == [3, 6]
    assert [int(s.market.meta[spec.META_CLOCK_NS]) for s in states] == [3, 6]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("latency_ns", -1, "latency_ns -1 is not an integer in 0..2000000000"),
        ("quote_lots", 0, "quote_lots 0 is not an integer in 1"),
        ("num_starts", 2, "num_starts 2 is not an integer in 1..1"),
        ("inventory_penalty", np.nan, "inventory_penalty nan is not finite"),
        ("horizon", np.array([0, 0]), "events >= 1"),
        ("liquidate", 2, "liquidate 2 is not an integer in 0..1"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        replay_market_making(BOOK, [QUIET], **{field: value})


def test_a_configuration_that_cannot_work_is_refused_by_name():
    shallow = CONFIG.market._replace(lob=CONFIG.market.lob._replace(depth_levels=3))
    with pytest.raises(ValueError, match="depth_levels 3 is below 5"):
        type(replay_market_making(BOOK, [QUIET]))(
            MarketMakingConfig(shallow), *_parts(replay_market_making(BOOK, [QUIET]))
        )


def _parts(env):
    return env.flow, env.pool, EnvParams(flow_params=env.default_params.flow_params)
