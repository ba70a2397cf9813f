"""Distances of two samples, on bins of the recorded one, and their block bootstrap.

L1 is half the sum of the absolute differences of the two histograms, in [0, 1]: the total variation on the bins.
W1 = integral |F(x) - G(x)| dx, divided by the recorded standard deviation. A conditional row has both in each group of
its condition, weighted by the recorded share of the groups.

Bins (stated rule): equal widths h = 2 IQR n^(-1/3) (Freedman, Diaconis 1981) between the recorded 0.5 % and 99.5 %
quantiles, open at both ends, at most MAX_BINS of them; where the IQR is 0, h = 3.49 s n^(-1/3) (Scott 1979). Whole
numbers have edges half-way between them and h a whole number. The contender has no say in the bins.
Source: LOB-Bench (Nagy et al. 2025, arXiv 2502.09172); what differs stands in docs/scorecard.md.
"""

from typing import Any, NamedTuple

import numpy as np

MAX_BINS = 100
MAX_CUTS = 512  # points of the real line on which a W1 replicate is integrated
TAIL_FRAC = 0.005


class Sample(NamedTuple):
    """n values of one statistic."""

    value: np.ndarray  # float64[n]
    at_s: np.ndarray  # float64[n] market time of each, for the blocks
    group: np.ndarray  # int64[n] group of the condition, 0 where there is none


class Cells(NamedTuple):
    """A sample counted by block of time, group and cell: float64[blocks, groups, cells]."""

    bins: np.ndarray
    cuts: np.ndarray


class Comparison(NamedTuple):
    """Where a recorded sample's cells begin, and what scales its distances."""

    edges: np.ndarray  # float64[bins - 1] inner edges, the outer bins open
    cuts: np.ndarray  # float64[cuts] increasing; W1 integrates between them
    scale: float  # recorded standard deviation, 1 where that is 0
    groups: int


def bin_edges(value: Any) -> np.ndarray:
    """Return the inner edges, float64[bins - 1], that the module's rule gives for recorded values.

    ValueError where there is no value or one is not finite.
    """
    x = np.asarray(value, np.float64)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ValueError(f"value has shape {x.shape}, it must be one axis of finite numbers, at least one")
    low, first, third, high = np.quantile(x, (TAIL_FRAC, 0.25, 0.75, 1 - TAIL_FRAC))
    width = (2 * (third - first) or 3.49 * x.std()) * len(x) ** (-1 / 3)
    whole = bool((x == np.rint(x)).all())
    if not high > low or not width > 0:
        return np.array([low - 0.5, low + 0.5]) if whole else np.array([low, np.nextafter(low, np.inf)])
    width = max(width, (high - low) / MAX_BINS)
    if whole:
        width = np.ceil(width)
        low, high = low - 0.5, high + 0.5
    count = int(np.ceil((high - low) / width * (1 - 1e-12)))
    return np.unique(low + width * np.arange(count + 1))


def compare(recorded: Sample, contender: Sample) -> Comparison:
    """Return the cells for the two samples: bins from the recorded one alone, cuts from both."""
    both = np.unique(np.concatenate([recorded.value, contender.value]))
    if len(both) > MAX_CUTS:
        both = np.unique(np.quantile(both, np.linspace(0, 1, MAX_CUTS)))
    spread = float(recorded.value.std())
    groups = int(max(recorded.group.max(initial=0), contender.group.max(initial=0))) + 1
    return Comparison(bin_edges(recorded.value), both, spread if spread > 0 else 1.0, groups)


def count_cells(sample: Sample, how: Comparison, block_s: float, blocks: int) -> Cells:
    """Count a sample by block of market time, group and cell."""
    block = np.minimum((sample.at_s / block_s).astype(np.int64), blocks - 1)
    row = block * how.groups + sample.group
    counts = []
    for edges, side in ((how.edges, "right"), (how.cuts, "left")):
        cells = len(edges) + (side == "right")
        at = np.minimum(np.searchsorted(edges, sample.value, side=side), cells - 1)  # type: ignore[call-overload]
        flat = np.bincount(row * cells + at, minlength=blocks * how.groups * cells)
        counts.append(flat.reshape(blocks, how.groups, cells).astype(np.float64))
    return Cells(*counts)


def distances(
    recorded: Cells, contender: Cells, how: Comparison, weights: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return L1 and W1 float64[R] of R resamples, whose block weights are float64[R, blocks] of either side.

    A group that the contender lacks has L1 1 and is held against all of the contender's values in W1.
    """
    own, other = weights
    bins = [np.einsum("rb,bgc->rgc", w, cells.bins) for w, cells in ((own, recorded), (other, contender))]
    cuts = [np.einsum("rb,bgc->rgc", w, cells.cuts) for w, cells in ((own, recorded), (other, contender))]
    share = bins[0].sum(2)
    share = share / np.maximum(share.sum(1, keepdims=True), 1e-300)
    held = bins[1].sum(2) > 0
    l1 = np.where(held, np.abs(_law(bins[0]) - _law(bins[1])).sum(2) / 2, 1.0)
    stand_in = np.where(held[..., None], cuts[1], cuts[1].sum(1, keepdims=True))
    gap = np.abs(np.cumsum(_law(cuts[0]) - _law(stand_in), axis=2))[..., :-1]
    w1 = (gap * np.diff(how.cuts)).sum(2) / how.scale
    return (share * l1).sum(1), (share * w1).sum(1)


def _law(counts: np.ndarray) -> np.ndarray:
    """Return counts as shares along the last axis, zeros where there are none."""
    total = counts.sum(-1, keepdims=True)
    return np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)


def exact_w1(recorded: np.ndarray, contender: np.ndarray) -> float:
    """Return W1 of two samples in their own unit."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(recorded, contender))


def draw_weights(blocks: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return float64[resamples, blocks]: how often each block is drawn with replacement."""
    return rng.multinomial(blocks, np.full(blocks, 1 / blocks), resamples).astype(np.float64)


def centred(replicates: np.ndarray, point: float, upper: float = np.inf) -> np.ndarray:
    """Return replicates moved so that their mean is the point estimate, kept within 0..upper.

    A distance of resamples is biased upwards (noise never makes two laws equal); only their spread is used.
    """
    return np.clip(replicates - replicates.mean() + point, 0, upper)


def interval(replicates: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Return the central interval of replicates."""
    low, high = np.quantile(replicates, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)
