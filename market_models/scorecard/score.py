"""The scorecard: every row of every contender against one recorded market, and their interquartile means.

The recorded market and each contender are cut into blocks of equal market time (NUM_BLOCKS in the recorded window);
resampled blocks give every row's interval, the same draw for all rows, so that the interquartile mean has one too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from market_models.scorecard import distances as dist
from market_models.scorecard.conditions import (
    CONDITIONALS,
    LAGS,
    RESPONSES,
    conditional_sample,
    group_edges,
    mean_response,
    response_samples,
)
from market_models.scorecard.distances import Sample
from market_models.scorecard.statistics import STATISTICS, Statistic
from market_models.scorecard.tape import Tape

NUM_BLOCKS = 40
RESAMPLES = 200
MIN_VALUES = 30  # fewer values make no histogram

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Row:
    """One statistic of one contender. `l1` is None where the recording itself has too little; then nothing counts."""

    name: str
    unit: str
    kind: str  # statistic, conditional, response
    n_recorded: int  # values
    n: int
    l1: float | None = None
    w1: float | None = None
    ci_low: float | None = None  # of l1
    ci_high: float | None = None
    w1_ci_low: float | None = None
    w1_ci_high: float | None = None
    reason: str = ""  # why it could not be computed


class Shape(NamedTuple):
    """What a row looks like: shares of the recorded bins, or, where there are groups, the mean of each group."""

    edges: np.ndarray  # float64[n - 1] inner edges of the bins; empty where there are groups
    recorded: np.ndarray  # float64[n], NaN where a group is empty
    contender: np.ndarray  # float64[n]


@dataclass(frozen=True)
class Score:
    """A contender's rows and their interquartile means with intervals."""

    name: str
    rows: tuple[Row, ...]
    iqm_l1: float
    iqm_w1: float
    iqm_l1_ci: tuple[float, float]
    iqm_w1_ci: tuple[float, float]
    iqm_l1_by_kind: dict[str, float]
    tape: Tape = field(repr=False)
    shapes: dict[str, Shape] = field(repr=False)


@dataclass(frozen=True)
class Samples:
    """Every row's sample of one market, in the order of the scorecard; None where a book has too few levels."""

    by_name: dict[str, Sample | None]


def row_units() -> dict[str, tuple[str, str]]:
    """Return unit and kind of every row by name, in order."""
    units = {row.name: (row.unit, "statistic") for row in STATISTICS}
    units |= {row.name: (row.unit, "conditional") for row in CONDITIONALS}
    lags = ", ".join(map(str, LAGS))
    return units | dict.fromkeys(RESPONSES, (f"ticks after {lags} events", "response"))


def measure(tape: Tape, recorded: Tape) -> Samples:
    """Return every row's sample of a market, grouped as the recorded market says."""
    found: dict[str, Sample | None] = {row.name: _unconditional(row, tape) for row in STATISTICS}
    for row in CONDITIONALS:
        found[row.name] = conditional_sample(row, tape, group_edges(row, recorded))
    return Samples({**found, **response_samples(tape)})


def _unconditional(row: Statistic, tape: Tape) -> Sample | None:
    if tape.levels < row.levels:
        return None
    value, at_s = (np.concatenate(part) for part in zip(*(row.measure(s) for s in tape.stretches), strict=True))
    return Sample(value, at_s, np.zeros(len(value), np.int64))


def score(
    recorded: Tape,
    contenders: Sequence[Tape],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    progress: Progress = lambda done, total, note: None,
) -> list[Score]:
    """Score each contender against the recorded market.

    ValueError where two contenders share a name, prices move in other steps than the recorded ones, or no row can be
    computed.
    """
    names = [tape.name for tape in contenders]
    if len(set(names)) < len(names):
        raise ValueError(f"contenders are named {names}: give each folder a name of its own")
    for tape in contenders:
        if tape.price_step_tick != recorded.price_step_tick:
            raise ValueError(
                f"prices of {tape.name} move in steps of {tape.price_step_tick} ticks, the recorded ones in steps of "
                f"{recorded.price_step_tick}: they are not the same instrument's tick"
            )
    own = measure(recorded, recorded)
    total, done = len(contenders) * len(row_units()), 0
    out = []
    for tape in contenders:
        others = measure(tape, recorded)
        work = _Resampling(recorded, tape, seed, resamples)
        results = {}
        for name in row_units():
            results[name] = work.row(name, own.by_name[name], others.by_name[name])
            done += 1
            progress(done, total, f"{tape.name}: {name}")
        out.append(_collect(tape, results))
    return out


class _Resampling:
    """Draws of blocks that all rows of one comparison share."""

    def __init__(self, recorded: Tape, contender: Tape, seed: int, resamples: int) -> None:
        self.block_s = recorded.duration_s / NUM_BLOCKS
        self.blocks = (NUM_BLOCKS, max(int(np.ceil(contender.duration_s / self.block_s - 1e-9)), 1))
        rng = np.random.default_rng(seed)
        drawn = [np.vstack([np.ones(b), dist.draw_weights(b, resamples, rng)]) for b in self.blocks]
        self.weights = (drawn[0], drawn[1])
        self.resamples = resamples

    def row(self, name: str, own: Sample | None, other: Sample | None) -> "_Result":
        """Return a row and its replicates: what the recording lacks is void, what the contender lacks counts as 1."""
        unit, kind = row_units()[name]
        n_recorded, n = (0 if sample is None else len(sample.value) for sample in (own, other))
        blank = Row(name, unit, kind, n_recorded, n)
        if own is None or n_recorded < MIN_VALUES:
            why = "the recorded book has too few levels" if own is None else f"recorded: {_needs(n_recorded)}"
            return _Result(replace(blank, reason=why), None, None)
        if other is None or n < MIN_VALUES:
            why = f"{'its book has too few levels' if other is None else _needs(n)}; L1 counts as 1"
            row = replace(blank, l1=1.0, ci_low=1.0, ci_high=1.0, reason=why)
            return _Result(row, np.ones(self.resamples), None)
        return self._compare(blank, own, other)

    def _compare(self, blank: Row, own: Sample, other: Sample) -> "_Result":
        how = dist.compare(own, other)
        cells = [dist.count_cells(s, how, self.block_s, b) for s, b in zip((own, other), self.blocks, strict=True)]
        l1, w1 = dist.distances(cells[0], cells[1], how, self.weights)
        point_l1, point_w1 = float(l1[0]), float(w1[0])
        if how.groups == 1:
            point_w1 = dist.exact_w1(own.value, other.value) / how.scale
        l1, w1 = dist.centred(l1[1:], point_l1, 1.0), dist.centred(w1[1:], point_w1)
        (l1_low, l1_high), (w1_low, w1_high) = dist.interval(l1), dist.interval(w1)
        row = replace(
            blank, l1=point_l1, w1=point_w1, ci_low=l1_low, ci_high=l1_high, w1_ci_low=w1_low, w1_ci_high=w1_high
        )
        return _Result(row, l1, w1, _shape(own, other, how, cells))


@dataclass(frozen=True)
class _Result:
    row: Row
    l1: np.ndarray | None  # float64[R] replicates
    w1: np.ndarray | None
    shape: Shape | None = None


def _shape(own: Sample, other: Sample, how: dist.Comparison, cells: list[dist.Cells]) -> Shape:
    if how.groups == 1:
        counts = [part.bins.sum((0, 1)) for part in cells]
        return Shape(how.edges, *(count / count.sum() for count in counts))
    sums = [np.bincount(s.group, s.value, how.groups) for s in (own, other)]
    sizes = [np.bincount(s.group, minlength=how.groups) for s in (own, other)]
    return Shape(
        np.zeros(0), *(np.where(n > 0, total / np.maximum(n, 1), np.nan) for total, n in zip(sums, sizes, strict=True))
    )


def _needs(count: int) -> str:
    return f"{count} values, needed are {MIN_VALUES}"


def interquartile_mean(values: Any) -> Any:
    """Return the mean of the middle half along the first axis. ValueError where there is nothing."""
    from scipy.stats import trim_mean

    array = np.asarray(values, np.float64)
    if not len(array):
        raise ValueError("values is empty: the interquartile mean needs at least one row that could be computed")
    return trim_mean(array, 0.25, axis=0)


def _collect(tape: Tape, results: Mapping[str, _Result]) -> Score:
    rows = tuple(result.row for result in results.values())
    l1 = [(row.l1, result.l1) for row, result in zip(rows, results.values(), strict=True) if row.l1 is not None]
    w1 = [(row.w1, result.w1) for row, result in zip(rows, results.values(), strict=True) if row.w1 is not None]
    if not l1 or not w1:
        raise ValueError(f"no row of {tape.name} can be computed: {rows[0].reason}")
    points = [float(interquartile_mean([point for point, _ in part])) for part in (l1, w1)]
    spreads = [
        dist.interval(dist.centred(interquartile_mean([r for _, r in part]), point))
        for part, point in zip((l1, w1), points, strict=True)
    ]
    kinds = {}
    for kind in ("statistic", "conditional", "response"):
        values = [row.l1 for row in rows if row.kind == kind and row.l1 is not None]
        if values:
            kinds[kind] = float(interquartile_mean(values))
    shapes = {name: result.shape for name, result in results.items() if result.shape is not None}
    return Score(tape.name, rows, points[0], points[1], spreads[0], spreads[1], kinds, tape, shapes)


def response_curves(tape: Tape) -> dict[str, list[float | None]]:
    """Return the mean response to each kind of event at each of LAGS, ticks."""
    return {name: mean_response(sample) for name, sample in response_samples(tape).items()}
