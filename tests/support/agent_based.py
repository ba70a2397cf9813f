"""Parameters of the agent-based flow for tests, and its markets on a time grid."""

from typing import Any, NamedTuple

import numpy as np

from kernels.lob import spec
from kernels.lob.step import Market, new_market, run_market_step
from market_models import agent_based as ab
from market_models.agent_based_numba import FLOW

NOTHING = np.zeros((0, spec.NUM_MESSAGE_COLUMNS), np.int32)


def agents(**changes: Any) -> ab.AgentParams:
    """Return a liquid market of noise traders, a spread of one to two ticks, with `changes`."""
    params: dict[str, Any] = {
        "arrival_rate": np.array([6.0, 0, 0]),
        "fundamental_weight": np.array([0, 1.0, 0]),
        "trend_weight": np.array([0, 0, 1.0]),
        "noise_tick": np.array([0, 0.5, 0.5]),
        "edge_tick": np.array([0, 1.0, 2.0]),
        "impatience_frac": np.array([0.1, 0, 0]),
        "placement": np.exp(-np.arange(20) / 8),
        "cancel_rate": np.full(20, 0.03),
        "limit_lots": np.full(128, 10),
        "market_lots": np.full(128, 10),
        "news_rate": 1.0,
        "news_tick": 0.3,
        "smoothing_frac": np.array([0.03]),
    }
    return ab.AgentParams(**{**params, **changes})


def random_agents(rng: np.random.Generator, distances: int = 10, makers: int = 3, scale: float = 1.0) -> ab.AgentParams:
    """Return random populations that reach every branch; `scale` multiplies what is counted in ticks."""
    sizes = np.sort(rng.integers(1, 60, 128))
    return agents(
        arrival_rate=2 + 3 * rng.random(3),
        fundamental_weight=rng.random(3) * np.array([0, 2, 1]),
        trend_weight=rng.random(3) * np.array([0, 1, 3]),
        noise_tick=scale * (0.5 + rng.random(3)) * np.array([0, 2, 2]),
        edge_tick=scale * rng.random(3) * np.array([0, 1, 2]),
        impatience_frac=np.array([0.2, 0.1, 0]),
        placement=0.1 + rng.random(distances),
        cancel_rate=0.02 + 0.1 * rng.random(distances),
        limit_lots=sizes,
        market_lots=sizes[::-1].copy(),
        news_rate=1.5,
        news_tick=scale * 0.7,
        smoothing_frac=np.array([0.3, 0.05, 0.004]),
        reversion_frac=0.02,
        max_walk_tick=3,
        makers=makers,
        maker_rate=1.0,
        maker_spread_tick=scale * 2.0,
        maker_tolerance_tick=1,
        maker_lots=12,
    )


class Grid(NamedTuple):
    """Markets seen at the end of each bin; float64[bins, B]."""

    bid: np.ndarray
    ask: np.ndarray  # nan with `bid` where a side is empty
    flow_lots: np.ndarray  # bought less sold
    events: int

    @property
    def mid(self) -> np.ndarray:
        """Mid in ticks."""
        return (self.bid + self.ask) / 2


def fresh(markets: int, seed: int = 1, reference_tick: int = 10_000, capacity: int = 256) -> tuple[Any, Market]:
    """Return (config, markets with empty books)."""
    config = spec.LobConfig(capacity, 8, 1)
    market = new_market(config, spec.empty_book(config, (markets,)), seed=seed, reference_tick=reference_tick)
    market.seed[:, 1] = np.arange(markets)
    return config, market


def advance(
    config: Any, market: Market, params: np.ndarray, bins: int, bin_us: int = 1_000_000, messages: Any = None
) -> Grid:
    """Run the markets; `messages` int32[B, K, 8] enter in the first bin."""
    quiet = np.zeros((1, spec.NUM_MESSAGE_COLUMNS), np.int32)
    shape, events = (bins, len(market.seed)), 0
    bid, ask, flow = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for number in range(bins):
        sent = messages if messages is not None and number == 0 else quiet
        horizon = np.array([10**6, bin_us], np.int32)
        summary = run_market_step(FLOW.numba_sampler, config, market, sent, params, NOTHING, horizon).summary
        both = (summary[:, spec.SUM_HAS_BID] > 0) & (summary[:, spec.SUM_HAS_ASK] > 0)
        bid[number] = np.where(both, summary[:, spec.SUM_BEST_BID_TICK], np.nan)
        ask[number] = np.where(both, summary[:, spec.SUM_BEST_ASK_TICK], np.nan)
        flow[number] = summary[:, spec.SUM_TRADED_BUY_LOTS].astype(float) - summary[:, spec.SUM_TRADED_SELL_LOTS]
        events += int(summary[:, spec.SUM_EVENTS].sum())
    return Grid(bid, ask, flow, events)
