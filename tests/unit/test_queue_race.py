"""With orders of one lot and the spread at one tick, the simulated mid moves up as often as the closed form says."""

import numpy as np
import pytest

from kernels.lob import spec
from kernels.lob.host import process_batch
from kernels.lob.spec import LobConfig, empty_book
from kernels.lob.step import new_market, run_market_step
from market_models import zero_intelligence as zi
from market_models.zero_intelligence_numba import FLOW
from tests.oracles.queue_race import by_laplace_inversion, by_linear_system

# Estimates of the paper for its first stock: lambda(1), mu, theta(1) per second.
LIMIT, MARKET, CANCEL = 1.85, 0.94, 0.71
ONES = np.ones(zi.NUM_SIZES, int)
MARKETS = 8_000
CONFIG = LobConfig(capacity=64, max_fills=1, depth_levels=1, fills_mode=spec.FILLS_OWNED)


def opening(asks: int, bids: int) -> np.ndarray:
    rows = [(spec.LIMIT, 1, 1, 101, i + 1, 0, 0, 0) for i in range(asks)]
    return np.array(rows + [(spec.LIMIT, 0, 1, 100, asks + i + 1, 0, 0, 0) for i in range(bids)], np.int32)


def simulate(asks: int, bids: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each market whether the ask side emptied first and whether the bid side did; a few stay undecided."""
    messages = np.broadcast_to(opening(asks, bids), (MARKETS, asks + bids, 8))
    books, _ = process_batch(empty_book(CONFIG, (MARKETS,)), messages, CONFIG)
    market = new_market(CONFIG, books, seed=seed, next_order_id=100, reference_tick=100)
    market.seed[:, 1] = np.arange(MARKETS)
    params = zi.pack(np.array([LIMIT]), MARKET, np.array([CANCEL]), ONES, ONES)
    nothing = np.zeros((1, 8), np.int32)
    up, down = np.zeros(MARKETS, bool), np.zeros(MARKETS, bool)
    while (up | down).mean() < 0.9995:
        run_market_step(FLOW.numba_sampler, CONFIG, market, nothing, params, nothing, np.array([1, 0]))
        undecided = ~up & ~down
        up |= undecided & (market.book.num_orders[:, 1] == 0)
        down |= undecided & (market.book.num_orders[:, 0] == 0)
    return up, down


def test_the_two_roads_to_the_closed_form_agree():
    table = by_linear_system(LIMIT, MARKET, CANCEL)
    for a, b in ((1, 1), (1, 2), (2, 1), (3, 1), (2, 5), (5, 5)):
        np.testing.assert_allclose(by_laplace_inversion(a, b, LIMIT, MARKET, CANCEL), table[a - 1, b - 1], atol=2e-3)
    np.testing.assert_allclose(table + table.T, 1.0, atol=1e-9)


@pytest.mark.parametrize(("asks", "bids"), [(1, 2), (3, 1), (2, 5)])
def test_the_probability_that_the_mid_moves_up_is_the_closed_form(asks, bids):
    up, down = simulate(asks, bids, seed=100 * asks + bids)
    probability = by_linear_system(LIMIT, MARKET, CANCEL)[asks - 1, bids - 1]
    error = (probability * (1 - probability) / MARKETS) ** 0.5
    assert abs(up.sum() / (up | down).sum() - probability) < 4 * error + 0.0005
