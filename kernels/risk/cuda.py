"""Monte Carlo VaR and ES on a GPU: the scenarios of `montecarlo` and the paths of `filtered`. Not run on a GPU yet.

The random words are the CPU's for the same seed; P&L is theirs to 1e-9 of the largest (fused multiply-adds, the
device's log), to 3e-6 for Student's t, whose chi-squared quantile is interpolated in a table of 4,097 nodes. No atomics
and no order that depends on the launch: a seed gives the same bits on the same card. A launch has not been measured.

Why `linear_pnl` of 500 assets should pass 100 million scenarios a second on an H100 or H200 (132 multiprocessors, 64
float64 lanes each, 1.7 GHz: 1.4e13 float64 instructions a second): a normal number takes about 12 integer instructions
of Philox, issued beside, and about 100 of float64, since nearly every warp takes both branches of the quantile; 500 of
them are 5e4 a scenario, 2.9e8 scenarios a second at most, a third of which is asked for. Memory is no limit: 8 bytes
are written a scenario, and the 4 KB of weights stay in the cache. `revalued_pnl` is another matter: 4 KB are written
and read twice (16 KB a scenario, 2.0e8 a second at 3.35 TB/s, 2.9e8 at 4.8) and the product with the factor is 5e5
float64 operations, 1.2e8 scenarios a second at the 60e12 that cuBLAS reaches on tensor cores; one after the other that
is about 75 million a second at 500 assets, and above 100 million from 350 assets down. VaR and ES sort the P&L: about
1e9 numbers a second.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy import special

from kernels import checks as check
from kernels.cupy_module import load_module
from kernels.risk.filtered import Filtered
from kernels.risk.montecarlo import MIX_BLOCK, Scenarios, projected_weights
from kernels.risk.tails import TailRisk, checked_tail_series

OPTIONS: Final = ("--std=c++17",)
THREADS: Final = 128
MAX_BLOCKS: Final = 65_535
CHUNK: Final = 2**18  # scenarios of a product: at 500 assets 1 GB each for normals and returns

MIX_LIMIT: Final = 6.5  # no normal number of 32 bits is further out than 6.4
MIX_NODES: Final = 4_097


def _source() -> str:
    """Return the CUDA C of the kernels, with the engine's Philox before it."""
    philox = (Path(__file__).parents[1] / "lob" / "cuda" / "philox.cuh").read_text().replace("#pragma once", "")
    words = "using u32 = unsigned int;\nusing u64 = unsigned long long;\nusing i64 = long long;\n"
    constants = {"MIX_BLOCK": f"{MIX_BLOCK}u", "MIX_LIMIT": MIX_LIMIT, "MIX_NODES_A_UNIT": (MIX_NODES - 1) / 13.0}
    defines = "".join(f"#define {name} ({value!r})\n".replace("'", "") for name, value in constants.items())
    body = Path(__file__).with_name("montecarlo.cu").read_text()
    return f"{words}#define LOB_FUNC __device__ static inline\n{defines}{philox}\n{body}"


SOURCE: Final = _source()


def mix_table(dof: float | None) -> np.ndarray | None:
    """Return float64[4097] log sqrt((dof-2)/chi-squared) over normal quantiles -6.5..6.5; None for the normal law.

    Smooth in the normal quantile at any dof, so that a cubic between nodes is exact to 1e-9.
    """
    if dof is None:
        return None
    z = np.linspace(-MIX_LIMIT, MIX_LIMIT, MIX_NODES)
    lower = special.gammaincinv(dof / 2, special.ndtr(np.minimum(z, 0.0)))
    upper = special.gammainccinv(dof / 2, special.ndtr(-np.maximum(z, 0.0)))
    return 0.5 * np.log((dof - 2.0) / (2.0 * np.where(z < 0, lower, upper)))


def _module() -> tuple[Any, Any]:
    """Return CuPy and the compiled kernels. Raises CudaMissingError that says what is missing."""
    return load_module(SOURCE, OPTIONS, "the risk kernels' cuda backend")


def load_cupy() -> Any:
    """Return CuPy. Raises CudaMissingError, with what is missing, unless the kernels can run on this machine."""
    return _module()[0]


def linear_pnl(scenarios: Scenarios, exposures: Any) -> Any:
    """Return float64[S] P&L on the GPU (a CuPy array) of a portfolio that is linear in its returns.

    As `montecarlo.linear_pnl`, whose scenarios these are. Raises CudaMissingError, ValueError.
    """
    weights, mean = projected_weights(scenarios, exposures)
    cupy, _ = _module()
    pnl = cupy.empty(scenarios.count)
    blocks, held, table = np.int64(len(weights) // 4), cupy.asarray(weights), _table(cupy, scenarios)
    arguments = (held, blocks, table, np.float64(mean), *_range(0, scenarios.count), *_key(scenarios.seed), pnl)
    _launch("linear_pnl", scenarios.count, arguments)
    return pnl


def revalued_pnl(scenarios: Scenarios, revalue: Callable[[Any], Any]) -> Any:
    """Return float64[S] P&L on the GPU of any portfolio; revalue maps CuPy float64[C, N] returns to P&L by asset.

    As `montecarlo.revalued_pnl`; the product with the factor is cuBLAS's. ValueError where revalue gives another shape
    or a P&L is not finite. Memory: 2 x 262,144 x N numbers and what revalue takes.
    """
    cupy, _ = _module()
    assets, key = len(scenarios.mean), _key(scenarios.seed)
    factor, drift = cupy.asarray(scenarios.factor.T), cupy.asarray(scenarios.mean)
    drifts = bool(scenarios.mean.any())
    table, pnl = _table(cupy, scenarios), cupy.empty(scenarios.count)
    for start in range(0, scenarios.count, CHUNK):
        count = min(CHUNK, scenarios.count - start)
        mixes: Any = np.uint64(0)  # a null pointer
        if scenarios.dof is not None:
            mixes = cupy.empty(count)
            _launch("draw_mixes", count, (table, *_range(start, count), *key, mixes))
        normals = cupy.empty((count, assets))
        arguments = (np.int64(assets), mixes, *_range(start, count), *key, normals)
        _launch("draw_normals", count * ((assets + 3) // 4), arguments)
        returns = normals @ factor
        found = revalue(returns + drift if drifts else returns)
        if found.shape != (count, assets):
            raise ValueError(f"revalue gave {list(found.shape)}, expected P&L [{count}, {assets}]")
        pnl[start : start + count] = found.sum(axis=1)
    if not bool(cupy.isfinite(pnl).all()):
        raise ValueError("pnl of revalue holds values that are not finite")
    return pnl


def filtered_paths(filtered: Filtered, horizon: int, paths: int, seed: int) -> Any:
    """Return float64[paths] sums of the next `horizon` returns on the GPU: those of `filtered.filtered_paths`."""
    days, count = check.whole("horizon", horizon, 1, 10_000), check.whole("paths", paths, 1, 2**31)
    key = _key(check.whole("seed", seed, 0, 2**64 - 1))
    cupy, _ = _module()
    residuals, sums = cupy.asarray(filtered.residuals), cupy.empty(count)
    law = tuple(np.float64(value) for value in (filtered.next_volatility**2, *filtered.garch))
    arguments = (residuals, np.int64(len(residuals)), np.int64(days), *law, *_range(0, count), *key, sums)
    _launch("filtered_paths", count, arguments)
    return sums


def tail_risk(pnl: Any, tail_frac: float) -> TailRisk:
    """Return what `var.historical_risk` does of P&L float64[S] where it lies: a CuPy array on the GPU, or NumPy's.

    One sort. ValueError where the tail has no scenario.
    """
    size = int(pnl.shape[0])
    checked_tail_series("pnl", np.zeros(min(size, 10**6)), tail_frac)
    pnl = pnl.copy()
    pnl.sort()
    place = tail_frac * (size - 1)
    low = int(place)
    below, above = float(pnl[low]), float(pnl[min(low + 1, size - 1)])
    quantile = below + (above - below) * (place - low)
    held = int((pnl <= quantile).sum())
    return TailRisk(-quantile, -float(pnl[:held].mean()))


def _table(cupy: Any, scenarios: Scenarios) -> Any:
    table = mix_table(scenarios.dof)
    return np.uint64(0) if table is None else cupy.asarray(table)


def _range(first: int, count: int) -> tuple[np.int64, np.int64]:
    return np.int64(first), np.int64(count)


def _key(seed: int) -> tuple[np.uint32, np.uint32]:
    return np.uint32(seed & 0xFFFFFFFF), np.uint32(seed >> 32)


def _launch(name: str, threads: int, arguments: tuple[Any, ...]) -> None:
    _, module = _module()
    blocks = min((threads + THREADS - 1) // THREADS, MAX_BLOCKS)
    module.get_function(name)((blocks,), (THREADS,), arguments)
