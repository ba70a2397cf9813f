"""Log-likelihood of the Hawkes model on a path, its gradient and its residuals, by recursions of cost O(rows).

With A_jk(t) = sum of m_i exp(-beta_k (t - t_i)) over past events of type j, which decays between rows and jumps at
them, lambda_e = mu_e(x) + sum_jk jump A_jk while e is possible, and
    log L = sum over events of log lambda - integral of lambda.
Given the decays the log-likelihood is concave and falls apart into one problem a target kind.
Source: Ozaki, "Maximum likelihood estimation of Hawkes' self-exciting point processes", Ann. Inst. Statist. Math. 31
(1979); residuals: Papangelou 1972 (integrals of lambda_e between events of type e are exponential of mean 1).
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.optimize import minimize

from market_models import hawkes as hk
from market_models.hawkes_events import Path

_KINDS = hk.NUM_KINDS
_TYPES = hk.NUM_TYPES


class Features(NamedTuple):
    """What the likelihood needs of a path once the decays are given; n events, K decays, cells of base rates."""

    kind: np.ndarray  # int64[n] target kind
    cell: np.ndarray  # int64[n] just before the event
    excitation: np.ndarray  # float64[n, K x 10] A_jk by (decay, same or other side, source kind)
    base_s: np.ndarray  # float64[5, cells] side-seconds during which the kind was possible
    excitation_s: np.ndarray  # float64[5, K x 10] integral of the excitation while the kind was possible


class KindFit(NamedTuple):
    """Maximum of one target kind."""

    base: np.ndarray  # float64[cells] per second
    jump: np.ndarray  # float64[K x 10]
    base_error: np.ndarray
    jump_error: np.ndarray
    log_likelihood: float


def features(path: Path, mark: np.ndarray, decay: np.ndarray, num_cells: int) -> Features:
    """Run the recursion over a path with a mark float64[N] for each row."""
    kind, cell, excitation, base_s, excitation_s = _recursion(
        path.time_s, path.event, mark, path.cell, path.possible, np.asarray(decay, np.float64), num_cells
    )
    return Features(kind, cell, excitation, base_s, excitation_s)


@njit
def _recursion(time_s, event, mark, cell, possible, decay, num_cells):
    rows, K = len(event), len(decay)
    total = (event[1:] >= 0).sum()
    kind, where = np.zeros(total, np.int64), np.zeros(total, np.int64)
    excitation = np.zeros((total, K, 2, _KINDS))
    base_s, excitation_s = np.zeros((_KINDS, num_cells)), np.zeros((_KINDS, K, 2, _KINDS))
    state = np.zeros((K, 2, _KINDS))
    number = 0
    for i in range(rows):
        if event[i] >= 0 and i > 0:
            side, target = event[i] // _KINDS, event[i] % _KINDS
            kind[number], where[number] = target, cell[i - 1, side]
            excitation[number, :, 0], excitation[number, :, 1] = state[:, side], state[:, 1 - side]
            number += 1
        if event[i] >= 0:
            for k in range(K):
                state[k, event[i] // _KINDS, event[i] % _KINDS] += mark[i]
        dt = time_s[i + 1] - time_s[i]
        for k in range(K):
            left = np.exp(-decay[k] * dt)
            for of in range(2):
                for source in range(_KINDS):
                    area = state[k, of, source] * (1 - left) / decay[k]
                    for target in range(_TYPES):
                        if possible[i, target]:
                            other = int(target // _KINDS != of)
                            excitation_s[target % _KINDS, k, other, source] += area
                    state[k, of, source] *= left
        for target in range(_TYPES):
            if possible[i, target]:
                base_s[target % _KINDS, cell[i, target // _KINDS]] += dt
    flat = K * 2 * _KINDS
    return kind, where, excitation.reshape(total, flat), base_s, excitation_s.reshape(_KINDS, flat)


@njit
def log_likelihood_and_gradient(base, jump, cell, excitation, base_s, excitation_s):
    """Return log L of one target kind and its gradient by base rates and by jumps; -inf where an event has rate 0."""
    base_slope, jump_slope = -base_s, -excitation_s
    value = -(base * base_s).sum() - (jump * excitation_s).sum()
    for n in range(len(cell)):
        rate = base[cell[n]]
        for p in range(len(jump)):
            rate += jump[p] * excitation[n, p]
        if rate <= 0:
            return -np.inf, base_slope, jump_slope
        value += np.log(rate)
        base_slope[cell[n]] += 1 / rate
        for p in range(len(jump)):
            jump_slope[p] += excitation[n, p] / rate
    return value, base_slope, jump_slope


def fit_kind(
    f: Features, kind: int, start: tuple[np.ndarray, np.ndarray] | None = None, *, errors: bool = True
) -> KindFit:
    """Maximise the log-likelihood of one target kind over non-negative rates.

    Unknowns are expected counts (rate times exposure), so that all have one scale. A cell that was never visited takes
    the mean base rate. Errors are those of the inverse observed information of the parameters that are not at 0; at 0
    they are 1 / sqrt(information).
    """
    mine = f.kind == kind
    cell, excitation = f.cell[mine], np.ascontiguousarray(f.excitation[mine])
    base_s, excitation_s = f.base_s[kind], f.excitation_s[kind]
    visited, cells = base_s > 0, len(base_s)
    exposure = np.maximum(np.append(base_s, excitation_s), 1e-12)
    floor = np.where(np.arange(len(exposure)) < cells, hk.MIN_BASE * 1.01 if kind == hk.BEHIND else 1e-9, 0.0)

    def loss(count: np.ndarray) -> tuple[float, np.ndarray]:
        rate = count / exposure
        value, by_base, by_jump = log_likelihood_and_gradient(
            rate[:cells], rate[cells:], cell, excitation, base_s, excitation_s
        )
        return -value, -np.append(by_base, by_jump) / exposure

    if start is None:
        first = np.append(base_s / base_s.sum(), np.full(len(excitation_s), 1 / len(excitation_s))) * len(cell) / 2
    else:
        first = np.append(*start) * exposure
    bounds = [(low * s, None) for low, s in zip(floor, exposure, strict=True)]
    done = minimize(
        loss,
        np.maximum(first, floor * exposure + 1e-6),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 500 if errors else 100, "maxfun": 700, "ftol": 1e-11 if errors else 1e-8, "maxcor": 20},
    )
    rate = done.x / exposure
    base, jump = rate[:cells].copy(), rate[cells:]
    error = _errors(base, jump, cell, excitation, floor) if errors else np.zeros(len(rate))
    base[~visited] = max(float((base * base_s).sum() / base_s.sum()), floor[0])
    return KindFit(base, jump, error[:cells], error[cells:], float(-done.fun))


def _errors(
    base: np.ndarray, jump: np.ndarray, cell: np.ndarray, excitation: np.ndarray, floor: np.ndarray
) -> np.ndarray:
    rate = base[cell] + excitation @ jump
    slope = np.concatenate([np.eye(len(base))[cell], excitation], 1) / rate[:, None]
    information = slope.T @ slope
    diagonal = np.diag(information)
    error = np.where(diagonal > 0, 1 / np.sqrt(np.maximum(diagonal, 1e-300)), 0.0)
    inner = (np.append(base, jump) > floor * (1 + 1e-6) + 1e-9) & (diagonal > 0)
    scale = error[inner]
    inverse = np.linalg.pinv(information[np.ix_(inner, inner)] * scale * scale[:, None], hermitian=True)
    error[inner] = np.sqrt(np.maximum(np.diag(inverse), 0)) * scale
    return error


def residuals(
    path: Path, mark: np.ndarray, decay: np.ndarray, base: np.ndarray, jump: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (type int64[n], integral of its intensity since the last event of that type float64[n]).

    base float64[5, cells], jump float64[5, K x 10]. The first event of a type is left out.
    """
    shaped = np.ascontiguousarray(jump.reshape(_KINDS, len(decay), 2, _KINDS))
    return _residuals(path.time_s, path.event, mark, path.cell, path.possible, np.asarray(decay, float), base, shaped)


@njit
def _residuals(time_s, event, mark, cell, possible, decay, base, jump):
    rows, K = len(event), len(decay)
    kept, integral = np.zeros(rows, np.int64), np.zeros(rows)
    state, whole, seen = np.zeros((K, 2, _KINDS)), np.zeros(_TYPES), np.zeros(_TYPES, np.bool_)
    number = 0
    for i in range(rows):
        if event[i] >= 0:
            if seen[event[i]]:
                kept[number], integral[number] = event[i], whole[event[i]]
                number += 1
            seen[event[i]], whole[event[i]] = True, 0.0
            for k in range(K):
                state[k, event[i] // _KINDS, event[i] % _KINDS] += mark[i]
        dt = time_s[i + 1] - time_s[i]
        for target in range(_TYPES):
            if possible[i, target]:
                whole[target] += base[target % _KINDS, cell[i, target // _KINDS]] * dt
        for k in range(K):
            left = np.exp(-decay[k] * dt)
            for of in range(2):
                for source in range(_KINDS):
                    area = state[k, of, source] * (1 - left) / decay[k]
                    for target in range(_TYPES):
                        if possible[i, target]:
                            whole[target] += jump[target % _KINDS, k, int(target // _KINDS != of), source] * area
                    state[k, of, source] *= left
    return kept[:number], integral[:number]
