"""The ensemble rule as a numba kernel: no allocation a call, no lock, float32.

Layout: all members' weights lie in one flat array, layer by layer, member by member, kernel row-major [in, out], so
that the inner loop runs over `out` without a stride. Cost of one observation: one pass over the weights and
M x (hidden units + num_actions) exponentials. Deterministic: the order of every sum is fixed.
"""

import math

import numpy as np
from numba import njit

from kernels.ensemble.spec import BAD_OBSERVATION, BAD_OUTPUT, DONE, TANH, EnsembleOutput, EnsembleWeights

# tanh(x) = x P(x^2) / Q(x^2) on [-8, 8], fitted by reweighted least squares on Chebyshev nodes; the largest error in
# float32 is 4.5e-7. Arithmetic alone, so the loop runs eight numbers at a time; libm's tanh took two thirds of a call.
TANH_LIMIT = np.float32(8.0)
TANH_P0 = np.float32(0.9999993623010546)
TANH_P1 = np.float32(0.12913648729354443)
TANH_P2 = np.float32(0.002938835347359484)
TANH_P3 = np.float32(1.1310298152266316e-05)
TANH_Q0 = np.float32(1.0)
TANH_Q1 = np.float32(0.4624674753342897)
TANH_Q2 = np.float32(0.023763859313761574)
TANH_Q3 = np.float32(0.00023702950286523753)
TANH_Q4 = np.float32(2.4238634332641173e-07)


class CpuBackend:
    """Runs the numba kernel; owns its scratch, so one instance serves one thread."""

    def __init__(self, weights: EnsembleWeights):
        self._widths = np.array([k.shape[1] for k in weights.kernels] + [weights.kernels[-1].shape[2]], np.int64)
        self._kernels = np.concatenate([kernel.ravel() for kernel in weights.kernels])
        self._biases = np.concatenate([bias.ravel() for bias in weights.biases])
        self._shares = weights.member_weight
        self._activation = weights.activation
        self._scratch = np.zeros((2, int(self._widths.max())), np.float32)
        self._probs = np.zeros((len(self._shares), int(self._widths[-1])), np.float32)

    def run(self, obs: np.ndarray, out: EnsembleOutput) -> int:
        """Write the answer to obs float32[B, D] into `out`; return DONE, BAD_OBSERVATION or BAD_OUTPUT."""
        return run_kernel(
            obs,
            self._kernels,
            self._biases,
            self._widths,
            self._shares,
            self._activation,
            self._scratch,
            self._probs,
            out.action,
            out.probs,
            out.disagreement,
        )


@njit(nogil=True, error_model="numpy")
def run_kernel(obs, kernels, biases, widths, shares, activation, scratch, member_probs, action, probs, disagreement):
    """Write action int32[B], probs float32[B, A], disagreement float32[B] for obs float32[B, D]; return a status.

    `scratch` float32[2, widest layer] and `member_probs` float32[M, A] are the caller's, overwritten.
    """
    num_members = shares.shape[0]
    for row in range(obs.shape[0]):
        for column in range(obs.shape[1]):
            if not math.isfinite(obs[row, column]):
                return BAD_OBSERVATION
        for member in range(num_members):
            _forward(obs[row], kernels, biases, widths, member, num_members, activation, scratch)
            _softmax(scratch[(widths.shape[0] - 1) & 1], member_probs[member])
        if not _combine(member_probs, shares, probs[row]):
            return BAD_OUTPUT
        action[row] = _first_maximum(probs[row])
        disagreement[row] = _distance(member_probs, shares, probs[row])
    return DONE


@njit(nogil=True, inline="always")
def _forward(obs, kernels, biases, widths, member, num_members, activation, scratch):
    """Leave the member's logits in scratch[number of layers & 1]."""
    num_layers = widths.shape[0] - 1
    kernel_base = 0
    bias_base = 0
    for layer in range(num_layers):
        fan_in = widths[layer]
        fan_out = widths[layer + 1]
        source = obs if layer == 0 else scratch[layer & 1]
        target = scratch[(layer + 1) & 1]
        weight = kernel_base + member * fan_in * fan_out
        bias = bias_base + member * fan_out
        for j in range(fan_out):
            target[j] = biases[bias + j]
        _multiply(source, kernels[weight : weight + fan_in * fan_out], target, fan_in, fan_out)
        if layer < num_layers - 1:
            _activate(target, fan_out, activation)
        kernel_base += num_members * fan_in * fan_out
        bias_base += num_members * fan_out


@njit(nogil=True, inline="always")
def _multiply(source, kernel, target, fan_in, fan_out):
    """Add source[fan_in] times kernel[fan_in x fan_out] to target; four rows a pass save loads and stores of target."""
    whole = fan_in - fan_in % 4
    for i in range(0, whole, 4):
        row0 = kernel[i * fan_out : (i + 1) * fan_out]
        row1 = kernel[(i + 1) * fan_out : (i + 2) * fan_out]
        row2 = kernel[(i + 2) * fan_out : (i + 3) * fan_out]
        row3 = kernel[(i + 3) * fan_out : (i + 4) * fan_out]
        a, b, c, d = source[i], source[i + 1], source[i + 2], source[i + 3]
        for j in range(fan_out):
            target[j] += (a * row0[j] + b * row1[j]) + (c * row2[j] + d * row3[j])
    for i in range(whole, fan_in):
        row = kernel[i * fan_out : (i + 1) * fan_out]
        for j in range(fan_out):
            target[j] += source[i] * row[j]


@njit(nogil=True, inline="always")
def _activate(values, count, activation):
    # Comparisons are written so that NaN passes through and is refused at the end.
    if activation == TANH:
        for j in range(count):
            x = values[j]
            x = -TANH_LIMIT if x < -TANH_LIMIT else x
            x = TANH_LIMIT if x > TANH_LIMIT else x
            u = x * x
            above = ((TANH_P3 * u + TANH_P2) * u + TANH_P1) * u + TANH_P0
            below = (((TANH_Q4 * u + TANH_Q3) * u + TANH_Q2) * u + TANH_Q1) * u + TANH_Q0
            values[j] = x * above / below
    else:
        for j in range(count):
            values[j] = np.float32(0.0) if values[j] < np.float32(0.0) else values[j]


@njit(nogil=True, inline="always")
def _softmax(logits, probs):
    num_actions = probs.shape[0]
    largest = logits[0]
    for a in range(1, num_actions):
        largest = logits[a] if logits[a] > largest else largest
    total = np.float32(0.0)
    for a in range(num_actions):
        probs[a] = math.exp(logits[a] - largest)
        total += probs[a]
    for a in range(num_actions):
        probs[a] /= total


@njit(nogil=True, inline="always")
def _combine(member_probs, shares, average):
    finite = True
    for a in range(average.shape[0]):
        total = np.float32(0.0)
        for member in range(shares.shape[0]):
            total += shares[member] * member_probs[member, a]
        average[a] = total
        finite = finite and math.isfinite(total)
    return finite


@njit(nogil=True, inline="always")
def _first_maximum(values):
    best = 0
    for a in range(1, values.shape[0]):
        if values[a] > values[best]:
            best = a
    return best


@njit(nogil=True, inline="always")
def _distance(member_probs, shares, average):
    total = np.float32(0.0)
    for member in range(shares.shape[0]):
        apart = np.float32(0.0)
        for a in range(average.shape[0]):
            apart += abs(member_probs[member, a] - average[a])
        total += shares[member] * np.float32(0.5) * apart
    return total
