"""Configuration, parameters and state of the market-making environment."""

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment

from kernels.features.market import DEPTH_LEVELS, FEATURE_LEVELS, History
from kernels.lob import spec
from kernels.lob.spec import Book, LobConfig
from market_models.latency import check_table
from sim.accounts import Account, FeeRates
from sim.engine.types import MarketConfig, MarketState

MAX_INVENTORY_CAP_LOTS = 2**24  # below it liquidation and features cannot pass int32
MAX_LATENCY_NS = 2 * 10**9
OWNER = 1  # the learner's owner number in the book
_EVERYWHERE: Final = {
    "max_steps_in_episode": (1, 2**24),
    "latency_ns": (0, MAX_LATENCY_NS),
    "liquidation_beyond_tick": (0, 2**20),
}


class MarketMakingConfig(NamedTuple):
    """Static shape of the environment; hashable."""

    market: MarketConfig = MarketConfig(
        lob=LobConfig(capacity=128, max_fills=64, depth_levels=DEPTH_LEVELS, fills_mode=spec.FILLS_OWNED),
        inbox=16,
        num_learners=1,
    )
    background_rows: int = 1  # H, recorded rows handed to one step; 1 where the flow generates its events


def validate_market_making(config: MarketMakingConfig) -> MarketMakingConfig:
    """Return `config`, or raise ValueError with the field and what would be valid."""
    lob = spec.validate_config(config.market.lob)
    if lob.depth_levels < FEATURE_LEVELS:
        raise ValueError(f"market.lob.depth_levels {lob.depth_levels} is below {FEATURE_LEVELS}, which features need")
    if config.market.inbox < 8:
        raise ValueError(f"market.inbox {config.market.inbox} is below 8: two decisions' messages must fit")
    if config.market.num_learners < OWNER:
        raise ValueError(f"market.num_learners {config.market.num_learners} is below {OWNER}")
    if config.background_rows < 1:
        raise ValueError(f"background_rows {config.background_rows} is below 1")
    return config


@struct.dataclass
class EnvParams(environment.EnvParams):
    """Traced parameters; a population may sweep every one. Scalars unless an axis is given."""

    max_steps_in_episode: int = 256  # decisions
    flow_params: jax.Array | np.ndarray = struct.field(default_factory=lambda: np.zeros(1, np.int32))  # int32[P]
    horizon: jax.Array | np.ndarray = struct.field(default_factory=lambda: np.array([20, 0], np.int32))
    # ^ int32[2] a decision's length: background events, and microseconds (0: no limit in time)
    latency_ns: int = 1_000_000  # decision to venue, 0..2e9; at least one event passes in any case
    entry_quantiles_ns: jax.Array | np.ndarray = struct.field(default_factory=lambda: np.zeros(1, np.int32))
    # ^ int32[K] quantiles of what a message takes beyond latency_ns (market_models/latency.py); [0]: nothing
    quote_lots: int = 100  # lots of one quote
    inventory_cap_lots: int = 500  # |inventory| never passes it; at most MAX_INVENTORY_CAP_LOTS
    fees: FeeRates = FeeRates()
    inventory_penalty: float = 0.02  # ticks a lot and step at |inventory| = quote_lots; grows in proportion beyond
    held_mark_share: float = 1.0  # how much of the mark's move on held inventory a reward counts (info: always all)
    liquidate: int = 1  # 1: the episode's end closes the inventory and terminates; 0: it is cut off at the mark
    liquidation_beyond_tick: int = 20  # what lots beyond the visible depth lose against its deepest level
    reward_scale: float = 0.001  # reward per tick-lot
    first_start: int = 0  # a reset draws its start state from first_start ..
    num_starts: int = 1  # .. first_start + num_starts - 1 of the pool


def validate_params(params: EnvParams, pool_size: int) -> EnvParams:
    """Return concrete `params` with scalars as NumPy arrays, or raise ValueError with the field and its range."""
    whole = {
        "quote_lots": (1, MAX_INVENTORY_CAP_LOTS),
        "inventory_cap_lots": (1, MAX_INVENTORY_CAP_LOTS),
        "liquidate": (0, 1),
    }
    fields = check_fields(params, pool_size, whole, ("inventory_penalty", "held_mark_share", "reward_scale"))
    return params.replace(**fields)  # pyright: ignore[reportAttributeAccessIssue]


def check_fields(
    params: Any, pool_size: int, whole: Mapping[str, tuple[int, int]], real: Collection[str]
) -> dict[str, Any]:
    """Return the fields of an order-book environment's `params` as NumPy arrays, or raise ValueError naming one.

    Checked are those that every such environment has (`_EVERYWHERE`, the horizon, latencies, fees, flow parameters and
    the pool's range), the integers of `whole` within their ranges, and the numbers of `real`.
    """
    fields: dict[str, Any] = {}
    pool = {"first_start": (0, pool_size - 1), "num_starts": (1, pool_size)}
    for name, (low, high) in {**_EVERYWHERE, **whole, **pool}.items():
        value = np.asarray(getattr(params, name))
        if not np.issubdtype(value.dtype, np.integer) or (value < low).any() or (value > high).any():
            raise ValueError(f"{name} {value} is not an integer in {low}..{high}")
        fields[name] = value.astype(np.int32)
    if (fields["first_start"] + fields["num_starts"] > pool_size).any():
        raise ValueError(f"first_start + num_starts passes the pool's {pool_size} start states")
    fields["latency_ns"], fields["entry_quantiles_ns"] = _check_latency(params, fields["latency_ns"])
    fields["horizon"] = np.asarray(params.horizon, np.int32)
    if (fields["horizon"][..., 0] < 1).any() or (fields["horizon"][..., 1] < 0).any():
        raise ValueError(f"horizon {fields['horizon']} must be (events >= 1, microseconds >= 0)")
    for name in real:
        fields[name] = np.asarray(getattr(params, name), np.float32)
        if not np.isfinite(fields[name]).all():
            raise ValueError(f"{name} {fields[name]} is not finite")
    fields["fees"] = FeeRates(*(np.asarray(rate, np.float32) for rate in params.fees))
    fields["flow_params"] = np.asarray(params.flow_params, np.int32)
    return fields


def _check_latency(params: Any, latency_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    table = check_table("entry_quantiles_ns", np.asarray(params.entry_quantiles_ns))
    slowest_ns = latency_ns.astype(np.int64) + table[..., -1]
    if (slowest_ns > MAX_LATENCY_NS).any():
        raise ValueError(f"latency_ns + entry_quantiles_ns reaches {slowest_ns}, valid: up to {MAX_LATENCY_NS}")
    if table.shape[-1] > 1:
        return latency_ns, table
    return slowest_ns.astype(np.int32), np.zeros_like(table)  # a constant is part of the constant


class StartPool(NamedTuple):
    """N start states of an episode (NumPy); books hold background orders only."""

    book: Book  # [N, ...]
    depth: np.ndarray  # int32[N, 2, L, 2] of each book
    clock: np.ndarray  # int32[N, 2] (s, ns)
    next_order_id: np.ndarray  # int32[N] the background's next id
    reference_tick: np.ndarray  # int32[N]
    row: np.ndarray  # int32[N] first background row of the episode; 0 where the flow generates its events

    @property
    def size(self) -> int:
        """Number of start states N."""
        return int(self.row.shape[0])


class View(NamedTuple):
    """What the learner is shown of the market after a step, int32."""

    depth: jax.Array  # [2, L, 2] our orders included
    summary: jax.Array  # [16] SUM_* words of the step
    own: jax.Array  # [2, 6] OWN_* columns, our best order on each side
    history: History  # [] each


@struct.dataclass
class EnvState(environment.EnvState):
    """One market with one learner in it."""

    time: jax.Array  # int32[] decisions made in this episode
    market: MarketState
    account: Account
    view: View
    next_order_id: jax.Array  # int32[] our next order id
    row: jax.Array  # int32[] next background row


def scalar(value: jax.Array | int) -> jax.Array:
    """Return an int32[] array."""
    return jnp.asarray(value, jnp.int32)
