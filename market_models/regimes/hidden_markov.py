"""Regimes as the hidden states of a Markov chain with Gaussian observations, and their causal probabilities.

State s_t follows `transition_frac`; row x_t is normal with the state's mean and variance, columns independent. The
filtered probability of state j after row t,
    f_t(j)  ~  N(x_t; mean_j, variance_j) * sum_i f_t-1(i) transition(i, j),      f_0(j)  ~  N(x_0; ..) start(j),
uses rows 0..t alone, so it may be a feature; smoothed probabilities and Viterbi paths use later rows and are not
offered. The parameters too must come from rows before those that they label.
Source: Hamilton 1989, Econometrica 57(2); Rabiner 1989, Proc. IEEE 77(2). Fit: hmmlearn's expectation-maximisation.
"""

from typing import Any, NamedTuple

import numpy as np

from kernels import checks as check

MIN_VARIANCE_FRAC = 1e-6  # of a column's variance: no state may shrink to a point
MAX_ITERATIONS = 500
TOLERANCE = 1e-4


class RegimeModel(NamedTuple):
    """K states in order of rising variance of the first column."""

    start_frac: np.ndarray  # float64[K]
    transition_frac: np.ndarray  # float64[K, K] from row to column
    mean: np.ndarray  # float64[K, D]
    variance: np.ndarray  # float64[K, D]


class RegimeFit(NamedTuple):
    """The best of several fits."""

    model: RegimeModel
    log_likelihood: float  # of the rows that were fitted
    bic: float  # smaller is better; compares numbers of states on the same rows
    converged: bool


class Filtered(NamedTuple):
    """What each row's past and itself say."""

    probability_frac: np.ndarray  # float64[N, K]
    label: np.ndarray  # int64[N] the likeliest state: 0 is the calmest
    log_likelihood: float


def fit_regimes(observations: Any, num_states: int, *, seed: int = 0, restarts: int = 4) -> RegimeFit:
    """Fit `num_states` regimes to float[N, D] (or [N]); the best likelihood of `restarts` seeded starts.

    Column 0 should be what volatility shows in (returns, or the log of a volatility): states are ordered by its
    variance. Columns are standardised for the fit. Raises ValueError where a column is constant, rows are fewer than
    10 a state, or a fit leaves a state without rows.
    """
    K = check.whole("num_states", num_states, 2)
    x = _rows(observations, at_least=10 * K)
    center, scale = x.mean(0), x.std(0)
    if (scale == 0).any():
        raise ValueError(f"column {int(np.argmin(scale))} of observations is constant: it tells no regimes apart")
    z = (x - center) / scale
    fits = [_fit_once(z, K, seed + i, by_volatility=i == 0) for i in range(check.whole("restarts", restarts, 1))]
    hmm, converged = max(fits, key=lambda fit: fit[0].score(z))
    variance = np.array([np.diag(c) for c in hmm.covars_]) * scale**2
    order = np.argsort(variance[:, 0], kind="stable")
    transition = hmm.transmat_[order][:, order]
    if not np.allclose(transition.sum(1), 1):
        raise ValueError(f"{K} states are too many for these rows: one of them holds no row")
    model = RegimeModel(hmm.startprob_[order], transition, (hmm.means_ * scale + center)[order], variance[order])
    log_likelihood = filter_regimes(model, x).log_likelihood
    free = K - 1 + K * (K - 1) + 2 * K * x.shape[1]
    return RegimeFit(model, log_likelihood, free * float(np.log(len(x))) - 2 * log_likelihood, converged)


def _fit_once(z: np.ndarray, K: int, seed: int, *, by_volatility: bool) -> tuple[Any, bool]:
    """Return hmmlearn's model and whether it converged.

    It starts from groups of ours: hmmlearn's k-means cannot see states that differ in variance alone, and its threads
    spin on a busy machine (5 s of waiting for 0.04 s of work was measured).
    """
    from hmmlearn.hmm import GaussianHMM

    options: dict[str, Any] = {"min_covar": MIN_VARIANCE_FRAC, "n_iter": MAX_ITERATIONS, "tol": TOLERANCE}
    hmm = GaussianHMM(K, covariance_type="diag", random_state=seed, init_params="st", **options)
    group = _volatility_groups(z[:, 0], K) if by_volatility else _nearest_groups(z, K, seed)
    hmm.means_ = np.array([z[group == k].mean(0) for k in range(K)])
    hmm.covars_ = np.array([z[group == k].var(0) + 1e-3 for k in range(K)])
    hmm.fit(z)
    return hmm, bool(hmm.monitor_.converged and hmm.monitor_.iter < MAX_ITERATIONS)


def _volatility_groups(column: np.ndarray, K: int) -> np.ndarray:
    """Return int64[N] groups of equal size by the mean square of the ten rows around each."""
    near = np.convolve((column - column.mean()) ** 2, np.ones(10), "same")
    return np.argsort(np.argsort(near, kind="stable"), kind="stable") * K // len(column)


def _nearest_groups(z: np.ndarray, K: int, seed: int) -> np.ndarray:
    """Return int64[N] the nearest of K different rows drawn at random; ValueError where fewer differ."""
    different = np.unique(z, axis=0)
    if len(different) < K:
        raise ValueError(f"observations have {len(different)} different rows, too few for {K} states")
    center = np.random.default_rng(seed).choice(different, K, replace=False)
    return ((z[:, None] - center) ** 2).sum(-1).argmin(1)


def filter_regimes(model: RegimeModel, observations: Any) -> Filtered:
    """Return the causal probabilities of the states at each row of float[N, D] (or [N]); N at least 1."""
    x = _rows(observations, at_least=1)
    if x.shape[1] != model.mean.shape[1]:
        raise ValueError(f"observations have {x.shape[1]} columns, the model {model.mean.shape[1]}")
    density = _log_density(model, x)
    out, log_likelihood, expected = np.empty(density.shape), 0.0, model.start_frac
    for t in range(len(x)):
        out[t], gain = _update(expected, density[t])
        log_likelihood += gain
        expected = out[t] @ model.transition_frac
    return Filtered(out, out.argmax(1), log_likelihood)


def advance_regime(model: RegimeModel, probability_frac: np.ndarray | None, observation: Any) -> np.ndarray:
    """Return the state probabilities float64[K] after one more row float[D], from those before it (None at the start).

    Live use: the same bits as `filter_regimes` over all rows so far.
    """
    x = _rows(np.atleast_1d(np.asarray(observation, np.float64))[None, :], at_least=1)
    if x.shape[1] != model.mean.shape[1]:
        raise ValueError(f"observation has {x.shape[1]} values, the model {model.mean.shape[1]} columns")
    expected = model.start_frac if probability_frac is None else probability_frac @ model.transition_frac
    return _update(expected, _log_density(model, x)[0])[0]


def simulate_regimes(model: RegimeModel, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw `count` rows; return (states int64[N], observations float64[N, D])."""
    rng = np.random.default_rng(seed)
    uniform = rng.uniform(size=check.whole("count", count, 1))
    state, cumulative = np.empty(count, np.int64), np.cumsum(model.transition_frac, axis=1)
    edges, top = np.cumsum(model.start_frac), len(model.start_frac) - 1
    for t in range(count):
        state[t] = min(int(np.searchsorted(edges, uniform[t], side="right")), top)
        edges = cumulative[state[t]]
    noise = rng.standard_normal((count, model.mean.shape[1]))
    return state, model.mean[state] + np.sqrt(model.variance[state]) * noise


def _update(expected: np.ndarray, log_density: np.ndarray) -> tuple[np.ndarray, float]:
    """Return (posterior, log of the row's density given its past)."""
    with np.errstate(divide="ignore"):  # a state that cannot be has log probability -inf
        joint = np.log(expected) + log_density
    top = joint.max()
    weight = np.exp(joint - top)  # the likeliest state has weight 1, however far out the row lies
    total = weight.sum()
    return weight / total, float(top + np.log(total))


def _log_density(model: RegimeModel, x: np.ndarray) -> np.ndarray:
    """Return float64[N, K]."""
    square = (x[:, None, :] - model.mean) ** 2 / model.variance
    return -0.5 * (square + np.log(2 * np.pi * model.variance)).sum(-1)


def _rows(observations: Any, *, at_least: int) -> np.ndarray:
    x = np.asarray(observations, np.float64)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or len(x) < at_least or x.shape[1] < 1:
        raise ValueError(f"observations have shape {x.shape}, they must be [rows, columns], {at_least} rows or more")
    if not np.isfinite(x).all():
        raise ValueError(f"observations have a value in row {int(np.argmin(np.isfinite(x).all(1)))} that is not finite")
    return x
