"""The ensemble as an object: built from the artifact's tensors, asked with an observation."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from kernels.ensemble.cpu import CpuBackend
from kernels.ensemble.reference import ReferenceBackend
from kernels.ensemble.spec import (
    BAD_OBSERVATION,
    BAD_OUTPUT,
    EnsembleOutput,
    Network,
    NonFiniteError,
    collect_weights,
    empty_output,
)

BACKENDS = {"cpu": CpuBackend, "reference": ReferenceBackend}


class Decision(NamedTuple):
    """The ensemble's answer to one observation."""

    action: int
    probs: np.ndarray  # float32[num_actions], the caller's own
    disagreement: float  # mean total variation distance of the members to the average, 0..1


class Ensemble:
    """Members' probabilities averaged by their shares; the most probable action is taken.

    One instance serves one thread. Formulas: kernels/ensemble/spec.py.
    """

    def __init__(self, backend: CpuBackend | ReferenceBackend, network: Network):
        self.observation_dim = network.observation_dim
        self.num_actions = network.num_actions
        self._backend = backend
        self._single = empty_output(1, network.num_actions)

    @classmethod
    def from_weights(cls, weights: Mapping[str, np.ndarray], network: Network, backend: str = "cpu") -> "Ensemble":
        """Return the ensemble of the stacked tensors `actor/L/kernel`, `actor/L/bias` and `member_weight`.

        Raises ValueError naming the tensor that does not fit `network`, or the backend if there is none of that name.
        """
        if backend not in BACKENDS:
            raise ValueError(f"backend '{backend}' is not one of {', '.join(BACKENDS)}")
        return cls(BACKENDS[backend](collect_weights(weights, network)), network)

    def act(self, obs: np.ndarray) -> Decision:
        """Return the decision for one observation float32[D].

        Raises NonFiniteError if the observation or the answer is not finite, ValueError for another shape or dtype.
        """
        if obs.shape != (self.observation_dim,):
            raise ValueError(f"observation has shape {obs.shape}; it must be ({self.observation_dim},)")
        self._run(obs[None], self._single)
        return Decision(int(self._single.action[0]), self._single.probs[0].copy(), float(self._single.disagreement[0]))

    def act_batch(self, obs: np.ndarray) -> EnsembleOutput:
        """Return action int32[B], probs float32[B, num_actions], disagreement float32[B] for obs float32[B, D]."""
        if obs.ndim != 2 or obs.shape[1] != self.observation_dim:
            raise ValueError(f"observations have shape {obs.shape}; they must be (B, {self.observation_dim})")
        out = empty_output(len(obs), self.num_actions)
        self._run(obs, out)
        return out

    def _run(self, obs: np.ndarray, out: EnsembleOutput) -> None:
        if obs.dtype != np.float32:
            raise ValueError(f"observation is {obs.dtype}; it must be float32")
        status = self._backend.run(np.ascontiguousarray(obs), out)
        if status == BAD_OBSERVATION:
            bad = int(np.flatnonzero(~np.isfinite(obs).all(axis=0))[0])
            raise NonFiniteError(f"observation column {bad} is not finite")
        if status == BAD_OUTPUT:
            raise NonFiniteError("the ensemble's probabilities are not finite")
