"""Drawdown and daily loss against a plain reading of the whole history, with the calendar of `datetime`."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.risk.drawdown import (
    DAY_NS,
    HOUR_NS,
    Control,
    DrawdownConfig,
    DrawdownState,
    may_trade,
    observe,
    re_enable,
    start,
)

CONFIG = DrawdownConfig()


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def day_of(seconds: int, hour: int) -> Any:
    return (datetime.fromtimestamp(seconds, UTC) - timedelta(hours=hour)).date()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["see", "see", "see", "person", "machine"]),
        st.integers(0, 50_000),  # seconds since the last one
        st.integers(0, 130) | st.integers(85, 105),
    ),
    max_size=25,
)
CONFIGS = st.builds(DrawdownConfig, st.integers(0, 4_000), st.integers(0, 2_000), st.integers(0, 23))


class History:
    """Everything that happened; nothing is carried forward."""

    def __init__(self, config: DrawdownConfig, equity: int, seconds: int) -> None:
        self.config, self.seen = config, [(seconds, equity)]
        self.peak_from = 0  # index of the equity from which the peak counts
        self.base_at: int | None = None  # index of the equity that a person made the base
        self.latched: set[str] = set()

    def see(self, seconds: int, equity: int) -> set[str]:
        self.seen.append((seconds, equity))
        peak = max(value for _, value in self.seen[self.peak_from :])
        today = day_of(seconds, self.config.day_start_hour)
        before = [value for when, value in self.seen if day_of(when, self.config.day_start_hour) < today]
        base = before[-1] if before else self.seen[0][1]
        if self.base_at is not None and day_of(self.seen[self.base_at][0], self.config.day_start_hour) == today:
            base = self.seen[self.base_at][1]
        now = set()
        if peak and Fraction(peak - equity, peak) > Fraction(self.config.max_drawdown_bps, 10_000):
            now.add("DRAWDOWN")
        if base and Fraction(base - equity, base) > Fraction(self.config.max_daily_loss_bps, 10_000):
            now.add("DAILY_LOSS")
        fresh = now - self.latched
        self.latched |= now
        return fresh

    def person(self) -> None:
        last = len(self.seen) - 1
        self.peak_from = last if "DRAWDOWN" in self.latched else self.peak_from
        self.base_at = last if "DAILY_LOSS" in self.latched else self.base_at
        self.latched = set()


def names(controls: Control) -> set[str]:
    return {one.name for one in Control if one and one in controls and one.name}


@settings(max_examples=400, deadline=None)
@given(CONFIGS, st.integers(1, 100), st.integers(0, 100_000), STEPS)
def test_over_any_sequence_state_and_breaches_are_those_of_the_whole_history(config, equity, seconds, steps):
    state, history = start(config, equity, seconds * 10**9), History(config, equity, seconds)
    for what, later, value in steps:
        seconds += later
        if what == "see":
            before = state
            state, breach = observe(config, state, value, seconds * 10**9)
            assert names(breach.controls if breach else Control.NONE) == history.see(seconds, value)
            assert before.latched & ~state.latched == Control.NONE
        elif what == "person":
            back = re_enable(state, by_person=True)
            assert back is not None
            state = back
            history.person()
        else:
            assert re_enable(state) is None
        assert names(state.latched) == history.latched
        assert may_trade(state) == (not history.latched)


@pytest.mark.parametrize(("equity", "control"), [(80, Control.NONE), (79, Control.DRAWDOWN)])
def test_drawdown_keeps_at_a_fifth_of_the_peak_and_latches_below(equity, control):
    config = CONFIG._replace(max_daily_loss_bps=10_000)
    state, _ = observe(config, start(config, 50, 0), 100, 1)
    state, breach = observe(config, state, equity, 3 * DAY_NS)
    assert (breach.controls if breach else Control.NONE) == state.latched == control


@pytest.mark.parametrize(("equity", "control"), [(95, Control.NONE), (94, Control.DAILY_LOSS)])
def test_daily_loss_keeps_at_a_twentieth_of_the_base_and_latches_below(equity, control):
    state, breach = observe(CONFIG, start(CONFIG, 100, 0), equity, 1)
    assert (breach.controls if breach else Control.NONE) == state.latched == control


@pytest.mark.parametrize("hour", [0, 17, 23])
def test_a_day_begins_at_its_hour_of_utc_to_the_nanosecond(hour):
    config = DrawdownConfig(day_start_hour=hour)
    roll = at("2024-03-10T00:00:00") + hour * HOUR_NS
    opened = start(config, 100, roll - 10)
    down, _ = observe(config, opened, 96, roll - 2)
    same_day, breach = observe(config, down, 94, roll - 1)
    assert breach is not None
    assert same_day.latched == Control.DAILY_LOSS
    next_day, breach = observe(config, down, 94, roll)  # 94 of 96
    assert breach is None
    assert (next_day.base_e8, next_day.day) == (96, opened.day + 1)


def test_a_gap_over_the_end_of_the_day_counts_to_the_new_day():
    state = start(CONFIG, 100, at("2024-01-01T22:00:00"))
    _, breach = observe(CONFIG, state, 90, at("2024-01-04T03:00:00"))
    assert breach is not None
    assert (breach.controls, breach.base_e8) == (Control.DAILY_LOSS, 100)


def test_neither_a_new_day_nor_a_recovery_re_enables():
    state, _ = observe(CONFIG, start(CONFIG, 100, 0), 70, 1)
    assert state.latched == Control.DRAWDOWN | Control.DAILY_LOSS
    for day in range(1, 5):
        state, breach = observe(CONFIG, state, 100 + day, day * DAY_NS)
        assert breach is None
        assert not may_trade(state)


def test_re_enabling_every_daily_loss_does_not_put_off_the_drawdown():
    state, latched = start(CONFIG, 10_000, 0), []
    for day in range(1, 6):
        state, breach = observe(CONFIG, state, state.equity_e8 * 94 // 100, day * DAY_NS)
        latched.append(breach.controls if breach else Control.NONE)
        back = re_enable(state, by_person=True)
        assert back is not None
        state = back
    both = Control.DAILY_LOSS | Control.DRAWDOWN  # 0.94^3 = 0.83, 0.94^4 = 0.78
    assert latched == [Control.DAILY_LOSS] * 3 + [both, Control.DAILY_LOSS]


def test_a_total_loss_latches_and_the_breach_tells_what_it_was_judged_by():
    state, breach = observe(CONFIG, start(CONFIG, 100, 5), 0, 6)
    assert breach == (Control.DRAWDOWN | Control.DAILY_LOSS, 0, 100, 100, 6)
    assert state == DrawdownState(100, 100, 0, 0, 6, Control.DRAWDOWN | Control.DAILY_LOSS)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: start(CONFIG, 0, 0), "equity_e8"),
        (lambda: observe(CONFIG, start(CONFIG, 1, 0), -1, 1), "equity_e8"),
        (lambda: observe(CONFIG, start(CONFIG, 1, 0), float("nan"), 1), "equity_e8"),  # pyright: ignore[reportArgumentType]
        (lambda: observe(CONFIG, start(CONFIG, 1, 0), float("inf"), 1), "equity_e8"),  # pyright: ignore[reportArgumentType]
        (lambda: observe(CONFIG, start(CONFIG, 1, 0), True, 1), "equity_e8"),
        (lambda: observe(CONFIG, start(CONFIG, 1, 5), 1, 4), "time_ns"),
        (lambda: start(CONFIG, 1, 0.5), "time_ns"),  # pyright: ignore[reportArgumentType]
        (lambda: start(DrawdownConfig(max_drawdown_bps=-1), 1, 0), "max_drawdown_bps"),
        (lambda: start(DrawdownConfig(max_daily_loss_bps=10_001), 1, 0), "max_daily_loss_bps"),
        (lambda: start(DrawdownConfig(day_start_hour=24), 1, 0), "day_start_hour"),
    ],
)
def test_bad_input_is_refused_by_the_name_of_its_field(call, field):
    with pytest.raises(ValueError, match=field):
        call()
