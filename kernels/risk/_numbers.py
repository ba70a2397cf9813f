"""Integer arithmetic of the gate that cannot wrap: values beyond CAP are CAP, which is above every finite limit."""

from numba import njit

from kernels.risk import spec

CAP = spec.MAX_ABS_WORD
BPS = 10_000
_BPS_CAP = 2**31  # so that a share of a price holds; larger shares of a price say the same as this one


@njit(nogil=True, cache=True, inline="always")
def is_word(value):
    """Whether a word is there and small enough for sums."""
    return -CAP <= value <= CAP


@njit(nogil=True, cache=True)
def times(count, unit):
    """Return count x unit, both at least 0, at most CAP."""
    if count < 2**20 and unit < 2**41:  # the usual case needs no division
        return count * unit
    if unit > 0 and count > CAP // unit:
        return CAP
    return count * unit


@njit(nogil=True, cache=True)
def plus(one, other):
    """Return the sum of two numbers of 0..CAP, at most CAP."""
    return min(one + other, CAP)


@njit(nogil=True, cache=True)
def share_of(money, bps):
    """Return floor(money x bps / 10,000), 0 for money below 0, at most CAP - 1."""
    if money <= 0 or bps <= 0:
        return 0
    whole, rest = money // BPS, money % BPS
    if whole > CAP // bps:
        return CAP - 1
    # rest x bps can pass int64, so bps is taken apart too; both floors together lose nothing: one term is whole.
    small = rest * (bps // BPS) + rest * (bps % BPS) // BPS
    return min(whole * bps + small, CAP - 1)


@njit(nogil=True, cache=True)
def is_far(price, reference, max_tick, max_bps):
    """Whether two prices of the engine's range are more than max_tick or more than max_bps of the reference apart."""
    distance = abs(price - reference)
    if distance > max_tick:
        return True
    return max_bps != spec.UNLIMITED and distance * BPS > min(max_bps, _BPS_CAP) * abs(reference)


@njit(nogil=True, cache=True)
def adverse_tick(price, bps):
    """Return ceil(|price| x bps / 10,000) ticks."""
    return (abs(price) * min(bps, _BPS_CAP) + BPS - 1) // BPS
