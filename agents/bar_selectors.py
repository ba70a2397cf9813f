"""Strategies that choose among strategies: by recent performance, and by regime; each is a strategy itself.

The core (kernels/ensemble/weights.py) takes NumPy as well and imports no JAX, for a live process. A member is paid, on
paper, the moves of its signals less `cost_bps` a unit traded, in deviations of the first signal.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agents.bar_strategy import BarStrategy, BarView, Params, slow_deviation
from kernels.ensemble.weights import advance_gate, advance_weights, equal_weights
from market_models.regimes.hidden_markov import fit_regimes

GATE: Final = {"stay_calm": 0.98, "stay_wild": 0.95, "sd_calm": 0.007, "sd_wild": 0.02}
MIN_SD: Final = 1e-9


class Weighted(NamedTuple):
    """Memory of a selection among K members."""

    members: tuple[Any, ...]
    weights: jax.Array  # float32[K] of members, or [2] of the regimes calm, wild
    held: jax.Array  # float32[K, S] what each member held in the bar before
    traded: jax.Array  # float32[K] that each member traded at its start


def performance_weighted(members: Sequence[BarStrategy]) -> BarStrategy:
    """Return the Fixed-Share mixture of the members' positions, the rate in 1 / deviations earned."""
    own = {"rate": 0.3, "share": 0.01, "cost_bps": 1.0}
    return BarStrategy(
        "performance_weighted",
        partial(_start, tuple(members), len(members)),
        partial(_by_performance, tuple(members)),
        own | _defaults(members),
        {"rate": (0.03, 0.1, 0.3, 1.0), "share": (0.0, 0.003, 0.01, 0.03)},
        f"Fixed-Share of {', '.join(member.name for member in members)}; Herbster, Warmuth (1998)",
    )


def regime_gated(members: Sequence[BarStrategy]) -> BarStrategy:
    """Return a strategy that follows member `calm` and member `wild` by the causal probability of the two regimes."""
    own = GATE | {"calm": 0.0, "wild": 1.0}
    choices = tuple(float(number) for number in range(len(members)))
    return BarStrategy(
        "regime_gated",
        partial(_start, tuple(members), 2),
        partial(_by_regime, tuple(members)),
        own | _defaults(members),
        {"calm": choices, "wild": choices},
        f"member by filtered regime among {', '.join(member.name for member in members)}; Hamilton (1989)",
    )


def gate_params(returns: Any, seed: int = 0) -> dict[str, float]:
    """Return the gate's parameters fitted to log returns float[T] of a formation window; ValueError as `fit_regimes`.

    The gate takes both means as 0: drifts of a regime are for its member to find.
    """
    model = fit_regimes(np.asarray(returns, np.float64), 2, seed=seed).model
    spread = np.sqrt(model.variance[:, 0])
    stay = np.diag(model.transition_frac)
    return {
        "stay_calm": float(stay[0]),
        "stay_wild": float(stay[1]),
        "sd_calm": float(spread[0]),
        "sd_wild": float(spread[1]),
    }


def _defaults(members: Sequence[BarStrategy]) -> dict[str, float]:
    """Return the members' parameters as `member.parameter`."""
    return {f"{member.name}.{name}": value for member in members for name, value in member.defaults.items()}


def _start(members: tuple[BarStrategy, ...], weights: int, key: jax.Array, signals: int) -> Weighted:
    keys = jax.random.split(key, len(members))
    memories = tuple(member.start(one, signals) for member, one in zip(members, keys, strict=True))
    count = len(members)
    return Weighted(memories, equal_weights(jnp, weights), jnp.zeros((count, signals)), jnp.zeros(count))


def _wanted(
    members: tuple[BarStrategy, ...], memory: Weighted, view: BarView, params: Params
) -> tuple[tuple[Any, ...], jax.Array]:
    """Return the members' memories and positions float32[K, S]."""
    memories, positions = [], []
    for member, own in zip(members, memory.members, strict=True):
        given = {name: params[f"{member.name}.{name}"] for name in member.defaults}
        advanced, wanted = member.positions(own, view, given)
        memories.append(advanced)
        positions.append(wanted)
    return tuple(memories), jnp.stack(positions)


def _by_performance(
    members: tuple[BarStrategy, ...], memory: Weighted, view: BarView, params: Params
) -> tuple[Weighted, jax.Array]:
    moved = view.history.lags[:, 0]
    unit = jnp.maximum(slow_deviation(view.history)[0], MIN_SD)
    gains = (memory.held @ moved - 1e-4 * params["cost_bps"] * memory.traded) / unit
    weights = advance_weights(jnp, memory.weights, gains, params["rate"], params["share"])
    memories, wanted = _wanted(members, memory, view, params)
    traded = jnp.sum(jnp.abs(wanted - memory.held), axis=-1)
    return Weighted(memories, weights, wanted, traded), weights @ wanted


def _by_regime(
    members: tuple[BarStrategy, ...], memory: Weighted, view: BarView, params: Params
) -> tuple[Weighted, jax.Array]:
    calm, wild = params["stay_calm"], params["stay_wild"]
    transition = jnp.stack([jnp.stack([calm, 1.0 - calm]), jnp.stack([1.0 - wild, wild])])
    sd = jnp.stack([params["sd_calm"], params["sd_wild"]])
    moved = view.history.lags[0, 0]
    probability = advance_gate(jnp, memory.weights, transition, jnp.zeros(2), sd, moved)
    memories, wanted = _wanted(members, memory, view, params)
    chosen = jnp.stack([params["calm"], params["wild"]]).astype(jnp.int32)
    return Weighted(memories, probability, wanted, memory.traded), probability @ wanted[chosen]
