"""Classical strategies in a batch of market-making environments: one compiled program for a whole search grid."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents import baselines
from agents.baselines import Params, StrategyState, StrategyView
from sim.market_making import MarketMaking
from sim.market_making_types import EnvParams, EnvState, scalar
from sim.vector import MarketMakingVector


class StrategyRun(NamedTuple):
    """T steps of B environments; `info` holds every entry of the environment's info, each [T, B]."""

    reward: jax.Array  # float32[T, B]
    done: jax.Array  # bool[T, B]
    info: dict[str, jax.Array]


def strategy_view(env: MarketMaking, state: EnvState, params: EnvParams) -> StrategyView:
    """Return what a strategy sees of one environment."""
    return StrategyView(
        net_depth=env.net_depth(state),
        mid_change_half_tick=state.view.history.mid_change_half_tick,
        inventory_lots=state.account.inventory_lots,
        quote_lots=scalar(params.quote_lots),
        steps_left=params.max_steps_in_episode - state.time,
    )


@partial(jax.jit, static_argnames=("vector", "strategy_name", "num_steps"))
def run_strategy(
    vector: MarketMakingVector,
    strategy_name: str,
    strategy_params: Params,
    env_params: Any,
    key: jax.Array,
    num_steps: int,
) -> StrategyRun:
    """Play `num_steps` decisions in B environments; leaves of both params are [B], key is typed, one or [B].

    A strategy's memory starts anew with every episode. One whole episode each is `num_steps` = max_steps_in_episode
    with a vector of one phase; `info["episode_pnl"][-1]` is then its result.
    """
    strategy = baselines.STRATEGIES[strategy_name]
    size = env_params.quote_lots.shape[0]
    keys = key if key.ndim else jax.random.split(key, size)
    fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
    env_state, _ = vector.reset(fold(keys, 0), env_params)
    memory = jax.vmap(baselines.init)(fold(keys, 1))

    def step(carry: tuple[EnvState, StrategyState], t: jax.Array) -> tuple[tuple[EnvState, StrategyState], StrategyRun]:
        env_state, memory = carry
        view = jax.vmap(partial(strategy_view, vector.env))(env_state, env_params)
        memory, wanted = jax.vmap(partial(baselines.decide, strategy))(memory, view, strategy_params)
        env_state, result = vector.step_quotes(fold(keys, t + 2), env_state, wanted, env_params)
        done = result.terminated | result.truncated
        fresh = jax.vmap(baselines.init)(fold(memory.key, t))
        memory = jax.tree.map(lambda new, old: jnp.where(done, new, old), fresh, memory)
        return (env_state, memory), StrategyRun(result.reward, done, result.info)

    return jax.lax.scan(step, (env_state, memory), jnp.arange(num_steps))[1]
