"""Start states of episodes: books of a generated market after a burn-in, made once from a seed.

Each of several independent markets is opened with a book drawn from the calibrated shape, run until it has forgotten
it, and then looked at every `spacing_events` events. Nothing of a recording is kept.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from kernels.lob import spec
from kernels.lob.spec import Book, LobConfig
from market_models.calibration import Calibration, pack_params, start_messages
from market_models.registry import get_flow
from sim.engine import api
from sim.engine.types import MarketConfig, MarketState
from sim.market_making_types import StartPool

BURN_IN_EVENTS = 4000
SPACING_EVENTS = 500
NUM_MARKETS = 16
LOOKS_ALLOWED = 4  # times the looks that a market which always has two sides would need

Run = Callable[[MarketState, int], tuple[MarketState, jax.Array]]


def make_pool(
    config: MarketConfig,
    calibration: Calibration,
    size: int,
    *,
    seed: int = 0,
    backend: str = "cpu",
    burn_in_events: int = BURN_IN_EVENTS,
    spacing_events: int = SPACING_EVENTS,
    num_markets: int = NUM_MARKETS,
) -> StartPool:
    """Return `size` start states of the calibrated market; the same seed gives the same pool on every backend.

    A look at a market with an empty side is skipped. Raises ValueError for a size below 1, RuntimeError if the market
    is one-sided so often that the pool cannot be filled.
    """
    sizes = {"size": size, "burn_in_events": burn_in_events, "spacing_events": spacing_events}
    for name, value in {**sizes, "num_markets": num_markets}.items():
        if value < 1:
            raise ValueError(f"{name} {value} is below 1")
    run = _make_run(config, calibration, backend)
    markets, depth = run(_open_markets(config, calibration, seed, num_markets, backend), burn_in_events)
    looks = [_look(markets, depth)]
    for _ in range(LOOKS_ALLOWED * (-(-size // num_markets))):
        if sum(look.size for look in looks) >= size:
            return concatenate_pools(looks, size)
        markets, depth = run(markets, spacing_events)
        looks.append(_look(markets, depth))
    raise RuntimeError(f"only {sum(look.size for look in looks)} of {size} start states have two sides")


def concatenate_pools(pools: list[StartPool], size: int | None = None) -> StartPool:
    """Return one pool of the first `size` start states (all of them by default)."""
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:size], *pools)


def _open_markets(
    config: MarketConfig, calibration: Calibration, seed: int, num_markets: int, backend: str
) -> MarketState:
    """Return `num_markets` markets with opening books drawn from the calibrated shape."""
    seeds = np.random.SeedSequence(seed).generate_state(num_markets + 1)
    opening = np.stack([start_messages(calibration, int(s)) for s in seeds[:num_markets]])
    lob: LobConfig = config.lob
    process = api.make_process(lob, backend)
    reference = jnp.int32(calibration.reference_tick)
    books = jax.tree.map(jnp.asarray, spec.empty_book(lob, (num_markets,)))
    books, _ = jax.jit(jax.vmap(process, in_axes=(0, 0, None)))(books, opening, reference)
    next_order_id = jnp.int32(opening.shape[1] + 1)

    def open_market(book: Book, number: jax.Array) -> MarketState:
        zero = jnp.int32(0)
        return api.init_market(config, book, jnp.uint32(seeds[-1]), number, zero, zero, next_order_id, reference)

    return jax.vmap(open_market)(books, jnp.arange(num_markets, dtype=jnp.uint32))


def _make_run(config: MarketConfig, calibration: Calibration, backend: str) -> Run:
    """Return the function that advances a batch of markets by a number of events."""
    step = api.make_market_step(config, get_flow(calibration.model), backend)
    flow_params = jnp.asarray(pack_params(calibration))
    nobody = jnp.zeros((1, spec.NUM_MESSAGE_COLUMNS), jnp.int32)

    @jax.jit
    def run(markets: MarketState, horizon: jax.Array) -> tuple[MarketState, jax.Array]:
        markets, out = jax.vmap(step, in_axes=(0, None, None, None, None))(
            markets, nobody, flow_params, nobody, horizon
        )
        return markets, out.depth

    return lambda markets, events: run(markets, jnp.array([events, 0], jnp.int32))


def _look(markets: MarketState, depth: jax.Array) -> StartPool:
    """Return the markets with two sides as start states."""
    whole = np.asarray((depth[:, :, 0, 1] > 0).all(axis=1))
    meta = np.asarray(markets.meta)[whole]
    book = jax.tree.map(lambda leaf: np.asarray(leaf)[whole], markets.book)
    return StartPool(
        book=book._replace(counters=np.zeros_like(book.counters)),
        depth=np.asarray(depth)[whole],
        clock=meta[:, [spec.META_CLOCK_S, spec.META_CLOCK_NS]],
        next_order_id=meta[:, spec.META_NEXT_ORDER_ID],
        reference_tick=meta[:, spec.META_REFERENCE_TICK],
        row=np.zeros(len(meta), np.int32),
    )
