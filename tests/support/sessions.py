"""A policy that always quotes, for tests that need open orders and fills."""

import numpy as np

from kernels.execution.quotes import ACTION_NAMES
from kernels.features.normalise import Normaliser, default_normaliser
from live_bridge.policy import PolicyAnswer


class JoinBothSides:
    """Quotes at the touch on both sides, whatever it sees."""

    digest = ""

    @property
    def normaliser(self) -> Normaliser:
        return default_normaliser()

    def act(self, obs: np.ndarray) -> PolicyAnswer:
        return PolicyAnswer(ACTION_NAMES.index("bid_join_ask_join"), 0.0)
