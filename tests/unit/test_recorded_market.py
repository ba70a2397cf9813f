"""Market making in a recorded session: windows, start books, and a background that is the recording."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.execution import quotes
from kernels.lob import spec
from market_models.datasets import lobster
from market_models.datasets.lobster_replay import to_trading_stream
from sim.market_making import MarketMaking
from sim.market_making_types import EnvParams, MarketMakingConfig
from sim.recorded_market import cut_windows, make_recorded
from sim.vector import broadcast_params, market_making_vector

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Return a small session: bids at 100 come, shrink, trade and go; one message every tenth of a second."""
    folder = tmp_path_factory.mktemp("recording")
    messages, books = [], []
    lots = {1: 50}
    for i in range(60):
        kind, order_id, size = [(1, 100 + i, 7), (4, 1 if i < 30 else 100 + i - 1, 1), (3, 100 + i - 2, 7)][i % 3]
        if i == 0 or kind == 1:
            lots[order_id] = size
        elif kind == 4:
            # The oldest order trades; it is the front of the queue.
            order_id = next(iter(lots))
            lots[order_id] -= size
        else:
            size = lots.pop(order_id)
        messages.append(f"{10 + i / 10:.1f},{kind},{order_id},{size},10000,1")
        books.append(f"11000,40,10000,{sum(lots.values())}")
    message_path = folder / "TEST_2020-01-01_1_2_message_1.csv"
    message_path.write_text("\n".join(messages) + "\n")
    (folder / "TEST_2020-01-01_1_2_orderbook_1.csv").write_text("\n".join(books) + "\n")
    return lobster.read(message_path)


PARAMS = EnvParams(
    max_steps_in_episode=3,
    horizon=np.array([4, 0], np.int32),
    quote_lots=10,
    inventory_cap_lots=20,
    latency_ns=0,
    inventory_penalty=0.0,
)


def windows_of(env):
    size = env.pool.size
    params = broadcast_params(env.default_params, size)
    return params.replace(first_start=jnp.arange(size, dtype=jnp.int32), num_starts=jnp.ones(size, jnp.int32))


def replay_idle(env: MarketMaking):
    """Return (depth, row) after every step of every window while nobody quotes: [T, W, ...]."""
    vector = market_making_vector(env)
    params = windows_of(env)
    state, _ = vector.reset(KEY, params)
    step = jax.jit(jax.vmap(env.step_env, in_axes=(None, 0, None, 0)))
    seen = []
    for _ in range(int(env.default_params.max_steps_in_episode)):
        _, state, reward, *_ = step(KEY, state, jnp.int32(quotes.DO_NOTHING), params)
        assert not np.any(reward)
        seen.append((np.asarray(state.view.depth), np.asarray(state.row)))
    return [np.stack(parts) for parts in zip(*seen, strict=True)]


def assert_recorded(env, recording, depth, row):
    stream = to_trading_stream(recording)
    last = stream.row[row - 1]
    ends_row = (row == len(stream.row)) | (stream.row[np.minimum(row, len(stream.row) - 1)] != last)
    assert ends_row.any()
    np.testing.assert_array_equal(depth[..., : recording.levels, :][ends_row], recording.book[last[ends_row]])


def test_an_idle_agent_sees_the_recorded_book(recording):
    env = make_recorded(MarketMakingConfig(), recording, PARAMS, from_s=10, to_s=16)
    assert env.pool.size == 4
    depth, row = replay_idle(env)
    assert_recorded(env, recording, depth, row)
    assert np.array_equal(np.asarray(row)[-1], env.pool.row + 12)


def test_windows_do_not_overlap_and_stay_inside_the_span(recording):
    stream = to_trading_stream(recording)
    windows = cut_windows(stream, 12, 11, 15)
    assert np.all(np.diff(windows.message) >= 12)
    assert stream.time_ns[windows.message[0]] >= 11 * 10**9
    assert stream.time_ns[windows.message[-1] + 11] < 15 * 10**9
    assert np.array_equal(stream.row[windows.message] - 1, windows.row)
    overlapping = cut_windows(stream, 12, 11, 15, stride=2)
    assert len(overlapping.row) > len(windows.row) and np.all(np.diff(overlapping.message) == 2)


def test_a_span_without_a_whole_episode_is_refused(recording):
    with pytest.raises(ValueError, match=r"14..15 s holds 10 messages, one episode needs 12"):
        make_recorded(MarketMakingConfig(), recording, PARAMS, from_s=14, to_s=15)


def test_our_order_behind_the_recorded_queue_is_filled_by_recorded_takers_only_after_it(recording):
    params = PARAMS.replace(max_steps_in_episode=4, quote_lots=2)
    env = make_recorded(MarketMakingConfig(), recording, params, from_s=10, to_s=16)
    _, state = env.reset_env(KEY, env.default_params.replace(num_starts=np.int32(1)))
    action = jnp.int32(quotes.CODE_NAMES.index("join") * quotes.NUM_CODES)
    ahead = []
    for _ in range(4):
        _, state, *_ = env.step_env(KEY, state, action, env.default_params)
        ahead.append(int(state.view.own[spec.BUY, spec.OWN_LOTS_AHEAD]))
    assert int(state.account.num_fills) == 0
    assert ahead[0] > 0 and np.all(np.diff(ahead) <= 0) and ahead[-1] < ahead[0]


@pytest.mark.data
def test_an_idle_agent_sees_the_recorded_book_of_a_real_session(data_dir):
    path = data_dir / "l3" / "lobster" / "LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"
    real = lobster.read(path)
    params = PARAMS.replace(max_steps_in_episode=50, horizon=np.array([20, 0], np.int32))
    env = make_recorded(MarketMakingConfig(), real, params, from_s=45900, to_s=46500)
    assert env.pool.size >= 3
    depth, row = replay_idle(env)
    assert_recorded(env, real, depth, row)
