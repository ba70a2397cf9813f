"""`bookswarm bench env`: market-making environment steps a second, against the XLA engine in the same run."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.experiment import MarketSettings
from experiments.training import make_env
from kernels.lob.spec import SUM_EVENTS
from sim.vector import broadcast_params, market_making_vector

REFERENCE = {"cpu": "xla", "xla": "cpu", "cuda": "xla"}
REPEATS = 3


def bench_env(envs: int, steps: int, backend: str) -> dict[str, Any]:
    """Measure `envs` environments over `steps` random decisions; best of three.

    Returns `steps_per_s, events_per_s`, the other backend as `reference` with its own figure on fewer environments, and
    `ratio` to it. One device: the environment alone, without a policy.
    """
    measured = _measure(envs, steps, backend)
    few, short = min(envs, 64), min(steps, 20)
    other = REFERENCE[backend]
    reference = _measure(few, short, other)
    return {
        "backend": backend,
        "envs": envs,
        "steps": steps,
        **measured,
        "reference": f"{other} engine, {few} environments, {short} steps, same run",
        "reference_steps_per_s": reference["steps_per_s"],
        "ratio": round(measured["steps_per_s"] / reference["steps_per_s"], 2),
    }


def _measure(envs: int, steps: int, backend: str) -> dict[str, Any]:
    settings = MarketSettings(backend=backend, pool_size=16)  # pyright: ignore[reportArgumentType]
    env = make_env(settings, pool_seed=0, normaliser=None)
    vector = market_making_vector(env)
    params = broadcast_params(env.default_params, envs)

    def step(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        key_action, key_step = jax.random.split(key)
        action = jax.random.randint(key_action, (envs,), 0, env.num_actions)
        state, _ = vector.step(key_step, state, action, params)
        return state, jnp.sum(state.view.summary[:, SUM_EVENTS])

    @jax.jit
    def run(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        return jax.lax.scan(step, state, jax.random.split(key, steps))

    state, _ = vector.reset(jax.random.key(0), params)
    state, _ = jax.block_until_ready(run(state, jax.random.key(1)))
    seconds, events = [], 0
    for repeat in range(REPEATS):
        begun = time.perf_counter()
        state, counted = jax.block_until_ready(run(state, jax.random.key(2 + repeat)))
        seconds.append(time.perf_counter() - begun)
        events = int(np.asarray(counted).sum())
    best = min(seconds)
    return {"steps_per_s": round(envs * steps / best), "events_per_s": round(events / best)}
