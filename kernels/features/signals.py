"""Signals of order flow, one event after the other, with the state in arrays: for a live process and for training data.

| signal | one event | state |
|---|---|---|
| order-flow imbalance | the touch after an event; e_n as in Cont, Kukanov, Stoikov | `OFI_*` int64[6] |
| VPIN | a trade: lots and taker's sign | `VPIN_*` float64[5 + buckets] |
| Kyle's lambda | a price change and signed lots | `KYLE_*` float64[6], faded by a factor an event |
| sign and intensity | a trade: time and sign | `TRADE_*` float64[5] |
| volatility | a price | `VOL_*` float64[7] |

Every `*_step` is numba, O(1) (VPIN: see there), without allocation, and changes its state in place. `streams.py` takes
whole streams through the same steps, so that live and training use one and the same code, and checks them at that
boundary (ValueError): a number that is not finite is for the caller of a step to keep out.

Formulas. Order-flow imbalance of an event, q lots at the touch P:
    e = 1{Pb >= Pb'} qb - 1{Pb <= Pb'} qb' - 1{Pa <= Pa'} qa + 1{Pa >= Pa'} qa'       (' is the event before).
VPIN: buckets of V lots, a trade is split between buckets, the mean of |bought - sold| / V over the last n buckets, NaN
until n are full. Kyle's lambda: slope of dp = a + lambda x with weights w^(age in events), by faded moments about their
means (Welford's update), NaN until x has varied. Intensity I_n = k + I_n-1 exp(-k dt), k = ln 2 / half-life; the sign's
average has the same weights, sum of s exp(-k age) / sum of exp(-k age). Volatility: r_n = ln(p_n / p_n-1); exponential
variance v_n = w v_n-1 + (1 - w) r_n^2 started at r_1^2; realised variance sum r^2; bipower sum (pi/2) n/(n-1)
sum |r_n||r_n-1|.

Sources: Cont, Kukanov, Stoikov, J. Fin. Econometrics 12(1) (2014); Easley, Lopez de Prado, O'Hara, Review of Financial
Studies 25(5) (2012); Kyle, Econometrica 53(6) (1985); Welford, Technometrics 4(3) (1962), faded as West, CACM 22(9)
(1979); J.P. Morgan, RiskMetrics (1996); Barndorff-Nielsen, Shephard, J. Fin. Econometrics 2(1) (2004).
"""

from typing import Final

import numpy as np
from numba import njit

# State of the order-flow imbalance, int64[NUM_OFI].
OFI_BID_TICK: Final = 0
OFI_BID_LOTS: Final = 1
OFI_ASK_TICK: Final = 2
OFI_ASK_LOTS: Final = 3
OFI_EVENTS: Final = 4
OFI_TOTAL: Final = 5  # sum of e since it was last set to 0
NUM_OFI: Final = 6

# State of VPIN, float64[VPIN_RING + window]; then |bought - sold| / V of the last full buckets, a ring.
VPIN_LOTS: Final = 0  # in the open bucket
VPIN_BOUGHT: Final = 1  # of these
VPIN_SIZE: Final = 2  # parameter: lots of a full bucket
VPIN_VALUE: Final = 3  # NaN until there is one
VPIN_FILLED: Final = 4  # buckets that were ever filled
VPIN_RING: Final = 5

# State of Kyle's lambda, float64[NUM_KYLE].
KYLE_WEIGHT: Final = 0
KYLE_MEAN_X: Final = 1
KYLE_MEAN_Y: Final = 2
KYLE_XX: Final = 3
KYLE_XY: Final = 4
KYLE_FADE: Final = 5  # parameter: weight of the past after one event, in (0, 1]
NUM_KYLE: Final = 6

# State of trade signs and intensity, float64[NUM_TRADE].
TRADE_AT_S: Final = 0
TRADE_INTENSITY: Final = 1  # per second, just after the last trade
TRADE_SIGN: Final = 2  # faded sum of signs, on the scale of the intensity
TRADE_RATE: Final = 3  # parameter: k = ln 2 / half-life, per second
TRADE_EVENTS: Final = 4
NUM_TRADE: Final = 5

# State of the volatility, float64[NUM_VOL].
VOL_LOG_PRICE: Final = 0
VOL_LAST: Final = 1  # |r| of the return before
VOL_RETURNS: Final = 2  # number of returns; -1 before the first price
VOL_EWMA: Final = 3  # variance a return
VOL_REALISED: Final = 4  # sum of squares
VOL_BIPOWER: Final = 5  # sum of |r_n||r_n-1|
VOL_FADE: Final = 6  # parameter w in [0, 1)
NUM_VOL: Final = 7


def new_ofi() -> np.ndarray:
    """Return a state without a past: the first event has an imbalance of 0."""
    return np.zeros(NUM_OFI, np.int64)


def new_vpin(bucket_lots: float, window: int = 50) -> np.ndarray:
    """Return an empty state; ValueError if the bucket is not above 0 and finite or the window below 1."""
    _require("bucket_lots", bucket_lots, np.isfinite(bucket_lots) and bucket_lots > 0, "above 0 and finite")
    _require("window", window, isinstance(window, int) and window >= 1, "a whole number of at least 1")
    state = np.zeros(VPIN_RING + window)
    state[VPIN_SIZE], state[VPIN_VALUE] = bucket_lots, np.nan
    return state


def new_kyle(fade: float = 0.99) -> np.ndarray:
    """Return an empty state; `fade` in (0, 1] is the weight that one event leaves to the past, 1 forgets nothing."""
    _require("fade", fade, 0 < fade <= 1, "in (0, 1]")
    state = np.zeros(NUM_KYLE)
    state[KYLE_FADE] = fade
    return state


def new_trades(half_life_s: float) -> np.ndarray:
    """Return an empty state of signs and intensity whose weights halve in `half_life_s` seconds."""
    _require("half_life_s", half_life_s, np.isfinite(half_life_s) and half_life_s > 0, "above 0 and finite")
    state = np.zeros(NUM_TRADE)
    state[TRADE_RATE] = np.log(2) / half_life_s
    return state


def new_volatility(fade: float = 0.94) -> np.ndarray:
    """Return an empty state; `fade` in [0, 1) is the weight of the past in the exponential variance."""
    _require("fade", fade, 0 <= fade < 1, "in [0, 1)")
    state = np.zeros(NUM_VOL)
    state[VOL_FADE], state[VOL_RETURNS] = fade, -1
    return state


def _require(name: str, value: object, good: bool, valid: str) -> None:
    if not good:
        raise ValueError(f"{name} is {value!r}, it must be {valid}")


@njit(nogil=True, cache=True)
def ofi_step(state, bid_tick, bid_lots, ask_tick, ask_lots):
    """Take the touch after an event; return its e in lots, 0 for the first."""
    e = np.int64(0)
    if state[OFI_EVENTS] > 0:
        if bid_tick >= state[OFI_BID_TICK]:
            e += bid_lots
        if bid_tick <= state[OFI_BID_TICK]:
            e -= state[OFI_BID_LOTS]
        if ask_tick <= state[OFI_ASK_TICK]:
            e -= ask_lots
        if ask_tick >= state[OFI_ASK_TICK]:
            e += state[OFI_ASK_LOTS]
    state[OFI_BID_TICK], state[OFI_BID_LOTS] = bid_tick, bid_lots
    state[OFI_ASK_TICK], state[OFI_ASK_LOTS] = ask_tick, ask_lots
    state[OFI_EVENTS] += 1
    state[OFI_TOTAL] += e
    return e


@njit(nogil=True, cache=True)
def vpin_step(state, lots, sign):
    """Take a trade of `lots` above 0, `sign` above 0 where the taker bought; return VPIN, NaN until there is one.

    Cost: O(1), and O(window) where the trade fills a bucket; of one that fills many the last `window` are looked at.
    """
    bought = 1.0 if sign > 0 else 0.0
    size = state[VPIN_SIZE]
    if state[VPIN_LOTS] + lots < size:
        state[VPIN_LOTS] += lots
        state[VPIN_BOUGHT] += bought * lots
        return state[VPIN_VALUE]
    part = size - state[VPIN_LOTS]
    _fill(state, state[VPIN_BOUGHT] + bought * part)
    left = lots - part
    whole = np.floor(left / size)
    window = len(state) - VPIN_RING
    looked_at = min(whole, float(window))
    state[VPIN_FILLED] += whole - looked_at
    for _ in range(int(looked_at)):
        _fill(state, bought * size)
    state[VPIN_LOTS] = max(left - whole * size, 0.0)
    state[VPIN_BOUGHT] = bought * state[VPIN_LOTS]
    if state[VPIN_FILLED] >= window:
        state[VPIN_VALUE] = state[VPIN_RING:].sum() / window
    return state[VPIN_VALUE]


@njit(nogil=True, cache=True)
def _fill(state, bought):
    size = state[VPIN_SIZE]
    place = VPIN_RING + int(state[VPIN_FILLED]) % (len(state) - VPIN_RING)
    state[place] = min(abs(2 * bought - size) / size, 1.0)
    state[VPIN_FILLED] += 1


@njit(nogil=True, cache=True)
def kyle_step(state, price_change, signed_lots):
    """Take one interval; return the slope of price change on signed lots, NaN until the lots have varied."""
    fade = state[KYLE_FADE]
    state[KYLE_WEIGHT] = fade * state[KYLE_WEIGHT] + 1.0
    dx, dy = signed_lots - state[KYLE_MEAN_X], price_change - state[KYLE_MEAN_Y]
    state[KYLE_MEAN_X] += dx / state[KYLE_WEIGHT]
    state[KYLE_MEAN_Y] += dy / state[KYLE_WEIGHT]
    left = signed_lots - state[KYLE_MEAN_X]
    state[KYLE_XX] = fade * state[KYLE_XX] + left * dx
    state[KYLE_XY] = fade * state[KYLE_XY] + left * dy
    return state[KYLE_XY] / state[KYLE_XX] if state[KYLE_XX] > 0 else np.nan


@njit(nogil=True, cache=True)
def trade_step(state, at_s, sign):
    """Take a trade (times do not go back); return (trades per second, faded mean sign), just after it."""
    rate = state[TRADE_RATE]
    kept = np.exp(-rate * (at_s - state[TRADE_AT_S])) if state[TRADE_EVENTS] > 0 else 0.0
    state[TRADE_AT_S] = at_s
    state[TRADE_INTENSITY] = rate + kept * state[TRADE_INTENSITY]
    state[TRADE_SIGN] = rate * sign + kept * state[TRADE_SIGN]
    state[TRADE_EVENTS] += 1
    return state[TRADE_INTENSITY], state[TRADE_SIGN] / state[TRADE_INTENSITY]


@njit(nogil=True, cache=True)
def volatility_step(state, price):
    """Take a price above 0; return (exponential variance, realised variance, bipower variation) of the log returns.

    NaN where there are too few: the first needs one return, the last two.
    """
    log_price = np.log(price)
    count = state[VOL_RETURNS]
    if count >= 0:
        r = log_price - state[VOL_LOG_PRICE]
        fade = state[VOL_FADE] if count > 0 else 0.0
        state[VOL_EWMA] = fade * state[VOL_EWMA] + (1 - fade) * r * r
        state[VOL_REALISED] += r * r
        state[VOL_BIPOWER] += abs(r) * state[VOL_LAST]
        state[VOL_LAST] = abs(r)
    state[VOL_LOG_PRICE] = log_price
    count += 1
    state[VOL_RETURNS] = count
    bipower = np.pi / 2 * count / (count - 1) * state[VOL_BIPOWER] if count > 1 else np.nan
    return (state[VOL_EWMA] if count > 0 else np.nan), state[VOL_REALISED], bipower


# The loops stand in this file because numba's cache looks at the file of the outer function alone: in another one they
# would go on with steps that have changed.


@njit(nogil=True, cache=True)
def ofi_run(state, touch):
    """Return what `ofi_step` gives for each row of touch int64[N, 4]."""
    out = np.empty(len(touch), np.int64)
    for n in range(len(touch)):
        out[n] = ofi_step(state, touch[n, 0], touch[n, 1], touch[n, 2], touch[n, 3])
    return out


@njit(nogil=True, cache=True)
def vpin_run(state, lots, sign):
    """Return what `vpin_step` gives for each trade, float64[N]."""
    out = np.empty(len(lots))
    for n in range(len(lots)):
        out[n] = vpin_step(state, lots[n], sign[n])
    return out


@njit(nogil=True, cache=True)
def kyle_run(state, price_change, signed_lots):
    """Return what `kyle_step` gives for each interval, float64[N]."""
    out = np.empty(len(price_change))
    for n in range(len(price_change)):
        out[n] = kyle_step(state, price_change[n], signed_lots[n])
    return out


@njit(nogil=True, cache=True)
def trade_run(state, at_s, sign):
    """Return what `trade_step` gives for each trade, float64[N, 2]."""
    out = np.empty((len(at_s), 2))
    for n in range(len(at_s)):
        out[n, 0], out[n, 1] = trade_step(state, at_s[n], sign[n])
    return out


@njit(nogil=True, cache=True)
def volatility_run(state, price):
    """Return what `volatility_step` gives for each price, float64[N, 3]."""
    out = np.empty((len(price), 3))
    for n in range(len(price)):
        out[n, 0], out[n, 1], out[n, 2] = volatility_step(state, price[n])
    return out
