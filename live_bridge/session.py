"""The session: one thread that takes events, steps the core, journals, and only then sends.

    inbox and venue -> core.step -> journal (commit, sync by policy) -> venue -> bus

An intent is durable before it leaves. Where the journal cannot be written, nothing new leaves, every order is
cancelled at the venue, and the session fails. At a start over an existing journal the state is replayed, orders of
unknown outcome are resolved with the venue, and only then does trading go on.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter_ns, time_ns

from kernels.risk.states import KILL_OPEN
from live_bridge.bus import Bus
from live_bridge.core import Core
from live_bridge.core_state import CoreConfig, CoreState
from live_bridge.failpoints import reach
from live_bridge.guarding import SESSION_ACTOR
from live_bridge.inbox import Inbox, Letter
from live_bridge.journal import Journal, JournalWriteError
from live_bridge.latency_stats import LatencyStats
from live_bridge.policy import Policy
from live_bridge.records import encode
from live_bridge.recovery import recover, save_snapshot, usable_snapshot
from live_bridge.resolving import Resolver, cancel_at_venue
from live_bridge.session_api import SessionApi, SessionConfig
from live_bridge.types import (
    Alert,
    BookEvent,
    CancelIntent,
    CancelRequest,
    Command,
    CommandResult,
    Control,
    Decision,
    Envelope,
    Event,
    NewIntent,
    OrderRequest,
    Output,
    Phase,
    RiskRefusal,
    SessionStart,
    SessionStop,
)
from live_bridge.venues.base import Venue

JOURNAL_DIRECTORY = "journal"


class SessionFailedError(RuntimeError):
    """The session ended and could not do what it must; the message says what a person has to look at."""


class Session(SessionApi):
    """A running session; servers see it as `SessionControl`. `start`, `run` and `close` belong to one thread."""

    def __init__(
        self,
        config: SessionConfig,
        core_config: CoreConfig,
        policy: Policy,
        venue: Venue,
        directory: Path,
        clock: Callable[[], int] = time_ns,
    ) -> None:
        """Open the journal under `directory`; the venue belongs to the session from here on.

        Raises JournalDamagedError, ReplayDivergedError or OtherSessionError where the journal cannot be continued.
        """
        self.config, self.venue, self._clock = config, venue, clock
        self.stats = LatencyStats()
        self.core = Core(core_config, policy, self.stats.mark)
        self.journal_directory = directory / JOURNAL_DIRECTORY
        snapshot = usable_snapshot(self.journal_directory)
        self._journal = Journal(
            self.journal_directory,
            fsync=config.fsync,
            segment_bytes=config.segment_bytes,
            trusted_sequence=snapshot.sequence if snapshot else 0,
        )
        try:
            self._start = recover(self.journal_directory, self.core, snapshot)
            self._state: CoreState = self._start.state
            self._bus = Bus(self.journal_directory, self._journal.next_sequence, config.subscriber_capacity)
        except BaseException:
            self._journal.close()
            raise
        self._inbox = Inbox(config.inbox_capacity)
        self._snapshot_at = self._journal.next_sequence + config.snapshot_records
        self._stop_reason = ""
        self._halted_rounds = 0  # market events since the session was halted for good
        self.resolver = Resolver(self, venue, self._start.cut_off)
        self.failed = ""

    # The single writer.

    def start(self) -> None:
        """Open the session: journal its start, resolve what is unknown, reconcile with the venue."""
        before = self._state.session
        epoch = before.epoch + 1 if before else 1
        self.dispatch(
            SessionStart(
                instance=self.config.instance,
                epoch=epoch,
                recovered=before is not None,
                run_id=self.config.run_id,
                source=self.config.source,
                strategy=self.config.strategy,
                venues=(self.venue.name,),
                instruments=(self.core.config.instrument.name,),
                config_json=self.core.config.to_json(),
                artifact_digest=self.core.policy.digest,
                recv_ns=self._clock(),
            )
        )
        if before is not None:
            self.resolver.resolve_all()
            self.resolver.reconcile()

    def run(self, pace: Callable[[int], float] | None = None, closing: Callable[[], bool] | None = None) -> None:
        """Go on until a stop is asked for or the market ends; then drain, confirm zero open, and close the record.

        `pace(event_ns)` says how many seconds to wait before an event; without it the session runs as fast as it can.
        Once `closing()` is true, the position is flattened. Raises SessionFailedError where the record or the venue
        could not be left in order; whatever fails, every order is taken off the venue first.
        """
        try:
            self._run(pace, closing)
        except SessionFailedError:
            raise
        except Exception as error:
            left = cancel_at_venue(self.venue, self.config.stop_rounds)
            self.failed = f"{type(error).__name__}: {error}; {left} orders are left open at {self.venue.name}"
            raise SessionFailedError(self.failed) from error

    def _run(self, pace: Callable[[int], float] | None, closing: Callable[[], bool] | None) -> None:
        while not self._stopping():
            self._serve_inbox()
            if self._stopping():
                break
            events = self.venue.poll()
            if not events and self.venue.ended:
                break
            self._wait(events, pace)
            for event in events:
                self.dispatch(event)
            self.resolver.probe()
            self._confirm_halt()
            if closing is not None and self._state.phase == Phase.RUNNING and not self._state.latched and closing():
                self._command(Command.FLATTEN, "closing time")
        self._drain()

    def _confirm_halt(self) -> None:
        """After a kill or a flattening: ask the venue once that nothing is open, at the latest after `stop_rounds`."""
        if not self._state.latched:
            self._halted_rounds = 0
            return
        if self._halted_rounds > self.config.stop_rounds:
            return
        self._halted_rounds += 1
        if not self._state.live or self._halted_rounds == self.config.stop_rounds:
            self._halted_rounds = self.config.stop_rounds + 1
            self.resolver.reconcile()

    def _command(self, command: Command, reason: str) -> None:
        self.dispatch(Control(command, SESSION_ACTOR, reason, self.venue.now_ns(), self._clock()))

    def _stopping(self) -> bool:
        return bool(self._stop_reason) or self._state.phase == Phase.STOPPING

    def _wait(self, events: list[Event], pace: Callable[[int], float] | None) -> None:
        if pace is None or not events:
            return
        at_ns = events[-1].event_ns  # type: ignore[union-attr]
        while not self._stopping() and (left_s := pace(at_ns)) > 0:
            self._inbox.wait(min(left_s, 0.2))
            self._serve_inbox()

    def _serve_inbox(self) -> None:
        while (letter := self._inbox.take()) is not None:
            request = letter.request
            if isinstance(request, Control) and request.command == Command.RESUME and self._state.kill in KILL_OPEN:
                self.resolver.reconcile()  # who re-enables hears what the venue says now
            now, received = self.venue.now_ns(), self._clock()
            if isinstance(request, BookEvent):
                event: Event = replace(request, recv_ns=received, advice=True)
            else:
                event = replace(request, event_ns=now, recv_ns=received)
            sequence = self._journal.next_sequence
            try:
                outputs = self.dispatch(event)
            except BaseException as error:
                letter.future.set_exception(RuntimeError(f"the session failed on this request: {error}"))
                raise
            answer(letter, outputs, sequence)

    def dispatch(self, event: Event) -> list[Output]:
        """Take one event through core, journal, venue and bus, then what the venue answers at once.

        Returns the core's outputs to `event` itself.
        """
        began = perf_counter_ns()
        self.stats.begin()
        state, outputs = self.core.step(self._state, event)
        stepped = perf_counter_ns()
        first = self._journal.next_sequence
        intents = [output for output in outputs if isinstance(output, NewIntent | CancelIntent)]
        try:
            for body in (event, *outputs):
                self._journal.append(encode(body))
            self._journal.commit(bool(intents))
        except JournalWriteError as error:
            self._fail_closed(error)
        self._state = state
        written = perf_counter_ns()
        reach("session.after_sync_before_send")
        followed: list[Event] = []
        for intent in intents:
            followed += self._send(intent)
        done = perf_counter_ns()
        self._bus.publish([Envelope(first + place, body) for place, body in enumerate((event, *outputs))])
        self.stats.add("core", stepped - began)
        self.stats.add("journal", written - stepped)
        if any(isinstance(output, Decision) for output in outputs):
            self.stats.add("decision", done - began)
        self._snapshot_if_due()
        for answered in followed:
            self.dispatch(answered)
        return outputs

    def _send(self, intent: NewIntent | CancelIntent) -> list[Event]:
        began = perf_counter_ns()
        try:
            known = self.venue.submit(intent) if isinstance(intent, NewIntent) else self.venue.cancel(intent)
        except OSError as error:
            known = self.resolver.lost(intent.client_order_id, str(error))
        self.stats.add("send", perf_counter_ns() - began)
        reach("session.after_send_before_ack")
        return known

    def _snapshot_if_due(self) -> None:
        if not self.config.snapshot_records or self._journal.next_sequence < self._snapshot_at:
            return
        if self._state.phase != Phase.RUNNING or self.resolver.unknown():
            return
        save_snapshot(self.journal_directory, self._state, self._journal.next_sequence - 1, self._journal.digest)
        self._snapshot_at = self._journal.next_sequence + self.config.snapshot_records

    def _fail_closed(self, error: JournalWriteError) -> None:
        """Without a record nothing new may leave: take every order off the venue and give up."""
        left = cancel_at_venue(self.venue, self.config.stop_rounds)
        self.failed = f"the journal cannot be written ({error}); {left} orders are left open at {self.venue.name}"
        raise SessionFailedError(self.failed) from error

    def _drain(self) -> None:
        """Cancel everything, let the cancels arrive, confirm zero open with the venue, close the record."""
        reason = self._stop_reason or "the market ended"
        if self._state.phase != Phase.STOPPING:
            self._command(Command.STOP, reason)
        for _ in range(self.config.stop_rounds):
            if not self._state.live and not self.venue.open_orders():
                break
            self._serve_inbox()
            for event in self.venue.drain() if self.venue.ended else self.venue.poll():
                self.dispatch(event)
            self.resolver.probe()
        open_orders = self.resolver.reconcile()
        self.dispatch(SessionStop(reason, open_orders, self.venue.now_ns(), self._clock()))
        if open_orders or self._state.live:
            self.failed = (
                f"{open_orders} orders are open at {self.venue.name} and {len(self._state.live)} of ours have no known "
                f"end after {self.config.stop_rounds} market events: cancel them by hand"
            )
            raise SessionFailedError(self.failed)

    def close(self) -> None:
        """End the bus, close journal and venue."""
        self._inbox.close()
        for duration_ns in self._journal.sync_ns:
            self.stats.add("fsync", duration_ns)
        self._journal.close()
        self._bus.end()
        self.venue.close()

    @property
    def journal_records(self) -> int:
        """Records in the journal so far."""
        return self._journal.next_sequence - 1

    def receive_ns(self) -> int:
        """Return the bridge's own clock."""
        return self._clock()


_REFUSING_ALERTS = ("CONTROL_REFUSED", "CANCEL_REFUSED", "UNKNOWN_ORDER", "LIMITS_REFUSED", "HOLDING_UNKNOWN")


def answer(letter: Letter, outputs: list[Output], sequence: int) -> None:
    """Resolve a letter's future from what the core made of it; `sequence` is that of the request's record."""
    if letter.future.cancelled() or not letter.future.set_running_or_notify_cancel():
        return
    request = letter.request
    if isinstance(request, BookEvent):
        letter.future.set_result(outputs[-1])  # the core answers advice with exactly one output
        return
    name = request.client_order_id if isinstance(request, CancelRequest) else ""
    result = CommandResult(True, sequence, name, "")
    for output in outputs:
        if isinstance(output, RiskRefusal) and isinstance(request, OrderRequest):
            result = CommandResult(False, sequence, "", output.reason.name)
        elif isinstance(output, Alert) and output.code in _REFUSING_ALERTS:
            result = CommandResult(False, sequence, name, output.code)
        elif isinstance(output, NewIntent) and isinstance(request, OrderRequest):
            result = CommandResult(True, sequence, output.client_order_id, "")
    letter.future.set_result(result)
