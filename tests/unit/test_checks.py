"""The one set of input checks: what each lets through, and the sentence of each refusal."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import checks

ANY = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(ANY, min_size=1, max_size=6))
def test_every_finite_vector_passes_unchanged_in_memory_of_its_own(values):
    given_array = np.array(values)
    found = checks.vector("x", given_array)
    np.testing.assert_array_equal(found, given_array)
    assert not np.shares_memory(found, given_array)


@given(st.lists(ANY, min_size=1, max_size=5), st.integers(1, 5))
def test_every_gram_matrix_is_a_covariance_whatever_its_scale(row, rank):
    factor = np.outer(np.arange(1, rank + 1) / rank, np.array(row) / (max(map(abs, row)) or 1.0))
    for scale in (1e-300, 1.0, 1e300):
        matrix = factor.T @ factor * scale
        found = checks.covariance("c", matrix)
        np.testing.assert_array_equal(found, found.T)
        np.testing.assert_allclose(found, matrix, rtol=1e-9, atol=1e-10 * np.abs(matrix).max())


@given(st.floats(1e-6, 1.0), st.sampled_from([1e-300, 1.0, 1e300]))
def test_a_matrix_with_a_negative_eigenvalue_is_none(beyond, scale):
    with pytest.raises(ValueError, match="c has eigenvalue -"):
        checks.covariance("c", np.array([[1.0, 1.0 + beyond], [1.0 + beyond, 1.0]]) * scale)


@given(ANY, ANY, ANY)
def test_a_number_passes_exactly_within_its_bounds(value, low, high):
    if low <= value <= high:
        assert checks.number("x", value, low, high) == value
    else:
        with pytest.raises(ValueError, match="x is "):
            checks.number("x", value, low, high)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: checks.number("x", True), "x is True, expected a number"),
        (lambda: checks.number("x", "1"), "x is '1', expected a number"),
        (lambda: checks.number("x", None), "x is None, expected a number"),
        (lambda: checks.number("x", 10**400), "expected a number"),
        (lambda: checks.number("x", np.inf), "x is inf, expected a finite number"),
        (lambda: checks.number("x", 0, 0, open_low=True), "x is 0, expected above 0"),
        (lambda: checks.number("x", -1, 0, 2), "x is -1, expected at least 0 and at most 2"),
        (lambda: checks.number("x", 3, high=2), "x is 3, expected at most 2"),
        (lambda: checks.whole("n", 1.0, 0), "n is 1.0, expected a whole number from 0 to 2305843009213693952"),
        (lambda: checks.whole("n", True, 0), "n is True"),
        (lambda: checks.whole("n", 2**61 + 1, 0), "n is 2305843009213693953"),
        (lambda: checks.vector("v", []), "v has shape [0], expected one axis of at least 1 values"),
        (lambda: checks.vector("v", [1.0], 2), "v has shape [1], expected one axis of 2 values"),
        (lambda: checks.vector("v", 1.0), "v has shape [], expected one axis"),
        (lambda: checks.vector("v", [1.0, np.nan, np.inf]), "v holds 2 values that are not finite, the first at 1"),
        (lambda: checks.vector("v", ["a"]), "v is no array of numbers"),
        (lambda: checks.vector("v", [1j]), "v is no array of numbers"),
        (lambda: checks.vector("v", np.array([1j])), "v is no array of numbers"),
        (lambda: checks.vector("v", [10**400]), "v is no array of numbers"),
        (lambda: checks.vector("v", [[1.0], [1.0, 2.0]]), "v is no array of numbers"),
        (lambda: checks.vector("v", np.ma.masked_array([1.0, 2.0], [False, True])), "not finite, the first at 1"),
        (lambda: checks.positive("p", [1.0, 0.0]), "p has a value at 1 that is not above 0"),
        (lambda: checks.matrix("m", [1.0]), "m has shape [1], expected [T, N] with T >= 1, N >= 1"),
        (lambda: checks.matrix("m", [[1.0, 2.0], [np.nan, 1.0]]), "not finite, the first at [1, 0]"),
        (lambda: checks.covariance("c", np.ones((2, 3))), "c has shape [2, 3], expected [N, N]"),
        (lambda: checks.covariance("c", np.eye(3), 2), "c has shape [3, 3], expected [2, 2]"),
        (lambda: checks.covariance("c", [[1.0, 0.5], [0.4, 1.0]]), "c is not symmetric"),
        (lambda: checks.covariance("c", [[1.0, 1e308], [-1e308, 1.0]]), "c is not symmetric"),
        (lambda: checks.covariance("c", [[1.0, 0.0], [0.0, -1e-300]]), "c holds a variance below 0"),
        (
            lambda: checks.same_length(a=np.ones(2), b=np.ones(3)),
            "lengths differ: a 2, b 3; expected one",
        ),
        (lambda: checks.names("n", "ab"), "n is 'ab', expected at least one name"),
        (lambda: checks.names("n", ["a", "a"]), "n holds a name twice"),
    ],
)
def test_each_refusal_names_the_field_and_what_is_valid(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call()
