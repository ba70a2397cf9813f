"""Delays between the market, us and the venue.

Formula: arrival = now + latency; messages of one sender do not overtake each other. Three legs: feed (market to us),
entry (us to venue), response (venue to us). A model is a class with `table(leg)` and one line in LATENCIES.

A leg that varies is a table of K = 2^k + 1 integer quantiles, knot i at probability i / (K - 1), interpolated linearly
by the bits of a random word (`sample_ns`): integers only, so NumPy, JAX and plain Python give the same nanoseconds.
Assumption and bias: draws are independent. Real delays come in bursts, when queues are longest, so both a constant and
independent draws understate the risk of being late just when it matters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

NS_PER_S = 1_000_000_000
MAX_LATENCY_NS = 3_600 * NS_PER_S
MAX_TABLE_NS: Final = 2 * NS_PER_S  # what a drawn latency may reach: int32 with room for a constant part
LEGS: Final = ("feed", "entry", "response")
KNOTS: Final = 1025
KNOT_COUNTS: Final = tuple(2**k + 1 for k in range(1, 13))
# Block word of the Philox counter of a latency: far from the blocks 0, 1, .. that flow samplers use.
LATENCY_BLOCK: Final = 0x4C41_0000
_NORMAL: Final = NormalDist()


@dataclass(frozen=True)
class ConstantLatency:
    """Constant latencies in nanoseconds, 0..one hour; ValueError otherwise."""

    feed_ns: int = 0  # market to us
    entry_ns: int = 0  # us to venue
    response_ns: int = 0  # venue to us

    def __post_init__(self) -> None:
        for field in ("feed_ns", "entry_ns", "response_ns"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_LATENCY_NS:
                raise ValueError(f"{field} {value!r} is not an integer in 0..{MAX_LATENCY_NS}")

    def entry_arrival_ns(self, now_ns: int) -> int:
        """Return when an order sent at `now_ns` (int64 nanoseconds) reaches the venue."""
        return int(now_ns) + self.entry_ns

    def table(self, leg: str) -> np.ndarray:
        """Return int32[1], the leg's latency; ValueError for an unknown leg or one beyond MAX_TABLE_NS."""
        _check_leg(leg)
        return check_table(f"{leg}_ns", np.array([getattr(self, f"{leg}_ns")], np.int64))


@dataclass(frozen=True)
class TableLatency:
    """Latencies drawn from quantiles: one word a leg (constant) or one of KNOT_COUNTS. ValueError otherwise."""

    feed_ns: tuple[int, ...] = (0,)
    entry_ns: tuple[int, ...] = (0,)
    response_ns: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for leg in LEGS:
            check_table(f"{leg}_ns", np.asarray(getattr(self, f"{leg}_ns")))

    def table(self, leg: str) -> np.ndarray:
        """Return the leg's quantiles int32[K]; ValueError for an unknown leg."""
        _check_leg(leg)
        return np.array(getattr(self, f"{leg}_ns"), np.int32)


Latency: TypeAlias = ConstantLatency | TableLatency


class LogNormalFit(NamedTuple):
    """Maximum likelihood of a log-normal: log(latency) is normal with mean log(median) and deviation sigma."""

    median_ns: float
    sigma: float
    median_error_ns: float  # standard errors
    sigma_error: float


def check_table(name: str, table: np.ndarray) -> np.ndarray:
    """Return quantiles [..., K] as int32, or raise ValueError with the field and what would be valid."""
    table = np.asarray(table)
    if table.ndim < 1 or table.shape[-1] not in (1, *KNOT_COUNTS):
        raise ValueError(f"{name} has shape {table.shape}; valid: 1 word, or 2^k + 1 quantiles, k in 1..12")
    if not np.issubdtype(table.dtype, np.integer):
        raise ValueError(f"{name} is {table.dtype}, expected integers (nanoseconds)")
    if table.min() < 0 or table.max() > MAX_TABLE_NS:
        raise ValueError(f"{name} holds {table.min()}..{table.max()}, valid: 0..{MAX_TABLE_NS}")
    if (np.diff(table.astype(np.int64), axis=-1) < 0).any():
        raise ValueError(f"{name} falls from one quantile to the next")
    return table.astype(np.int32)


def log_normal_table(median_ns: float, sigma: float, knots: int = KNOTS) -> np.ndarray:
    """Return the quantiles int32[K] of a log-normal; what lies beyond MAX_TABLE_NS is put there.

    The outer knots are no quantiles (0 and infinity) but what keeps the mean of the outer cells:
    E[X; p < U < q] = exp(mu + sigma^2 / 2) (Phi(z_q - sigma) - Phi(z_p - sigma)). ValueError names a bad argument.
    """
    if not 1 <= median_ns <= MAX_TABLE_NS:
        raise ValueError(f"median_ns {median_ns!r} is outside 1..{MAX_TABLE_NS}")
    if not 0 <= sigma <= 4:
        raise ValueError(f"sigma {sigma!r} is outside 0..4")
    if knots not in KNOT_COUNTS:
        raise ValueError(f"knots {knots!r} is not one of {KNOT_COUNTS}")
    cells = knots - 1
    z = np.array([_NORMAL.inv_cdf(i / cells) for i in range(1, cells)])
    inner = median_ns * np.exp(sigma * z)
    mean = median_ns * np.exp(sigma * sigma / 2) * cells
    first = mean * _NORMAL.cdf(float(z[0]) - sigma)
    last = mean * (1 - _NORMAL.cdf(float(z[-1]) - sigma))
    low, high = max(2 * first - inner[0], 0.0), max(2 * last - inner[-1], inner[-1])
    table = np.concatenate([[min(low, inner[0])], inner, [high]])
    return np.rint(np.minimum(table, MAX_TABLE_NS)).astype(np.int32)


def fit_log_normal(samples_ns: np.ndarray) -> LogNormalFit:
    """Fit latencies (nanoseconds, at least 2, all positive) by maximum likelihood; ValueError otherwise."""
    logs = np.log(_samples(samples_ns, least=1).astype(np.float64))
    sigma, count = float(logs.std()), logs.size
    median = float(np.exp(logs.mean()))
    return LogNormalFit(median, sigma, median * sigma / count**0.5, sigma / (2 * count) ** 0.5)


def empirical_table(samples_ns: np.ndarray, floor_ns: int | None = None, knots: int = KNOTS) -> np.ndarray:
    """Return the quantiles int32[K] of recorded latencies (nanoseconds, at least 2).

    Local minus exchange time is a latency only where both clocks agree: a negative one is refused. With `floor_ns` the
    samples are moved so that the fastest takes `floor_ns`, which keeps the spread and asserts the level.
    """
    if knots not in KNOT_COUNTS:
        raise ValueError(f"knots {knots!r} is not one of {KNOT_COUNTS}")
    samples = _samples(samples_ns, least=None if floor_ns is not None else 0)
    if floor_ns is not None:
        samples = samples - samples.min() + floor_ns
    table = np.rint(np.quantile(samples, np.linspace(0, 1, knots))).astype(np.int64)
    return check_table("samples_ns", table)


def _samples(samples_ns: np.ndarray, least: int | None) -> np.ndarray:
    samples = np.asarray(samples_ns)
    if samples.ndim != 1 or samples.size < 2 or not np.issubdtype(samples.dtype, np.integer):
        raise ValueError(f"samples_ns is {samples.dtype}{list(samples.shape)}, expected integers [N], N at least 2")
    if least is not None and samples.min() < least:
        raise ValueError(f"samples_ns holds {samples.min()}, below {least}: the clocks differ; give floor_ns")
    return samples.astype(np.int64)


def sample_ns(xp: Any, table: Any, word: Any) -> Any:
    """Return latencies int32[...] for random words uint32[...] from quantiles int32[K], for `xp` numpy or jax.numpy.

    table[i] + floor((table[i + 1] - table[i]) f / 2^16), i the word's k highest bits and f the 16 bits below them.
    The product is taken in two parts, so that 32 bits hold it.
    """
    cells = table.shape[-1] - 1
    if cells == 0:
        return xp.zeros(word.shape, xp.int32) + table[0]
    bits, sixteen, mask = cells.bit_length() - 1, np.uint32(16), np.uint32(0xFFFF)
    cell = (word >> np.uint32(32 - bits)).astype(xp.int32)
    fraction = (word >> np.uint32(16 - bits)) & mask
    low = table[cell]
    step = (table[cell + 1] - low).astype(xp.uint32)
    part = (step >> sixteen) * fraction + (((step & mask) * fraction) >> sixteen)
    return low + part.astype(xp.int32)


def latency_block(leg: str, owner: int) -> int:
    """Return the block word of the Philox counter (message number, block, 0, 0) for a leg of an owner, 1..2^14 - 1."""
    _check_leg(leg)
    if not 0 <= owner < 2**14:
        raise ValueError(f"owner {owner} is outside 0..{2**14 - 1}")
    return LATENCY_BLOCK + 4 * owner + LEGS.index(leg)


def arrival(xp: Any, now_s: Any, now_ns: Any, latency_ns: Any) -> tuple[Any, Any]:
    """Add a latency to an int32 pair (s, ns), for `xp` numpy or jax.numpy; `latency_ns` is int32, 0..2e9.

    The nanosecond sum stays below 2^31 because the latency is split into seconds and the rest first.
    """
    rest = now_ns + latency_ns % NS_PER_S
    carry = (rest >= NS_PER_S).astype(xp.int32)
    return now_s + latency_ns // NS_PER_S + carry, rest - carry * NS_PER_S


def later(xp: Any, one: tuple[Any, Any], other: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return the later of two times (s, ns), int32[...] each."""
    first = (one[0] > other[0]) | ((one[0] == other[0]) & (one[1] >= other[1]))
    return xp.where(first, one[0], other[0]), xp.where(first, one[1], other[1])


def _check_leg(leg: str) -> None:
    if leg not in LEGS:
        raise ValueError(f"leg {leg!r} is not one of {LEGS}")


def log_normal(**fields: float) -> TableLatency:
    """Return log-normal legs from `LEG_median_ns` and `LEG_sigma` (default 0) of each; a leg that is not named is 0."""
    valid = {f"{leg}_{field}" for leg in LEGS for field in ("median_ns", "sigma")}
    if unknown := sorted(fields.keys() - valid):
        raise ValueError(f"log_normal has no field {unknown[0]!r}; valid: {sorted(valid)}")
    tables = {}
    for leg in LEGS:
        median, sigma = fields.get(f"{leg}_median_ns"), fields.get(f"{leg}_sigma", 0.0)
        if median is None and sigma:
            raise ValueError(f"{leg}_sigma is given without {leg}_median_ns")
        if median is not None:
            tables[f"{leg}_ns"] = tuple(log_normal_table(median, sigma).tolist())
    return TableLatency(**tables)


LATENCIES: dict[str, Callable[..., Latency]] = {
    "constant": ConstantLatency,
    "log_normal": log_normal,
    "empirical": TableLatency,
}


def make_latency(name: str, **fields: Any) -> Latency:
    """Return the latency model `name` with its fields; ValueError names the valid ones."""
    if name not in LATENCIES:
        raise ValueError(f"latency model {name!r} is not one of {sorted(LATENCIES)}")
    return LATENCIES[name](**fields)
