"""The pure core: `step(state, event) -> (state, outputs)`.

No clock, no input or output, no randomness: the same configuration, policy and events give the same outputs bit for
bit, which is what makes a journal a proof. Time is event time. The session journals the event and the outputs, and only
then sends what the outputs ask for; so an order is INTENT until the next event and SENT from then on.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.risk.spec import RiskReason
from kernels.risk.states import KillEvent, TradingEvent
from live_bridge import gating, guarding, order_events, portfolio_control, position_control
from live_bridge.core_state import CoreConfig, CoreState, Turn
from live_bridge.orders import OrderEvent
from live_bridge.policy import Policy
from live_bridge.quoting import Planned, Refused, check_book, decide, next_history
from live_bridge.types import (
    BookEvent,
    CancelAck,
    CancelReject,
    CancelRequest,
    Command,
    Control,
    Event,
    Fill,
    HoldingMark,
    LimitsChange,
    OrderAck,
    OrderKind,
    OrderReject,
    OrderRequest,
    Origin,
    OutcomeUnknown,
    Output,
    Phase,
    Reconciled,
    Refusal,
    RefusalReason,
    Resolution,
    RiskRefusal,
    SessionStart,
    SessionStop,
    Timer,
    TradingState,
)


def _no_mark(_stage: str) -> None:
    return None


class Core:
    """Configuration and policy around the pure step. `mark` is told the stages of a step; it cannot influence them."""

    def __init__(self, config: CoreConfig, policy: Policy, mark: Callable[[str], None] = _no_mark) -> None:
        self.config, self.policy, self.mark = config, policy, mark
        self._gate = gating.Gate(config)
        self._handlers: dict[type, Callable[[Turn, Any], None]] = {
            SessionStart: self._session_start,
            SessionStop: self._session_stop,
            BookEvent: self._book,
            OrderAck: self._order_ack,
            OrderReject: self._order_reject,
            CancelAck: order_events.cancel_ack,
            CancelReject: order_events.cancel_reject,
            Fill: self._fill,
            OutcomeUnknown: order_events.outcome_unknown,
            Resolution: order_events.resolution,
            Reconciled: self._reconciled,
            Timer: self._timer,
            Control: self._control,
            LimitsChange: self._limits_change,
            OrderRequest: self._order_request,
            CancelRequest: self._cancel_request,
            HoldingMark: self._holding,
        }

    def step(self, state: CoreState, event: Event) -> tuple[CoreState, list[Output]]:
        """Return the next state and what leaves the core, in order. TypeError for what is no event."""
        handler = self._handlers.get(type(event))
        if handler is None:
            raise TypeError(f"{type(event).__name__} is not an event of the core")
        turn = Turn(state)
        if not isinstance(event, SessionStart):
            if not (isinstance(event, BookEvent) and event.advice):  # an outside clock must not move ours
                turn.now_ns = max(turn.now_ns, getattr(event, "now_ns", event.event_ns))
            order_events.mark_sent(turn)
        handler(turn, event)
        return turn.freeze(), turn.outputs

    # Session.

    def _session_start(self, turn: Turn, event: SessionStart) -> None:
        turn.session, turn.next_intent = event, 1
        for order in turn.live_orders():
            turn.transition(order, OrderEvent.LOSE)
        turn.limits = turn.limits or self.config.limits_by_scope()
        phase = Phase.RECOVERING if event.recovered else Phase.RUNNING
        turn.change(turn.allowed(phase), phase, "start")

    def _session_stop(self, turn: Turn, event: SessionStop) -> None:
        turn.change(turn.trading, Phase.STOPPED, event.reason)

    def _timer(self, turn: Turn, event: Timer) -> None:
        portfolio_control.observe(self.config, turn, fresh=False)
        position_control.watch(self.config, turn, fresh=False)
        book = turn.book
        if book is None or turn.phase != Phase.RUNNING or turn.trading == TradingState.HALTED:
            return
        age_ns = turn.now_ns - book.event_ns
        guarding.silence(self.config, turn, age_ns)
        if age_ns > turn.limits[0].max_age_ns:
            self._refuse(turn, book.instrument, Refused(RefusalReason.STALE_BOOK, f"book is {age_ns} ns old"))

    def _control(self, turn: Turn, event: Control) -> None:
        why = f"{event.command.name} by {event.actor}: {event.reason}"
        match event.command:
            case Command.KILL:
                turn.flatten_wanted = False
                turn.hear_kill(KillEvent.KILL)
                turn.stand(TradingEvent.KILL, Phase.RUNNING if turn.phase == Phase.FLATTENING else turn.phase, why)
                gating.cancel_all(turn, Origin.KILL)
            case Command.FLATTEN:
                # Who flattens has seen the price: the reference must not keep the position from being closed.
                turn.breakers = turn.breakers._replace(reference_ns=-1)
                self._start_flatten(turn, why)
            case Command.STOP:
                turn.flatten_wanted = False
                turn.change(TradingState.HALTED, Phase.STOPPING, why)
                gating.cancel_all(turn, Origin.STOP)
            case Command.REDUCE_ONLY | Command.RESUME:
                guarding.person_decides(self.config, turn, event, why)

    def _limits_change(self, turn: Turn, event: LimitsChange) -> None:
        guarding.change_limits(self.config, turn, event)

    def _start_flatten(self, turn: Turn, why: str) -> None:
        if turn.phase in (Phase.STOPPING, Phase.STOPPED):
            turn.alert("CONTROL_REFUSED", f"{why}: not in phase {turn.phase.name}")
            return
        turn.flatten_wanted = True
        phase = Phase.RECOVERING if turn.phase == Phase.RECOVERING else Phase.FLATTENING
        turn.stand(TradingEvent.FLATTEN, phase, why)
        gating.cancel_all(turn, Origin.FLATTEN)

    def _reconciled(self, turn: Turn, event: Reconciled) -> None:
        ours = (turn.account.position_lots, len(turn.live))
        theirs = (event.position_lots, event.open_orders)
        equal = event.equal and ours == theirs
        if not equal:
            turn.alert("NOT_RECONCILED", f"position and open orders: ours {ours}, the venue's {theirs}")
        phase = turn.phase
        if phase == Phase.RECOVERING:
            phase = Phase.FLATTENING if turn.flatten_wanted else Phase.RUNNING
        if equal:
            turn.change(turn.trading, phase, "reconciled")
        else:
            turn.stand(TradingEvent.DIFFER, phase, "differs from the venue")
        guarding.reconciled(turn, event, equal)

    # Market.

    def _book(self, turn: Turn, event: BookEvent) -> None:
        max_age_ns = (turn.limits or self.config.limits_by_scope())[0].max_age_ns
        refused = check_book(self.config, event, max_age_ns)
        if event.advice:
            self._advise(turn, event, refused)
            return
        if refused is None:
            turn.history = next_history(turn.history, turn.book, event)
            guarding.book(self.config, turn, int(turn.history.mid_half_tick), event.event_ns)
        turn.book = event
        portfolio_control.observe(self.config, turn, fresh=refused is None)
        position_control.watch(self.config, turn, fresh=refused is None)
        if turn.phase == Phase.FLATTENING:
            _say_refused(turn, event.instrument, Refused(RefusalReason.NOT_ACTIVE, turn.phase.name))
            self._flatten(turn, refused)
        elif turn.phase != Phase.RUNNING or turn.trading == TradingState.HALTED:
            if turn.phase != Phase.RECOVERING:
                gating.cancel_all(turn, Origin.STOP if turn.phase == Phase.STOPPING else Origin.KILL)
            _say_refused(turn, event.instrument, Refused(RefusalReason.NOT_ACTIVE, turn.phase.name))
        elif refused is not None:
            self._refuse(turn, event.instrument, refused)
        elif stop := position_control.closing(turn):
            _say_refused(turn, event.instrument, Refused(RefusalReason.NOT_ACTIVE, f"stop {stop.name} closes"))
            position_control.close(self.config, turn, self._gate, event)
        else:
            self._quote(turn, event)

    def _advise(self, turn: Turn, book: BookEvent, refused: Refused | None) -> None:
        """Answer an outside feed: the same checks and the same policy, with no effect on our orders and limits."""
        answer: Planned | Refused | None = refused
        if refused is None:
            turn.advice_history = next_history(turn.advice_history, turn.advice_book, book)
            turn.advice_book = book
            if turn.phase != Phase.RUNNING or turn.trading == TradingState.HALTED:
                answer = Refused(RefusalReason.NOT_ACTIVE, f"{turn.phase.name}, {turn.trading.name}")
            else:
                answer = decide(self.config, self.policy, turn, book, turn.advice_history, self.mark)
        if isinstance(answer, Planned):
            turn.outputs.append(answer.decision)
        elif answer is not None:
            turn.outputs.append(Refusal(book.instrument, book.event_ns, answer.reason, 0, answer.detail, advice=True))

    def _quote(self, turn: Turn, book: BookEvent) -> None:
        assert turn.history is not None, "a checked book has a history"
        answer = decide(self.config, self.policy, turn, book, turn.history, self.mark)
        if isinstance(answer, Refused):
            self._refuse(turn, book.instrument, answer)
            return
        turn.decisions += 1
        turn.consecutive_refusals = 0
        turn.outputs.append(answer.decision)
        self._place(turn, book, answer)
        self.mark("risk")

    def _place(self, turn: Turn, book: BookEvent, planned: Planned) -> None:
        plan = planned.plan
        for side in np.flatnonzero(plan.cancel).tolist():
            for order in turn.live_orders():
                if order.side == side and order.origin == Origin.POLICY:
                    gating.cancel(turn, order, Origin.POLICY, "")
        wanted = [
            gating.Wanted(
                instrument=book.instrument,
                side=side,
                price_tick=int(plan.price_tick[side]),
                lots=int(plan.lots[side]),
                kind=OrderKind.POST_ONLY,
                reduce_only=False,
                origin=Origin.POLICY,
            )
            for side in np.flatnonzero(plan.place).tolist()
        ]
        self._gate.send_new(turn, wanted)

    def _refuse(self, turn: Turn, instrument: int, refused: Refused) -> None:
        """Say why, pull our quotes, and after too many in a row flatten and stop."""
        turn.refusals += 1
        turn.consecutive_refusals += 1
        _say_refused(turn, instrument, refused)
        if turn.consecutive_refusals >= self.config.max_refusals:
            guarding.model_refused(turn)
            self._start_flatten(turn, f"{turn.consecutive_refusals} refusals in a row, last {refused.reason.name}")
            return
        gating.cancel_all(turn, Origin.POLICY)

    def _flatten(self, turn: Turn, refused: Refused | None) -> None:
        """Cancel everything, then trade the position to zero with reduce-only IOC orders, then halt."""
        if turn.live:
            gating.cancel_all(turn, Origin.FLATTEN)
        elif turn.account.position_lots == 0:
            turn.flatten_wanted = False
            turn.stand(TradingEvent.FLAT, Phase.RUNNING, "flat")
        elif refused is None and turn.book is not None:
            self._gate.send_new(turn, [gating.flattening(self.config, turn, turn.book)])

    # Orders.

    def _order_ack(self, turn: Turn, event: OrderAck) -> None:
        before = turn.orders.get(event.client_order_id)
        order_events.order_ack(turn, event)
        guarding.acknowledged(self.config, turn, before, event)

    def _order_reject(self, turn: Turn, event: OrderReject) -> None:
        order_events.order_reject(turn, event)
        guarding.reject(self.config, turn, event)

    def _fill(self, turn: Turn, event: Fill) -> None:
        before, held_lots = turn.orders.get(event.client_order_id), turn.account.position_lots
        order_events.fill(turn, event, self.config.limits.tick_value_e8)
        position_control.moved(self.config, turn, held_lots, event.price_tick)
        guarding.executed(turn, before)

    def _order_request(self, turn: Turn, event: OrderRequest) -> None:
        if event.instrument != 0:
            turn.outputs.append(
                RiskRefusal(
                    instrument=event.instrument,
                    reason=RiskReason.NOT_TRADABLE,
                    side=event.side,
                    price_tick=event.price_tick,
                    lots=event.lots,
                    origin=Origin.EXTERNAL,
                    request_id=event.request_id,
                    event_ns=turn.now_ns,
                )
            )
            return
        wanted = gating.Wanted(
            instrument=event.instrument,
            side=event.side,
            price_tick=event.price_tick,
            lots=event.lots,
            kind=event.kind,
            reduce_only=event.reduce_only,
            origin=Origin.EXTERNAL,
            request_id=event.request_id,
        )
        self._gate.send_new(turn, [wanted])

    def _holding(self, turn: Turn, event: HoldingMark) -> None:
        portfolio_control.holding(self.config, turn, event)

    def _cancel_request(self, turn: Turn, event: CancelRequest) -> None:
        order = order_events.find(turn, event.client_order_id, "CancelRequest")
        if order is not None and not gating.cancel(turn, order, Origin.EXTERNAL, event.request_id):
            turn.alert("CANCEL_REFUSED", f"{order.client_order_id} is {order.state.name}")


def _say_refused(turn: Turn, instrument: int, refused: Refused) -> None:
    turn.outputs.append(Refusal(instrument, turn.now_ns, refused.reason, turn.consecutive_refusals, refused.detail))
