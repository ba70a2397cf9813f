"""Whole episodes of many strategies in the same markets, one compiled program for strategies x episodes.

Every strategy meets the same start book and the same background randomness in episode e (common random numbers), so
that differences between strategies are paired. Players are functions of one market (agents/players.py); `vmap` is here.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from agents.baselines_run import strategy_view
from agents.players import Player
from kernels.execution.quotes import Quotes
from sim.market_making import MarketMaking
from sim.market_making_types import EnvParams, EnvState

# Seeds of episodes. Training draws from `jax.random.key(seed)` with seed below 2^31 (agents/train_config.py), so the
# three ranges are disjoint; a start pool of its own (`pool_seed`) keeps the books apart as well.
SEED_RANGES: Final = {
    "train": (0, 2**31),
    "validation": (2**31, 2**31 + 2**30),
    "test": (2**31 + 2**30, 2**32),
}
POOL_SEEDS: Final = {"train": 0, "validation": 1, "test": 2}
DEFAULT_MAX_MARKETS: Final = 4096  # markets in memory at once; the state of one is 5,144 bytes at capacity 128
_PLAYER_FOLD: Final = 0x9E37  # separates a player's own draws from the market's


class Markets(NamedTuple):
    """The S episodes that every strategy plays."""

    source: str  # "sim" generated, "replay" recorded
    split: str  # a key of SEED_RANGES: what the episodes may be used for
    env: MarketMaking
    key: jax.Array  # typed keys [S], one a market
    params: EnvParams  # every leaf [S, ...]
    seed: np.ndarray  # uint64[S], or the window's number in a recording


class Results(NamedTuple):
    """Of each episode; every field [K, S] for K strategies and S episodes."""

    pnl_tick_lots: np.ndarray  # float32, after fees, against the mark
    num_fills: np.ndarray  # int32
    traded_lots: np.ndarray  # int32 bought plus sold
    max_drawdown_tick_lots: np.ndarray  # float32 deepest fall of the equity path, at least 0
    mean_abs_inventory_lots: np.ndarray  # float32 over the episode's decisions
    final_inventory_lots: np.ndarray  # int32 after liquidation, where there is one
    num_steps: np.ndarray  # int32 decisions until the end
    overflows: np.ndarray  # int32 of the engine's and the account's capacities; results need 0


_RESULT_TYPES: Final = (
    np.float32,
    np.int32,
    np.int32,
    np.float32,
    np.float32,
    np.int32,
    np.int32,
    np.int32,
)


def simulated_markets(env: MarketMaking, split: str, episodes: int) -> Markets:
    """Return the first `episodes` markets of a split's seed range, in the markets of `env`.

    Raises ValueError if `split` is not a key of SEED_RANGES or has fewer seeds.
    """
    if split not in SEED_RANGES:
        raise ValueError(f"split '{split}' is not one of {', '.join(SEED_RANGES)}")
    first, end = SEED_RANGES[split]
    if not 1 <= episodes <= end - first:
        raise ValueError(f"episodes {episodes} is outside 1..{end - first}")
    seed = np.arange(first, first + episodes, dtype=np.uint32)
    key = jax.vmap(jax.random.key)(seed)
    return Markets("sim", split, env, key, _spread(env.default_params, episodes), seed.astype(np.uint64))


def recorded_markets(env: MarketMaking, split: str = "test") -> Markets:
    """Return every window of a recorded environment (`sim.recorded_market.make_recorded`) as one episode each."""
    if split not in SEED_RANGES:
        raise ValueError(f"split '{split}' is not one of {', '.join(SEED_RANGES)}")
    count = env.pool.size
    window = np.arange(count, dtype=np.int32)
    params = _spread(env.default_params, count).replace(first_start=window, num_starts=np.ones(count, np.int32))
    key = jax.vmap(jax.random.key)(window.astype(np.uint32))  # nothing is drawn in a recording but by random players
    return Markets("replay", split, env, key, params, window.astype(np.uint64))


def _spread(params: EnvParams, size: int) -> Any:
    return jax.tree.map(lambda leaf: np.broadcast_to(np.asarray(leaf), (size, *np.shape(leaf))), params)


def play(
    markets: Markets,
    player: Player,
    player_params: Any,
    *,
    max_markets: int = DEFAULT_MAX_MARKETS,
    progress: Callable[[int, int], None] | None = None,
) -> Results:
    """Let K strategies (leaves of `player_params` [K, ...]) play all S episodes; arrays are [K, S].

    At most `max_markets` markets are simulated at once; `progress(done, total)` counts strategy x episode pairs. All
    devices share the episodes of a chunk. Raises ValueError if an episode does not end within its step limit, or if a
    capacity was too small for the results to be right.
    """
    num_strategies = jax.tree.leaves(player_params)[0].shape[0]
    total = num_strategies * len(markets.seed)
    filled = Results(*(np.zeros((num_strategies, len(markets.seed)), kind) for kind in _RESULT_TYPES))
    done = 0
    for strategies, rows in _chunks(num_strategies, len(markets.seed), max_markets):
        chunk_params = jax.tree.map(lambda leaf, at=strategies: jnp.asarray(leaf)[at], player_params)
        played = _play_chunk(markets, player, chunk_params, rows)
        for whole, part in zip(filled, played, strict=True):
            whole[np.ix_(strategies, rows)] = part  # repeated ends write the same values again
        done += len(np.unique(strategies)) * len(np.unique(rows))
        if progress is not None:
            progress(done, total)
    return _checked(filled)


def _chunks(num_strategies: int, num_episodes: int, max_markets: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield index arrays of equal shapes, strategies outermost; the last ones repeat their end to keep the shape."""
    devices = jax.device_count()
    episodes = _even_part(num_episodes, max(max_markets, devices))
    episodes = -(-episodes // devices) * devices
    strategies = _even_part(num_strategies, max(max_markets // episodes, 1))
    for i in range(0, num_strategies, strategies):
        for j in range(0, num_episodes, episodes):
            yield (
                np.minimum(np.arange(i, i + strategies), num_strategies - 1),
                np.minimum(np.arange(j, j + episodes), num_episodes - 1),
            )


def _even_part(count: int, limit: int) -> int:
    """Return the size of equal parts of `count`, at most `limit` each."""
    return -(-count // -(-count // limit))


def _play_chunk(markets: Markets, player: Player, player_params: Any, rows: np.ndarray) -> Results:
    env_params = jax.tree.map(lambda leaf: jnp.asarray(leaf[rows]), markets.params)
    num_steps = int(np.max(markets.params.max_steps_in_episode))
    played = _program(markets.env, player, num_steps)(player_params, markets.key[rows], env_params)
    return Results(*(np.asarray(field) for field in played))


@lru_cache(maxsize=32)  # an environment and its programs are kept while they are in use
def _program(env: MarketMaking, player: Player, num_steps: int) -> Callable[..., Results]:
    """Return the compiled program (player_params [K, ...], keys [S], env_params [S, ...]) -> Results [K, S]."""
    one = partial(_play_one, env, player, num_steps)
    batched = jax.vmap(jax.vmap(one, in_axes=(None, 0, 0)), in_axes=(0, None, None))
    mesh = jax.make_mesh((jax.device_count(),), ("episodes",), axis_types=(AxisType.Auto,))
    split = PartitionSpec("episodes")
    # The engine is a foreign call: whether its values vary over devices is not checked inside it.
    spread = jax.shard_map(
        batched,
        mesh=mesh,
        in_specs=(PartitionSpec(), split, split),
        out_specs=PartitionSpec(None, "episodes"),
        check_vma=False,
    )
    return jax.jit(spread)


class _Carry(NamedTuple):
    obs: jax.Array
    state: EnvState
    memory: Any
    alive: jax.Array  # bool[]
    results: Any  # Results of scalars


def _play_one(
    env: MarketMaking, player: Player, num_steps: int, player_params: Any, key: jax.Array, env_params: EnvParams
) -> Any:
    obs, state = env.reset_env(key, env_params)
    key_player = jax.random.fold_in(key, _PLAYER_FOLD)
    key_start, key_moves = jax.random.split(key_player)
    zero, none = jnp.int32(0), jnp.float32(0.0)
    results: Any = Results(none, zero, zero, none, none, zero, zero, zero)
    carry = _Carry(obs, state, player.start(key_start), jnp.bool_(True), results)

    def step(carry: _Carry, t: jax.Array) -> tuple[_Carry, None]:
        return _advance(env, player, player_params, env_params, carry, jax.random.fold_in(key_moves, t)), None

    carry, _ = jax.lax.scan(step, carry, jnp.arange(num_steps))
    unfinished = carry.alive.astype(jnp.int32)
    steps = carry.results.num_steps
    return carry.results._replace(
        mean_abs_inventory_lots=carry.results.mean_abs_inventory_lots / jnp.maximum(steps, 1).astype(jnp.float32),
        num_steps=jnp.where(unfinished > 0, -1, steps),
    )


def _advance(
    env: MarketMaking, player: Player, player_params: Any, env_params: EnvParams, carry: _Carry, key: jax.Array
) -> _Carry:
    view = strategy_view(env, carry.state, env_params)
    memory, move = player.move(player_params, carry.memory, carry.obs, view, key)
    if isinstance(move, Quotes):
        obs, state, _, terminated, info = env.step_quotes(key, carry.state, move, env_params)
    else:
        obs, state, _, terminated, info = env.step_env(key, carry.state, move, env_params)
    done = terminated | env.is_truncated(state, env_params)
    old = carry.results
    new = Results(
        pnl_tick_lots=info["pnl_tick_lots"],
        num_fills=info["num_fills"],
        traded_lots=info["traded_lots"],
        max_drawdown_tick_lots=info["drawdown_tick_lots"],
        mean_abs_inventory_lots=old.mean_abs_inventory_lots + jnp.abs(view.inventory_lots).astype(jnp.float32),
        final_inventory_lots=info["inventory"],
        num_steps=old.num_steps + 1,
        overflows=info["overflows"],
    )
    results = jax.tree.map(lambda a, b: jnp.where(carry.alive, a, b), new, old)  # an ended episode stands
    return _Carry(obs, state, memory, carry.alive & ~done, results)


def _checked(results: Results) -> Results:
    if (results.num_steps < 0).any():
        raise ValueError("an episode did not end within max_steps_in_episode decisions")
    if results.overflows.any():
        worst = int(results.overflows.max())
        raise ValueError(
            f"{int((results.overflows > 0).sum())} episodes passed a capacity (up to {worst} times): results would be "
            "wrong; raise market.lob.max_fills or market.inbox, or lower quote_lots"
        )
    return results
