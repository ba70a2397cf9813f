"""Slippage models by hand, in NumPy and in JAX."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from market_models.slippage import SLIPPAGES, Quote, make_slippage

LEVELS = np.array([[[101, 5], [103, 10], [0, 0]], [[0, 0], [0, 0], [0, 0]]], np.int32)
QUOTE = Quote(np.array([101, 99], np.int32), np.array([2, 6], np.int32), np.array([1000, 0], np.int32), LEVELS)
LOTS = np.array([12, 3], np.int32)

EXPECTED = {  # a new model brings its line: (fields, slippage of both markets)
    "fixed_ticks": ({"ticks": 1.5}, [1.5, 1.5]),
    "spread_share": ({"share": 0.25}, [0.5, 1.5]),
    "volume_share": ({"coefficient": 0.1, "max_share": 0.02}, [0.1 * 0.012**2 * 101, 0.1 * 0.02**2 * 99]),
    "walk_the_book": ({"beyond_tick": 4.0}, [7 * 2 / 12, 4.0]),
}


@pytest.mark.parametrize("name", sorted(SLIPPAGES))
def test_every_model_gives_its_formula_in_both_namespaces_and_under_vmap(name):
    fields, expected = EXPECTED[name]
    model = make_slippage(name, **fields)
    np.testing.assert_allclose(model.slippage_tick(np, QUOTE, LOTS), expected, rtol=1e-12)
    on_jax = jax.jit(lambda m, q, n: m.slippage_tick(jnp, q, n))(model, QUOTE, LOTS)
    assert on_jax.dtype == jnp.float32
    np.testing.assert_allclose(on_jax, expected, rtol=1e-6)
    one_by_one = jax.vmap(lambda q, n: model.slippage_tick(jnp, q, n))(jax.tree.map(jnp.asarray, QUOTE), LOTS)
    np.testing.assert_allclose(one_by_one, expected, rtol=1e-6)


def test_walking_the_book_agrees_with_taking_lot_by_lot():
    rng = np.random.default_rng(0)
    model = make_slippage("walk_the_book", beyond_tick=2.5)
    for side in (1, -1):
        price = 500 + side * np.arange(6) * 2
        size = rng.integers(1, 9, 6)
        ladder = [abs(p - price[0]) for p, n in zip(price, size, strict=True) for _ in range(n)] + [10 + 2.5] * 100
        for lots in (0, 1, 5, int(size.sum()), int(size.sum()) + 20):
            quote = Quote(price[0], 2, 0, np.stack([price, size], axis=-1))
            expected = np.mean(ladder[:lots]) if lots else 0.0
            assert model.slippage_tick(np, quote, np.int32(lots)) == pytest.approx(expected)


def test_the_volume_share_model_limits_what_fills():
    model = make_slippage("volume_share", max_share=0.025)
    np.testing.assert_array_equal(model.fillable_lots(np, QUOTE, np.array([12, 30])), [12, 0])
    np.testing.assert_array_equal(model.fillable_lots(np, QUOTE, np.array([30, 0])), [25, 0])


def test_slippage_hurts_and_larger_orders_pay_at_least_as_much_a_lot():
    for name in SLIPPAGES:
        model = make_slippage(name, **EXPECTED[name][0])
        costs = [float(model.slippage_tick(np, QUOTE, np.array([n, n]))[0]) for n in (1, 5, 12, 15, 100)]
        assert costs[0] >= 0 and all(a <= b + 1e-12 for a, b in pairwise(costs)), name


def test_models_are_found_by_name_and_checked():
    assert set(EXPECTED) == set(SLIPPAGES)
    with pytest.raises(ValueError, match="walk_the_book"):
        make_slippage("free")
    with pytest.raises(ValueError, match="ticks"):
        make_slippage("fixed_ticks", ticks=-1.0)
    with pytest.raises(ValueError, match="share"):
        make_slippage("spread_share", share=float("nan"))
    with pytest.raises(ValueError, match="colour"):
        make_slippage("spread_share", colour=1)
