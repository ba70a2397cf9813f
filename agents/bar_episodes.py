"""Whole episodes on bars: K strategies or agents on the same P held-out paths, one compiled program a player.

Episode p is path p of the environment's pool, so differences between strategies are paired. A pool belongs to one of
training, validation and test by its `pool_seed` (episodes.POOL_SEEDS).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache, partial
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agents import baselines
from agents.bar_strategies import BAR_STRATEGIES
from agents.bar_strategy import bar_view, to_action
from agents.episodes import POOL_SEEDS
from agents.players import Player
from sim.bars.trading import BarTrading
from sim.bars.types import BarParams

MAX_EPISODES: Final = 2**16  # in memory at once


class BarMarkets(NamedTuple):
    """The P episodes that every strategy plays."""

    split: str  # a key of POOL_SEEDS: what the episodes may be used for
    env: BarTrading


class BarResults(NamedTuple):
    """Of each episode; float32 [K, P] unless said."""

    pnl_frac: np.ndarray  # of the starting equity, after all costs
    costs_frac: np.ndarray
    turnover_frac: np.ndarray  # notional traded over the starting equity
    max_drawdown_frac: np.ndarray
    mean_gross_frac: np.ndarray  # of equity, over the episode's bars
    num_trades: np.ndarray  # int32 bars in which something was traded
    num_steps: np.ndarray  # int32 bars until the end


def held_out_bars(make: Callable[..., BarTrading], split: str, **options: Any) -> BarMarkets:
    """Return the pool of paths of a split; `make` is `make_trading`, `make_portfolio` or `make_pairs`.

    ValueError if `split` is not a key of POOL_SEEDS, or for recorded `prices`: windows drawn from one recording
    overlap whatever their seed, so give each split a part of its own and `BarMarkets` its environment.
    """
    if split not in POOL_SEEDS:
        raise ValueError(f"split '{split}' is not one of {', '.join(POOL_SEEDS)}")
    if options.get("prices") is not None or "pool_seed" in options:
        raise ValueError("prices and pool_seed say which paths are held out: make the environment of a split yourself")
    return BarMarkets(split, make(pool_seed=POOL_SEEDS[split], **options))


@cache
def bar_strategy_player(name: str, signals: int, levels: tuple[float, ...]) -> Player:
    """Return the player of one classical strategy; its parameters are those of `bar_strategy_params`.

    ValueError names the valid strategies, or the number of signals that it needs.
    """
    if name not in BAR_STRATEGIES:
        raise ValueError(f"strategy '{name}' is not one of {', '.join(BAR_STRATEGIES)}")
    strategy = BAR_STRATEGIES[name]
    if strategy.signals not in (None, signals):
        raise ValueError(f"strategy '{name}' trades {strategy.signals} signals, the environment has {signals}")
    return Player(start=partial(_start, name, signals), move=partial(_move, name, levels))


def bar_strategy_params(name: str, sets: Sequence[Mapping[str, float]]) -> baselines.Params:
    """Return the parameters float32[K] of K sets of one strategy, defaults for the rest; ValueError as above."""
    strategy = BAR_STRATEGIES[name]
    given = {key for values in sets for key in values}
    columns = {key: np.array([values.get(key, strategy.defaults.get(key, 0.0)) for values in sets]) for key in given}
    return baselines.batch_params(strategy, len(sets), **columns)


def fits(name: str, env: BarTrading) -> bool:
    """Return whether a strategy can play the environment: one of assets needs signals that are the assets."""
    needed = BAR_STRATEGIES[name].signals
    return needed is None or np.array_equal(env.paths.directions, np.eye(needed))


def play_bars(markets: BarMarkets, player: Player, player_params: Any) -> BarResults:
    """Let K strategies (leaves of `player_params` [K, ...], or none: K is 1) play every path; arrays are [K, P].

    ValueError if an episode does not end within its limit.
    """
    leaves = jax.tree.leaves(player_params)
    count = leaves[0].shape[0] if leaves else 1
    at_once = max(MAX_EPISODES // markets.env.paths.num_paths, 1)
    program = _program(markets.env, player)
    parts = []
    for first in range(0, count, at_once):
        chunk = jax.tree.map(lambda leaf, at=first: jnp.asarray(leaf)[at : at + at_once], player_params)
        played = program(chunk) if leaves else jax.tree.map(lambda leaf: leaf[None], program(chunk))
        parts.append(jax.tree.map(np.asarray, played))
    results = BarResults(*(np.concatenate(field) for field in zip(*parts, strict=True)))
    if (results.num_steps < 0).any():
        raise ValueError("an episode did not end within max_steps_in_episode bars")
    return results


def play_strategy(markets: BarMarkets, name: str, sets: Sequence[Mapping[str, float]]) -> BarResults:
    """Let K parameter sets of one classical strategy play every path."""
    env = markets.env
    if name in BAR_STRATEGIES and not fits(name, env):
        needed = BAR_STRATEGIES[name].signals
        raise ValueError(f"strategy '{name}' trades {needed} assets as they are; {env.name} has other signals")
    player = bar_strategy_player(name, env.num_signals, env.config.levels)
    return play_bars(markets, player, bar_strategy_params(name, sets))


def _start(name: str, signals: int, key: jax.Array) -> Any:
    return BAR_STRATEGIES[name].start(key, signals)


def _move(
    name: str, levels: tuple[float, ...], params: Any, memory: Any, obs: jax.Array, view: Any, key: jax.Array
) -> tuple[Any, jax.Array]:
    memory, positions = BAR_STRATEGIES[name].positions(memory, view, params)
    return memory, to_action(levels, positions)


@lru_cache(maxsize=32)  # an environment and its programs are kept while they are in use
def _program(env: BarTrading, player: Player) -> Callable[[Any], Any]:
    """Return the compiled program player_params [K, ...] -> BarResults [K, P], or [P] without parameters."""
    paths = jnp.arange(env.paths.num_paths, dtype=jnp.int32)
    episodes = jax.vmap(partial(_play_one, env, player), in_axes=(None, 0))

    def batched(player_params: Any) -> Any:
        if not jax.tree.leaves(player_params):
            return episodes(player_params, paths)
        return jax.vmap(episodes, in_axes=(0, None))(player_params, paths)

    return jax.jit(batched)


class _Carry(NamedTuple):
    obs: jax.Array
    state: Any
    memory: Any
    alive: jax.Array  # bool[]
    results: Any  # BarResults of scalars


def _play_one(env: BarTrading, player: Player, player_params: Any, path: jax.Array) -> Any:
    one: Any = env.default_params
    params: BarParams = one.replace(first_path=path, num_paths=1)
    key = jax.random.fold_in(jax.random.key(0), path)
    obs, state = env.reset_env(key, params)
    none, zero = jnp.float32(0), jnp.int32(0)
    key_start, key_moves = jax.random.split(key)
    results: Any = BarResults(none, none, none, none, none, zero, zero)
    carry = _Carry(obs, state, player.start(key_start), jnp.bool_(True), results)

    def step(carry: _Carry, t: jax.Array) -> tuple[_Carry, None]:
        return _advance(env, player, player_params, params, carry, jax.random.fold_in(key_moves, t)), None

    carry, _ = jax.lax.scan(step, carry, jnp.arange(env.paths.num_bars))
    done = carry.results
    mean_gross = done.mean_gross_frac / jnp.maximum(done.num_steps, 1).astype(jnp.float32)
    return done._replace(mean_gross_frac=mean_gross, num_steps=jnp.where(carry.alive, -1, done.num_steps))


def _advance(
    env: BarTrading, player: Player, player_params: Any, params: BarParams, carry: _Carry, key: jax.Array
) -> _Carry:
    view: Any = bar_view(env, carry.state, params)
    memory, action = player.move(player_params, carry.memory, carry.obs, view, key)
    obs, state, _, terminated, info = env.step_env(key, carry.state, action, params)
    done = terminated | env.is_truncated(state, params)
    old = carry.results
    traded = info["turnover_frac"] > old.turnover_frac
    new = BarResults(
        pnl_frac=info["pnl_frac"],
        costs_frac=info["costs_frac"],
        turnover_frac=info["turnover_frac"],
        max_drawdown_frac=info["drawdown_frac"],
        mean_gross_frac=old.mean_gross_frac + info["gross_frac"],
        num_trades=old.num_trades + traded.astype(jnp.int32),
        num_steps=old.num_steps + 1,
    )
    kept: Any = jax.tree.map(lambda a, b: jnp.where(carry.alive, a, b), new, old)  # an ended episode stands
    return _Carry(obs, state, memory, carry.alive & ~done, kept)
