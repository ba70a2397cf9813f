"""Small markets for tests: a hand-made calibration, and environments over it or over hand-written messages."""

from functools import cache

import numpy as np

from kernels.features.market import DEPTH_LEVELS
from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import Book, LobConfig
from market_models.calibration import Calibration
from market_models.fees import Fees
from market_models.instrument import Instrument
from market_models.registry import get_flow
from sim.engine.types import MarketConfig
from sim.executor import ExecutorParams
from sim.market_making import MarketMaking
from sim.market_making_types import EnvParams, MarketMakingConfig, StartPool
from sim.multi_agent import MultiAgent
from sim.multi_agent_types import MultiAgentParams
from sim.order_execution import OrderExecution
from sim.registry import make_market_making, make_order_execution

CONFIG = MarketMakingConfig(
    MarketConfig(
        LobConfig(capacity=64, max_fills=32, depth_levels=DEPTH_LEVELS, fills_mode=spec.FILLS_OWNED),
        inbox=16,
        num_learners=1,
    )
)


def small_calibration(**params) -> Calibration:
    """Return a lively little market: spread of a few ticks, orders of 1..20 lots."""
    sizes = np.resize(np.arange(1, 21), 128).tolist()
    rates = {
        "limit_rate_per_s": [0.4, 0.6, 0.8, 0.8, 0.8, 0.6, 0.6, 0.6, 0.4, 0.4],
        "cancel_rate_per_s": [0.3, 0.25, 0.2, 0.2, 0.15, 0.15, 0.15, 0.15, 0.15, 0.15],
        "market_rate_per_s": 0.7,
        "limit_lots": sizes,
        "market_lots": sizes,
        "mean_lots": [5.0, 10.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0],
        "mean_spread_tick": 3.0,
        "reference_tick": 1000,
    }
    return Calibration(
        model="zero_intelligence",
        instrument=Instrument("TEST", "0.01"),
        params={**rates, **params},
        standard_errors={},
        log_likelihood=0.0,
        data_digest="",
        from_s=0,
        to_s=1,
        fees=Fees(maker_bps=0.0, taker_bps=0.0, maker_per_lot_tick=-0.25, taker_per_lot_tick=0.5),
    )


@cache
def small_market_making(backend: str = "cpu", **params) -> MarketMaking:
    """Return market making in the small market, with short episodes."""
    defaults = {"max_steps_in_episode": 12, "quote_lots": 10, "inventory_cap_lots": 25, "latency_ns": 50_000_000}
    return make_market_making(
        small_calibration(), backend=backend, config=CONFIG, pool_size=6, **{**defaults, **params}
    )


def row(kind, side=0, lots=0, price_tick=0, order_id=0, at_ns=0):
    """Return one background message as a list of 8."""
    return [kind, side, lots, price_tick, order_id, 0, 0, at_ns]


def replay_market(book_messages, background, params):
    """Return (flow, pool, config, fields) of a market that starts from a book and plays `background` rows.

    `params` is what a test gives, its `events` a step taken out; `fields` are those that every environment has.
    """
    events = int(params.pop("events", 1))
    host = HostBook(CONFIG.market.lob)
    out = host.apply(np.array(book_messages, np.int32))
    assert not out.reason.any()
    pool = StartPool(
        book=Book(*(np.array(field)[None] for field in host.book)),
        depth=np.array(out.depth)[None],
        clock=np.zeros((1, 2), np.int32),
        next_order_id=np.array([1000], np.int32),
        reference_tick=np.zeros(1, np.int32),
        row=np.zeros(1, np.int32),
    )
    flow = get_flow("replay")
    fields = {
        "flow_params": np.zeros(flow.num_params, np.int32),
        "horizon": np.array([events, 0], np.int32),
        "max_steps_in_episode": len(background) // events,
        "latency_ns": 0,
        "reward_scale": 1.0,
    }
    return flow, pool, CONFIG._replace(background_rows=events), fields


def replay_market_making(book_messages, background, backend: str = "cpu", **params) -> MarketMaking:
    """Return the environment that starts from the book of `book_messages` and plays `background` rows."""
    flow, pool, config, fields = replay_market(book_messages, background, params)
    fields |= {"quote_lots": 10, "inventory_cap_lots": 25, "inventory_penalty": 0.0}
    return MarketMaking(
        config,
        flow,
        pool,
        EnvParams(**{**fields, **params}),
        backend=backend,
        background=np.array(background, np.int32),
    )


def replay_execution(book_messages, background, *, continuous: bool = False, **params) -> OrderExecution:
    """Return execution of a parent order, 12 lots to buy, from the book of `book_messages`."""
    flow, pool, config, fields = replay_market(book_messages, background, params)
    fields |= {"side": spec.BUY, "parent_lots": 12}
    return OrderExecution(
        config,
        flow,
        pool,
        ExecutorParams(**{**fields, **params}),
        continuous=continuous,
        background=np.array(background, np.int32),
    )


@cache
def small_execution(backend: str = "cpu", **params) -> OrderExecution:
    """Return execution in the small market, with short horizons."""
    defaults = {"max_steps_in_episode": 12, "parent_lots": 60, "latency_ns": 50_000_000, "pool_size": 6}
    return make_order_execution(small_calibration(), backend=backend, config=CONFIG, **{**defaults, **params})


def replay_multi_agent(book_messages, background, learners, *, makers=None, executors=None, **params) -> MultiAgent:
    """Return several learners from the book of `book_messages`; quotes of 10 lots, a parent of 12 to buy."""
    self_trade = params.pop("self_trade", spec.SELF_TRADE_NONE)
    flow, pool, config, fields = replay_market(book_messages, background, params)
    shared = {name: fields.pop(name) for name in ("latency_ns", "reward_scale")}
    quoting = {"quote_lots": 10, "inventory_cap_lots": 25, "inventory_penalty": 0.0}
    working = {"side": spec.BUY, "parent_lots": 12}
    market = config.market._replace(
        lob=config.market.lob._replace(self_trade=self_trade), inbox=4 * learners.size, num_learners=learners.size
    )
    made = MultiAgentParams(
        **{**fields, **params},
        makers=EnvParams(**{**shared, **quoting, **(makers or {})}),
        executors=ExecutorParams(**{**shared, **working, **(executors or {})}),
    )
    return MultiAgent(
        config._replace(market=market), flow, pool, made, learners, background=np.array(background, np.int32)
    )
