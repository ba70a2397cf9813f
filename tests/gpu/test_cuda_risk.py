"""Monte Carlo VaR and ES on a GPU: the CPU's scenarios, and how fast. Skipped where there is no GPU. Not run yet."""

import numpy as np
import pytest

from experiments.bench_risk import bench_var_cuda
from kernels.lob.cuda.errors import CudaMissingError
from kernels.risk import cuda
from kernels.risk import filtered as fs
from kernels.risk import montecarlo as mc
from kernels.risk.var import historical_risk

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _with_gpu():
    try:
        cuda.load_cupy()
    except CudaMissingError as error:
        pytest.skip(f"no GPU here: {error}")


def host(array):
    return array.get()  # of CuPy


@pytest.mark.parametrize("dof", [None, 4.0])
@pytest.mark.parametrize("assets", [1, 3, 130, 500])
def test_the_gpus_scenarios_are_the_cpus(assets, dof):
    rng = np.random.default_rng(1)
    factor = rng.normal(size=(assets, assets)) * 0.01
    matrix = factor @ factor.T + np.eye(assets) * 1e-4
    scenarios = mc.make_scenarios(matrix, 300_000, 7, rng.normal(size=assets) * 1e-3, dof)
    exposures, room = rng.normal(size=assets) * 1e4, 1e-9 if dof is None else 3e-6
    expected = mc.linear_pnl(scenarios, exposures)
    largest = np.abs(expected).max()
    found = cuda.linear_pnl(scenarios, exposures)
    np.testing.assert_allclose(host(found), expected, rtol=0, atol=room * largest)
    np.testing.assert_array_equal(host(found), host(cuda.linear_pnl(scenarios, exposures)))
    held = cuda.load_cupy().asarray(exposures)
    full = cuda.revalued_pnl(scenarios, lambda returns: returns * held)
    np.testing.assert_allclose(host(full), expected, rtol=0, atol=room * largest)
    assert cuda.tail_risk(found, 0.01) == pytest.approx(historical_risk(expected, 0.01), rel=1e-5)


def test_the_gpus_filtered_paths_are_the_cpus():
    filtered = fs.ewma_filter(np.random.default_rng(3).standard_t(5, 700) * 0.01)
    expected = fs.filtered_paths(filtered, 10, 100_000, 5)
    np.testing.assert_allclose(host(cuda.filtered_paths(filtered, 10, 100_000, 5)), expected, rtol=1e-9, atol=1e-12)


def test_the_bench_is_correct_on_the_gpu():
    assert bench_var_cuda(100, 1_000_000, 3)["correct"]
