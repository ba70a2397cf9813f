"""The market step and the environment over a recorded book of levels, an order of ours resting in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.execution import quotes
from kernels.lob import spec
from kernels.lob.spec import LobConfig
from market_models.datasets import binance_raw
from market_models.datasets.depth_trading import to_trading_stream
from market_models.registry import get_flow
from sim.engine import api
from sim.engine.types import MarketConfig
from sim.market_making_types import EnvParams, MarketMakingConfig
from sim.recorded_depth import cut_time_windows, make_recorded_depth
from tests.support.binance_feed import START_MS, Feed

KEY = jax.random.key(0)
OURS = spec.FIRST_AGENT_ORDER_ID
WINDOW = 56
PARAMS = EnvParams(
    max_steps_in_episode=5,
    horizon=np.array([1, 4000], np.int32),
    quote_lots=2,
    inventory_cap_lots=20,
    latency_ns=0,
    inventory_penalty=0.0,
)


def lob(capacity=64, model=spec.QUEUE_BACK_FIRST):
    return LobConfig(capacity, 64, 10, spec.FILLS_OWNED, queue_model=model)


def stream_of(feed, folder, window=WINDOW):
    session = binance_raw.open_session([feed.write(folder)], tick_size="1", lot_size="1")
    return to_trading_stream(session, window)


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Return a market of 100 ms whose best levels change every millisecond, with a seller now and then."""
    feed = Feed().snapshot([["99", "10"], ["98", "9"], ["97", "9"]], [["101", "10"], ["102", "9"], ["103", "9"]])
    for i in range(100):
        if i % 5 == 2:
            feed.trade("SELL", "99", "2", at=i + 1)
        feed.depth([["99", str(10 + i % 7)]], [["101", str(5 + i % 3)]], at=i + 1)
    return stream_of(feed, tmp_path_factory.mktemp("moving"))


@pytest.mark.parametrize(
    ("model", "filled", "ahead"),
    [
        # Seven of 17 are cancelled: 10, ceil(11 x 10 / 17) = 7 or 4 stay ahead of us, then a seller takes seven.
        (spec.QUEUE_BACK_FIRST, 0, 3),
        (spec.QUEUE_PROPORTIONAL, 0, 0),
        (spec.QUEUE_FRONT_FIRST, 3, 0),
    ],
)
def test_the_market_step_fills_a_resting_order_of_ours_by_its_queue_model(tmp_path, model, filled, ahead):
    feed = Feed().snapshot([["99", "10"]], [["101", "10"]]).depth([["99", "11"]], at=1)
    feed.depth([["99", "17"]], at=4).depth([["99", "10"]], at=5)  # we join behind 11 at 3; then 6 come and 7 go
    feed.trade("SELL", "99", "7", at=6).depth([["99", "3"]], at=7)
    feed.depth([["98", "1"]], at=20)
    stream = stream_of(feed, tmp_path)
    config = MarketConfig(lob(model=model), inbox=8, num_learners=1)
    step = jax.jit(api.make_market_step(config, get_flow("replay")))
    state = api.init_market(config, spec.empty_book(config.lob))
    start_s, start_ns = divmod((START_MS + 3) * 10**6, 10**9)
    order = jnp.array([[spec.LIMIT, spec.BUY, 3, 99, OURS, 1, start_s, start_ns]], jnp.int32)
    horizon = jnp.array([len(stream.messages), 0], jnp.int32)
    _, out = step(state, order, jnp.zeros(1, jnp.int32), jnp.asarray(stream.messages), horizon)
    fills = np.asarray(out.fills)[: int(out.num_fills)]
    assert int(fills[:, spec.FILL_LOTS].sum()) == filled
    own = np.asarray(out.own)[0, spec.BUY]
    assert (own[spec.OWN_LOTS], own[spec.OWN_LOTS_AHEAD]) == (3 - filled, ahead)


def test_a_message_that_arrived_before_a_batch_is_served_before_all_of_it(tmp_path):
    feed = Feed().snapshot([["99", "10"]], [["101", "10"]]).depth([["99", "11"]], at=1)
    feed.depth([["99", "0"], ["98", "4"]], [["101", "0"], ["99", "6"]], at=5)
    stream = stream_of(feed, tmp_path)
    config = MarketConfig(lob(), inbox=8, num_learners=1)
    step = jax.jit(api.make_market_step(config, get_flow("replay")))
    s, ns = divmod((START_MS + 5) * 10**6, 10**9)  # at the very time of the batch
    orders = [[spec.LIMIT, spec.BUY, 3, 100, OURS, 1, s, ns], [spec.IOC, spec.SELL, 2, 99, OURS + 1, 1, s, ns]]
    state = api.init_market(config, spec.empty_book(config.lob))
    horizon = jnp.array([10**6, 20_000], jnp.int32)
    state = state._replace(meta=state.meta.at[spec.META_CLOCK_S].set(s))
    _, out = step(state, jnp.array(orders, jnp.int32), jnp.zeros(1, jnp.int32), jnp.asarray(stream.messages), horizon)
    fills = np.asarray(out.fills)[: int(out.num_fills), [spec.FILL_LOTS, spec.FILL_PRICE_TICK, spec.FILL_TAKER_OWNER]]
    # Our seller meets our own bid at 100; what is left of it is then quoted through.
    assert fills.tolist() == [[2, 100, 1], [1, 100, 0]]


def test_an_idle_agent_sees_the_recorded_touch_after_every_decision(moving):
    env = make_recorded_depth(MarketMakingConfig(MarketConfig(lob(), 16, 1)), moving, PARAMS)
    params = env.default_params
    assert env.pool.size == 4 and int(params.horizon[1]) == 4000
    step = jax.jit(env.step_env)
    for window in range(env.pool.size):
        here = params.replace(first_start=np.int32(window), num_starts=np.int32(1))
        _, state = env.reset_env(KEY, here)
        clock_ns = int(moving.time_ns[moving.ends[0] - 1]) + window * 5 * 4_000_000
        for _ in range(5):
            _, state, reward, *_ = step(KEY, state, jnp.int32(quotes.DO_NOTHING), here)
            clock_ns += 4_000_000
            last = np.searchsorted(moving.time_ns, clock_ns, side="right")
            touch = moving.touch[np.searchsorted(moving.ends, last, side="right") - 1]
            np.testing.assert_array_equal(np.asarray(state.view.depth)[:, 0], touch)
            meta = np.asarray(state.market.meta)
            assert divmod(clock_ns, 10**9) == (meta[spec.META_CLOCK_S], meta[spec.META_CLOCK_NS])
            assert int(state.row) == last and not np.any(reward)


def test_a_quoting_agent_waits_behind_the_recorded_queue_and_is_filled(moving):
    env = make_recorded_depth(MarketMakingConfig(MarketConfig(lob(model=2), 16, 1)), moving, PARAMS)
    params = env.default_params.replace(first_start=np.int32(0), num_starts=np.int32(1))
    _, state = env.reset_env(KEY, params)
    action = jnp.int32(quotes.CODE_NAMES.index("join") * quotes.NUM_CODES)
    step, seen = jax.jit(env.step_env), []
    for _ in range(5):
        _, state, _, _, info = step(KEY, state, action, params)
        seen.append(int(state.view.own[spec.BUY, spec.OWN_LOTS_AHEAD]))
    assert seen[0] > 0 and int(info["overflows"]) == 0 and int(state.account.num_fills) > 0


def test_windows_have_equal_length_and_stay_inside_the_span(moving):
    first, last = int(moving.time_ns[0]), int(moving.time_ns[-1])
    windows = cut_time_windows(moving, 4000, 5)
    assert windows.start_ns.tolist() == [first + 20_000_000 * i for i in range(4)]
    assert windows.row.shape == (4, 6) and windows.row[-1, -1] < len(moving.messages)
    for start, rows in zip(windows.start_ns.tolist(), windows.row, strict=True):
        bounds = start + 4_000_000 * np.arange(6)
        assert (moving.time_ns[rows] > bounds).all() and (moving.time_ns[rows - 1] <= bounds).all()
    overlapping = cut_time_windows(moving, 4000, 5, from_ns=first + 7, to_ns=last - 10_000_000, stride_ns=1_000_000)
    assert overlapping.start_ns[0] == first + 7 and np.all(np.diff(overlapping.start_ns) == 1_000_000)
    assert overlapping.start_ns[-1] + 20_000_000 <= last - 10_000_000


def test_what_cannot_be_an_episode_is_refused(moving):
    config = MarketMakingConfig(MarketConfig(lob(), 16, 1))
    with pytest.raises(ValueError, match="is shorter than one episode of 1000000000 ns"):
        make_recorded_depth(config, moving, PARAMS.replace(horizon=np.array([1, 200_000], np.int32)))
    with pytest.raises(ValueError, match="has no microseconds: a recorded batch would be cut in two"):
        make_recorded_depth(config, moving, PARAMS.replace(horizon=np.array([20, 0], np.int32)))
    wide = MarketMakingConfig(MarketConfig(lob(), 16, 1))
    with pytest.raises(ValueError, match="keeps 64 levels, capacity 64 leaves agents no room"):
        make_recorded_depth(wide, moving.__class__(**{**moving.__dict__, "window": 64}), PARAMS)


@pytest.mark.data
def test_an_idle_agent_sees_a_recorded_session_at_every_tenth_of_a_second(data_dir):
    path = data_dir / "l2/binance_raw/usdm/ethusdt_20240718.gz"
    stream = to_trading_stream(binance_raw.open_session([path]), 112)
    params = PARAMS.replace(max_steps_in_episode=200, horizon=np.array([1, 100_000], np.int32))
    env = make_recorded_depth(MarketMakingConfig(MarketConfig(lob(128), 16, 1)), stream, params)
    assert env.pool.size >= 5
    here = env.default_params.replace(first_start=np.int32(1), num_starts=np.int32(1))
    _, state = env.reset_env(KEY, here)
    rows = cut_time_windows(stream, 100_000, 200).row[1]

    def one(state, _):
        state = env.step_env(KEY, state, jnp.int32(quotes.DO_NOTHING), here)[1]
        return state, (state.view.depth[:, 0], state.row)

    _, (touch, row) = jax.jit(lambda state: jax.lax.scan(one, state, None, 200))(state)
    np.testing.assert_array_equal(row, rows[1:])
    batch = np.searchsorted(stream.ends, rows[1:], side="right") - 1
    told = stream.ends[batch] == rows[1:]  # else a trade has happened whose depth event is still to come
    assert told.sum() > 150
    np.testing.assert_array_equal(np.asarray(touch)[told], stream.touch[batch][told])
