"""The market step: XLA, numba kernel and oracle give the same bits for the same flow, seed and agents' messages."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from kernels.lob import spec
from kernels.lob.oracle import MarketOracle, Oracle
from kernels.lob.spec import Book, LobConfig
from market_models import agent_based as ab
from market_models.flow import Flow
from market_models.registry import get_flow, get_model
from sim.engine import api
from sim.engine.types import MarketConfig, MarketOutput, MarketState
from tests.support.engine_streams import agent_messages, assert_same, random_messages
from tests.support.flows import random_params
from tests.support.markets import small_calibration

CONFIG = MarketConfig(LobConfig(capacity=64, max_fills=3, depth_levels=4), inbox=6, num_learners=2)
NUM_MARKETS = 3
NUM_AGENT_MESSAGES = 5
NUM_BACKGROUND = 30
CLOCK_S = 34_200


@cache
def batched_step(name, backend):
    return jax.jit(jax.vmap(api.make_market_step(CONFIG, get_flow(name), backend)))


def start(books):
    """Return NUM_MARKETS markets with different clocks, close to the wrap of the background's ids."""

    def one(book, number):
        top = spec.FIRST_AGENT_ORDER_ID - 1
        return api.init_market(CONFIG, book, 2**32 - 5, number, CLOCK_S, 999_999_000 + number, top - 2 * number, 100)

    return jax.vmap(one)(books, jnp.arange(NUM_MARKETS, dtype=jnp.uint32))


def oracles(state, sampler):
    """Return the judge of each market in `state`."""
    judges = []
    for market in range(NUM_MARKETS):
        one = jax.tree.map(lambda leaf, m=market: np.array(leaf[m]), state)
        judge = Oracle(*CONFIG.lob)
        judge.load(one.book)
        options = {"inbox": CONFIG.inbox, "num_learners": CONFIG.num_learners}
        judges.append(MarketOracle(judge, sampler, **options, meta=one.meta, seed=one.seed))
    return judges


def judged_state(judges):
    """Return what the judges hold as a MarketState with a leading axis."""
    stack = [
        MarketState(Book(*judge.book.arrays()), judge.inbox_rows(), judge.meta, judge.seed)  # pyright: ignore
        for judge in judges
    ]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *stack)


def compare(name, state, params, steps):
    """Take the steps (agent messages, background, horizon) with all three; return the judges' outputs."""
    sampler = get_flow(name).numba_sampler.py_func
    judges = oracles(state, sampler)
    params = np.broadcast_to(params, (NUM_MARKETS, *params.shape))
    xla = cpu = state
    outputs = []
    for number, (agents, background, horizon) in enumerate(steps):
        with np.errstate(over="ignore"):
            told = [judge.step(agents[m], params[m], background[m], horizon[m]) for m, judge in enumerate(judges)]
        expected = MarketOutput(*(np.stack(field) for field in zip(*told, strict=True)))
        xla, xla_out = batched_step(name, "xla")(xla, agents, params, background, horizon)
        cpu, cpu_out = batched_step(name, "cpu")(cpu, agents, params, background, horizon)
        for backend, book, out in (("cpu", cpu, cpu_out), ("xla", xla, xla_out)):
            assert_same(expected, out, f"{backend} step {number} output")
            assert_same(judged_state(judges), book, f"{backend} step {number} state")
        outputs.append(expected)
    return outputs, judged_state(judges)


def random_steps(seed, num_steps, horizons, background_span=8):
    """Return random steps; agents' ids rise from step to step, background rows move on in time."""
    rng = np.random.default_rng(seed)
    steps = []
    for number in range(num_steps):
        now = CLOCK_S + 2 * number
        agents = [
            agent_messages(rng, NUM_AGENT_MESSAGES, now, spec.FIRST_AGENT_ORDER_ID + 4 * number)
            for _ in range(NUM_MARKETS)
        ]
        background = np.stack([random_messages(rng, NUM_BACKGROUND, span=background_span) for _ in range(NUM_MARKETS)])
        background[:, :, spec.TIME_S] = now + np.sort(rng.integers(0, 4, (NUM_MARKETS, NUM_BACKGROUND)), axis=1)
        # Quarters of a second: some events happen just when a message arrives or the time horizon ends.
        background[:, :, spec.TIME_NS] = 250_000_000 * rng.integers(0, 4, (NUM_MARKETS, NUM_BACKGROUND))
        background[rng.random((NUM_MARKETS, NUM_BACKGROUND)) < 0.2, spec.ORDER_ID] = 0
        horizon = np.array([horizons[(number + m) % len(horizons)] for m in range(NUM_MARKETS)], np.int32)
        steps.append((np.stack(agents), background, horizon))
    return steps


def empty_books():
    return jax.tree.map(jnp.asarray, spec.empty_book(CONFIG.lob, (NUM_MARKETS,)))


def test_the_replay_flow_gives_the_oracles_states_and_outputs():
    steps = random_steps(3, 12, [(20, 0), (30, 1_500_000), (50, 0), (0, 0), (25, 500_000), (7, 0)])
    outputs, last = compare("replay", start(empty_books()), np.zeros(1, np.int32), steps)
    summaries = np.concatenate([out.summary for out in outputs])
    # The steps reach every way to end, own fills beyond the log, a full inbox and messages that stay under way.
    assert summaries[:, spec.SUM_EXHAUSTED].any() and not summaries[:, spec.SUM_EXHAUSTED].all()
    assert (summaries[:, spec.SUM_EVENTS] == 0).any()
    assert last.book.counters[:, spec.NUM_FILLS_DROPPED].any()
    assert last.meta[:, spec.META_INBOX_DROPPED].any()
    own = np.concatenate([out.own for out in outputs])
    assert own[..., spec.OWN_PRESENT].any(axis=0).all() and own[..., spec.OWN_LOTS_AHEAD].any()
    assert summaries[:, spec.SUM_OWN_REJECTS].any()


@pytest.fixture(scope="module")
def zero_intelligence():
    """(state, packed parameters) of three small random markets."""
    calibration = small_calibration()
    model = get_model("zero_intelligence")
    process = jax.jit(jax.vmap(api.make_process(CONFIG.lob, "cpu")))
    opening = np.stack([model.start_messages(calibration, seed) for seed in range(NUM_MARKETS)])
    books, _ = process(empty_books(), opening, jnp.zeros(NUM_MARKETS, jnp.int32))
    return start(books), model.pack_params(calibration)


def test_the_zero_intelligence_flow_gives_the_oracles_states_and_outputs(zero_intelligence):
    state, params = zero_intelligence
    steps = []
    for agents, background, horizon in random_steps(4, 10, [(12, 0), (40, 900_000), (25, 0), (1, 5_000_000)]):
        agents[..., spec.PRICE_TICK] += 1000  # around the small market's reference
        steps.append((agents, background[:, :0], horizon))
    outputs, last = compare("zero_intelligence", state, params, steps)
    summaries = np.concatenate([out.summary for out in outputs])
    draws = last.meta[:, spec.META_DRAW]
    assert (draws > summaries[:, spec.SUM_EVENTS].reshape(-1, NUM_MARKETS).sum(axis=0)).all()  # some were thinned
    assert summaries[:, spec.SUM_NUM_TRADES].sum() > 10
    assert any(out.num_fills.any() for out in outputs)


@pytest.mark.parametrize("name", ["queue_reactive", "hawkes", "agent_based"])
def test_a_flow_that_reacts_to_the_book_gives_the_oracles_states_and_outputs(name, zero_intelligence):
    state, _ = zero_intelligence
    params = random_params(np.random.default_rng(6), name)
    steps = []
    for agents, background, horizon in random_steps(4, 6, [(12, 0), (40, 900_000), (25, 0)]):
        agents[..., spec.PRICE_TICK] += 1000
        steps.append((agents, background[:, :0], horizon))
    outputs, last = compare(name, state, params, steps)
    assert np.concatenate([out.summary for out in outputs])[:, spec.SUM_NUM_TRADES].sum() > 10
    assert any(out.num_fills.any() for out in outputs)
    assert last.meta[:, spec.META_FLOW :].any() == (name != "queue_reactive")
    if name == "agent_based":
        assert last.meta[:, spec.META_FLOW : spec.META_FLOW + ab.QUOTES].any(0).all()


def test_one_market_alone_gives_what_it_gives_in_a_batch(zero_intelligence):
    state, params = zero_intelligence
    agents, background, horizon = random_steps(5, 1, [(15, 0)])[0]
    agents[..., spec.PRICE_TICK] += 1000
    all_params = np.broadcast_to(params, (NUM_MARKETS, *params.shape))
    together = batched_step("zero_intelligence", "xla")(state, agents, all_params, background[:, :0], horizon)
    alone = jax.jit(api.make_market_step(CONFIG, get_flow("zero_intelligence"), "xla"))
    one = jax.tree.map(lambda leaf: leaf[1], (state, agents, background[:, :0], horizon))
    assert_same(
        jax.tree.map(lambda leaf: leaf[1], together[1]), alone(one[0], one[1], params, one[2], one[3])[1], "alone"
    )


def test_the_step_is_accepted_by_shard_map_with_its_checks_on():
    mesh = jax.make_mesh((1,), ("market",), axis_types=(jax.sharding.AxisType.Auto,))
    over = PartitionSpec("market")
    step = jax.vmap(api.make_market_step(CONFIG, get_flow("replay"), "xla"))
    agents, background, horizon = random_steps(6, 1, [(5, 0)])[0]
    sharded = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=over, out_specs=over))
    sharded.lower(start(empty_books()), agents, np.zeros((NUM_MARKETS, 1), np.int32), background, horizon)


def test_a_flow_whose_sampler_cannot_be_found_is_refused_by_name():
    flow = Flow("broken", lambda *_: (0, 0), "market_models.nowhere:sample", 1)
    with pytest.raises(ValueError, match=r"broken.*market_models\.nowhere"):
        api.make_market_step(CONFIG, flow, "xla")
