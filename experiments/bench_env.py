"""`bookswarm bench env`: steps a second of environments in a book, against another engine in the same run."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents.sharding import SPLIT, make_mesh, place, split_agents
from experiments.experiment import MARKET_MAKING, MarketSettings
from experiments.training import make_env
from kernels.lob.spec import SUM_EVENTS
from sim.multi_agent import MultiAgent
from sim.multi_agent_vector import MultiAgentVector
from sim.registry import make_environment
from sim.vector import GymnaxVector, broadcast_params, market_making_vector

MULTI_AGENT = "multi_agent"
BOOK_ENVIRONMENTS = ("execution", MARKET_MAKING, MULTI_AGENT)
PHASES = 8  # staggered groups, as in training
AnyVector = GymnaxVector | MultiAgentVector
REFERENCE = {"cpu": "xla", "xla": "cpu", "cuda": "xla"}
REPEATS = 3


def bench_env(
    envs: int, steps: int, backend: str, events_per_step: int = 100, env: str = MARKET_MAKING
) -> dict[str, Any]:
    """Measure `envs` environments over `steps` uniformly random decisions, split over all devices; best of three.

    `env` is one of BOOK_ENVIRONMENTS; a row of `multi_agent` is one of three learners, so `envs` is a multiple of 3.
    Each step runs `events_per_step` background events, settles fills, computes reward and observation; their sums leave
    the program, so that nothing is optimised away. Returns `steps_per_s, events_per_s`, the other backend as
    `reference` with its own figure on fewer environments, and `ratio` to it.
    """
    if backend not in REFERENCE:
        raise ValueError(f"backend {backend!r} is not one of {sorted(REFERENCE)}")
    if env not in BOOK_ENVIRONMENTS:
        raise ValueError(f"environment {env!r} is not one of {sorted(BOOK_ENVIRONMENTS)}: only those have a book")
    measured = _measure(env, envs, steps, backend, events_per_step)
    few, short = min(envs, 66 if env == MULTI_AGENT else 64), min(steps, 20)
    other = REFERENCE[backend]
    reference = _measure(env, few, short, other, events_per_step)
    return {
        "env": env,
        "backend": backend,
        "envs": envs,
        "steps": steps,
        "events_per_step": events_per_step,
        **measured,
        "reference": f"{other} engine, {few} environments, {short} steps, same run",
        "reference_steps_per_s": reference["steps_per_s"],
        "ratio": round(measured["steps_per_s"] / reference["steps_per_s"], 2),
    }


def make_vector(env: str, backend: str, events_per_step: int) -> AnyVector:
    """Return the environment `env` of the default calibration as a vector of discrete rows."""
    if env == MARKET_MAKING:
        settings = MarketSettings(backend=backend, pool_size=16, events_per_step=events_per_step)  # pyright: ignore[reportArgumentType]
        return market_making_vector(make_env(settings, pool_seed=0, normaliser=None), phases=settings.phases)
    horizon = np.array([events_per_step, 0], np.int32)
    made = make_environment(env, backend=backend, pool_size=16, horizon=horizon)
    return MultiAgentVector(made, PHASES) if isinstance(made, MultiAgent) else GymnaxVector(made, PHASES)


def _rollout(vector: AnyVector, steps: int) -> Callable[..., Any]:
    """Return `run(state, keys[B], params) -> (state, sums[B, 3] of events, rewards and observations)`."""

    def step(carry: Any, turn: jax.Array, keys: jax.Array, params: Any) -> Any:
        state, sums = carry
        keys = jax.vmap(jax.random.fold_in, (0, None))(keys, turn)
        action = jax.vmap(lambda key: jax.random.randint(key, (), 0, vector.num_actions))(keys)
        state, result = vector.step(keys, state, action, params)
        events = state.view.summary[:, SUM_EVENTS].astype(jnp.float32)
        return state, sums + jnp.stack([events, result.reward, result.obs.sum(axis=-1)], axis=-1)

    def run(state: Any, keys: jax.Array, params: Any) -> Any:
        start = (state, jnp.zeros((keys.shape[0], 3), jnp.float32))
        return jax.lax.fori_loop(0, steps, lambda turn, carry: step(carry, turn, keys, params), start)

    return run


def _measure(env: str, envs: int, steps: int, backend: str, events_per_step: int) -> dict[str, Any]:
    vector = make_vector(env, backend, events_per_step)
    mesh = make_mesh(envs)
    specs = {"mesh": mesh, "out_specs": (SPLIT, SPLIT)}
    run = jax.jit(split_agents(_rollout(vector, steps), in_specs=(SPLIT, SPLIT, SPLIT), **specs), donate_argnums=0)
    params = broadcast_params(vector.env.default_params, envs)
    keys = jax.random.split(jax.random.key(0), envs)
    placed = place(params, mesh)
    state = place(vector.reset(keys, params)[0], mesh)
    seconds, events = [], 0.0
    for repeat in range(REPEATS + 1):
        keys = place(jax.random.split(jax.random.key(1 + repeat), envs), mesh)
        begun = time.perf_counter()
        state, sums = jax.block_until_ready(run(state, keys, placed))
        if repeat > 0:
            seconds.append(time.perf_counter() - begun)
        events = float(np.asarray(sums, np.float64)[:, 0].sum()) / getattr(vector, "num_learners", 1)
    best = min(seconds)
    return {
        "devices": mesh.size,
        "steps_per_s": round(envs * steps / best),
        "events_per_s": round(events / best),
    }
