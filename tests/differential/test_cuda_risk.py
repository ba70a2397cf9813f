"""The GPU's Monte Carlo without a GPU: compiled for sm_90, and the same text run as host code against the CPU's."""

import ctypes
import json

import numpy as np
import pytest
from scipy import special
from typer.testing import CliRunner

from experiments.bench_risk import bench_var_cuda
from experiments.cli import app, exit_code
from kernels.lob.cuda import nvrtc
from kernels.lob.cuda.errors import CudaMissingError
from kernels.risk import cuda
from kernels.risk import filtered as fs
from kernels.risk import montecarlo as mc
from kernels.risk.var import historical_risk
from tests.support.cuda_source import compile_cubin, host_library
from tests.support.host_cupy import HostCupy, HostModule

SEED = 2**40 + 3
KEY = (ctypes.c_uint(SEED & 0xFFFFFFFF), ctypes.c_uint(SEED >> 32))


def pointer(array):
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return host_library(cuda.SOURCE, tmp_path_factory.mktemp("cuda"))


def law(assets, dof=None, mean=None):
    rng = np.random.default_rng(1)
    loadings = rng.normal(size=(assets, 3)) * 0.01
    matrix = loadings @ loadings.T + np.diag(rng.uniform(0.5, 2.0, assets) * 1e-4)
    return mc.make_scenarios(matrix, 4000, SEED, mean, dof), rng.normal(size=assets) * 1e4


def host_linear(library, scenarios, exposures, first, count):
    weights, mean = mc.projected_weights(scenarios, exposures)
    table, pnl = cuda.mix_table(scenarios.dof), np.empty(count)
    where = (ctypes.c_longlong(first), ctypes.c_longlong(count))
    blocks, mean = ctypes.c_longlong(len(weights) // 4), ctypes.c_double(mean)
    library.linear_pnl(pointer(weights), blocks, pointer(table), mean, *where, *KEY, pointer(pnl))
    return pnl


def test_the_source_compiles_for_sm_90_without_spills_and_is_refused_when_broken(with_nvrtc):
    cubin, _, log = nvrtc.compile_text("montecarlo.cu", cuda.SOURCE, (), cuda.OPTIONS)
    assert cubin[:4] == b"\x7fELF"
    for name in ("linear_pnl", "draw_normals", "draw_mixes", "filtered_paths"):
        assert f"'{name}' for 'sm_90'" in log
    assert log.count("0 bytes spill stores, 0 bytes spill loads") == 4
    with pytest.raises(nvrtc.CompileError, match="doubel"):
        compile_cubin(cuda.SOURCE.replace("double total", "doubel total"), cuda.OPTIONS)


@pytest.mark.parametrize("assets", [1, 3, 4, 130])
def test_normal_scenarios_are_the_cpus_to_twelve_digits_from_any_first_one(library, assets):
    scenarios, exposures = law(assets, mean=np.linspace(-1e-3, 1e-3, assets))
    found = mc.linear_pnl(scenarios, exposures)
    largest = np.abs(found).max()
    np.testing.assert_allclose(host_linear(library, scenarios, exposures, 0, 4000), found, 0, 1e-12 * largest)
    part = host_linear(library, scenarios, exposures, 3990, 10)
    np.testing.assert_allclose(part, found[3990:], 0, 1e-12 * largest)


@pytest.mark.parametrize("dof", [2.05, 3.0, 5.0, 40.0, 1e4])
def test_student_scenarios_are_the_cpus_to_three_millionths(library, dof):
    scenarios, exposures = law(6, dof)
    found = mc.linear_pnl(scenarios, exposures)
    np.testing.assert_allclose(host_linear(library, scenarios, exposures, 0, 4000), found, 3e-6, 1e-12)


@pytest.mark.parametrize("dof", [2.05, 3.0, 5.0, 40.0, 1e4])
def test_the_table_of_multipliers_is_the_quantile_of_chi_squared_at_both_ends_and_between(dof):
    table = cuda.mix_table(dof)
    assert table is not None
    z = np.array([-6.36, -4.0, -1.0, 0.0, 1.0, 4.0, 6.36])
    place = (z + cuda.MIX_LIMIT) * (cuda.MIX_NODES - 1) / (2 * cuda.MIX_LIMIT)
    found = np.exp(np.interp(place, np.arange(cuda.MIX_NODES), table))
    lower = special.gammaincinv(dof / 2, special.ndtr(z))
    exact = np.where(z < 0, lower, special.gammainccinv(dof / 2, special.ndtr(-z)))
    np.testing.assert_allclose(found, np.sqrt((dof - 2) / (2 * exact)), rtol=1e-5)  # linear here, cubic in the kernel


@pytest.mark.parametrize("assets", [1, 2, 7, 12])
@pytest.mark.parametrize("dof", [None, 4.0])
def test_the_drawn_numbers_are_those_that_the_cpu_multiplies_by_the_factor(library, assets, dof):
    scenarios, _ = law(assets, dof)
    table = cuda.mix_table(dof)
    mixes = None if dof is None else np.empty(500)
    where = (ctypes.c_longlong(1000), ctypes.c_longlong(500))
    if mixes is not None:
        library.draw_mixes(pointer(table), *where, *KEY, pointer(mixes))
    normals = np.empty((500, assets))
    library.draw_normals(ctypes.c_longlong(assets), pointer(mixes), *where, *KEY, pointer(normals))
    drawn = mc.draw_returns(scenarios, np.arange(1000, 1500))
    tolerance = {"rtol": 1e-10, "atol": 1e-15} if dof is None else {"rtol": 1e-5, "atol": 1e-8}
    np.testing.assert_allclose(normals @ scenarios.factor.T, drawn, **tolerance)


@pytest.mark.parametrize("days", [1, 4, 10])
def test_filtered_paths_are_the_cpus_to_twelve_digits(library, days):
    returns = np.random.default_rng(3).standard_t(5, 700) * 0.01
    filtered = fs.ewma_filter(returns)
    law = [ctypes.c_double(value) for value in (filtered.next_volatility**2, *filtered.garch)]
    sums, count = np.empty(3000), ctypes.c_longlong(3000)
    shape = (ctypes.c_longlong(700), ctypes.c_longlong(days))
    library.filtered_paths(pointer(filtered.residuals), *shape, *law, ctypes.c_longlong(0), count, *KEY, pointer(sums))
    np.testing.assert_allclose(sums, fs.filtered_paths(filtered, days, 3000, SEED), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("tail", [0.01, 0.025, 0.1])
def test_the_risk_of_a_sorted_tail_is_that_of_the_cpu(tail):
    pnl = np.random.default_rng(2).standard_t(3, 5003)
    before = pnl.copy()
    assert cuda.tail_risk(pnl, tail) == pytest.approx(historical_risk(pnl, tail), rel=1e-12)
    np.testing.assert_array_equal(pnl, before)
    with pytest.raises(ValueError, match="at least 100 values"):
        cuda.tail_risk(pnl[:99], 0.01)


@pytest.fixture
def launched(library, monkeypatch):
    """The launcher on the host's memory; the names of the kernels that it launched."""
    module = HostModule(cuda.SOURCE, library)
    monkeypatch.setattr(cuda, "_module", lambda: (HostCupy(), module))
    return module.launched


@pytest.mark.parametrize("dof", [None, 4.0])
def test_the_launcher_gives_every_kernel_its_words_and_the_cpus_pnl_comes_back(launched, monkeypatch, dof):
    monkeypatch.setattr(cuda, "CHUNK", 1500)
    scenarios, exposures = law(7, dof, np.linspace(-1e-3, 1e-3, 7))
    room = {"rtol": 0, "atol": (1e-12 if dof is None else 3e-6) * np.abs(mc.linear_pnl(scenarios, exposures)).max()}
    expected = mc.linear_pnl(scenarios, exposures)
    np.testing.assert_allclose(cuda.linear_pnl(scenarios, exposures).get(), expected, **room)
    full = cuda.revalued_pnl(scenarios, lambda returns: returns * exposures)
    np.testing.assert_allclose(full.get(), expected, **room)
    mixes = [] if dof is None else ["draw_mixes"]
    assert launched == ["linear_pnl", *(3 * [*mixes, "draw_normals"])]
    filtered = fs.ewma_filter(np.random.default_rng(3).standard_t(5, 700) * 0.01)
    paths = cuda.filtered_paths(filtered, 5, 1000, SEED).get()
    np.testing.assert_allclose(paths, fs.filtered_paths(filtered, 5, 1000, SEED), rtol=1e-12, atol=1e-15)


def test_a_book_that_cannot_be_revalued_on_the_gpu_is_refused(launched):
    scenarios, _ = law(3)
    with pytest.raises(ValueError, match=r"revalue gave \[4000\], expected P&L \[4000, 3\]"):
        cuda.revalued_pnl(scenarios, lambda returns: returns.sum(axis=1))
    with pytest.raises(ValueError, match="not finite"):
        cuda.revalued_pnl(scenarios, lambda returns: returns * np.nan)
    with pytest.raises(ValueError, match="exposures has shape"):
        cuda.linear_pnl(scenarios, np.ones(2))


def test_the_bench_sets_both_sides_beside_each_other_and_knows_a_wrong_one(launched, monkeypatch):
    told = bench_var_cuda(6, 2000, 1)
    assert told["correct"]
    for book in (told["linear"], told["revalued"]):
        assert book["gpu_scenarios_per_s"] == pytest.approx(2000 / book["gpu_s"])
        assert book["ratio"] == pytest.approx(book["gpu_scenarios_per_s"] * book["cpu_s"] / 2000)
    monkeypatch.setattr(cuda, "_key", lambda seed: (np.uint32(seed + 1), np.uint32(0)))
    assert not bench_var_cuda(6, 2000, 1)["correct"]


def test_without_a_gpu_the_command_says_so_and_ends_with_code_3():
    try:
        cuda.load_cupy()
    except CudaMissingError:
        done = CliRunner().invoke(app, ["bench", "risk", "--backend", "cuda", "--json"])
        assert isinstance(done.exception, CudaMissingError)
        assert exit_code(done.exception) == 3
        assert "CuPy" in str(done.exception) or "no GPU" in str(done.exception)
        assert done.stdout == ""
        return
    few = ["--orders", "2000", "--assets", "12", "--scenarios", "3000"]
    done = CliRunner().invoke(app, ["bench", "risk", "--backend", "cuda", *few, "--json"])
    assert json.loads(done.stdout)["cuda"]["correct"]
