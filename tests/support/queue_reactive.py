"""Parameters of the queue-reactive flow for tests."""

import numpy as np

from market_models.queue_reactive import Rates


def random_rates(
    rng: np.random.Generator,
    bands: int,
    spreads: int,
    buckets: int,
    far: int = 20,
    scale: float = 0.3,
    event_lots: int = 7,
) -> Rates:
    """Return random rates of the given sizes; bands up to three ticks wide, sizes of 1 to 300 lots."""
    cancel, market = scale * rng.random((spreads, bands, buckets)), scale * rng.random((spreads, buckets))
    cancel[..., 0], market[..., 0] = 0, 0
    sizes = np.sort(rng.integers(1, 300, 128))
    return Rates(
        band_edge_tick=np.cumsum(rng.integers(1, 4, bands)),
        spread_edge_tick=np.cumsum(rng.integers(1, 4, spreads - 1)),
        event_lots=event_lots,
        limit_rate=scale * (0.1 + rng.random((spreads, bands, buckets))),
        cancel_rate=cancel,
        market_rate=market,
        far_limit_rate=0.1 * scale * rng.random(far),
        far_cancel_rate=0.1 * scale,
        limit_lots=sizes,
        market_lots=sizes[::-1].copy(),
    )
