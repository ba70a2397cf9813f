"""Maximum-likelihood fit of the Hawkes model to a recording; likelihood in `hawkes_likelihood.py`.

Both sides pooled. An event's type and the state are those of the book just before; rows of the same nanosecond excite
one another in their order. Decays: Nelder-Mead on their logarithms over the profile likelihood. Marks: m(lots) =
lots^g / mean of lots^g, of limit and of market orders, g the best of a grid. A cancel counts once, a partial one too.
Executions of the same time and side are one market order. Orders beyond the recorded levels are not seen: limit orders
there are missing, and depth behind the touch is that of the visible levels.
`residual_ks`: distance of Kolmogorov and Smirnov between the time-rescaled gaps of each kind and the exponential;
`poisson_ks`: the same with the base rates of a fit without excitation.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.stats import kstest

from market_models import hawkes as hk
from market_models.calibration import Calibration
from market_models.datasets.recording import Recording
from market_models.exposure import measure_exposure
from market_models.fees import Fees
from market_models.hawkes_events import Grid, Path, choose_grid, event_path, far_cancel_rate
from market_models.hawkes_likelihood import KindFit, features, fit_kind, residuals
from market_models.zero_intelligence import MAX_DISTANCES, NUM_SIZES
from market_models.zero_intelligence_fit import ASSUMED_FEES, size_table

FIRST_DECAYS = (30.0, 1000.0)
MARK_EXPONENTS = (0.0, 0.25, 0.5)
MIN_EVENTS = 50  # of each kind
NOTE = "Fees are our assumption, not the venue's schedule; rates pool both sides; see hawkes_fit.py."
_KEYS = (
    "spread_edge_tick",
    "depth_edge_lots",
    "base_rate_per_s",
    "decay_rate_per_s",
    "jump_rate_per_s",
    "far_cancel_rate_per_s",
    "window_tick",
    "empty_spread_tick",
    "behind_weight",
    "inside_frac",
    "limit_lots",
    "market_lots",
)


class _Fitted(NamedTuple):
    decay: np.ndarray
    exponent: float
    kinds: list[KindFit]
    log_likelihood: float


def fit(
    recording: Recording,
    from_s: float,
    to_s: float,
    *,
    fees: Fees = ASSUMED_FEES,
    grid: Grid | None = None,
    decay_rate: Sequence[float] | None = None,
    mark_exponents: Sequence[float] = MARK_EXPONENTS,
) -> Calibration:
    """Fit the model between `from_s` and `to_s`, seconds since midnight.

    `grid` and `decay_rate` (per second, one or two, fixed) replace the rules. Raises ValueError if the window holds no
    time or fewer than MIN_EVENTS of a kind.
    """
    if not from_s < to_s:
        raise ValueError(f"window {from_s}..{to_s} s is empty")
    grid = grid or choose_grid(recording, from_s, to_s)
    path = event_path(recording, from_s, to_s, grid)
    counts = np.bincount(path.event[path.event >= 0] % hk.NUM_KINDS, minlength=hk.NUM_KINDS)
    if counts.min() < MIN_EVENTS:
        raise ValueError(
            f"{recording.path} has too little in {from_s}..{to_s} s for a fit: "
            f"{dict(zip(hk.KIND_NAMES, counts.tolist(), strict=True))}, at least {MIN_EVENTS} of each are needed"
        )
    fitted = _best(path, grid, decay_rate, mark_exponents)
    params, errors = _parameters(recording, from_s, to_s, grid, path, fitted)
    return Calibration(
        model="hawkes",
        instrument=recording.instrument,
        params=params,
        standard_errors=errors,
        log_likelihood=fitted.log_likelihood,
        data_digest=recording.digest,
        from_s=from_s,
        to_s=to_s,
        fees=fees,
        counts=dict(zip(hk.KIND_NAMES, counts.tolist(), strict=True)),
        note=NOTE,
    )


def marks(path: Path, exponent: float) -> np.ndarray:
    """Return the mark of each row, float64[N]: 1 for cancels and rows without an event."""
    kind = np.where(path.event >= 0, path.event % hk.NUM_KINDS, hk.CANCEL_TOUCH)
    mark = np.ones(len(kind))
    for mine in (kind <= hk.BEHIND, kind == hk.TAKE):
        if mine.any():
            power = path.lots[mine].astype(np.float64) ** exponent
            mark[mine] = power / power.mean()
    return mark


def _best(path: Path, grid: Grid, decay_rate: Sequence[float] | None, exponents: Sequence[float]) -> _Fitted:
    decay = np.asarray(FIRST_DECAYS if decay_rate is None else decay_rate, np.float64)
    if decay_rate is None:
        decay = _search_decays(path, grid, decay)
    tried = [(_profile(path, grid, decay, g, None, errors=False)[0], g) for g in exponents]
    exponent = max(tried)[1]
    log_likelihood, kinds = _profile(path, grid, decay, exponent, None, errors=True)
    return _Fitted(decay, exponent, kinds, log_likelihood)


def _profile(
    path: Path, grid: Grid, decay: np.ndarray, exponent: float, start: list[KindFit] | None, *, errors: bool
) -> tuple[float, list[KindFit]]:
    """Return the greatest log-likelihood at these decays and where it is."""
    f = features(path, marks(path, exponent), decay, grid.num_cells)
    starts = [None] * hk.NUM_KINDS if start is None else [(fit.base, fit.jump) for fit in start]
    kinds = [fit_kind(f, kind, starts[kind], errors=errors) for kind in range(hk.NUM_KINDS)]
    return sum(fit.log_likelihood for fit in kinds), kinds


def _search_decays(path: Path, grid: Grid, first: np.ndarray, evaluations: int = 30) -> np.ndarray:
    last: list[KindFit] | None = None

    def loss(logarithm: np.ndarray) -> float:
        nonlocal last
        decay = np.clip(np.exp(logarithm), hk.MIN_DECAY, hk.MAX_DECAY)
        value, last = _profile(path, grid, decay, 0.0, last, errors=False)
        return -value

    options = {
        "maxfev": evaluations,
        "xatol": 0.03,
        "fatol": 2.0,
        "initial_simplex": np.log(first) + np.eye(len(first) + 1)[:, 1:],
    }
    done = minimize(loss, np.log(first), method="Nelder-Mead", options=options)
    return np.sort(np.clip(np.exp(done.x), hk.MIN_DECAY, hk.MAX_DECAY))


def _parameters(
    recording: Recording, from_s: float, to_s: float, grid: Grid, path: Path, fitted: _Fitted
) -> tuple[dict[str, Any], dict[str, Any]]:
    exposure = measure_exposure(recording, from_s, to_s, MAX_DISTANCES)
    kind = np.where(path.event >= 0, path.event % hk.NUM_KINDS, -1)
    far, far_error = far_cancel_rate(recording, from_s, to_s, grid)
    weight = np.bincount(np.minimum(path.behind_tick[kind == hk.BEHIND], MAX_DISTANCES - 1))
    inside = kind == hk.INSIDE
    params = {
        "spread_edge_tick": grid.spread_edge_tick.tolist(),
        "depth_edge_lots": grid.depth_edge_lots.tolist(),
        "base_rate_per_s": _by_cell(grid, [fit.base for fit in fitted.kinds]),
        "decay_rate_per_s": fitted.decay.tolist(),
        "jump_rate_per_s": _by_source(fitted.decay, [fit.jump for fit in fitted.kinds]),
        "mark_exponent": fitted.exponent,
        "far_cancel_rate_per_s": far,
        "window_tick": grid.window_tick,
        "empty_spread_tick": max(round(exposure.spread_tick_s / exposure.both_s), 1),
        "behind_weight": weight.tolist(),
        "inside_frac": _inside_table(-path.behind_tick[inside], path.spread_tick[inside]),
        "limit_lots": size_table(path.lots[(kind >= 0) & (kind <= hk.BEHIND)]),
        "market_lots": size_table(path.lots[kind == hk.TAKE]),
        "mean_lots": _mean_lots(exposure.behind_lot_s, exposure.behind_s, exposure.seen_s),
        "mean_spread_tick": exposure.spread_tick_s / exposure.both_s,
        "reference_tick": round(exposure.mid_tick_s / exposure.both_s),
        **_residual_distances(path, grid, fitted),
    }
    errors = {
        "base_rate_per_s": _by_cell(grid, [fit.base_error for fit in fitted.kinds]),
        "jump_rate_per_s": _by_source(fitted.decay, [fit.jump_error for fit in fitted.kinds]),
        "far_cancel_rate_per_s": far_error,
    }
    return params, errors


def _by_cell(grid: Grid, values: list[np.ndarray]) -> list[Any]:
    """Return [S][Q][5] of one array of cells a kind."""
    return np.stack(values, 1).reshape(len(grid.spread_edge_tick) + 1, -1, hk.NUM_KINDS).tolist()


def _by_source(decay: np.ndarray, values: list[np.ndarray]) -> list[Any]:
    """Return [K][same, other][source][target] of one array [K x 10] a target kind."""
    return np.stack(values, 1).reshape(len(decay), 2, hk.NUM_KINDS, hk.NUM_KINDS).tolist()


def _inside_table(better_tick: np.ndarray, spread_tick: np.ndarray) -> list[float]:
    """Return 128 equally likely places in the spread, (ticks better than the touch - 1/2) / (spread - 1)."""
    place = (better_tick - 0.5) / np.maximum(spread_tick - 1, 1)
    shares = (np.arange(NUM_SIZES) + 0.5) / NUM_SIZES
    return np.clip(np.quantile(place, shares), 0, 0.9999).tolist()


def _mean_lots(behind_lot_s: np.ndarray, behind_s: np.ndarray, seen_s: np.ndarray) -> list[float]:
    """Return the mean lots by distance from the opposite touch, as far as they could be seen 2 % of the time."""
    far = max(int((seen_s >= 0.02 * seen_s.max()).sum()), 1)
    return (behind_lot_s[:far] / np.maximum(behind_s[:far], 1e-9)).tolist()


def _residual_distances(path: Path, grid: Grid, fitted: _Fitted) -> dict[str, list[float]]:
    mark, none = marks(path, fitted.exponent), np.zeros((hk.NUM_KINDS, len(fitted.decay) * 2 * hk.NUM_KINDS))
    base = np.stack([fit.base for fit in fitted.kinds])
    f = features(path, mark, fitted.decay, grid.num_cells)
    count = np.zeros_like(base)
    np.add.at(count, (f.kind, f.cell), 1.0)
    poisson = np.where(f.base_s > 0, count / np.maximum(f.base_s, 1e-9), 0.0)
    jump = np.stack([fit.jump for fit in fitted.kinds])
    distances = {}
    for name, rates, jumps in (("residual_ks", base, jump), ("poisson_ks", poisson, none)):
        event, integral = residuals(path, mark, fitted.decay, rates, jumps)
        mine = [integral[event % hk.NUM_KINDS == kind] for kind in range(hk.NUM_KINDS)]
        distances[name] = [float(kstest(gaps, "expon")[0]) for gaps in mine]  # pyright: ignore[reportArgumentType]
    return distances


def pack_params(calibration: Calibration) -> np.ndarray:
    """Return the sampler's int32[NUM_PARAMS]; ValueError names what the calibration lacks."""
    return hk.pack(rates_of(calibration))


def rates_of(calibration: Calibration) -> hk.Rates:
    """Return the model's parameters; ValueError names what the calibration lacks."""
    p = calibration.params
    missing = [key for key in (*_KEYS, "mark_exponent") if key not in p]
    if missing:
        raise ValueError(f"calibration of {calibration.instrument.name} lacks params {missing}")
    values: list[Any] = [np.asarray(p[key]) if isinstance(p[key], list) else p[key] for key in _KEYS]
    powers = [np.asarray(p[key], np.float64) ** p["mark_exponent"] for key in ("limit_lots", "market_lots")]
    return hk.Rates(*values, *(power / power.mean() for power in powers))
