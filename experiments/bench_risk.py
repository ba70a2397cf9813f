"""Measure the risk kernels: the gate, and VaR and ES of many assets by Monte Carlo.

The Monte Carlo book is not linear (every asset has a gamma of its own), so that all assets are drawn in every scenario.
Its reference is the same work in NumPy and SciPy, on the first scenarios; both must give the same P&L to six digits.
"""

import time
from typing import Any

import numpy as np

from experiments.bench_gate import bench_gate
from kernels.risk.montecarlo import Scenarios, draw_returns, draw_returns_numpy, make_scenarios, revalued_pnl
from kernels.risk.var import historical_risk

REFERENCE_SCENARIOS = 2_000
TAIL_FRAC = 0.01


def bench_risk(orders: int, assets: int, scenarios: int, seed: int = 0) -> dict[str, Any]:
    """Return what `bench_gate` does and `var_s, var_scenarios_per_s, var_99, es_99, var_reference, var_ratio, correct`.

    `var_s` counts the draws, the P&L of every asset and scenario, VaR and ES; compilation is left out.
    """
    return bench_gate(orders, seed=seed) | bench_var(assets, scenarios, seed)


def bench_var(assets: int, scenarios: int, seed: int = 0) -> dict[str, Any]:
    """Return VaR and ES 99 % of a book of `assets` over `scenarios` daily returns, and how long they took."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(0.0, 0.008, (assets, 8))  # eight common factors, 1 to 2 % a day in all
    covariance = loadings @ loadings.T + np.diag(rng.uniform(0.005, 0.015, assets) ** 2)
    exposures, gammas = rng.normal(0.0, 1e6, assets), rng.normal(0.0, 5e6, assets)
    law = make_scenarios(covariance, scenarios, seed)

    def revalue(returns: np.ndarray) -> np.ndarray:
        return returns * (exposures + 0.5 * gammas * returns)

    draw_returns(law, np.arange(min(8, scenarios)))  # compiled
    began = time.perf_counter()
    pnl = revalued_pnl(law, revalue)
    risk = historical_risk(pnl, TAIL_FRAC)
    seconds = time.perf_counter() - began
    plain, correct = _plain(law, revalue, pnl)
    return {
        "assets": assets,
        "scenarios": scenarios,
        "var_s": seconds,
        "var_scenarios_per_s": scenarios / seconds,
        "var_99": risk.var,
        "es_99": risk.es,
        "var_reference": {"what": f"NumPy and SciPy on {REFERENCE_SCENARIOS} scenarios", "scenarios_per_s": plain},
        "var_ratio": scenarios / seconds / plain,
        "correct": correct,
    }


def _plain(law: Scenarios, revalue: Any, pnl: np.ndarray) -> tuple[float, bool]:
    """Return the reference's scenarios a second, and whether it gives the same P&L."""
    rows = np.arange(min(REFERENCE_SCENARIOS, law.count))
    began = time.perf_counter()
    judged = revalue(draw_returns_numpy(law, rows)).sum(axis=1)
    seconds = time.perf_counter() - began
    return len(rows) / seconds, bool(np.allclose(judged, pnl[rows], rtol=1e-6, atol=1e-6 * np.abs(judged).max()))
