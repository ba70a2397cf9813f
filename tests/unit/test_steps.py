"""Decimal text to integers: exact, against `decimal`, with reasons for what is not a plain decimal."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.lob.spec import MAX_LOTS
from market_models.datasets.steps import Lots, StepFinder, Ticks, from_e8, to_e8

TEXTS = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=8).map(lambda value: f"{value:f}")


@given(TEXTS)
def test_a_decimal_text_is_read_exactly_and_written_back(text):
    value = to_e8(text)
    assert Decimal(value) == Decimal(text) * 10**8
    if value > 0:
        assert Decimal(from_e8(value)) == Decimal(text)
    assert to_e8(text + "000" if "." in text else text + ".000") == value


@pytest.mark.parametrize("text", ["", ".", "1.", ".5", "1e3", "+1", " 1", "1 ", "1,0", "nan", "inf", "--1", "\uff11"])
def test_what_is_no_plain_decimal_is_refused(text):
    with pytest.raises(ValueError, match="is not a decimal string"):
        to_e8(text)


@pytest.mark.parametrize("value", [1.5, 1, None, True, b"1"])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(ValueError, match="is not a decimal string"):
        to_e8(value)


def test_the_step_is_the_greatest_common_divisor_or_larger_where_it_must_be():
    finder = StepFinder(signed=False)
    for text in ("0.75", "1.5", "0.750", "30"):
        assert finder[text] == to_e8(text)
    assert finder.step(40) == "0.75" and finder.step(39) == "7.5"
    assert StepFinder(signed=True).step(1) == "1"
    with pytest.raises(ValueError, match="-1 is negative"):
        finder["-1"]


def test_ticks_and_lots_are_exact_or_refused():
    ticks = Ticks("0.05")
    assert [ticks[text] for text in ("1.10", "-0.05", "0")] == [22, -1, 0]
    with pytest.raises(ValueError, match=r"price 1\.07 is not a multiple of the tick 0\.05"):
        ticks["1.07"]
    with pytest.raises(ValueError, match="is outside"):
        ticks[str(10**9)]
    lots = Lots("0.5")
    assert [lots[text] for text in ("2", "0.0", "0.1", "0.74", "0.75", "0.75")] == [4, 0, 1, 1, 2, 2]
    assert lots.rounded == 4
    with pytest.raises(ValueError, match=f"more than {MAX_LOTS} lots"):
        lots[str(10**9)]
    with pytest.raises(ValueError, match="is negative"):
        lots["-1"]
