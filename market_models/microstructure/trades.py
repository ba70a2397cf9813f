"""Who began a trade, and how often trades come.

Source: Lee, Ready 1991, "Inferring trade direction from intraday data", J. Finance 46(2).
"""

from typing import Any

import numpy as np

from kernels import checks as check


def tick_rule_signs(price: Any) -> np.ndarray:
    """Return int8[N]: 1 after a rise, -1 after a fall, where it stays as the trade before; 0 before any change."""
    p = check.vector("price", price)
    return _carry(np.sign(np.diff(p, prepend=p[:1])).astype(np.int8))


def lee_ready_signs(price: Any, bid: Any, ask: Any) -> np.ndarray:
    """Return int8[N]: 1 where a trade is above the mid that stood before it, -1 below, by the tick rule at the mid.

    ValueError where a bid is not below its ask.
    """
    p, b, a = check.vector("price", price), check.vector("bid", bid), check.vector("ask", ask)
    check.same_length(price=p, bid=b, ask=a)
    if (b >= a).any():
        raise ValueError(f"bid at {int(np.argmax(b >= a))} is not below its ask")
    side = np.sign(2 * p - (a + b)).astype(np.int8)
    return np.where(side != 0, side, tick_rule_signs(p)).astype(np.int8)


def exponential_intensity(at_s: Any, half_life_s: float) -> np.ndarray:
    """Return events per second just after each of N events, float64[N], with weights that halve in `half_life_s`.

    I_n = k + I_n-1 exp(-k (t_n - t_n-1)), k = ln 2 / half-life: of a Poisson stream of rate L the mean is L + k at its
    events. Only the past enters. ValueError where time goes back.
    """
    t = check.vector("at_s", at_s)
    if (np.diff(t) < 0).any():
        raise ValueError(f"at_s goes back at {int(np.argmax(np.diff(t) < 0)) + 1}")
    k = np.log(2) / check.number("half_life_s", half_life_s, 0, open_low=True)
    fade = np.exp(-k * np.diff(t, prepend=t[:1]))
    out, value = np.empty(len(t)), 0.0
    for n in range(len(t)):
        value = k + value * fade[n]
        out[n] = value
    return out


def rolling_sign_frac(signs: Any, window: int) -> np.ndarray:
    """Return the mean sign of the last `window` trades at each, float64[N]; fewer at the start."""
    s = check.vector("signs", signs)
    count = check.whole("window", window, 1)
    whole = np.concatenate([[0.0], np.cumsum(s)])
    last = np.arange(1, len(s) + 1)
    first = np.maximum(last - count, 0)
    return (whole[last] - whole[first]) / (last - first)


def _carry(sign: np.ndarray) -> np.ndarray:
    """Fill zeros with the last sign before."""
    at = np.maximum.accumulate(np.where(sign != 0, np.arange(len(sign)), 0))
    return sign[at]
