"""Every algorithm under its name: what the program, the files of a run and evaluation need to know of it.

To add one: its sizes and ranges in `TrainConfig`, its hyperparameters' type, one line in `ALGORITHMS`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax

from agents import actions, dqn, learn, memory_ppo, off_policy, policy, q_networks, sac
from agents import update as ppo_update
from agents.off_policy import Rule
from agents.train_config import DQNConfig, PPOConfig, SACConfig, Sizes
from agents.train_state import TrainState
from sim.vector import action_kind, bounded_action


class Algorithm(NamedTuple):
    """Pure functions over a population; leaves of learners and parameters are [A, ...]."""

    name: str
    sizes: type  # of the static half, by which it is found
    actions: str  # the environments it takes: "discrete", "continuous" or "any"
    init_learner: Callable[..., Any]  # keys [A], hyper, obs float32[B, D], env, config -> learner with `params`
    update: Callable[..., tuple[TrainState, dict[str, jax.Array]]]  # state, env_params, env, config, chunk
    published: Callable[[Any, Any], Any]  # learner's params, config -> networks that a run saves
    act_greedy: Callable[[Any, jax.Array, Any], jax.Array]  # published, obs float32[A, E, D], env -> [A, E, ...]


def _plain(params: Any, config: Any) -> Any:
    return params


def _as_actors(params: Any, config: DQNConfig) -> Any:
    return jax.vmap(partial(q_networks.as_actor, quantiles=config.quantiles))(params)


def _greedy_discrete(params: Any, obs: jax.Array, env: Any) -> jax.Array:
    return policy.act_greedy(params, obs)


def _update_ppo(
    state: TrainState, env_params: Any, env: Any, config: PPOConfig, chunk: int
) -> tuple[TrainState, dict[str, jax.Array]]:
    run = ppo_update.update if config.network == "mlp" else memory_ppo.update
    return run(state, env_params, env, config, chunk)


def _greedy_ppo(params: Any, obs: jax.Array, env: Any) -> jax.Array:
    rule = actions.of_env(env)
    return rule.to_env(rule.greedy(policy.population_logits(params, obs)), env)


def _greedy_continuous(params: Any, obs: jax.Array, env: Any) -> jax.Array:
    return bounded_action(env, jax.vmap(sac.act_greedy)(params, obs))


def _off_policy(name: str, sizes: type, actions: str, rule: Rule, published: Any, act_greedy: Any) -> Algorithm:
    start, update = partial(off_policy.init_learner, rule=rule), partial(off_policy.update, rule=rule)
    return Algorithm(name, sizes, actions, start, update, published, act_greedy)


_DQN = Rule(dqn.coefficients, dqn.init, dqn.noise, dqn.explore, dqn.learn, lambda action, env: action)
_SAC = Rule(
    sac.coefficients, sac.init, sac.noise, sac.explore, sac.learn, lambda action, env: bounded_action(env, action)
)
ALGORITHMS = {
    "ppo": Algorithm("ppo", PPOConfig, "any", learn.init_learner, _update_ppo, _plain, _greedy_ppo),
    "dqn": _off_policy("dqn", DQNConfig, "discrete", _DQN, _as_actors, _greedy_discrete),
    "sac": _off_policy("sac", SACConfig, "continuous", _SAC, _plain, _greedy_continuous),
}


def of_sizes(config: Sizes) -> Algorithm:
    """Return the algorithm whose static half `config` is."""
    return next(algorithm for algorithm in ALGORITHMS.values() if type(config) is algorithm.sizes)


def check_actions(algorithm: Algorithm, env: Any) -> None:
    """Raise ValueError where the algorithm cannot act in `env`, naming those that can."""
    kind = action_kind(env)
    if algorithm.actions not in (kind, "any"):
        able = [name for name, other in ALGORITHMS.items() if other.actions in (kind, "any")]
        raise ValueError(
            f"algorithm is {algorithm.name!r}, which needs {algorithm.actions} actions, and this environment takes "
            f"{kind} ones; valid here: {', '.join(able)}"
        )
