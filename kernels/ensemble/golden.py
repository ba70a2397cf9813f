"""Golden vectors: observations with the training network's answers, replayed wherever the ensemble is loaded."""

from collections.abc import Callable, Mapping

import numpy as np

from kernels.ensemble.ensemble import Ensemble
from kernels.ensemble.spec import Network

Tensors = Mapping[str, np.ndarray]
GOLDEN_TOLERANCE = 1e-5  # of a probability; float32 sums in another order stay below 1e-6


def make_golden_check(
    tolerance: float = GOLDEN_TOLERANCE, backend: str = "cpu"
) -> Callable[[Tensors, Network, Tensors], float]:
    """Return `check(weights, network, golden) -> largest error`, which raises ValueError above `tolerance`.

    `golden`: obs float32[G, D], probs float32[G, num_actions], action int32[G], disagreement float32[G]. An action
    agrees if its golden probability is within 2 x tolerance of the golden maximum: two actions closer than rounding
    cannot be told apart.
    """

    def check(weights: Tensors, network: Network, golden: Tensors) -> float:
        return replay_golden(Ensemble.from_weights(weights, network, backend), golden, tolerance)

    return check


def replay_golden(ensemble: Ensemble, golden: Tensors, tolerance: float) -> float:
    """Return the largest absolute difference of probabilities and disagreement; raise ValueError above `tolerance`."""
    obs, probs, action, disagreement = _golden_arrays(golden, ensemble)
    answer = ensemble.act_batch(obs)
    errors = np.maximum(np.abs(answer.probs - probs).max(axis=1), np.abs(answer.disagreement - disagreement))
    worst = int(np.argmax(errors))
    if not errors[worst] <= tolerance:
        raise ValueError(f"golden vector {worst} differs by {errors[worst]:.3g}, above {tolerance:.3g}")
    rows = np.arange(len(obs))
    for chosen, whose in ((answer.action, "replayed"), (action, "golden")):
        shortfall = probs.max(axis=1) - probs[rows, chosen]
        worst_row = int(np.argmax(shortfall))
        if shortfall[worst_row] > 2 * tolerance:
            raise ValueError(
                f"golden vector {worst_row}: the {whose} action {chosen[worst_row]} is not the most probable"
            )
    return float(errors[worst])


def _golden_arrays(golden: Tensors, ensemble: Ensemble) -> tuple[np.ndarray, ...]:
    count = len(golden["obs"]) if "obs" in golden else 0
    if count == 0:
        raise ValueError("there are no golden observations")
    expected = {
        "obs": (np.float32, (count, ensemble.observation_dim)),
        "probs": (np.float32, (count, ensemble.num_actions)),
        "action": (np.int32, (count,)),
        "disagreement": (np.float32, (count,)),
    }
    for name, (dtype, shape) in expected.items():
        found = golden.get(name)
        if found is None or found.dtype != dtype or found.shape != shape:
            raise ValueError(f"golden array '{name}' must be {np.dtype(dtype).name}{list(shape)}")
    if not np.isin(golden["action"], np.arange(ensemble.num_actions)).all():
        raise ValueError(f"golden array 'action' has a value outside 0..{ensemble.num_actions - 1}")
    return tuple(golden[name] for name in expected)
