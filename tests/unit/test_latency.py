"""Latency models: integer tables, the same nanoseconds everywhere, parameters that come back, no overtaking."""

import gzip
import json
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.execution import quotes
from kernels.lob import spec
from kernels.lob.philox import philox4x32_numpy
from kernels.lob.spec import LobConfig
from market_models import latency
from market_models.latency import ConstantLatency, TableLatency, empirical_table, fit_log_normal, log_normal_table
from market_models.latency_file import binance_feed_delays, load_latency, save_latency, shipped_latencies
from sim.engine import api
from sim.engine.types import MarketConfig
from sim.latency import delay_messages, entry_latency_ns
from tests.support.markets import replay_market_making, row

MEDIAN_NS, SIGMA = 1_500_000, 0.7


def exact(table, word):
    """Return the interpolated quantile in plain Python integers."""
    bits = (len(table) - 1).bit_length() - 1
    cell, fraction = word >> (32 - bits), (word >> (16 - bits)) & 0xFFFF
    return table[cell] + (table[cell + 1] - table[cell]) * fraction // 2**16


@given(
    knots=st.sampled_from([3, 5, 257, 1025, 4097]),
    seed=st.integers(0, 2**32 - 1),
    words=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_numpy_jax_and_plain_integers_draw_the_same_nanoseconds(knots, seed, words):
    table = np.sort(np.random.default_rng(seed).integers(0, latency.MAX_TABLE_NS + 1, knots)).astype(np.int32)
    words = [*words, 0, 2**32 - 1]
    want = [exact(table.tolist(), word) for word in words]
    mine = latency.sample_ns(np, table, np.array(words, np.uint32))
    theirs = latency.sample_ns(jnp, jnp.asarray(table), jnp.array(words, jnp.uint32))
    assert mine.dtype == np.int32 and theirs.dtype == jnp.int32
    assert mine.tolist() == theirs.tolist() == want


def words_of(seed, count):
    return np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32)


@pytest.mark.parametrize("knots", [257, 1025])
@pytest.mark.parametrize("sigma", [0.1, 0.7, 1.5])
def test_log_normal_parameters_come_back_within_three_standard_errors(knots, sigma):
    drawn = latency.sample_ns(np, log_normal_table(MEDIAN_NS, sigma, knots), words_of(7, 20_000))
    fit = fit_log_normal(drawn)
    assert abs(fit.median_ns - MEDIAN_NS) < 3 * fit.median_error_ns
    assert abs(fit.sigma - sigma) < 3 * fit.sigma_error


def test_a_log_normal_table_has_the_distributions_quantiles_and_mean():
    table = log_normal_table(MEDIAN_NS, SIGMA)
    for i in (1, 300, 512, 900, 1023):
        assert table[i] == round(MEDIAN_NS * np.exp(SIGMA * NormalDist().inv_cdf(i / 1024)))
    mean = ((table[1:].astype(np.int64) + table[:-1]) / 2).mean()
    assert mean == pytest.approx(MEDIAN_NS * np.exp(SIGMA**2 / 2), rel=2e-4)
    assert (log_normal_table(5, 0.0) == 5).all()
    assert log_normal_table(2**30, 4.0).max() == latency.MAX_TABLE_NS


def test_a_recorded_distribution_comes_back_within_three_standard_errors():
    rng = np.random.default_rng(3)
    recorded = rng.gamma(2.0, 400_000, 30_000).astype(np.int64) + 200_000
    table = empirical_table(recorded)
    drawn = latency.sample_ns(np, table, words_of(8, 20_000)).astype(np.int64)
    for p in (0.1, 0.5, 0.9, 0.99):
        share = (drawn <= np.quantile(recorded, p)).mean()
        assert abs(share - p) < 3 * (p * (1 - p) / drawn.size) ** 0.5
    assert abs(drawn.mean() - recorded.mean()) < 3 * recorded.std() / drawn.size**0.5
    again = empirical_table(drawn)
    assert abs(again[512] - table[512]) < 3 * 1.2533 * recorded.std() / drawn.size**0.5


def test_a_negative_delay_is_refused_unless_a_floor_says_where_the_fastest_lies():
    with pytest.raises(ValueError, match="the clocks differ; give floor_ns"):
        empirical_table(np.array([-5, 10]))
    assert empirical_table(np.array([-5, 10]), floor_ns=100, knots=3).tolist() == [100, 108, 115]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: log_normal_table(0, 1), "median_ns 0 is outside"),
        (lambda: log_normal_table(5, float("nan")), "sigma nan is outside"),
        (lambda: log_normal_table(5, 1, 100), "knots 100 is not one of"),
        (lambda: empirical_table(np.array([0.5, 1.0])), "expected integers"),
        (lambda: empirical_table(np.array([3])), "N at least 2"),
        (lambda: TableLatency(entry_ns=(3, 2, 4)), "entry_ns falls"),
        (lambda: TableLatency(feed_ns=(1, 2)), r"feed_ns has shape \(2,\)"),
        (lambda: TableLatency(feed_ns=(-1,)), "feed_ns holds -1"),
        (lambda: ConstantLatency(entry_ns=3 * 10**9).table("entry"), "entry_ns holds 3000000000"),
        (lambda: ConstantLatency().table("back"), "leg 'back' is not one of"),
        (lambda: latency.make_latency("log_normal", entry_sigma=1.0), "entry_sigma is given without"),
        (lambda: latency.make_latency("log_normal", entry_mean_ns=1.0), "no field 'entry_mean_ns'"),
        (lambda: latency.latency_block("entry", -1), "owner -1"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_every_model_has_a_table_for_every_leg():
    models = [
        latency.make_latency("constant", feed_ns=1, entry_ns=2, response_ns=3),
        latency.make_latency("log_normal", feed_median_ns=9, entry_median_ns=1000, entry_sigma=0.5),
        latency.make_latency("empirical", entry_ns=(1, 2, 4), response_ns=(7,)),
    ]
    assert sorted(latency.LATENCIES) == ["constant", "empirical", "log_normal"]
    for model in models:
        for leg in latency.LEGS:
            assert model.table(leg).dtype == np.int32
    assert models[0].table("response").tolist() == [3]
    assert len({latency.latency_block(leg, owner) for leg in latency.LEGS for owner in range(9)}) == 27


def test_a_table_is_saved_and_loaded_and_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "table.json"
    mine = TableLatency(feed_ns=(1, 2, 4), entry_ns=(5,))
    save_latency(mine, path, 10, "made up")
    assert load_latency(path) == mine
    record = json.loads(path.read_text())
    for changed, words in (
        ({**record, "legs": {"feed_ns": [3, 2, 1]}}, "feed_ns falls"),
        ({**record, "legs": {"back_ns": [1]}}, "no field 'back_ns'"),
        ({**record, "model": "other"}, "not a latency table"),
        ([], "not a latency table"),
    ):
        path.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=words) as caught:
            load_latency(path)
        assert str(path) in str(caught.value)
    path.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        load_latency(path)
    with pytest.raises(ValueError, match="no latency table 'absent'"):
        load_latency("absent")


def test_the_shipped_tables_load_and_vary():
    assert shipped_latencies()
    for name in shipped_latencies():
        table = load_latency(name).table("feed")
        assert table.shape == (257,) and table[0] == 1_000_000 and table[-1] > table[128] > table[0]


def test_feed_delays_are_read_from_raw_lines(tmp_path):
    path = tmp_path / "raw.gz"
    lines = [
        '1000000 {"lastUpdateId":1}',
        '1721347021080838061 {"data":{"E":1721347021000}}',
        '1680652800005184 {"data":{"E":1680652800016}}',
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert binance_feed_delays(path).tolist() == [80_838_061, -10_816_000]
    path.write_bytes(gzip.compress(b"12 {}\nxx {"))
    with pytest.raises(ValueError, match="line 2"):
        binance_feed_delays(path)


@pytest.mark.data
def test_a_recorded_feeds_delays_make_a_table(data_dir):
    path = data_dir / "l2" / "binance_raw" / "spot" / "btcusdt_20230405.dat.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not in the recorded data")
    delays = binance_feed_delays(path)
    table = empirical_table(delays, floor_ns=0, knots=257)
    assert delays.size > 1000 and table[0] == 0 and table[-1] == delays.max() - delays.min()


# In the market.

CONFIG = MarketConfig(LobConfig(capacity=64, max_fills=4, depth_levels=1), inbox=6)
TABLE = jnp.asarray(log_normal_table(20_000_000, 1.0))


def test_a_message_is_drawn_for_seed_market_owner_and_number_alone():
    seed = jnp.array([5, 9], jnp.uint32)
    together = entry_latency_ns(seed, jnp.int32(40), 4, TABLE, 1)
    alone = [int(entry_latency_ns(seed, jnp.int32(40 + i), 1, TABLE, 1)[0]) for i in range(4)]
    assert together.tolist() == alone and len(set(alone)) == 4
    counters = [[40 + i, latency.latency_block("entry", 1), 0, 0] for i in range(4)]
    words = philox4x32_numpy(np.array([5, 9]), np.array(counters, np.uint32))[:, 0]
    assert latency.sample_ns(np, np.asarray(TABLE), words).tolist() == alone
    for other in ((jnp.array([5, 8], jnp.uint32), 1), (jnp.array([4, 9], jnp.uint32), 1), (seed, 2)):
        assert entry_latency_ns(other[0], jnp.int32(40), 4, TABLE, other[1]).tolist() != alone
    assert entry_latency_ns(seed, jnp.int32(0), 3, jnp.array([7]), 1).tolist() == [7, 7, 7]


@given(
    drawn=st.lists(st.integers(0, 10**9), min_size=4, max_size=4),
    used=st.lists(st.booleans(), min_size=4, max_size=4),
    waiting=st.lists(st.tuples(st.integers(1, 2), st.integers(0, 3), st.integers(0, 999_999_999)), max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_messages_of_one_agent_do_not_overtake_each_other(drawn, used, waiting):
    waiting = sorted(waiting, key=lambda w: w[1:])
    market = api.init_market(CONFIG, spec.empty_book(CONFIG.lob), clock_s=1, clock_ns=999_999_990)
    inbox = np.zeros((6, 8), np.int32)
    for i, (owner, s, ns) in enumerate(waiting):
        inbox[i] = [spec.LIMIT, 0, 1, 1, i + 1, owner, s, ns]
    messages = np.array([[spec.LIMIT * u, 0, 1, 1, 9, 1, 0, 0] for u in used], np.int32)
    out = delayed(jnp.asarray(messages), market._replace(inbox=jnp.asarray(inbox)), jnp.array(drawn, jnp.int32))
    last = max([s * 10**9 + ns for owner, s, ns in waiting if owner == 1], default=0)
    for message, delay, told in zip(messages, drawn, np.asarray(out), strict=True):
        assert (told[:6] == message[:6]).all()
        if message[spec.KIND] == spec.NOP:
            assert not told[6:].any()
            continue
        last = max(last, 1_999_999_990 + 3 + delay)
        assert int(told[6]) * 10**9 + int(told[7]) == last


@jax.jit
def delayed(messages, market, drawn):
    return delay_messages(messages, market, jnp.int32(3), drawn, 1)


BOOK = [row(spec.LIMIT, spec.BUY, 5, 100, 1), row(spec.LIMIT, spec.SELL, 5, 110, 3)]
JOIN = 3 * quotes.NUM_CODES + 3


def present(env, steps):
    key, params = jax.random.key(0), env.default_params
    _, state = env.reset_env(key, params)
    told = []
    for _ in range(steps):
        _, state, *_ = env.step_env(key, state, jnp.int32(JOIN), params)
        told.append(np.asarray(state.market.inbox[:2, spec.TIME_S : spec.TIME_NS + 1]).tolist())
    return told, state


def test_the_environment_delays_each_message_by_its_own_draw():
    background = [row(spec.NOP, at_ns=i + 1) for i in range(3)]
    env = replay_market_making(BOOK, background, entry_quantiles_ns=np.asarray(TABLE), latency_ns=1_000)
    told, state = present(env, 1)
    drawn = np.asarray(entry_latency_ns(state.market.seed, jnp.int32(0), 4, TABLE, 1))[2:]
    want = sorted([0, 1_000 + int(ns)] for ns in np.maximum.accumulate(drawn))
    assert told[0] == want


def test_a_table_of_one_value_is_the_constant_latency_to_the_bit():
    background = [row(spec.NOP, at_ns=i + 1) for i in range(3)]
    one, same, drawn = (
        present(replay_market_making(BOOK, background, **options), 3)[1]
        for options in (
            {"latency_ns": 3},
            {"entry_quantiles_ns": np.array([2], np.int32), "latency_ns": 1},
            {"entry_quantiles_ns": np.full(5, 2, np.int32), "latency_ns": 1},
        )
    )
    for other in (same, drawn):
        for mine, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs))
    with pytest.raises(ValueError, match=r"latency_ns \+ entry_quantiles_ns reaches"):
        replay_market_making(BOOK, background, entry_quantiles_ns=np.array([2 * 10**9]), latency_ns=1)
