"""Features of bars against their formulas, written out over whole series."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from kernels.features.bars import (
    CLIP,
    COLUMNS_PER_SIGNAL,
    HORIZONS,
    LAGS,
    advance_bars,
    bar_columns,
    history_of,
    start_bars,
)


def moves(num_bars=400, shape=(2,)):
    return np.random.default_rng(4).normal(1e-4, 0.01, (num_bars, *shape)).astype(np.float32)


def test_columns_equal_exponential_means_of_pandas():
    series = moves()
    columns = bar_columns(np, history_of(series))
    for signal in range(2):
        move = pd.Series(
            np.concatenate([[0.0], series[:, signal].astype(np.float64)])
        )  # before the first nothing moved
        level = move.cumsum()
        expected = {}
        for n in HORIZONS:
            weight = -np.expm1(-1 / n)
            expected[n] = [x.ewm(alpha=weight, adjust=False).mean().iloc[-1] for x in (move, move**2, level)]
        sd = {n: np.sqrt(values[1]) for n, values in expected.items()}
        slow = sd[HORIZONS[-1]]
        row = [
            *(move.iloc[-1 - lag] / slow for lag in range(LAGS)),
            *(np.sqrt(n) * expected[n][0] / slow for n in HORIZONS),
            *(np.log(sd[n] / slow) for n in HORIZONS[:-1]),
            *((level.iloc[-1] - expected[n][2]) / (np.sqrt(n) * slow) for n in HORIZONS),
        ]
        np.testing.assert_allclose(columns[signal], np.clip(row, -CLIP, CLIP), rtol=2e-4, atol=2e-5)


def test_numpy_and_jax_agree_bar_by_bar():
    ours, theirs = start_bars(np, (3,)), start_bars(jnp, (3,))
    for move in moves(50, (3,)):
        ours, theirs = advance_bars(np, ours, move), advance_bars(jnp, theirs, move)
    assert bar_columns(np, ours).shape == (3, COLUMNS_PER_SIGNAL)
    np.testing.assert_allclose(bar_columns(np, ours), bar_columns(jnp, theirs), atol=1e-5)


def test_prices_that_never_moved_give_finite_columns():
    columns = bar_columns(np, start_bars(np, (1,)))
    assert np.isfinite(columns).all() and not columns[:, : LAGS + 3].any()


def test_a_move_that_is_not_finite_is_refused():
    broken = moves()
    broken[7, 1] = np.nan
    with pytest.raises(ValueError, match="moves holds a value that is not finite"):
        history_of(broken)
