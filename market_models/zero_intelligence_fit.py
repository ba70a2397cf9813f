"""Maximum-likelihood fit of the zero-intelligence model, and the start book that goes with it.

Estimators, both sides pooled, for distances i = 1..D from the opposite best quote:
- lambda(i) = limit orders at i / side-seconds during which i was visible (Poisson; standard error sqrt(n) / seconds);
- mu = market orders / side-seconds with something to take;
- theta(i) = lots cancelled at i / integral of the lots resting at i. This is the maximum for independent lots; since
  the lots of an order leave together, the standard error is sqrt(sum of squared sizes) / integral (too small by a third
  where a pool holds few large orders).
D is the deepest distance that was visible for at least `min_seen_frac` of the time. Thin counts: neighbouring distances
are pooled from the touch outwards until a pool holds `min_count` events, and share one rate (the maximum under a
piecewise constant rate); pools of lambda and theta differ. Cancels and lots beyond D count to D.

Of a level recording cancel rates are those of `level_fit.py`.

Sizes: the recorded ones in 128 equally filled bins, each bin's mean: the mean size is kept, the far tail is not.
Source: Cont, Stoikov, Talreja 2010, section 3.2, with exposures where they take the whole day.
"""

from typing import Any

import numpy as np

from kernels.lob import spec
from market_models import zero_intelligence as zi
from market_models.calibration import Calibration
from market_models.datasets.recording import Recording
from market_models.exposure import Events, Exposure, collect_events, measure_exposure
from market_models.fees import Fees
from market_models.level_fit import order_lots, order_seconds

MIN_COUNT = 200
MIN_SEEN_FRAC = 0.02
START_ORDERS = 64  # a side of a start book; the smallest capacity
ASSUMED_FEES = Fees(maker_bps=0.5, taker_bps=1.5)
NOTE = "Fees are our assumption, not the venue's schedule; rates pool both sides; see zero_intelligence_fit.py."


def fit(
    recording: Recording,
    from_s: float,
    to_s: float,
    *,
    fees: Fees = ASSUMED_FEES,
    min_count: int = MIN_COUNT,
    min_seen_frac: float = MIN_SEEN_FRAC,
    distances: int | None = None,
) -> Calibration:
    """Fit the model between `from_s` and `to_s` (seconds since midnight); `distances` fixes D instead of the rule.

    Raises ValueError if the window holds no time or too few events.
    """
    if not from_s < to_s:
        raise ValueError(f"window {from_s}..{to_s} s is empty")
    D = distances or _choose_distances(recording, from_s, to_s, min_seen_frac)
    exposure = measure_exposure(recording, from_s, to_s, D)
    events = collect_events(recording, from_s, to_s, D)
    needed = {"limit": len(events.limit_lots), "cancel": len(events.cancel_lots), "market": len(events.market_lots)}
    if min(needed.values()) < 2 or exposure.both_s <= 0:
        raise ValueError(f"{recording.path} has too little in {from_s}..{to_s} s for a fit: {needed} events")
    params, errors = _estimate(events, exposure, D, min_count)
    if not recording.has_orders:
        cancels_of_levels(recording, from_s, to_s, events, (params, errors), min_count)
    return Calibration(
        model="zero_intelligence",
        instrument=recording.instrument,
        params=params,
        standard_errors=errors,
        log_likelihood=_log_likelihood(events, exposure, params),
        data_digest=recording.digest,
        from_s=from_s,
        to_s=to_s,
        fees=fees,
        counts={**needed, "limit_beyond": events.beyond},
        note=NOTE,
    )


def _choose_distances(recording: Recording, from_s: float, to_s: float, min_seen_frac: float) -> int:
    seen_s = measure_exposure(recording, from_s, to_s, zi.MAX_DISTANCES).seen_s
    return max(int((seen_s >= min_seen_frac * seen_s.max()).sum()), 1)


def pools(count: np.ndarray, min_count: int) -> np.ndarray:
    """Return the pool number int[D] of each distance: from the touch outwards, each pool holds `min_count` or more."""
    label, held = np.zeros(len(count), np.int64), 0
    for i in range(len(count)):
        label[i] = label[i - 1] if i else 0
        if i and held >= min_count:
            label[i] += 1
            held = 0
        held += count[i]
    if label[-1] and held < min_count:
        label[label == label[-1]] -= 1
    return label


def _pooled_rate(
    total: np.ndarray, square: np.ndarray, exposure: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return rate and standard error of each distance, float64[D], from per-distance totals and exposures."""
    whole = np.maximum(np.bincount(label, exposure), 1e-300)
    rate, error = np.bincount(label, total) / whole, np.sqrt(np.bincount(label, square)) / whole
    return rate[label], error[label]


def _estimate(events: Events, exposure: Exposure, D: int, min_count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    limit_count = np.bincount(events.limit_distance - 1, minlength=D).astype(np.float64)
    cancel_count = np.bincount(events.cancel_distance - 1, minlength=D)
    cancel_lots = np.bincount(events.cancel_distance - 1, events.cancel_lots, D)
    cancel_square = np.bincount(events.cancel_distance - 1, events.cancel_lots.astype(np.float64) ** 2, D)
    limit_pools = pools(limit_count, min_count)
    limit, limit_error = _pooled_rate(limit_count, limit_count, exposure.seen_s, limit_pools)
    cancel, cancel_error = _pooled_rate(cancel_lots, cancel_square, exposure.lot_s, pools(cancel_count, min_count))
    mean_lots, _ = _pooled_rate(exposure.behind_lot_s, exposure.behind_lot_s, exposure.behind_s, limit_pools)
    num_market = len(events.market_lots)
    params = {
        "limit_rate_per_s": limit.tolist(),
        "cancel_rate_per_s": cancel.tolist(),
        "market_rate_per_s": num_market / exposure.takable_s,
        "limit_lots": size_table(events.limit_lots),
        "market_lots": size_table(events.market_lots),
        "mean_lots": mean_lots.tolist(),
        "mean_spread_tick": exposure.spread_tick_s / exposure.both_s,
        "reference_tick": round(exposure.mid_tick_s / exposure.both_s),
    }
    errors = {
        "limit_rate_per_s": limit_error.tolist(),
        "cancel_rate_per_s": cancel_error.tolist(),
        "market_rate_per_s": num_market**0.5 / exposure.takable_s,
    }
    return params, errors


def cancels_of_levels(
    recording: Recording,
    from_s: float,
    to_s: float,
    events: Events,
    results: tuple[dict[str, Any], dict[str, Any]],
    min_count: int,
) -> None:
    """Replace the cancel rates in (params, standard errors) by those of `level_fit`."""
    params, errors = results
    D = len(params["limit_rate_per_s"])
    limit_pools = pools(np.bincount(events.limit_distance - 1, minlength=D), min_count)
    resting_s = order_seconds(recording, from_s, to_s, order_lots(events, limit_pools))
    count = np.bincount(events.cancel_distance - 1, minlength=D).astype(np.float64)
    rate, error = _pooled_rate(count, count, resting_s, pools(count, min_count))
    params["cancel_rate_per_s"], errors["cancel_rate_per_s"] = rate.tolist(), error.tolist()


def size_table(lots: np.ndarray) -> list[int]:
    """Return 128 equally likely sizes: the mean of each of 128 equally filled bins of the sorted sizes, at least 1."""
    ordered = np.sort(lots).astype(np.float64)
    edges = np.linspace(0, len(ordered), zi.NUM_SIZES + 1)
    whole = np.append(0.0, np.cumsum(ordered))
    area = np.interp(edges, np.arange(len(ordered) + 1), whole)
    return np.maximum(np.rint(np.diff(area) / np.diff(edges)), 1).astype(int).tolist()


def _log_likelihood(events: Events, exposure: Exposure, params: dict[str, Any]) -> float:
    """Return the log-likelihood of the event times; a cancel's intensity is theta(i) x lots at i / mean size."""
    limit, cancel = np.array(params["limit_rate_per_s"]), np.array(params["cancel_rate_per_s"])
    market, size = params["market_rate_per_s"], events.cancel_lots.mean()
    orders = np.log(limit[events.limit_distance - 1]).sum() - (limit * exposure.seen_s).sum()
    takers = len(events.market_lots) * np.log(market) - market * exposure.takable_s
    intensity = cancel[events.cancel_distance - 1] * np.maximum(events.cancel_level_lots, 1) / size
    cancels = np.log(intensity).sum() - (cancel * exposure.lot_s).sum() / size
    return float(orders + takers + cancels)


def pack_params(calibration: Calibration) -> np.ndarray:
    """Return the sampler's int32[NUM_PARAMS]; ValueError names what the calibration lacks."""
    p = calibration.params
    keys = ("limit_rate_per_s", "market_rate_per_s", "cancel_rate_per_s", "limit_lots", "market_lots")
    missing = [key for key in keys if key not in p]
    if missing:
        raise ValueError(f"calibration of {calibration.instrument.name} lacks params {missing}")
    limit, market, cancel, limit_lots, market_lots = (p[key] for key in keys)
    return zi.pack(np.asarray(limit), market, np.asarray(cancel), np.asarray(limit_lots), np.asarray(market_lots))


def start_messages(calibration: Calibration, seed: int) -> np.ndarray:
    """Return an opening book int32[2 x START_ORDERS, 8]: LIMIT messages with ids 1.., then NOP.

    The spread is the mean one; behind it every distance holds its mean lots in orders of random size. Random numbers:
    the raw stream of NumPy's Philox, which NumPy keeps stable.
    """
    p = calibration.params
    random = np.random.Philox(key=seed)
    spread = max(round(p["mean_spread_tick"]), 1)
    sizes = np.asarray(p["limit_lots"])
    expected = np.asarray(p["mean_lots"]) / sizes.mean()
    bid = calibration.reference_tick - (spread + 1) // 2
    opposite = {spec.BUY: bid + spread, spec.SELL: bid}
    rows = []
    for side, sign in ((spec.BUY, -1), (spec.SELL, 1)):
        distances = _start_distances(random, expected, spread)
        for distance in distances:
            lots = int(sizes[random.random_raw() >> 57])
            rows.append((spec.LIMIT, side, lots, opposite[side] + sign * distance, len(rows) + 1, 0, 0, 0))
    out = np.zeros((2 * START_ORDERS, spec.NUM_MESSAGE_COLUMNS), np.int32)
    out[: len(rows)] = rows
    return out


def _start_distances(random: np.random.Philox, expected: np.ndarray, spread: int) -> list[int]:
    """Return the distances of one side's opening orders, the best first, at most START_ORDERS."""
    distances = [spread]
    for distance in range(spread, len(expected) + 1):
        chance = (random.random_raw() >> 11) / 2**53
        distances.extend([distance] * int(expected[distance - 1] + chance))
    return distances[:START_ORDERS]
