"""The ensemble in JAX: the rule of kernels/ensemble/spec.py on a population's parameters.

Members' probabilities are averaged by their shares and the most probable action is taken, the lowest among equals.
Training's side of the parity that export and every load check.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agents import networks


class EnsembleParams(NamedTuple):
    """Actors of M members, stacked, and their shares."""

    actor: Any  # actor layers, every leaf float32[M, ...]
    member_weight: jax.Array  # float32[M] shares, sum 1


def take_members(params: Mapping[str, Any], members: Sequence[int], shares: Sequence[float]) -> EnsembleParams:
    """Return the ensemble of the agents numbered `members` of a population (leaves [A, ...]).

    Raises ValueError for a member that the population does not have, or shares that do not sum to 1.
    """
    num_agents = jax.tree.leaves(params["actor"])[0].shape[0]
    if not members or any(not 0 <= member < num_agents for member in members):
        raise ValueError(f"members {list(members)} must be agents 0..{num_agents - 1}, at least one")
    if len(shares) != len(members) or min(shares) < 0.0 or abs(sum(shares) - 1.0) > 1e-6:
        raise ValueError(f"shares {list(shares)} must be one a member, at least 0, sum 1")
    index = np.asarray(members)
    actor = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], params["actor"])
    return EnsembleParams(actor, jnp.asarray(shares, jnp.float32))


def probabilities(ensemble: EnsembleParams, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return (probs float32[..., N], disagreement float32[...]) for obs float32[..., D].

    disagreement = sum_m w_m (1/2) sum_a |p_m(a) - p(a)|, the mean total variation distance to the average.
    """
    scores = jax.vmap(networks.logits, in_axes=(0, None))(ensemble.actor, obs)
    members = jax.nn.softmax(scores, axis=-1)  # [M, ..., N]
    average = jnp.tensordot(ensemble.member_weight, members, axes=1)
    distance = 0.5 * jnp.sum(jnp.abs(members - average), axis=-1)
    return average, jnp.tensordot(ensemble.member_weight, distance, axes=1)


def act(ensemble: EnsembleParams, obs: jax.Array) -> jax.Array:
    """Return the most probable action int32[...] for obs float32[..., D]."""
    return jnp.argmax(probabilities(ensemble, obs)[0], axis=-1).astype(jnp.int32)
