"""What every registered price process promises."""

import subprocess
import sys

import numpy as np
import pytest

from market_models.prices.registry import PRICE_MODELS, get_price_model

NAMES = sorted(PRICE_MODELS)


def assets(name: str) -> tuple[int, ...]:
    """Return the axes that follow the bars: none, or the basket's assets."""
    return np.shape(getattr(PRICE_MODELS[name].example, "start_prices", 0.0))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_paths_and_another_seed_others(name: str) -> None:
    model = get_price_model(name)
    first, again, other = (model.sample(model.example, 50, 3, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first[:, 1:] != other[:, 1:]).mean() > 0.9
    assert (first[0, 1:] != first[1, 1:]).mean() > 0.9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("num_steps", "num_paths"), [(1, 1), (17, 4)])
def test_paths_are_finite_float64_that_begin_at_the_start_price(name: str, num_steps: int, num_paths: int) -> None:
    model = get_price_model(name)
    paths = model.sample(model.example, num_steps, num_paths, 2**64 - 1)
    assert paths.shape == (num_paths, num_steps + 1, *assets(name))
    assert paths.dtype == np.float64
    assert np.isfinite(paths).all()
    start = getattr(model.example, "start_price", None)
    expected = model.example.start_prices if start is None else start
    np.testing.assert_allclose(paths[:, 0], np.broadcast_to(expected, paths[:, 0].shape), rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, "text"])
def test_a_parameter_that_is_not_a_finite_number_is_refused_by_its_name(name: str, bad: object) -> None:
    model = get_price_model(name)
    for field in model.example._fields:
        value = getattr(model.example, field)
        wrong = bad if isinstance(bad, str) else np.full(np.shape(value), bad)
        with pytest.raises(ValueError, match=field):
            model.sample(model.example._replace(**{field: wrong}), 5, 2, 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("field", "sizes"),
    [
        ("num_steps", (0, 1, 0)),
        ("num_steps", (2.5, 1, 0)),
        ("num_paths", (5, 0, 0)),
        ("num_paths", (5, True, 0)),
        ("seed", (5, 1, -1)),
        ("seed", (5, 1, 2**64)),
    ],
)
def test_a_size_that_is_not_valid_is_refused_by_its_name(name: str, field: str, sizes: tuple) -> None:
    model = get_price_model(name)
    with pytest.raises(ValueError, match=field):
        model.sample(model.example, *sizes)


@pytest.mark.parametrize("name", NAMES)
def test_prices_that_cannot_be_fitted_are_refused(name: str) -> None:
    model = get_price_model(name)
    good = model.sample(model.example, 400, 1, 3)[0]
    with_gap = good.copy()
    with_gap[11] = np.nan
    for wrong in (good[:2], good[None], with_gap, np.full_like(good, 5.0), np.array(["a", "b"])):
        with pytest.raises(ValueError, match="prices"):
            model.fit(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_params_are_frozen(name: str) -> None:
    example = get_price_model(name).example
    with pytest.raises(AttributeError):
        setattr(example, example._fields[0], 1.0)


def test_an_unknown_name_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="geometric_walk"):
        get_price_model("brownian")


def test_no_price_process_imports_jax() -> None:
    code = f"""
import sys
from market_models.prices.registry import PRICE_MODELS
for name in {NAMES}:
    PRICE_MODELS[name].example
assert "jax" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
