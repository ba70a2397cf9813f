"""Research indicators: known names, textbook values by slow loops, and not one that sees a later bar."""

import re

import numpy as np
import pytest

from market_models.indicators import (
    LOOK_AHEAD,
    NEEDS_MORE,
    compute,
    indicator_names,
    look_ahead_columns,
)

N = 300
NAMES = indicator_names()


def make_bars(seed: int = 0, count: int = N) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    opened = close * np.exp(rng.normal(0, 0.004, count))
    return {
        "time_ns": 1_700_000_000_000_000_000 + 60 * 10**9 * np.arange(count),
        "open": opened,
        "high": np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.004, count))),
        "low": np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.004, count))),
        "close": close,
        "volume": rng.integers(100, 1000, count).astype(float),
    }


BARS = make_bars()


def test_every_name_of_the_library_is_either_computed_or_refused_with_its_reason():
    from pandas_ta_classic import Category  # here, because its import warns before ours has filtered that

    listed = [name for names in Category.values() for name in names]
    assert len(listed) == 193 and set(listed) == {*NAMES, *LOOK_AHEAD, *NEEDS_MORE}
    assert len(NAMES) == 193 - len(LOOK_AHEAD) - len(NEEDS_MORE)


@pytest.mark.parametrize("name", NAMES)
def test_values_do_not_change_when_later_bars_do(name):
    whole = compute(BARS, [name])
    cut = 170
    other = {key: np.concatenate([BARS[key][:cut], make_bars(1)[key][cut:]]) for key in BARS}
    changed = compute(other, [name])
    assert list(whole) == list(changed) and whole
    for column, values in whole.items():
        assert values.shape == (N,)
        np.testing.assert_allclose(changed[column][:cut], values[:cut], rtol=1e-9, atol=1e-9, err_msg=column)
    if name != "cdl_pattern":  # a pattern may not occur
        assert any(np.isfinite(values).any() for values in whole.values())


@pytest.mark.parametrize(("name", "offset"), [("sma", -1), ("ema", -3), ("dpo", -9)])
def test_an_option_that_shifts_a_column_back_is_found_and_refused(name, offset):
    options = {"offset": offset}
    assert look_ahead_columns(BARS, name, options)
    with pytest.raises(ValueError, match=f"indicator '{name}' looks ahead"):
        compute(BARS, [name], {name: options})
    assert look_ahead_columns(BARS, name, {"offset": 1}) == []


def test_the_listed_line_over_the_whole_series_does_look_ahead():
    from pandas import Series
    from pandas_ta_classic import tos_stdevall, vp

    close = Series(BARS["close"])
    assert not np.allclose(tos_stdevall(close)[:200].iloc[:, 0], tos_stdevall(close[:200]).iloc[:, 0], rtol=1e-3)
    assert len(vp(close, Series(BARS["volume"]))) != N


def test_columns_do_not_depend_on_what_else_is_asked_for():
    names = ["rsi", "macd", "supertrend", "vwap", "ichimoku", "psar"]
    together = compute(BARS, names)
    alone = {column: values for name in reversed(names) for column, values in compute(BARS, [name]).items()}
    assert set(together) == set(alone)
    for column, values in together.items():
        np.testing.assert_array_equal(values, alone[column])


def test_averages_bands_and_oscillators_have_their_textbook_values():
    names = ["sma", "bbands", "rsi", "true_range", "obv", "mom", "willr"]
    found = compute(BARS, names, {"sma": {"length": 7}, "rsi": {"length": 14}})
    close, high, low = BARS["close"], BARS["high"], BARS["low"]
    t = 100
    assert found["sma.SMA_7"][t] == pytest.approx(close[t - 6 : t + 1].mean())
    middle = next(values for name, values in found.items() if name.startswith("bbands.BBM"))
    assert middle[t] == pytest.approx(close[t - 4 : t + 1].mean())
    ranges = max(high[t] - low[t], abs(high[t] - close[t - 1]), abs(low[t] - close[t - 1]))
    assert found["true_range.TRUERANGE_1"][t] == pytest.approx(ranges)
    assert found["obv.OBV"][t] - found["obv.OBV"][t - 1] == np.sign(close[t] - close[t - 1]) * BARS["volume"][t]
    assert found["mom.MOM_10"][t] == pytest.approx(close[t] - close[t - 10])
    top, bottom = high[t - 13 : t + 1].max(), low[t - 13 : t + 1].min()
    assert found["willr.WILLR_14"][t] == pytest.approx(-100 * (top - close[t]) / (top - bottom))
    gain = loss = 0.0
    for change in np.diff(close)[:285]:  # Wilder's averages; their start has faded by then
        gain, loss = gain + (max(change, 0) - gain) / 14, loss + (max(-change, 0) - loss) / 14
    assert found["rsi.RSI_14"][285] == pytest.approx(100 * gain / (gain + loss), abs=1e-4)


def test_the_given_bars_are_left_as_they_were():
    before = {key: values.copy() for key, values in BARS.items()}
    compute(BARS, ["ha", "psar", "supertrend"])
    for key, values in before.items():
        np.testing.assert_array_equal(BARS[key], values)


@pytest.mark.parametrize(
    ("change", "names", "options", "sentence"),
    [
        ({}, ["rsl"], None, "indicator 'rsl' is unknown; close ones are ['rsx', 'rsi'"),
        ({}, ["tos_stdevall"], None, "looks ahead: it fits one line"),
        ({}, ["beta"], None, "needs more than bars: the closes of a benchmark"),
        ({}, ["sma"], {"sma": {"lenght": 3}}, "options ['lenght'] of indicator 'sma' are not among ['length'"),
        ({}, ["dpo"], {"dpo": {"centered": True}}, "options ['centered'] of indicator 'dpo'"),
        ({}, ["sma"], {"ema": {"length": 3}}, "options are given for ['ema']"),
        ({}, ["sma"], {"sma": {"length": 400}}, "300 bars are too few for indicator 'sma'"),
        ({"close": BARS["close"] * 3}, ["sma"], None, "bar 0 has its open or close outside"),
        ({"volume": BARS["volume"] - 2000}, ["sma"], None, "volume has a value below 0"),
        ({"time_ns": BARS["time_ns"][::-1]}, ["sma"], None, "time_ns must be whole nanoseconds that rise"),
        ({"low": np.full(N, np.nan)}, ["sma"], None, "low holds 300 values that are not finite, the first at 0"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_a_sentence(change, names, options, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        compute(BARS | change, names, options)
