"""The CUDA kernel of the market step, compiled for the host: the oracle's bits, and no race. Not run on a GPU yet."""

import re
from pathlib import Path

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.oracle import MarketOracle, Oracle
from kernels.lob.spec import Book, LobConfig
from kernels.lob.step import new_market
from market_models import agent_based as ab
from market_models import hawkes as hk
from market_models import queue_reactive as qr
from market_models import zero_intelligence as zi
from market_models.registry import MODELS, get_flow
from tests.support import cuda_host
from tests.support.engine_streams import agent_messages, assert_same, random_messages
from tests.support.flows import random_params

CONSTANT = r"constexpr (?:int|u32) (\w+) = (\d+)u?;"
NUM_MARKETS = 3
NUM_LEARNERS = 2
CLOCK_S = 34_200
REFERENCE = {"replay": 0, "zero_intelligence": 1000, "queue_reactive": 1000, "agent_based": 1000, "hawkes": 1000}


def start(config, name, inbox=5):
    markets = new_market(
        config,
        spec.empty_book(config, (NUM_MARKETS,)),
        seed=2**32 - 1,
        clock_s=CLOCK_S,
        clock_ns=999_999_000,
        next_order_id=spec.FIRST_AGENT_ORDER_ID - 50,
        reference_tick=REFERENCE[name],
        inbox=inbox,
    )
    markets.seed[:, 1] = np.arange(NUM_MARKETS)
    return markets


def judges_of(config, markets, sampler):
    options = {"inbox": markets.inbox.shape[1], "num_learners": NUM_LEARNERS}
    pairs = zip(markets.meta, markets.seed, strict=True)
    return [MarketOracle(Oracle(*config), sampler, **options, meta=meta, seed=seed) for meta, seed in pairs]


def agents_of(rng, number, name, count=4):
    first_id = spec.FIRST_AGENT_ORDER_ID + 6 * number
    agents = np.stack([agent_messages(rng, count, CLOCK_S + number, first_id) for _ in range(NUM_MARKETS)])
    agents[..., spec.PRICE_TICK] += REFERENCE[name]
    return agents


def recorded_rows(rng, number):
    rows = np.stack([random_messages(rng, 40, ids=60) for _ in range(NUM_MARKETS)])
    rows[..., spec.TIME_S] = CLOCK_S + number + np.sort(rng.integers(0, 2, rows.shape[:2]), axis=1)
    rows[..., spec.TIME_NS] = rng.integers(-5, 10**9 + 5, rows.shape[:2])  # a few are no proper times
    return rows


def run(config, name, num_steps, seed=0, inbox=5):
    """Run steps of a flow beside the oracle; return the summaries, own orders and the last markets."""
    rng = np.random.default_rng(seed)
    flow = get_flow(name)
    params = random_params(rng, name)
    markets = start(config, name, inbox)
    judges = judges_of(config, markets, flow.numba_sampler)
    summaries, owns = [], []
    for number in range(num_steps):
        agents = agents_of(rng, number, name)
        background = recorded_rows(rng, number) if name == "replay" else np.zeros((NUM_MARKETS, 0, 8), np.int32)
        horizon = [(45, 0), (25, 500_000), (0, 0), (60, 900_000)][number % 4]
        inputs = (agents, np.tile(params, (NUM_MARKETS, 1)), background, [horizon] * NUM_MARKETS)
        markets, out, _ = cuda_host.market_step(
            flow.cuda_source_path, config, markets, inputs, num_learners=NUM_LEARNERS, in_place=number % 2 == 1
        )
        for market, judge in enumerate(judges):
            expected = judge.step(agents[market], params, background[market], horizon)
            context = f"{config} step {number} market {market}"
            assert_same(expected, type(out)(*(field[market] for field in out)), context)
            assert_same(judge.book.arrays(), Book(*(field[market] for field in markets.book)), context)
            np.testing.assert_array_equal(judge.inbox_rows(), markets.inbox[market], context)
            np.testing.assert_array_equal(judge.meta, markets.meta[market], context)
        summaries.append(out.summary.copy())
        owns.append(out.own.copy())
    return np.array(summaries), np.array(owns), markets


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_every_state_and_output_is_the_oracles(name):
    summaries, owns, markets = run(LobConfig(64, 3, 3), name, 40)
    # The run is only a judge if it reaches everything that a step can do.
    assert summaries[..., spec.SUM_EVENTS].sum() > 1000 and summaries[..., spec.SUM_NUM_FILLS].any()
    assert summaries[..., spec.SUM_OWN_REJECTS].any() and markets.meta[:, spec.META_INBOX_DROPPED].any()
    assert owns[..., spec.OWN_LOTS_AHEAD].any() and owns[..., spec.OWN_NUM_ORDERS].max() > 1
    assert summaries[..., spec.SUM_EXHAUSTED].any() == (name == "replay")
    if name == "zero_intelligence":
        assert (markets.meta[:, spec.META_NEXT_ORDER_ID] < 10_000).all()  # the ids have wrapped


@pytest.mark.parametrize("name", ["zero_intelligence", "queue_reactive", "agent_based", "hawkes"])
@pytest.mark.parametrize("capacity", [128, 256, 512])
def test_every_capacity(capacity, name):
    run(LobConfig(capacity, 10, 5, spec.FILLS_OWNED, 1, 1), name, 8)


@pytest.mark.parametrize("self_trade", range(len(spec.SELF_TRADE_NAMES)))
@pytest.mark.parametrize("queue_model", range(len(spec.QUEUE_NAMES)))
def test_every_policy_and_queue_model_under_a_recording(self_trade, queue_model):
    run(LobConfig(64, 10, 2, spec.FILLS_OWNED, self_trade, queue_model), "replay", 12, seed=[self_trade, queue_model])


@pytest.mark.parametrize("inbox", [1, 40])
def test_a_small_and_a_large_inbox(inbox):
    run(LobConfig(64, 10, 2), "replay", 12, seed=inbox, inbox=inbox)


def test_every_flow_model_brings_its_sampler():
    for name in MODELS:
        assert Path(get_flow(name).cuda_source_path).is_file(), name


@pytest.mark.parametrize(
    ("name", "model"), [("zero_intelligence", zi), ("queue_reactive", qr), ("agent_based", ab), ("hawkes", hk)]
)
def test_the_samplers_constants_are_those_of_the_model(name, model):
    constants = dict(re.findall(CONSTANT, Path(get_flow(name).cuda_source_path).read_text()))
    assert {word: int(value) for word, value in constants.items()} == {word: getattr(model, word) for word in constants}
    assert len(constants) > 5


def test_the_samplers_tables_are_those_of_the_model():
    text = Path(get_flow("zero_intelligence").cuda_source_path).with_name("zero_intelligence_common.cuh").read_text()
    constants = dict(re.findall(CONSTANT, text))
    assert {word: int(value) for word, value in constants.items()} == {word: getattr(zi, word) for word in constants}
    table = re.search(r"LN_TABLE\[257\] = \{(.*?)\};", text, re.DOTALL)
    assert table is not None
    np.testing.assert_array_equal([int(word) for word in re.findall(r"\d+", table.group(1))], zi.LN_TABLE)
    text = Path(get_flow("hawkes").cuda_source_path).with_name("hawkes_exp2.cuh").read_text()
    table = re.search(r"EXP2_TABLE\[257\] = \{(.*?)\};", text, re.DOTALL)
    assert table is not None
    np.testing.assert_array_equal([int(word) for word in re.findall(r"\d+", table.group(1))], hk.EXP2_TABLE)
