"""Rows with a condition: a statistic within groups of another, and the price response to events within lags.

Groups are cut at quantiles of the recorded condition (`cuts`), the same for every contender. The response to an event
of row t is eps_t (m_(t+l-1) - m_(t-1)), half ticks: m the mid after a row, eps +1 where the event adds to buying (a buy
limit order, a market buy, a cancelled sell). Kinds and lags follow LOB-Bench and Eisler, Bouchaud, Kockelkoren 2012
("The price impact of order book events", Quantitative Finance 12(9)): market, limit and cancel at the touch, `_moves`
where the event itself changes the mid, `_stays` where it does not.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kernels.lob.spec import BUY, SELL
from market_models.datasets.recording import NEW, VISIBLE_EXECUTION
from market_models.scorecard.distances import Sample
from market_models.scorecard.statistics import (
    CANCELS,
    VOLUME_BIN_S,
    Values,
    imbalance,
    level_lots,
    spread,
    traded_lots,
)
from market_models.scorecard.tape import NS_PER_S, Stretch, Tape, cut

NUM_PARTS = 4
LAGS = (1, 10, 100)  # events, the event itself the first
_EVENTS = {"market": (VISIBLE_EXECUTION,), "limit": (NEW,), "cancel": CANCELS}
RESPONSES = tuple(f"response_{event}_{effect}" for event in _EVENTS for effect in ("moves", "stays"))


class Conditional(NamedTuple):
    """A row: the values of `measure` in groups of `condition`, both one a row whose book has two sides."""

    name: str
    unit: str
    measure: Callable[[Stretch], Values]
    condition: Callable[[Stretch], np.ndarray]
    shares: tuple[float, ...] = (0.25, 0.5, 0.75)  # quantiles of the recorded condition


def _spread_tick(s: Stretch) -> np.ndarray:
    return spread(s)[0]


def _time_s(s: Stretch) -> np.ndarray:
    return spread(s)[1]


def _minute_lots(s: Stretch) -> np.ndarray:
    """Return the lots traded in the minute of each row."""
    slot = s.at_ns // (VOLUME_BIN_S * NS_PER_S)
    return np.bincount(slot, traded_lots(s))[slot][~np.isnan(s.mid_tick)]


def _touch_lots(side: int) -> Callable[[Stretch], Values]:
    return lambda s: _both_sides(s, level_lots(side, 1))


def _both_sides(s: Stretch, measure: Callable[[Stretch], Values]) -> Values:
    """Return a measure of the rows whose book has two sides."""
    return measure(cut(s, ~np.isnan(s.mid_tick)))


CONDITIONALS = (
    Conditional("spread_tick | part of the window", "ticks", spread, _time_s),
    Conditional("spread_tick | lots traded in the minute", "ticks", spread, _minute_lots),
    Conditional("imbalance | spread_tick", "fraction", imbalance, _spread_tick),
    Conditional("bid_lots_1 | spread_tick", "lots", _touch_lots(BUY), _spread_tick),
    Conditional("ask_lots_1 | spread_tick", "lots", _touch_lots(SELL), _spread_tick),
)


def group_edges(row: Conditional, recorded: Tape) -> np.ndarray:
    """Return the inner edges of a row's groups: parts of the recorded time, or quantiles of the recorded condition."""
    if row.condition is _time_s:
        return recorded.duration_s * np.arange(1, NUM_PARTS) / NUM_PARTS
    condition = np.concatenate([row.condition(s) for s in recorded.stretches])
    return np.unique(np.quantile(condition, row.shares)) if len(condition) else np.zeros(0)


def conditional_sample(row: Conditional, tape: Tape, edges: np.ndarray) -> Sample:
    """Return a row's values with the groups that `edges` cut, an edge belonging to the group below it."""
    parts = [(*row.measure(s), np.searchsorted(edges, row.condition(s), side="left")) for s in tape.stretches]
    value, at_s, group = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Sample(value, at_s, group)


def response_samples(tape: Tape) -> dict[str, Sample]:
    """Return the signed mid changes after each kind of event, ticks, grouped by lag, by name of RESPONSES."""
    parts = [_responses(s) for s in tape.stretches]
    return {
        name: Sample(*(np.concatenate([getattr(part[name], f) for part in parts]) for f in Sample._fields))
        for name in RESPONSES
    }


def _responses(s: Stretch) -> dict[str, Sample]:
    mid = s.mid_tick
    row = np.arange(1, max(len(s.kind) - max(LAGS) + 1, 1))
    touch = s.price_tick[row] == s.book[row - 1, s.side[row], 0, 0]
    moved = mid[row] != mid[row - 1]
    after = {lag: mid[row + lag - 1] - mid[row - 1] for lag in LAGS}
    out = {}
    for event, kinds in _EVENTS.items():
        adds = (s.side[row] == BUY) == (event == "limit")
        mine = np.isin(s.kind[row], kinds)
        for effect, chosen in (("moves", mine & moved), ("stays", mine & touch & ~moved)):
            keep = chosen & np.all([np.isfinite(change) for change in after.values()], axis=0)
            sign = np.where(adds[keep], 1.0, -1.0)
            value = np.concatenate([sign * change[keep] for change in after.values()])
            group = np.repeat(np.arange(len(LAGS)), int(keep.sum()))
            out[f"response_{event}_{effect}"] = Sample(value, np.tile(s.at_s[row][keep], len(LAGS)), group)
    return out


def mean_response(sample: Sample) -> list[float | None]:
    """Return the mean response at each lag, ticks; None where there is no event."""
    values = [sample.value[sample.group == lag] for lag in range(len(LAGS))]
    return [float(v.mean()) if len(v) else None for v in values]
