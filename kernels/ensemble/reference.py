"""The ensemble rule in NumPy, batched over members and observations."""

import numpy as np

from kernels.ensemble.spec import BAD_OBSERVATION, BAD_OUTPUT, DONE, TANH, EnsembleOutput, EnsembleWeights


class ReferenceBackend:
    """Runs the rule with NumPy; allocates, and says in ten lines what the kernel must give."""

    def __init__(self, weights: EnsembleWeights):
        self._weights = weights

    def run(self, obs: np.ndarray, out: EnsembleOutput) -> int:
        """Write the answer to obs float32[B, D] into `out`; return DONE, BAD_OBSERVATION or BAD_OUTPUT."""
        if not np.isfinite(obs).all():
            return BAD_OBSERVATION
        with np.errstate(all="ignore"):  # an overflow is judged by its result below
            probs = member_probabilities(self._weights, obs)
            shares = self._weights.member_weight
            average = np.einsum("m,mba->ba", shares, probs)
            distance = np.float32(0.5) * np.abs(probs - average).sum(axis=2)
        if not np.isfinite(average).all():
            return BAD_OUTPUT
        out.probs[:] = average
        out.action[:] = np.argmax(average, axis=1)  # the first of equals
        out.disagreement[:] = shares @ distance
        return DONE


def member_probabilities(weights: EnsembleWeights, obs: np.ndarray) -> np.ndarray:
    """Return each member's probabilities, float32[M, B, num_actions], for obs float32[B, D]."""
    hidden = np.broadcast_to(obs, (len(weights.member_weight), *obs.shape))
    last = len(weights.kernels) - 1
    for layer, (kernel, bias) in enumerate(zip(weights.kernels, weights.biases, strict=True)):
        hidden = hidden @ kernel + bias[:, None, :]
        if layer < last:
            hidden = np.tanh(hidden) if weights.activation == TANH else np.maximum(hidden, 0)
    exps = np.exp(hidden - hidden.max(axis=2, keepdims=True))
    return exps / exps.sum(axis=2, keepdims=True)
