"""Parameters and state of several learners in one book."""

from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from kernels.execution import child, quotes
from kernels.lob import spec
from kernels.lob.spec import LobConfig
from sim.accounts import Account
from sim.engine.types import MarketConfig, MarketState
from sim.executor import ExecutorParams, ParentState, validate_executor
from sim.market_making_types import EnvParams, MarketMakingConfig, View, validate_params

MAKER, EXECUTOR = 0, 1
ROLE_NAMES: Final = ("maker", "executor")
MAX_LEARNERS: Final = 16
NUM_ACTIONS: Final = max(quotes.NUM_ACTIONS, child.NUM_ACTIONS)
MESSAGES_PER_LEARNER: Final = max(quotes.MESSAGES_PER_DECISION, child.MESSAGES_PER_DECISION)
IDS_PER_LEARNER: Final = max(quotes.IDS_PER_DECISION, child.IDS_PER_DECISION)
_ROWS: Final = ("flow_params", "horizon", "entry_quantiles_ns")  # fields with an axis of their own


class Learners(NamedTuple):
    """Who is in the book: owners 1..M are makers, M + 1..M + X executors; hashable."""

    num_makers: int = 2
    num_executors: int = 1

    @property
    def size(self) -> int:
        """Number of learners A."""
        return self.num_makers + self.num_executors

    @property
    def roles(self) -> tuple[int, ...]:
        """Role of each learner, MAKER or EXECUTOR, in the order of owners."""
        return (MAKER,) * self.num_makers + (EXECUTOR,) * self.num_executors


@struct.dataclass
class MultiAgentParams(environment.EnvParams):
    """Traced parameters: the market's, and those of every learner. A population may sweep every one."""

    max_steps_in_episode: int = 64  # decisions
    flow_params: jax.Array | np.ndarray = struct.field(default_factory=lambda: np.zeros(1, np.int32))  # int32[P]
    horizon: jax.Array | np.ndarray = struct.field(default_factory=lambda: np.array([20, 0], np.int32))
    first_start: int = 0  # a reset draws its start state from first_start ..
    num_starts: int = 1  # .. first_start + num_starts - 1 of the pool
    makers: EnvParams = EnvParams()  # every leaf with the leading axis M; the fields above and `liquidate` do not count
    executors: ExecutorParams = ExecutorParams()  # every leaf with the leading axis X; likewise


@struct.dataclass
class MultiAgentState(environment.EnvState):
    """One market with A learners in it."""

    time: jax.Array  # int32[] decisions made
    market: MarketState
    accounts: Account  # of the makers, [M] each
    parents: ParentState  # of the executors, [X] each
    view: View  # depth and summary are common; own int32[A, 2, 6], history [A] each
    row: jax.Array  # int32[] next background row


class EachDiscrete(spaces.Discrete):
    """One of `num_categories` actions for each of `size` learners, int32[size]."""

    def __init__(self, num_categories: int, size: int):
        super().__init__(num_categories)
        self.shape = (size,)

    def contains(self, x: jax.Array) -> jax.Array:
        """Say whether every action is one of the space's."""
        return jnp.all((x >= 0) & (x < self.n)) & (jnp.shape(x) == self.shape)


def default_config(learners: Learners) -> MarketMakingConfig:
    """Return the static shape of a market with room for the learners' messages and fills."""
    lob: LobConfig = MarketMakingConfig().market.lob
    return MarketMakingConfig(MarketConfig(lob, max(16, 4 * learners.size), learners.size))


def validate_learners(learners: Learners, config: MarketMakingConfig) -> Learners:
    """Return `learners`, or raise ValueError where they or the configuration do not fit."""
    if learners.num_makers < 1 or learners.num_executors < 1 or learners.size > MAX_LEARNERS:
        raise ValueError(f"{learners} is not at least one maker and one executor, at most {MAX_LEARNERS} together")
    if config.market.num_learners != learners.size:
        raise ValueError(f"market.num_learners {config.market.num_learners} is not the {learners.size} of {learners}")
    if config.market.inbox < 4 * learners.size:
        raise ValueError(f"market.inbox {config.market.inbox} is below {4 * learners.size}, four messages a learner")
    return learners


def validate_multi_agent(params: MultiAgentParams, learners: Learners, pool_size: int) -> MultiAgentParams:
    """Return concrete `params`, every learner's field with the axis of its role, or raise ValueError naming one."""
    shared = {name: getattr(params, name) for name in ("max_steps_in_episode", "horizon", "first_start", "num_starts")}
    market = validate_params(EnvParams(**shared, flow_params=params.flow_params), pool_size)
    makers = validate_params(params.makers.replace(**shared), pool_size)  # pyright: ignore[reportAttributeAccessIssue]
    executors = validate_executor(params.executors.replace(**shared), pool_size)  # pyright: ignore[reportAttributeAccessIssue]
    return params.replace(  # pyright: ignore[reportAttributeAccessIssue]
        **{name: getattr(market, name) for name in (*shared, "flow_params")},
        makers=_each(makers, learners.num_makers, "makers"),
        executors=_each(executors, learners.num_executors, "executors"),
    )


def _each(params: Any, size: int, role: str) -> Any:
    """Return `params` with the leading axis `size` on every leaf that has none yet."""

    def widen(path: Any, leaf: Any) -> np.ndarray:
        name = path[0].name
        leaf = np.asarray(leaf)
        own = leaf.shape[leaf.ndim - 1 :] if name in _ROWS else ()
        if leaf.ndim - len(own) > 1 or (leaf.ndim > len(own) and leaf.shape[0] != size):
            raise ValueError(f"{role}: {name} has shape {leaf.shape}; valid: one value, or one for each of {size}")
        return np.ascontiguousarray(np.broadcast_to(leaf, (size, *own)))

    return jax.tree_util.tree_map_with_path(widen, params)


def first_order_id(learners: Learners, learner: int, time: jax.Array) -> jax.Array:
    """Return the first of the order ids int32[] that a learner may use for a decision: unique in an episode."""
    return spec.FIRST_AGENT_ORDER_ID + IDS_PER_LEARNER * (learners.size * time + learner)
