"""Schedules and rounding: promises for every batch, the closed forms, and the same bits from every backend."""

import ctypes
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.execution import almgren_chriss, cpu, cuda, obizhaeva_wang, schedules
from kernels.execution.rounding import participation_caps, round_children, round_cumulative
from kernels.execution.schedules import (
    ALMGREN_CHRISS,
    OBIZHAEVA_WANG,
    TWAP,
    VWAP,
    make_parents,
    plan_children,
    volume_curve,
)
from kernels.lob.cuda.nvrtc import CompileError
from tests.support.cuda_source import compile_cubin, host_library

EXAMPLES = settings(max_examples=150, deadline=None)


def random_parents(seed, count=300, rows=40):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, count)
    num_slices = rng.integers(1, rows + 1, count)
    shape = np.where(kind == ALMGREN_CHRISS, 10.0 ** rng.uniform(-9, 4, count), rng.random(count))
    turn = (kind == ALMGREN_CHRISS) & (rng.random(count) < 0.2)
    shape = np.where(turn, -4 * np.sin(rng.uniform(0, np.pi / 4, count) / num_slices) ** 2, shape)
    curve = rng.gamma(0.3, 1.0, (rows, count)) + 1e-9
    lots = np.where(rng.random(count) < 0.1, 2**30, rng.integers(0, 5_000, count))
    step = rng.choice([1, 1, 1, 7, 100], count)
    cap = np.where(rng.random((rows, count)) < 0.3, rng.integers(0, 400, (rows, count)), 2**30)
    cap[:, rng.random(count) < 0.3] = 2**30
    return make_parents(kind, num_slices, lots, shape=shape, curve=curve, lot_step=step, cap_lots=cap, slices=rows)


def by_hand(fractions, parent_lots, step, caps):
    """The recursion of rounding.py's head in exact integers, one parent."""
    units, caps = parent_lots // step, [int(cap) // step for cap in caps]
    done, children = 0, []
    for k, (fraction, cap) in enumerate(zip(fractions, caps, strict=True)):
        wanted = max(round(Fraction(float(units * fraction))), units - sum(caps[k + 1 :]))
        now = min(done + cap, wanted)
        children.append((now - done) * step)
        done = now
    return children


@pytest.mark.parametrize("seed", range(4))
def test_numba_gives_the_bits_of_the_reference(seed):
    parents = random_parents(seed)
    results = []
    for module in (schedules, cpu):
        fractions = np.empty(parents.curve.shape)
        module.schedule_fractions(*parents[:4], fractions)
        children = np.empty(parents.curve.shape, np.int64)
        (round_children if module is schedules else cpu.round_children)(
            fractions, parents.num_slices, *parents[4:], children
        )
        results.append((fractions, children))
    np.testing.assert_array_equal(results[0][0].view(np.int64), results[1][0].view(np.int64))
    np.testing.assert_array_equal(results[0][1], results[1][1])
    fractions, children = results[0]
    assert np.all(np.diff(fractions, axis=0) >= 0) and np.all(fractions >= 0) and np.all(fractions[-1] == 1)
    for p in range(0, 300, 7):
        n = parents.num_slices[p]
        expected = by_hand(fractions[:n, p], parents.parent_lots[p], parents.lot_step[p], parents.cap_lots[:n, p])
        assert children[:n, p].tolist() == expected and not children[n:, p].any()


def test_the_cuda_source_compiles_for_sm_90_and_is_refused_when_broken():
    assert compile_cubin(cuda.SOURCE, cuda.OPTIONS)[:4] == b"\x7fELF"
    with pytest.raises(CompileError, match=r"NVRTC refuses kernel\.cu.*doubel"):
        compile_cubin(cuda.SOURCE.replace("double total", "doubel total"), cuda.OPTIONS)


def test_the_cuda_source_run_as_host_code_gives_the_bits_of_the_reference(tmp_path):
    library = host_library(cuda.SOURCE, tmp_path)

    def call(name, *arrays):
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
        getattr(library, name)(*pointers, *(ctypes.c_longlong(size) for size in arrays[-1].shape))

    for seed in (11, 12):
        parents = random_parents(seed)
        fractions, children = np.empty(parents.curve.shape), np.empty(parents.curve.shape, np.int64)
        call("schedule_fractions", *parents[:4], fractions)
        call("round_children", fractions, parents.num_slices, *parents[4:], children)
        expected = np.empty(parents.curve.shape)
        schedules.schedule_fractions(*parents[:4], expected)
        np.testing.assert_array_equal(fractions.view(np.int64), expected.view(np.int64))
        np.testing.assert_array_equal(children, plan_children(parents, "reference"))


def test_the_cuda_backend_says_what_is_missing():
    try:
        import cupy
    except ImportError:
        with pytest.raises(RuntimeError, match="CuPy"):
            plan_children(make_parents(TWAP, 3, 10), "cuda")
        return
    if not cupy.cuda.is_available():
        with pytest.raises(RuntimeError, match="GPU"):
            plan_children(make_parents(TWAP, 3, 10), "cuda")
        return
    parents = random_parents(5)
    np.testing.assert_array_equal(plan_children(parents, "cuda"), plan_children(parents, "reference"))


@EXAMPLES
@given(
    lots=st.integers(0, 2**30),
    step=st.sampled_from([1, 1, 2, 10, 1000]),
    weights=st.lists(st.floats(0, 1e6), min_size=1, max_size=30).filter(lambda w: sum(w) > 0),
    data=st.data(),
)
def test_children_never_pass_parent_or_cap_and_sum_to_the_parent_where_caps_allow(lots, step, weights, data):
    caps = np.array([data.draw(st.one_of(st.integers(0, 2 * lots + 1), st.just(2**30))) for _ in weights])
    shares = np.minimum(np.cumsum(weights) / np.sum(weights), 1.0)
    shares[-1] = 1.0
    children = round_cumulative(shares, lots, lot_step=step, cap_lots=caps)
    whole, room = lots // step * step, sum(int(cap) // step * step for cap in caps)
    assert np.all(children >= 0) and np.all(children <= caps) and np.all(children % step == 0)
    assert children.sum() == min(whole, room)


@EXAMPLES
@given(lots=st.integers(0, 10**6), slices=st.integers(1, 60))
def test_without_caps_the_cumulative_schedule_is_kept_to_half_a_lot(lots, slices):
    children = plan_children(make_parents(TWAP, slices, lots), "reference")[:, 0]
    for k, done in enumerate(np.cumsum(children).tolist()):
        assert abs(Fraction(lots * (k + 1), slices) - done) <= Fraction(1, 2) + Fraction(1, 10**9)
    assert children.max() - children.min() <= 1  # an even schedule stays even


def test_a_participation_cap_holds_slice_by_slice():
    volume = np.array([[1000], [10], [0], [5000]])
    caps = participation_caps(volume, 100_000, 400)
    assert caps[:, 0].tolist() == [100, 1, 0, 400]
    parents = make_parents(VWAP, 4, 450, curve=volume.astype(float), cap_lots=caps)
    assert plan_children(parents, "cpu")[:, 0].tolist() == [75, 1, 0, 374]
    parents = make_parents(TWAP, 4, 450, cap_lots=caps)
    assert plan_children(parents, "cpu")[:, 0].tolist() == [100, 1, 0, 349]
    parents = make_parents(TWAP, 4, 600, cap_lots=caps)
    assert plan_children(parents, "cpu")[:, 0].tolist() == [100, 1, 0, 400]  # 501 is all that the caps allow


@pytest.mark.parametrize("risk_aversion", [-2e-7, 0.0, 1e-6, 1e-3])
def test_the_recurrence_is_the_papers_hyperbolic_trajectory(risk_aversion):
    params = almgren_chriss.ImpactParams(1e6, 5.0, 50, 0.95, 0.0625, 2.5e-7, 2.5e-6)
    parents = make_parents(ALMGREN_CHRISS, 50, 10**6, shape=almgren_chriss.curvature(params, risk_aversion))
    fractions = np.empty((50, 1))
    cpu.schedule_fractions(*parents[:4], fractions)
    expected = almgren_chriss.trajectory(params, risk_aversion)[1:]
    np.testing.assert_allclose(1e6 * (1 - fractions[:, 0]), expected, atol=1e-4)
    assert np.abs(np.cumsum(plan_children(parents)[:, 0]) - (1e6 - expected)).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("trades", [1, 2, 3, 40])
def test_obizhaeva_wang_fractions_are_its_discrete_optimum(trades):
    share = obizhaeva_wang.refill_share(2.0, 1.0, trades)
    fractions = np.empty((trades, 1))
    cpu.schedule_fractions(*make_parents(OBIZHAEVA_WANG, trades, 100, shape=share)[:4], fractions)
    np.testing.assert_allclose(fractions[:, 0], np.cumsum(obizhaeva_wang.discrete(1.0, 2.0, 1.0, trades)), atol=1e-14)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"kind": 4}, "kind"),
        ({"num_slices": 0}, "num_slices"),
        ({"parent_lots": 2**30 + 1}, "parent_lots"),
        ({"parent_lots": -1}, "parent_lots"),
        ({"lot_step": 0}, "lot_step"),
        ({"cap_lots": -1}, "cap_lots"),
        ({"kind": VWAP, "curve": 0.0}, "curve"),
        ({"kind": VWAP, "curve": float("nan")}, "curve"),
        ({"kind": VWAP, "curve": -1.0}, "curve"),
        ({"kind": VWAP, "curve": 1e308}, "curve"),
        ({"kind": OBIZHAEVA_WANG, "shape": 1.5}, "shape"),
        ({"kind": ALMGREN_CHRISS, "shape": float("inf")}, "shape"),
        ({"kind": ALMGREN_CHRISS, "shape": -0.5}, "shape"),
    ],
)
def test_a_parent_that_cannot_be_sliced_is_refused_by_name(fields, name):
    arguments = {"kind": TWAP, "num_slices": 6, "parent_lots": 100, "slices": 6, **fields}
    with pytest.raises(ValueError, match=name):
        make_parents(**arguments)


def test_a_volume_curve_is_the_mean_of_the_days_shares():
    np.testing.assert_allclose(volume_curve([[1, 3], [300, 100]]), [0.5, 0.5])
    for days in ([1, 2], [[0, 0]], [[1, -1]], [[1, float("nan")]], []):
        with pytest.raises(ValueError, match="volume_lots"):
            volume_curve(days)


def test_bad_fractions_and_backends_are_refused():
    for shares in ([0.5, 0.4, 1.0], [0.5], [], [-0.1, 1.0], [float("nan"), 1.0]):
        with pytest.raises(ValueError, match="fractions"):
            round_cumulative(shares, 10)
    with pytest.raises(ValueError, match="backend"):
        plan_children(make_parents(TWAP, 2, 10), "gpu")
    with pytest.raises(ValueError, match="volume_lots"):
        participation_caps([-1], 1, 1)
