"""What the core asks for a decision: a pure function from an observation to an action."""

from typing import NamedTuple, Protocol

import numpy as np

from kernels.ensemble.ensemble import Ensemble
from kernels.ensemble.spec import NonFiniteError
from kernels.execution.quotes import NUM_ACTIONS
from kernels.features.normalise import Normaliser, check_normaliser
from kernels.features.table import NUM_FEATURES

__all__ = ["EnsemblePolicy", "NonFiniteError", "Policy", "PolicyAnswer"]


class PolicyAnswer(NamedTuple):
    """An action of the quote table and how far the members disagree, 0..1."""

    action: int
    disagreement: float


class Policy(Protocol):
    """A policy the core can run. `act` depends on its argument alone, so that a replay repeats it."""

    @property
    def digest(self) -> str:
        """Name what the weights are, for the journal; "" where the policy is built in."""
        ...

    @property
    def normaliser(self) -> Normaliser:
        """Return the transform from feature columns to observations."""
        ...

    def act(self, obs: np.ndarray) -> PolicyAnswer:
        """Return the answer to an observation float32[D]; NonFiniteError if it or the observation is not finite."""
        ...


class EnsemblePolicy:
    """The exported ensemble as a policy."""

    def __init__(self, ensemble: Ensemble, normaliser: Normaliser, digest: str) -> None:
        """Raise ValueError if the ensemble's inputs or outputs are not those of this bridge."""
        if ensemble.observation_dim != NUM_FEATURES or ensemble.num_actions != NUM_ACTIONS:
            raise ValueError(
                f"the ensemble maps {ensemble.observation_dim} features to {ensemble.num_actions} actions; "
                f"this bridge has {NUM_FEATURES} and {NUM_ACTIONS}"
            )
        self._ensemble, self._digest = ensemble, digest
        self._normaliser = check_normaliser(normaliser)

    @property
    def digest(self) -> str:
        """Digest of the artifact's manifest."""
        return self._digest

    @property
    def normaliser(self) -> Normaliser:
        """The artifact's normaliser."""
        return self._normaliser

    def act(self, obs: np.ndarray) -> PolicyAnswer:
        """Return the ensemble's action and disagreement."""
        decision = self._ensemble.act(obs)
        return PolicyAnswer(decision.action, decision.disagreement)
