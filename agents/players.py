"""Ways to play one market: an agent's policy, the ensemble, and every classical strategy in one program.

A player is a pair of pure functions of one market; `agents/episodes.py` batches it over strategies and episodes.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agents import baselines, ensemble, networks, policy
from agents.baselines import STRATEGIES, Strategy, StrategyView

ParameterSet = tuple[str, Mapping[str, float]]
"""A classical strategy's name and the parameters that differ from its defaults."""


class Player(NamedTuple):
    """A way to play; hashable, so that it is a static argument of the compiled program."""

    start: Callable[[jax.Array], Any]  # key -> memory
    move: Callable[[Any, Any, jax.Array, StrategyView, jax.Array], tuple[Any, Any]]
    # ^ (params, memory, obs float32[D], view, key) -> (memory, action int32[] or Quotes)


@cache
def population_player(sampled: bool = False) -> Player:
    """Return the player of one agent's actor layers: its most probable action, or one drawn from its policy."""
    return Player(start=lambda key: (), move=_sampled_move if sampled else _greedy_move)


@cache
def ensemble_player() -> Player:
    """Return the player of `ensemble.EnsembleParams`."""
    return Player(start=lambda key: (), move=_ensemble_move)


@cache
def strategy_player() -> Player:
    """Return the player of `strategy_params`: any classical strategy, chosen by number.

    Every strategy is computed and one is taken: that costs little beside the market, and one program serves all.
    """
    return Player(start=baselines.init, move=partial(_strategy_move, tuple(STRATEGIES.values())))


def strategy_params(sets: Sequence[ParameterSet]) -> tuple[np.ndarray, tuple[baselines.Params, ...]]:
    """Return the parameters of K strategies for `strategy_player`: (number int32[K], each strategy's float32[K]).

    Raises ValueError naming the valid strategies or parameters.
    """
    for name, _ in sets:
        if name not in STRATEGIES:
            raise ValueError(f"strategy '{name}' is not one of {', '.join(STRATEGIES)}")
    order = list(STRATEGIES)
    number = np.array([order.index(name) for name, _ in sets], np.int32)
    return number, tuple(_column(strategy, sets) for strategy in STRATEGIES.values())


def _column(strategy: Strategy, sets: Sequence[ParameterSet]) -> baselines.Params:
    """Return one strategy's parameters in every row: its own where the row is its own, defaults elsewhere."""
    own = [dict(values) if name == strategy.name else {} for name, values in sets]
    given = {key for values in own for key in values}
    columns = {key: [values.get(key, strategy.defaults.get(key, 0.0)) for values in own] for key in given}
    return baselines.batch_params(strategy, len(sets), **{key: np.array(value) for key, value in columns.items()})


def _greedy_move(params: Any, memory: Any, obs: jax.Array, view: StrategyView, key: jax.Array) -> tuple[Any, Any]:
    return memory, jnp.argmax(networks.logits(params, obs)).astype(jnp.int32)


def _sampled_move(params: Any, memory: Any, obs: jax.Array, view: StrategyView, key: jax.Array) -> tuple[Any, Any]:
    return memory, policy.sample_action(networks.logits(params, obs), jax.random.uniform(key))


def _ensemble_move(params: Any, memory: Any, obs: jax.Array, view: StrategyView, key: jax.Array) -> tuple[Any, Any]:
    return memory, ensemble.act(params, obs)


def _strategy_move(
    strategies: tuple[Strategy, ...], params: Any, memory: Any, obs: jax.Array, view: StrategyView, key: jax.Array
) -> tuple[Any, Any]:
    number, values = params
    moves = [baselines.decide(s, memory, view, own) for s, own in zip(strategies, values, strict=True)]
    return jax.tree.map(lambda *leaves: _pick(number, leaves), *moves)


def _pick(number: jax.Array, leaves: Sequence[jax.Array]) -> jax.Array:
    if jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return leaves[0]  # no strategy changes its key
    return jax.lax.select_n(number, *(jnp.asarray(leaf) for leaf in leaves))
