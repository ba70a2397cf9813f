"""The ensemble rule and the arrays that every backend takes.

Each member m is a multilayer perceptron: `h_0 = obs`, `h_{l+1} = activation(h_l W_{m,l} + b_{m,l})`, the last layer
without activation gives the logits, and `p_m = softmax(logits)`. With the members' shares w (sum 1):

    average       p = sum_m w_m p_m
    action        argmax p, the lowest number among equals
    disagreement  sum_m w_m (1/2) sum_a |p_m(a) - p(a)|, the mean total variation distance to the average, 0..1

Everything is float32, in training and in live.
"""

import itertools
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import numpy as np

TANH: Final = 0
RELU: Final = 1
ACTIVATION_CODES: Final = {"tanh": TANH, "relu": RELU}
MEMBER_WEIGHT: Final = "member_weight"  # float32[M] among the tensors

# What a backend answers.
DONE: Final = 0
BAD_OBSERVATION: Final = 1
BAD_OUTPUT: Final = 2


class Network(Protocol):
    """What the kernels need to know of the members' network; the manifest's network spec is one."""

    @property
    def kind(self) -> str:
        """Return "mlp"; another kind is refused."""
        ...

    @property
    def layers(self) -> tuple[int, ...]:
        """Return the hidden widths."""
        ...

    @property
    def activation(self) -> str:
        """Return a key of ACTIVATION_CODES."""
        ...

    @property
    def observation_dim(self) -> int:
        """Return D."""
        ...

    @property
    def num_actions(self) -> int:
        """Return the number of logits."""
        ...


class NonFiniteError(ValueError):
    """An observation, or the network's answer to it, is not finite: no action follows from it."""


class EnsembleWeights(NamedTuple):
    """The members' weights, stacked on the first axis; L layers, the last one gives the logits."""

    kernels: tuple[np.ndarray, ...]  # L of float32[M, in, out]
    biases: tuple[np.ndarray, ...]  # L of float32[M, out]
    member_weight: np.ndarray  # float32[M] shares, sum 1
    activation: int  # one of ACTIVATION_CODES' values


class EnsembleOutput(NamedTuple):
    """What the ensemble answers to B observations; written in place by every backend."""

    action: np.ndarray  # int32[B]
    probs: np.ndarray  # float32[B, num_actions]
    disagreement: np.ndarray  # float32[B] 0..1


def empty_output(batch: int, num_actions: int) -> EnsembleOutput:
    """Return the arrays that a backend writes its answer into."""
    return EnsembleOutput(
        action=np.zeros(batch, np.int32),
        probs=np.zeros((batch, num_actions), np.float32),
        disagreement=np.zeros(batch, np.float32),
    )


def collect_weights(tensors: Mapping[str, np.ndarray], network: Network) -> EnsembleWeights:
    """Return the stacked weights among `tensors`: actor/0/kernel, actor/0/bias, ..., member_weight.

    Raises ValueError naming the tensor and the shape that it must have.
    """
    if network.kind != "mlp":
        raise ValueError(f"network kind '{network.kind}' cannot be run here; 'mlp' can")
    if network.activation not in ACTIVATION_CODES:
        raise ValueError(f"activation '{network.activation}' is not one of {', '.join(ACTIVATION_CODES)}")
    if MEMBER_WEIGHT not in tensors or tensors[MEMBER_WEIGHT].ndim != 1:
        raise ValueError(f"tensor '{MEMBER_WEIGHT}' must be float32[M]")
    shares = np.ascontiguousarray(tensors[MEMBER_WEIGHT], np.float32)
    if not np.all(shares >= 0.0) or abs(float(shares.sum(dtype=np.float64)) - 1.0) > 1e-5:
        raise ValueError(f"tensor '{MEMBER_WEIGHT}' must be at least 0 and sum to 1; it sums to {shares.sum()}")
    widths = (network.observation_dim, *network.layers, network.num_actions)
    kernels, biases = [], []
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
        kernels.append(_tensor(tensors, f"actor/{layer}/kernel", (len(shares), fan_in, fan_out)))
        biases.append(_tensor(tensors, f"actor/{layer}/bias", (len(shares), fan_out)))
    surplus = f"actor/{len(kernels)}/kernel"
    if surplus in tensors:
        raise ValueError(f"tensor '{surplus}' is one layer more than network.layers {network.layers} has")
    return EnsembleWeights(tuple(kernels), tuple(biases), shares, ACTIVATION_CODES[network.activation])


def _tensor(tensors: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    found = tensors.get(name)
    if found is None or found.shape != shape or found.dtype != np.float32:
        have = "absent" if found is None else f"{found.dtype}{list(found.shape)}"
        raise ValueError(f"tensor '{name}' must be float32{list(shape)}; it is {have}")
    return np.ascontiguousarray(found)
