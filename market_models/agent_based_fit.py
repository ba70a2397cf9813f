"""Fit of the agent-based model: rates that the recording shows directly, beliefs by simulated moments.

Direct, by the estimators of `zero_intelligence_fit.py`: the placement table (every type draws from it, so it is that of
all limit orders), the cancel rate by distance, sizes. Simulated moments, five parameters (`FREE`) on the nine moments
of `agent_based_moments.py`: arrival rates of noise traders, fundamentalists and chartists, the noise traders'
impatience, and the size of news. With g(theta) the recorded less the mean simulated moments and Omega the covariance of
the simulated ones, over S windows as long as the recorded one,
    theta = argmin g' W g,   W = (Omega / 2 + diag Omega / 2)^-1, which few windows do not make singular,
    Var = (1 + 1/S) H G' W Omega W G H,   H = (G' W G)^-1,
G the derivative of the simulated moments, by central differences over 2 x 30 % (smaller steps drown in the noise of
the simulation). The search is that of Gauss and Newton in the logarithms, with Marquardt's damping; the same random
numbers at every theta, so the fit is deterministic in `seed`. Errors are those of the logarithm times the estimate:
judge them in logarithms. Measured on four simulated recordings of two hours and 25,000 messages: all twenty estimates
within 2.9 errors of the truth, which were 1-4 % for noise traders, 20-30 % for fundamentalists, but 40-160 % for
chartists and 30 % to unbounded for news.
Source: McFadden, "A method of simulated moments for estimation of discrete response models without numerical
integration", Econometrica 57 (1989); Gourieroux, Monfort, "Simulation-based econometric methods", 1996, chapter 2.

What is identified, and what is not. Orders and traded lots a second fix the noise traders' rate and impatience; long
variance, memory of the signs and their response to trends fix news and the two populations. Weights, noises, edges and
horizons are NOT estimated: they are settings scaled by the recorded spread, since a population of twice the rate and
half the conviction looks nearly the same on so few moments. Market makers are not either: their quotes cannot be told
from other limit orders, which the placement table holds already, so a fit leaves them out. The model does not nest the
market (no clustering of rates, no latency): `counts["excess"]`, g' W g rounded, says how far off it is; about four is
what chance gives. Standard errors are those of a true model and too small where it is large.
"""

from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from market_models import agent_based as ab
from market_models import zero_intelligence_fit as zf
from market_models.agent_based_moments import BIN_S, NAMES, moments, recorded_grid, simulated_grid
from market_models.calibration import Calibration
from market_models.datasets.recording import Recording
from market_models.fees import Fees

FREE: Final = ("noise_rate", "impatience", "fundamentalist_rate", "chartist_rate", "news_tick")
WINDOWS: Final = 16  # S
ITERATIONS: Final = 5
NOTE = "Fees are our assumption; weights, edges, horizons and makers are settings; see agent_based_fit.py."
_STEP = 0.3  # of a logarithm, for the derivatives
_LOWEST = np.log(np.array([1 / 32, 1e-4, 1e-3, 1e-3, 1e-3]))
_HIGHEST = np.log(np.array([1e4, 0.99, 1e3, 1e3, 1e3]))
_SUFFIX = {name: f"{name}_per_s" for name in ("arrival_rate", "cancel_rate", "news_rate", "maker_rate")}


class Problem(NamedTuple):
    """What a search needs: how parameters follow from theta, and the recorded moments."""

    template: ab.AgentParams
    recorded: np.ndarray  # float64[9]
    bins: int
    windows: int
    seed: int
    reference_tick: int

    def params(self, log_theta: np.ndarray) -> ab.AgentParams:
        """Return the populations at theta."""
        noise, impatience, fundamentalist, chartist, news = np.exp(log_theta)
        return self.template._replace(
            arrival_rate=np.array([noise, fundamentalist, chartist]),
            impatience_frac=np.array([impatience, 0.0, 0.0]),
            news_tick=float(news),
        )

    def simulate(self, log_theta: np.ndarray) -> np.ndarray:
        """Return the moments float64[S, 9] of S simulated windows."""
        packed = ab.pack(self.params(log_theta))
        return moments(simulated_grid(packed, self.windows, self.bins, self.seed, self.reference_tick))


class Estimate(NamedTuple):
    """Where a search ended."""

    log_theta: np.ndarray  # float64[5]
    covariance: np.ndarray  # float64[5, 5] of log_theta
    simulated: np.ndarray  # float64[9]
    excess: float


def fit(
    recording: Recording,
    from_s: float,
    to_s: float,
    *,
    fees: Fees = zf.ASSUMED_FEES,
    windows: int = WINDOWS,
    iterations: int = ITERATIONS,
    seed: int = 1,
    distances: int | None = None,
    settings: dict[str, Any] | None = None,
) -> Calibration:
    """Fit the model between `from_s` and `to_s`, seconds since midnight; `settings` replaces fields of AgentParams.

    `distances` fixes D. Raises ValueError for an empty window, one with too few events or bins, or fewer than 4
    windows.
    """
    if windows < 4 or iterations < 1:
        raise ValueError(f"windows is {windows} and iterations {iterations}: at least 4 and 1 are needed")
    direct = zf.fit(recording, from_s, to_s, fees=fees, distances=distances)
    p = direct.params
    taken = 2 * p["market_rate_per_s"]
    orders = (2 * sum(p["limit_rate_per_s"]) + taken) * (to_s - from_s)
    grid = recorded_grid(recording, from_s, to_s, orders)
    template = default_params(p)._replace(**(settings or {}))
    first = np.log([2 * sum(p["limit_rate_per_s"]), 0.5 * taken / max(orders / (to_s - from_s), 1e-9), 0.25, 0.25, 1.0])
    first[2:4] += np.log(max(taken, 0.01))
    first[4] = np.log(max(float(np.diff(grid.mid_tick[::12, 0]).std()) / (2 * 60 * template.news_rate) ** 0.5, 0.01))
    problem = Problem(template, moments(grid)[0], len(grid.mid_tick), windows, seed, direct.reference_tick)
    estimate = search(problem, np.clip(first, _LOWEST, _HIGHEST), iterations)
    return _calibration(direct, problem, estimate)


def default_params(direct: dict[str, Any]) -> ab.AgentParams:
    """Return the settings that go with directly fitted params: what is counted in ticks, in recorded half spreads."""
    half = max(direct["mean_spread_tick"] / 2, 0.5)
    return ab.AgentParams(
        arrival_rate=np.array([1.0, 0, 0]),
        fundamental_weight=np.array([0, 1.0, 0]),
        trend_weight=np.array([0, 0, 1.0]),
        noise_tick=np.array([0, half / 2, half / 2]),
        edge_tick=np.array([0, half, 1.5 * half]),
        impatience_frac=np.zeros(3),
        placement=np.asarray(direct["limit_rate_per_s"]),
        cancel_rate=np.asarray(direct["cancel_rate_per_s"]),
        limit_lots=np.asarray(direct["limit_lots"]),
        market_lots=np.asarray(direct["market_lots"]),
        news_rate=1.0,
        news_tick=1.0,
        smoothing_frac=np.array([1 / 30]),
        max_walk_tick=round(min(max(4 * half, 4), 2**16)),
        maker_spread_tick=2 * half,
    )


def search(problem: Problem, log_theta: np.ndarray, iterations: int) -> Estimate:
    """Return the minimum that Gauss, Newton and Marquardt find from `log_theta`."""
    sample = problem.simulate(log_theta)
    damping = 0.01
    for _ in range(iterations):
        W, g, G = _weight(sample), problem.recorded - sample.mean(axis=0), _derivative(problem, log_theta)
        normal, gradient = G.T @ W @ G, G.T @ W @ g
        for _ in range(3):
            step = np.linalg.solve(normal + damping * np.diag(np.maximum(normal.diagonal(), 1e-6)), gradient)
            trial = np.clip(log_theta + np.clip(step, -1.0, 1.0), _LOWEST, _HIGHEST)
            tried = problem.simulate(trial)
            left = problem.recorded - tried.mean(axis=0)
            if left @ W @ left < g @ W @ g:
                log_theta, sample, damping = trial, tried, damping / 5
                break
            damping = 10 * max(damping, 0.01)
        else:
            break
    return _estimate(problem, log_theta)


def _weight(sample: np.ndarray) -> np.ndarray:
    omega = np.cov(sample, rowvar=False)
    return np.linalg.inv(0.5 * omega + np.diag(0.5 * omega.diagonal() + 1e-8))


def _derivative(problem: Problem, log_theta: np.ndarray) -> np.ndarray:
    """Return the derivative float64[9, 5] of the mean moments, of one side at a bound."""
    columns = []
    for number in range(len(log_theta)):
        unit = _STEP * (np.arange(len(log_theta)) == number)
        low, high = (np.clip(log_theta + sign * unit, _LOWEST, _HIGHEST) for sign in (-1, 1))
        change = problem.simulate(high).mean(axis=0) - problem.simulate(low).mean(axis=0)
        columns.append(change / (high[number] - low[number]))
    return np.stack(columns, axis=1)


def _estimate(problem: Problem, log_theta: np.ndarray) -> Estimate:
    """Return the estimate with its errors, from four times as many windows as the search took."""
    more = problem._replace(windows=4 * problem.windows)
    sample, G = more.simulate(log_theta), _derivative(more, log_theta)
    omega, W, noise = np.cov(sample, rowvar=False), _weight(sample), 1 + 1 / problem.windows
    left = problem.recorded - sample.mean(axis=0)
    half = np.linalg.pinv(G.T @ W @ G) @ G.T @ W
    return Estimate(log_theta, noise * half @ omega @ half.T, sample.mean(axis=0), float(left @ W @ left / noise))


def _calibration(direct: Calibration, problem: Problem, estimate: Estimate) -> Calibration:
    fitted = problem.params(estimate.log_theta)
    params: dict[str, Any] = {
        _SUFFIX.get(name, name): value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in fitted._asdict().items()
    }
    params |= {key: direct.params[key] for key in ("mean_lots", "mean_spread_tick", "reference_tick")}
    params |= {
        "recorded_moments": dict(zip(NAMES, problem.recorded.tolist(), strict=True)),
        "simulated_moments": dict(zip(NAMES, estimate.simulated.tolist(), strict=True)),
    }
    noise, impatience, fundamentalist, chartist, news = (
        np.exp(estimate.log_theta) * np.sqrt(estimate.covariance.diagonal())
    ).tolist()
    errors = {
        "arrival_rate_per_s": [noise, fundamentalist, chartist],
        "impatience_frac": [impatience, 0.0, 0.0],
        "news_tick": news,
        "placement": direct.standard_errors["limit_rate_per_s"],
        "cancel_rate_per_s": direct.standard_errors["cancel_rate_per_s"],
    }
    counts = {**direct.counts, "bins": problem.bins, "bin_s": BIN_S, "excess": round(estimate.excess)}
    return replace(
        direct,
        model="agent_based",
        params=params,
        standard_errors=errors,
        log_likelihood=-0.5 * estimate.excess,  # of the moments, were they normal; a constant left out
        counts=counts,
        note=NOTE,
    )


def pack_params(calibration: Calibration) -> np.ndarray:
    """Return the sampler's int32[NUM_PARAMS]; ValueError names what the calibration lacks."""
    keys = [_SUFFIX.get(name, name) for name in ab.AgentParams._fields]
    missing = [key for key in keys if key not in calibration.params]
    if missing:
        raise ValueError(f"calibration of {calibration.instrument.name} lacks params {missing}")
    values = [calibration.params[key] for key in keys]
    return ab.pack(ab.AgentParams._make(np.asarray(v) if isinstance(v, list) else v for v in values))
