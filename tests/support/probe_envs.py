"""One small environment whose parameters make it any of several probes with known answers.

Its observation is (signal, clock), where signal is -1 or 1, drawn anew at every step, and clock is the time modulo
`wrap`, over `wrap`. One object serves all tests, so that they share one compiled program; `CONTINUOUS_PROBE` is the
same with one number as action, best at 1 + signal / 2.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.train_config import DQNConfig, PPOConfig, SACConfig
from sim.vector import StepResult


class ProbeParams(NamedTuple):
    """What is paid, and how an episode ends."""

    constant: Any = 0.0  # paid at every step: the value of a one-step episode
    last: Any = 0.0  # paid at the last step: worth gamma^n of it n steps before
    match: Any = 0.0  # paid for action 1 where the signal is positive and action 0 where it is negative;
    # continuous: less, by the squared distance from 1 + signal / 2
    odd: Any = 0.0  # paid at odd times
    length: Any = 3  # steps an episode
    wrap: Any = 3  # steps after which the clock starts again
    truncates: Any = False  # the end is a time limit: the value goes on behind it


class ProbeState(NamedTuple):
    time: jax.Array  # int32[B]
    signal: jax.Array  # float32[B]


class _Probe:
    """B probes; a key an environment."""

    obs_dim = 2
    keys_per_env = True

    def reset(self, key: jax.Array, params: ProbeParams) -> tuple[ProbeState, jax.Array]:
        state = ProbeState(jnp.zeros(key.shape[0], jnp.int32), _signal(key))
        return state, _observe(state, params)

    def step(
        self, key: jax.Array, state: ProbeState, action: jax.Array, params: ProbeParams
    ) -> tuple[ProbeState, StepResult]:
        last = ProbeState(state.time + 1, _signal(key))
        done = last.time >= params.length
        matched = self.matched(action, state.signal)
        reward = params.constant + params.last * done + params.match * matched + params.odd * (state.time % 2)
        following = ProbeState(jnp.where(done, 0, last.time), last.signal)
        result = StepResult(
            obs=_observe(following, params),
            reward=reward,
            terminated=done & ~params.truncates,
            truncated=done & params.truncates,
            final_obs=_observe(last, params),
            info={"time": last.time, "not_a_number_an_environment": jnp.zeros((action.shape[0], 2))},
        )
        return following, result


class Probe(_Probe):
    """Two actions."""

    num_actions = 2

    def matched(self, action: jax.Array, signal: jax.Array) -> jax.Array:
        return (action == 1) == (signal > 0)


class ContinuousProbe(_Probe):
    """One number as action, with bounds that are not symmetric."""

    action_dim = 1
    action_low = (-1.0,)
    action_high = (3.0,)

    def matched(self, action: jax.Array, signal: jax.Array) -> jax.Array:
        return 1.0 - (action[:, 0] - 1.0 - 0.5 * signal) ** 2


class MemoryState(NamedTuple):
    time: jax.Array  # int32[B]
    signal: jax.Array  # float32[B] of the whole episode


class MemoryProbe(Probe):
    """The signal is shown at time 0 alone; `match` is paid in the last step, for the action that fits what was shown.

    From time 1 on nothing that is observed depends on the signal: without a memory the action that counts fits with
    probability one half, whatever the policy, and the best mean return is match / 2.
    """

    def reset(self, key: jax.Array, params: ProbeParams) -> tuple[Any, jax.Array]:
        state = MemoryState(jnp.zeros(key.shape[0], jnp.int32), _signal(key))
        return state, self._shown(state, params)

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: ProbeParams) -> tuple[Any, StepResult]:
        last = MemoryState(state.time + 1, state.signal)
        done = last.time >= params.length
        reward = params.constant + params.match * (done & self.matched(action, state.signal))
        following = MemoryState(jnp.where(done, 0, last.time), jnp.where(done, _signal(key), last.signal))
        ends = (done & ~params.truncates, done & params.truncates)
        result = StepResult(self._shown(following, params), reward, *ends, self._shown(last, params), {})
        return following, result

    def _shown(self, state: MemoryState, params: ProbeParams) -> jax.Array:
        signal = jnp.where(state.time == 0, state.signal, 0.0)
        return jnp.stack([signal, (state.time % params.wrap) / params.wrap], axis=-1)


def _signal(key: jax.Array) -> jax.Array:
    return jax.vmap(lambda k: jnp.where(jax.random.bernoulli(k), 1.0, -1.0))(key)


def _observe(state: ProbeState, params: ProbeParams) -> jax.Array:
    return jnp.stack([state.signal, (state.time % params.wrap) / params.wrap], axis=-1)


PROBE, CONTINUOUS_PROBE, MEMORY_PROBE = Probe(), ContinuousProbe(), MemoryProbe()
SMALL = PPOConfig(
    envs_per_agent=4,
    steps_per_update=32,
    epochs=8,
    minibatches=2,
    hidden=(16,),
    normalise_returns=False,
    updates_per_call=2,
)
SMALL_OFF_POLICY = {
    "envs_per_agent": 4,
    "steps_per_update": 40,
    "batch_size": 64,
    "buffer_capacity": 1000,
    "learning_starts": 100,
    "hidden": (16,),
    "updates_per_call": 2,
}
SMALL_DQN = DQNConfig(**SMALL_OFF_POLICY)
SMALL_SAC = SACConfig(**SMALL_OFF_POLICY)
