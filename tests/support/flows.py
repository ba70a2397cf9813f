"""Lively packed parameters of every flow: spreads of a few ticks and some 40 orders a side."""

import numpy as np

from market_models import agent_based as ab
from market_models import hawkes as hk
from market_models import queue_reactive as qr
from market_models import zero_intelligence as zi
from market_models.registry import get_flow
from tests.support.agent_based import random_agents
from tests.support.hawkes import random_rates as random_hawkes_rates
from tests.support.queue_reactive import random_rates


def random_params(rng: np.random.Generator, name: str) -> np.ndarray:
    """Return int32[P] of the flow `name`; zeros for a replay, which has none."""
    if name == "agent_based":
        return ab.pack(random_agents(rng))
    if name == "hawkes":
        return hk.pack(random_hawkes_rates(rng, scale=2.0))
    if name == "queue_reactive":
        return qr.pack(random_rates(rng, bands=4, spreads=3, buckets=6, scale=1.0, event_lots=60))
    if name == "zero_intelligence":
        sizes = rng.integers(1, 30, zi.NUM_SIZES)
        return zi.pack(rng.random(10) + 0.2, 1.5, rng.random(10) * 0.2 + 0.02, sizes, sizes[::-1])
    return np.zeros(get_flow(name).num_params, np.int32)
