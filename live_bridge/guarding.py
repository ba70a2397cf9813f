"""What guards the session beside the gate: breakers, the kill switch's confirmation, limits that a person changes.

The state machines are kernels/risk/states.py; here they meet the core's events. Each function works on the turn of one
step, says aloud what happened, and leaves nothing to a clock.
"""

import json
from typing import Any, Final

from kernels.risk import states
from kernels.risk.spec import INSTRUMENT_LIMITS, RiskLimits
from kernels.risk.states import KILL_OPEN, Breaker, KillEvent, KillState, TradingEvent, Tripped
from live_bridge import gating, portfolio_control
from live_bridge.core_state import SCOPES, CoreConfig, Turn, check_limits
from live_bridge.orders import Order
from live_bridge.types import (
    Command,
    Control,
    LimitsChange,
    OrderAck,
    OrderReject,
    OrderState,
    Origin,
    Phase,
    Reconciled,
)

# A quote that the market overtook on its way is refused by design; it says nothing about our health.
USUAL_REJECTS: Final = frozenset({"WOULD_CROSS"})
SESSION_ACTOR: Final = "session"  # commands that the session gives itself: never a person's


def is_person(actor: str) -> bool:
    """Whether a command or change comes from somebody who said who they are."""
    name = actor.strip().casefold()
    return bool(name) and name != SESSION_ACTOR


def trip(turn: Turn, tripped: Tripped | None) -> None:
    """Let only what reduces leave, pull what is open, and tell a person."""
    if tripped is None:
        return
    name = str(tripped.breaker.name)
    turn.alert(f"BREAKER_{name}", tripped.detail)
    turn.stand(TradingEvent.TRIP, turn.phase, f"breaker {name}: {tripped.detail}")
    if turn.phase == Phase.RUNNING:
        gating.cancel_all(turn, Origin.POLICY)


def book(config: CoreConfig, turn: Turn, mid_tick_x2: int, event_ns: int) -> None:
    """Hold the mid of a whole book against the reference price."""
    trip(turn, turn.take_breakers(states.note_mid(turn.breakers, config.breakers, mid_tick_x2, event_ns)))


def reject(config: CoreConfig, turn: Turn, event: OrderReject) -> None:
    """Count a refusal of the venue that is none of the usual ones."""
    if event.code not in USUAL_REJECTS:
        trip(turn, turn.take_breakers(states.note_reject(turn.breakers, config.breakers, event.event_ns)))


def acknowledged(config: CoreConfig, turn: Turn, before: Order | None, event: OrderAck) -> None:
    """Measure how long an order was under way; one whose answer was lost tells nothing."""
    if before is not None and before.state == OrderState.SENT and event.venue_order_id:
        took_ns = event.event_ns - before.event_ns
        trip(turn, turn.take_breakers(states.note_latency(turn.breakers, config.breakers, took_ns)))


def silence(config: CoreConfig, turn: Turn, silent_ns: int) -> None:
    """Judge how long no book has come."""
    trip(turn, turn.take_breakers(states.note_silence(turn.breakers, config.breakers, silent_ns)))


def executed(turn: Turn, before: Order | None) -> None:
    """Count an order of ours at its first fill for the repeated-execution throttle."""
    if before is None or before.filled_lots > 0:
        return
    after = turn.orders.get(before.client_order_id)
    if after is not None and after.filled_lots > 0:
        limit = min(limits.max_repeats for limits in turn.limits)
        trip(turn, turn.take_breakers(states.note_execution(turn.breakers, before.side, limit)))


def model_refused(turn: Turn) -> None:
    """Note that the policy was stopped for refusing too often."""
    turn.breakers = turn.breakers._replace(opened=turn.breakers.opened | Breaker.MODEL_REFUSAL)


def person_decides(config: CoreConfig, turn: Turn, event: Control, why: str) -> None:
    """Restrict or re-enable: only for a person, only in a running session, only where the table allows it.

    After a kill nobody re-enables before the venue has confirmed that nothing is open.
    """
    resume = event.command == Command.RESUME
    by_person = is_person(event.actor)
    unconfirmed = resume and turn.kill in KILL_OPEN
    wanted = TradingEvent.RESUME if resume else TradingEvent.RESTRICT
    may = turn.phase == Phase.RUNNING and not unconfirmed
    if not (may and turn.stand(wanted, turn.phase, why, by_person)):
        said = ", the kill is not confirmed by the venue" if unconfirmed else ""
        said += "" if by_person else ", and only a person may"
        turn.alert("CONTROL_REFUSED", f"{why}: not in phase {turn.phase.name}, {turn.trading.name}{said}")
    elif resume:
        resumed(turn)
        portfolio_control.resumed(config, turn)


def resumed(turn: Turn) -> None:
    """Close every breaker, begin every count anew: a person has looked."""
    turn.hear_kill(KillEvent.RESUME)
    turn.consecutive_refusals = 0
    turn.breakers = states.reset(turn.breakers)


def reconciled(turn: Turn, event: Reconciled, equal: bool) -> None:
    """After a kill: confirm that nothing is open, or say loudly that it could not be confirmed."""
    if turn.kill == KillState.IDLE:
        return
    zero = equal and event.open_orders == 0 and not turn.live
    if turn.hear_kill(KillEvent.ZERO_OPEN if zero else KillEvent.STILL_OPEN):
        detail = f"{event.open_orders} open at the venue, {len(turn.live)} of ours without a known end"
        turn.alert("KILL_CONFIRMED" if zero else "KILL_NOT_CONFIRMED", detail)


def change_limits(config: CoreConfig, turn: Turn, event: LimitsChange) -> None:
    """Put a person's limits in force from the next order on, or refuse them whole and say why."""
    if not is_person(event.actor):
        turn.alert("LIMITS_REFUSED", f"{event.scope} by {event.actor!r}: only a person changes limits")
        return
    try:
        place = SCOPES.index(event.scope)
        before = turn.limits[place]
        changed = check_limits(changed_limits(before, event), config.instrument)
    except (ValueError, TypeError, RecursionError, IndexError) as error:
        known = event.scope in SCOPES
        detail = str(error) if known else f"scope {event.scope!r} is none of {', '.join(SCOPES)}"
        turn.alert("LIMITS_REFUSED", f"{event.scope} by {event.actor}: {detail}")
        return
    turn.limits = (*turn.limits[:place], changed, *turn.limits[place + 1 :])
    said = ", ".join(
        f"{name} {old} -> {new}"
        for (name, old), new in zip(before._asdict().items(), changed, strict=True)
        if old != new
    )
    turn.alert("LIMITS_CHANGED", f"{event.scope} by {event.actor}: {said or 'nothing'} ({event.reason})")


def changed_limits(before: RiskLimits, event: LimitsChange) -> RiskLimits:
    """Return limits with the changes in their place; ValueError where a name is no limit of that scope."""
    changes: Any = json.loads(event.changes_json)
    if not isinstance(changes, dict) or not changes:
        raise ValueError("changes_json is no object with at least one limit")
    unknown = sorted(set(changes) - set(RiskLimits._fields))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no limit; valid: {', '.join(RiskLimits._fields)}")
    instruments = sorted(set(changes) & set(INSTRUMENT_LIMITS))
    if instruments and event.scope != SCOPES[0]:
        raise ValueError(f"{instruments[0]} is the instrument's; change it with scope {SCOPES[0]}")
    return before._replace(**changes)
