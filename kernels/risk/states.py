"""System-level risk as state machines: who may trade, what a breaker does, whether a kill is confirmed.

Tables are data; functions are pure. What the table does not hold is refused (None), never guessed. Three things hold in
every table and are tested over arbitrary sequences: only a person's RESUME leads back to ACTIVE; a KILL leads to HALTED
from everywhere; and from there at most to reduce-only until a person resumes.
"""

from collections.abc import Iterable
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

from kernels.risk import spec


class Standing(IntEnum):
    """Why a scope trades as it does; what it may do is `TRADING`."""

    ACTIVE = 1
    RESTRICTED = 2  # a person asked for it, or the venue's books differ from ours
    TRIPPED = 3  # a breaker opened
    CLOSING = 4  # the position is being traded to zero
    HALTED = 5  # killed, flat after closing, a limit that halts, or the ledger failed


TRADING: Final = {
    Standing.ACTIVE: spec.ACTIVE,
    Standing.RESTRICTED: spec.REDUCE_ONLY,
    Standing.TRIPPED: spec.REDUCE_ONLY,
    Standing.CLOSING: spec.REDUCE_ONLY,
    Standing.HALTED: spec.HALTED,
}


class TradingEvent(IntEnum):
    """What can change a standing."""

    RESUME = 1  # a person
    RESTRICT = 2  # a person
    DIFFER = 3  # reconciliation found a difference
    TRIP = 4  # a breaker
    FLATTEN = 5
    FLAT = 6  # the position is zero
    KILL = 7
    FAIL = 8  # the record or the ledger cannot be trusted
    HALT = 9  # a limit of the portfolio whose breach halts


_S, _E = Standing, TradingEvent
TRANSITIONS: Final[dict[tuple[Standing, TradingEvent], Standing]] = {
    (_S.ACTIVE, _E.RESUME): _S.ACTIVE,
    (_S.ACTIVE, _E.RESTRICT): _S.RESTRICTED,
    (_S.ACTIVE, _E.DIFFER): _S.RESTRICTED,
    (_S.ACTIVE, _E.TRIP): _S.TRIPPED,
    (_S.RESTRICTED, _E.RESUME): _S.ACTIVE,
    (_S.RESTRICTED, _E.RESTRICT): _S.RESTRICTED,
    (_S.RESTRICTED, _E.DIFFER): _S.RESTRICTED,
    (_S.RESTRICTED, _E.TRIP): _S.TRIPPED,
    (_S.TRIPPED, _E.RESUME): _S.ACTIVE,
    (_S.TRIPPED, _E.RESTRICT): _S.TRIPPED,
    (_S.TRIPPED, _E.DIFFER): _S.TRIPPED,
    (_S.TRIPPED, _E.TRIP): _S.TRIPPED,
    (_S.CLOSING, _E.RESUME): _S.ACTIVE,
    (_S.CLOSING, _E.RESTRICT): _S.CLOSING,
    (_S.CLOSING, _E.DIFFER): _S.CLOSING,
    (_S.CLOSING, _E.TRIP): _S.CLOSING,
    (_S.CLOSING, _E.FLAT): _S.HALTED,
    (_S.HALTED, _E.RESUME): _S.ACTIVE,
    (_S.HALTED, _E.DIFFER): _S.HALTED,
    (_S.HALTED, _E.TRIP): _S.HALTED,
    **{(standing, _E.FLATTEN): _S.CLOSING for standing in _S},
    **{(standing, _E.KILL): _S.HALTED for standing in _S},
    **{(standing, _E.FAIL): _S.HALTED for standing in _S},
    **{(standing, _E.HALT): _S.HALTED for standing in _S},
}
BY_A_PERSON: Final = frozenset({TradingEvent.RESUME, TradingEvent.RESTRICT})


def advance(standing: Standing, event: TradingEvent, by_person: bool = False) -> Standing | None:
    """Return the standing after `event`; None where the table or the lack of a person does not allow it."""
    if event in BY_A_PERSON and not by_person:
        return None
    return TRANSITIONS.get((standing, event))


def effective(tradings: Iterable[int]) -> int:
    """Return the most restrictive of the trading states of strategy, venue and firm; what is none of them halts."""
    states = list(tradings)
    if not states or any(state not in (spec.ACTIVE, spec.REDUCE_ONLY) for state in states):
        return spec.HALTED
    return max(states)


class KillState(IntEnum):
    """How far the kill switch is."""

    IDLE = 0
    CANCELLING = 1  # everything was asked to cancel, unacknowledged orders too
    CONFIRMED = 2  # the venue holds nothing of ours open
    UNCONFIRMED = 3  # it does, or nobody knows: a person must look at the venue


KILL_OPEN: Final = frozenset({KillState.CANCELLING, KillState.UNCONFIRMED})  # the venue has not said "nothing is open"


class KillEvent(IntEnum):
    """What the kill switch hears."""

    KILL = 1
    ZERO_OPEN = 2  # the venue was asked: nothing is open, and no order of ours is without a known end
    STILL_OPEN = 3
    RESUME = 4


_K, _L = KillState, KillEvent
KILL_TRANSITIONS: Final[dict[tuple[KillState, KillEvent], KillState]] = {
    **{(state, _L.KILL): _K.CANCELLING for state in _K},
    **{(state, _L.RESUME): _K.IDLE for state in _K},
    (_K.CANCELLING, _L.ZERO_OPEN): _K.CONFIRMED,
    (_K.CANCELLING, _L.STILL_OPEN): _K.UNCONFIRMED,
    (_K.UNCONFIRMED, _L.ZERO_OPEN): _K.CONFIRMED,
    (_K.UNCONFIRMED, _L.STILL_OPEN): _K.UNCONFIRMED,
    (_K.CONFIRMED, _L.ZERO_OPEN): _K.CONFIRMED,
    (_K.CONFIRMED, _L.STILL_OPEN): _K.UNCONFIRMED,
}


def advance_kill(state: KillState, event: KillEvent) -> KillState:
    """Return the kill switch after `event`; what says nothing about it changes nothing."""
    return KILL_TRANSITIONS.get((state, event), state)


class Breaker(IntFlag):
    """Circuit breakers; each, once open, stays open until a person resumes."""

    NONE = 0
    PRICE_SPIKE = 1
    REJECT_STORM = 2
    LATENCY = 4
    DISCONNECT = 8
    MODEL_REFUSAL = 16
    REPEATS = 32  # the repeated-execution throttle


class BreakerLimits(NamedTuple):
    """When breakers open. Times are event time."""

    spike_bps: int = 1_000  # the mid against the reference price
    reference_interval_ns: int = 1_000_000_000  # the reference price is the mid at least so long ago
    max_rejects: int = 20  # refusals by the venue within the window
    reject_window_ns: int = 10_000_000_000
    max_latency_ns: int = 5_000_000_000  # from an order to its acknowledgement
    max_slow: int = 5  # acknowledgements in a row above it
    max_silence_ns: int = 300_000_000_000  # without a book

    def checked(self) -> "BreakerLimits":
        """Return the limits; ValueError names the first that is not a whole number of at least 1."""
        for name, value in self._asdict().items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"breaker limit {name} is {value!r}, expected a whole number of at least 1")
        return self


class BreakerState(NamedTuple):
    """What breakers remember. Prices are twice the mid, so that they stay integers."""

    opened: int = 0  # Breaker flags
    reference_tick_x2: int = 0
    reference_ns: int = -1  # -1: there is no reference yet
    rejects_ns: tuple[int, ...] = ()
    slow: int = 0
    run_side: int = 0  # of the executions in a row
    run: int = 0


class Tripped(NamedTuple):
    """A breaker that opened just now."""

    breaker: Breaker
    detail: str


def _trip(state: BreakerState, breaker: Breaker, detail: str) -> tuple[BreakerState, Tripped | None]:
    if state.opened & breaker:
        return state, None
    return state._replace(opened=state.opened | breaker), Tripped(breaker, detail)


def note_mid(
    state: BreakerState, limits: BreakerLimits, mid_tick_x2: int, event_ns: int
) -> tuple[BreakerState, Tripped | None]:
    """Compare a mid with the reference, which follows it after the interval, but not through a spike."""
    if state.reference_ns < 0:
        return state._replace(reference_tick_x2=mid_tick_x2, reference_ns=event_ns), None
    reference = state.reference_tick_x2
    if abs(mid_tick_x2 - reference) * 10_000 > limits.spike_bps * abs(reference):
        return _trip(state, Breaker.PRICE_SPIKE, f"mid {mid_tick_x2 / 2} ticks, reference {reference / 2}")
    if event_ns - state.reference_ns >= limits.reference_interval_ns:
        state = state._replace(reference_tick_x2=mid_tick_x2, reference_ns=event_ns)
    return state, None


def note_reject(state: BreakerState, limits: BreakerLimits, event_ns: int) -> tuple[BreakerState, Tripped | None]:
    """Count a refusal by the venue."""
    since = event_ns - limits.reject_window_ns
    rejects = (*(at for at in state.rejects_ns if at > since), event_ns)[-limits.max_rejects :]
    state = state._replace(rejects_ns=rejects)
    if len(rejects) < limits.max_rejects:
        return state, None
    return _trip(state, Breaker.REJECT_STORM, f"{len(rejects)} rejects within {limits.reject_window_ns} ns")


def note_latency(state: BreakerState, limits: BreakerLimits, latency_ns: int) -> tuple[BreakerState, Tripped | None]:
    """Count an acknowledgement that took too long; a quick one begins anew."""
    state = state._replace(slow=state.slow + 1 if latency_ns > limits.max_latency_ns else 0)
    if state.slow < limits.max_slow:
        return state, None
    return _trip(state, Breaker.LATENCY, f"{state.slow} acknowledgements in a row took over {limits.max_latency_ns} ns")


def note_silence(state: BreakerState, limits: BreakerLimits, silent_ns: int) -> tuple[BreakerState, Tripped | None]:
    """Judge how long no book has come."""
    if silent_ns <= limits.max_silence_ns:
        return state, None
    return _trip(state, Breaker.DISCONNECT, f"no book for {silent_ns} ns")


def note_execution(state: BreakerState, side: int, max_repeats: int) -> tuple[BreakerState, Tripped | None]:
    """Count an executed order; the run ends with one on the other side, but not once the throttle has closed."""
    closed = state.opened & Breaker.REPEATS
    run = state.run + 1 if closed or side == state.run_side else 1
    state = state._replace(run_side=side, run=run)
    if run < max_repeats:
        return state, None
    return _trip(state, Breaker.REPEATS, f"{run} executed orders in a row")


def reset(state: BreakerState) -> BreakerState:
    """Return breakers as a person leaves them at a resume: closed, and with nothing remembered."""
    return BreakerState()
