"""Measure the risk kernels: the gate, and VaR and ES of many assets by Monte Carlo.

The Monte Carlo book is not linear (every asset has a gamma of its own), so that all assets are drawn in every scenario.
Its reference is the same work in NumPy and SciPy, on the first scenarios; both must give the same P&L to six digits.
"""

import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from experiments.bench_gate import bench_gate
from kernels.risk import cuda
from kernels.risk.montecarlo import (
    Scenarios,
    draw_returns,
    draw_returns_numpy,
    linear_pnl,
    make_scenarios,
    revalued_pnl,
)
from kernels.risk.tails import TailRisk
from kernels.risk.var import historical_risk

REFERENCE_SCENARIOS = 2_000
CPU_SCENARIOS = 200_000  # that the CPU draws beside a GPU: of 500 assets a few seconds
TAIL_FRAC = 0.01


def bench_risk(
    orders: int, assets: int, scenarios: int, seed: int = 0, backend: Literal["cpu", "cuda"] = "cpu"
) -> dict[str, Any]:
    """Return what `bench_gate` does and `var_s, var_scenarios_per_s, var_99, es_99, var_reference, var_ratio, correct`.

    `var_s` counts the draws, the P&L of every asset and scenario, VaR and ES; compilation is left out. With the backend
    cuda also `cuda`, what `bench_var_cuda` returns; raises CudaMissingError without a GPU.
    """
    if backend == "cpu":
        return bench_gate(orders, seed=seed) | bench_var(assets, scenarios, seed)
    on_gpu = bench_var_cuda(assets, scenarios, seed)
    found = bench_gate(orders, seed=seed) | bench_var(assets, min(scenarios, CPU_SCENARIOS), seed)
    return found | {"cuda": on_gpu, "correct": found["correct"] and on_gpu["correct"]}


def bench_var(assets: int, scenarios: int, seed: int = 0) -> dict[str, Any]:
    """Return VaR and ES 99 % of a book of `assets` over `scenarios` daily returns, and how long they took."""
    law, exposures, gammas = _book(assets, scenarios, seed)

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


def bench_var_cuda(assets: int, scenarios: int, seed: int = 0) -> dict[str, Any]:
    """Return the same book on the GPU, and a linear one, beside the CPU's: seconds, scenarios a second, whether equal.

    The best of three, after one that compiles. The CPU draws the first 200,000 scenarios; P&L is compared on those, VaR
    and ES on all. Raises CudaMissingError without CuPy or GPU.
    """
    cupy = cuda.load_cupy()
    law, exposures, gammas = _book(assets, scenarios, seed)
    few = law._replace(count=min(scenarios, CPU_SCENARIOS))
    held, bent = cupy.asarray(exposures), cupy.asarray(gammas)
    runs = {
        "linear": (lambda: cuda.linear_pnl(law, exposures), lambda: linear_pnl(few, exposures)),
        "revalued": (
            lambda: cuda.revalued_pnl(law, lambda returns: returns * (held + 0.5 * bent * returns)),
            lambda: revalued_pnl(few, lambda returns: returns * (exposures + 0.5 * gammas * returns)),
        ),
    }
    out: dict[str, Any] = {"assets": assets, "scenarios": scenarios, "correct": True}
    for name, (on_gpu, on_cpu) in runs.items():
        seconds, (pnl, risk) = _timed(lambda run=on_gpu: _gpu_risk(run()), 4)
        cpu_seconds, (judged, _) = _timed(lambda run=on_cpu: _cpu_risk(run()), 2)
        found = pnl.get()
        equal = np.allclose(found[: few.count], judged, rtol=0, atol=1e-9 * np.abs(judged).max())
        out["correct"] &= bool(equal and np.allclose(risk, historical_risk(found, TAIL_FRAC), rtol=1e-9))
        gpu_rate, cpu_rate = scenarios / seconds, few.count / cpu_seconds
        rates = {"gpu_scenarios_per_s": gpu_rate, "cpu_scenarios_per_s": cpu_rate, "ratio": gpu_rate / cpu_rate}
        out[name] = {"gpu_s": seconds, "cpu_s": cpu_seconds, "cpu_scenarios": few.count} | rates
    return out


def _gpu_risk(pnl: Any) -> tuple[Any, TailRisk]:
    return pnl, cuda.tail_risk(pnl, TAIL_FRAC)  # copies two numbers to the host, and so waits for the GPU


def _cpu_risk(pnl: np.ndarray) -> tuple[np.ndarray, TailRisk]:
    return pnl, historical_risk(pnl, TAIL_FRAC)


def _timed(run: Callable[[], Any], times: int) -> tuple[float, Any]:
    """Return the least seconds of all runs but the first, and what the last gave."""
    seconds, found = [], None
    for _ in range(times):
        began = time.perf_counter()
        found = run()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:]), found


def _book(assets: int, scenarios: int, seed: int) -> tuple[Scenarios, np.ndarray, np.ndarray]:
    """Return the law of the returns, and each asset's exposure and gamma."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(0.0, 0.008, (assets, 8))  # eight common factors, 1 to 2 % a day in all
    covariance = loadings @ loadings.T + np.diag(rng.uniform(0.005, 0.015, assets) ** 2)
    exposures, gammas = rng.normal(0.0, 1e6, assets), rng.normal(0.0, 5e6, assets)
    return make_scenarios(covariance, scenarios, seed), exposures, gammas


def _plain(law: Scenarios, revalue: Any, pnl: np.ndarray) -> tuple[float, bool]:
    """Return the reference's scenarios a second, and whether it gives the same P&L."""
    rows = np.arange(min(REFERENCE_SCENARIOS, law.count))
    began = time.perf_counter()
    judged = revalue(draw_returns_numpy(law, rows)).sum(axis=1)
    seconds = time.perf_counter() - began
    return len(rows) / seconds, bool(np.allclose(judged, pnl[rows], rtol=1e-6, atol=1e-6 * np.abs(judged).max()))
