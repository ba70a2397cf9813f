"""Cointegrated basket: a vector error correction model of log prices.

Formula: dx[t] = A (B' x[t-1] + c) + G_1 dx[t-1] + .. + G_L dx[t-L] + e[t], x = log prices [N], e normal with covariance
S. The R columns of B are portfolios of logs that return to -c; A says how fast each asset moves back. Sampled bar by
bar, all paths at once, with no move before the first bar. Fit: Johansen's maximum likelihood by statsmodels (B begins
with an identity); errors asymptotic. Test first with `engle_granger`: a fit does not say whether the basket holds.
Assumptions: the relation holds for ever, pulls in proportion to the distance, and the noise is normal and constant.
Bias: recorded relations break, and their spreads have fatter tails, so pairs agents trained on it hold losers for too
long; loadings that were chosen because the test rejected are too large.
Source: Engle, Granger 1987; Johansen 1991; critical values: MacKinnon 2010.
"""

from typing import Any, Final, Literal, NamedTuple

import numpy as np
from statsmodels.tsa.adfvalues import mackinnoncrit
from statsmodels.tsa.stattools import coint
from statsmodels.tsa.vector_ar.vecm import VECM

from market_models.prices import base


class Params(NamedTuple):
    """Axes: N assets, R relations, L lags. Units: prices in their own, the rest in logs and bars."""

    start_prices: np.ndarray  # [N]
    loadings: np.ndarray  # A [N, R], share of the distance that is made up in one bar
    vectors: np.ndarray  # B [N, R], weights of log prices
    constants: np.ndarray  # c [R], log price
    short_run: np.ndarray  # G [L, N, N], L may be 0
    covariance: np.ndarray  # S [N, N], squared log return of one bar


class EngleGranger(NamedTuple):
    """A test that log prices are not cointegrated, and the relation of the first asset to the others."""

    statistic: float  # t of the unit root in the residuals; below a critical value rejects
    p_value: float
    critical_values: tuple[float, float, float]  # at 1, 5 and 10 %
    slopes: np.ndarray  # [N - 1]: log first = constant + slopes . log others
    constant: float


EXAMPLE: Final = Params(
    start_prices=np.array([60.0, 55.0]),
    loadings=np.array([[-0.08], [0.05]]),
    vectors=np.array([[1.0], [-0.9]]),
    constants=np.array([-0.45]),
    short_run=np.array([[[0.10, 0.05], [-0.05, 0.15]]]),
    covariance=np.array([[4e-4, 3e-4], [3e-4, 5e-4]]),
)


def sample(params: Params, num_steps: int, num_paths: int, seed: int) -> np.ndarray:
    """Draw price paths float64[num_paths, num_steps + 1, N]; ValueError names a bad argument."""
    factor = _check(params)
    generator = base.make_generator(num_steps, num_paths, seed)
    num_assets = len(params.start_prices)
    shocks = generator.standard_normal((num_steps, num_paths, num_assets)) @ factor.T
    start = np.log(params.start_prices)
    moves = np.zeros((num_steps, num_paths, num_assets))
    logs = np.tile(start, (num_paths, 1))
    for step in range(num_steps):
        move = shocks[step] + (logs @ params.vectors + params.constants) @ params.loadings.T
        for lag, weights in enumerate(params.short_run[:step], start=1):
            move += moves[step - lag] @ weights.T
        moves[step] = move
        logs = logs + move
    paths = [base.compound(price, moves[:, :, i].T) for i, price in enumerate(params.start_prices)]
    return np.stack(paths, axis=-1)


def fit(prices: np.ndarray, rank: int = 1, num_lags: int = 1) -> base.Fit:
    """Fit prices [T, N] of N at least 2 assets with `rank` relations in 1..N - 1 and `num_lags` lags of moves."""
    prices = base.check_prices(prices, 50, num_axes=2)
    num_assets = prices.shape[1]
    if num_assets < 2:
        raise ValueError(f"prices holds {num_assets} asset, expected at least 2")
    if not 1 <= rank < num_assets:
        raise ValueError(f"rank {rank} is not in 1..{num_assets - 1}")
    if not 0 <= num_lags <= len(prices) // (4 * num_assets):
        raise ValueError(f"num_lags {num_lags} is not in 0..{len(prices) // (4 * num_assets)}")
    model: Any = VECM(np.log(prices), k_ar_diff=num_lags, coint_rank=rank, deterministic="ci")
    try:
        result = model.fit()
    except np.linalg.LinAlgError:
        raise ValueError("prices of two assets move as one, expected assets that differ") from None
    return base.Fit(_params(prices[0], result, num_lags), _errors(result, num_lags), float(result.llf))


def engle_granger(prices: np.ndarray) -> EngleGranger:
    """Test log prices [T, N] for cointegration, the first asset on the others with a constant.

    Lags of the residuals' unit root test by AIC. `Source:` Engle, Granger 1987; MacKinnon 2010.
    """
    logs = np.log(base.check_prices(prices, 50, num_axes=2))
    if logs.shape[1] < 2:
        raise ValueError(f"prices holds {logs.shape[1]} asset, expected at least 2")
    statistic, p_value, critical = coint(logs[:, 0], logs[:, 1:], trend="c")
    design = np.column_stack([np.ones(len(logs)), logs[:, 1:]])
    weights = np.linalg.lstsq(design, logs[:, 0], rcond=None)[0]
    low, mid, high = (float(value) for value in critical)
    return EngleGranger(float(statistic), float(p_value), (low, mid, high), weights[1:], float(weights[0]))


def critical_values(num_assets: int, num_bars: int | None = None, trend: Literal["c", "ct"] = "c") -> np.ndarray:
    """Return MacKinnon's 1, 5 and 10 % critical values float64[3] for 1..12 series; `num_bars` None: asymptotic."""
    if not 1 <= num_assets <= 12:
        raise ValueError(f"num_assets {num_assets} is not in 1..12")
    if num_bars is not None and num_bars < 20:
        raise ValueError(f"num_bars {num_bars} is below 20, where MacKinnon's surface begins")
    return np.asarray(mackinnoncrit(num_assets, trend, np.inf if num_bars is None else num_bars))


def _params(start: np.ndarray, result: Any, num_lags: int) -> Params:
    parts = (getattr(result, name) for name in ("alpha", "beta", "const_coint", "gamma", "sigma_u"))
    alpha, beta, const, gamma, sigma = (np.asarray(part) for part in parts)
    return Params(start, alpha, beta, const.ravel(), _by_lag(gamma, num_lags), sigma)


def _errors(result: Any, num_lags: int) -> Params:
    names = ("stderr_alpha", "stderr_beta", "stderr_det_coef_coint", "stderr_gamma", "sigma_u")
    alpha, beta, const, gamma, sigma = (np.asarray(getattr(result, name)) for name in names)
    variances = np.diag(sigma)
    sigma_error = np.sqrt((np.outer(variances, variances) + sigma**2) / len(result.resid))
    return Params(np.zeros(len(alpha)), alpha, beta, const.ravel(), _by_lag(gamma, num_lags), sigma_error)


def _by_lag(gamma: np.ndarray, num_lags: int) -> np.ndarray:
    return gamma.reshape(len(gamma), num_lags, len(gamma)).transpose(1, 0, 2)


def _check(params: Params) -> np.ndarray:
    """Return the covariance's Cholesky factor [N, N]; ValueError names what is not valid."""
    base.check_params(params, {"start_prices": base.POSITIVE, "loadings": base.ANY, "vectors": base.ANY})
    base.check_params(params, {"constants": base.ANY, "covariance": base.ANY})
    num_assets, num_relations = np.size(params.start_prices), np.size(params.constants)
    num_lags = len(params.short_run)
    if num_lags:
        base.check_params(params, {"short_run": base.ANY})
    for field in ("loadings", "vectors"):
        base.check_shape(params, field, (num_assets, num_relations))
    base.check_shape(params, "short_run", (num_lags, num_assets, num_assets))
    base.check_shape(params, "covariance", (num_assets, num_assets))
    if np.abs(_roots(params)).max() > 1 + 1e-6:
        raise ValueError("loadings push the basket away from its relation, expected a pull back to it")
    try:
        return np.linalg.cholesky(params.covariance)
    except np.linalg.LinAlgError:
        raise ValueError("covariance is not positive definite") from None


def _roots(params: Params) -> np.ndarray:
    """Return the eigenvalues of the companion matrix of (x[t], dx[t], .., dx[t-L+1])."""
    num_lags, num_assets = len(params.short_run), len(params.start_prices)
    pull = params.loadings @ params.vectors.T
    row = np.concatenate([pull, *params.short_run], axis=1)
    companion = np.zeros((num_assets * (num_lags + 1),) * 2)
    companion[:num_assets] = row
    companion[:num_assets, :num_assets] += np.eye(num_assets)
    if num_lags:
        companion[num_assets : 2 * num_assets] = row
        companion[2 * num_assets :, num_assets:-num_assets] = np.eye(num_assets * (num_lags - 1))
    return np.linalg.eigvals(companion)
