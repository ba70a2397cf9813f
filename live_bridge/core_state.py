"""The core's configuration, its state, and the working copy of one step.

`CoreState` is never changed; a step makes a `Turn` from it, works there, and freezes it into the next state.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np

from kernels.features.market import History
from kernels.risk.spec import RiskLimits
from kernels.risk.states import (
    TRADING,
    BreakerLimits,
    BreakerState,
    KillEvent,
    KillState,
    Standing,
    TradingEvent,
    Tripped,
    advance_kill,
)
from kernels.risk.states import advance as advance_standing
from live_bridge.accounts import Account, equity_e8, tick_value_e8
from live_bridge.control_state import ControlState
from live_bridge.controls import ControlsConfig, as_dict, controls_from_dict
from live_bridge.orders import LIVE, UNDER_WAY, Order, OrderEvent, advance
from live_bridge.persistent import PersistentMap
from live_bridge.types import (
    Alert,
    BookEvent,
    Output,
    Phase,
    SessionStart,
    StateChange,
    TradingState,
)
from market_models.instrument import Instrument

DEFAULT_LIMITS = RiskLimits()
DEFAULT_BREAKERS = BreakerLimits()
NO_CONTROLS = ControlsConfig()
SCOPES = ("strategy", "venue", "firm")
MAX_CAPITAL_E8 = 2**60


@dataclass(frozen=True)
class CoreConfig:
    """Everything that decides what the core does, beside the policy. ValueError at construction names the field."""

    instrument: Instrument
    limits: RiskLimits = DEFAULT_LIMITS
    venue_limits: RiskLimits | None = None  # None: the limits above; an instrument's own are always those above
    firm_limits: RiskLimits | None = None
    breakers: BreakerLimits = DEFAULT_BREAKERS
    controls: ControlsConfig = NO_CONTROLS  # of positions and portfolio; all off
    capital_e8: int = 10_000_000 * 10**8  # equity without profit and loss, 1e-8 quote units
    quote_lots: int = 100
    inventory_cap_lots: int = 500
    disagreement_limit: float = 1.0  # above it a decision is refused
    max_refusals: int = 50  # in a row; then the position is flattened and the session halts
    episode_steps: int = 256  # decisions of a training episode
    session_steps: int = 0  # decisions of this session, 0 where its end is not known
    depth_levels: int = 6  # L of every book event
    rate_window_ns: int = 1_000_000_000  # of limits.max_messages, event time
    flatten_beyond_tick: int = 50  # how far beyond the touch a flattening order may trade
    expires_ns: int = 2**62  # UTC; the artifact's last moment
    event_epoch_ns: int = 0  # UTC of event time 0: midnight of the recorded day, 0 for live
    extra: dict[str, str] = field(default_factory=dict)  # noted in the journal, of no effect

    def __post_init__(self) -> None:
        for name in ("quote_lots", "inventory_cap_lots", "max_refusals", "episode_steps", "rate_window_ns"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is below 1")
        for name in ("session_steps", "flatten_beyond_tick"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)} is below 0")
        if not 0.0 <= self.disagreement_limit <= 1.0:
            raise ValueError(f"disagreement_limit {self.disagreement_limit} is outside 0..1")
        if self.depth_levels < 5:
            raise ValueError(f"depth_levels {self.depth_levels} is below 5, which features need")
        if not 0 < self.capital_e8 <= MAX_CAPITAL_E8:
            raise ValueError(f"capital_e8 {self.capital_e8} is outside 1..{MAX_CAPITAL_E8}")
        self.breakers.checked()
        self.controls.checked()
        for limits in self.limits_by_scope():
            check_limits(limits, self.instrument)

    def limits_by_scope(self) -> tuple[RiskLimits, ...]:
        """Return the limits with which a session begins, in the order of SCOPES."""
        return (self.limits, self.venue_limits or self.limits, self.firm_limits or self.limits)

    def to_json(self) -> str:
        """Return canonical JSON: the same configuration gives the same text."""
        named = {name: value._asdict() for name in _NAMED if (value := getattr(self, name)) is not None}
        fields = asdict(self) | named | {"controls": as_dict(self.controls)}
        if self.controls == NO_CONTROLS:
            del fields["controls"]  # the text of a session without them, as before there were any
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "CoreConfig":
        """Return the configuration of `to_json`."""
        fields = json.loads(text)
        fields["instrument"] = Instrument(**fields["instrument"])
        for name, kind in _NAMED.items():
            if fields.get(name) is not None:
                fields[name] = kind(**fields[name])
        if "controls" in fields:
            fields["controls"] = controls_from_dict(fields["controls"])
        return cls(**fields)


_NAMED = {"limits": RiskLimits, "venue_limits": RiskLimits, "firm_limits": RiskLimits, "breakers": BreakerLimits}


def check_limits(limits: RiskLimits, instrument: Instrument) -> RiskLimits:
    """Return the limits; ValueError if one is no limit, or their tick value is not the instrument's."""
    if limits.checked().tick_value_e8 != tick_value_e8(instrument):
        raise ValueError(
            f"limits.tick_value_e8 {limits.tick_value_e8} is not the instrument's {tick_value_e8(instrument)}"
        )
    return limits


class CoreState(NamedTuple):
    """Everything the core knows."""

    session: SessionStart | None = None
    trading: TradingState = TradingState.HALTED
    phase: Phase = Phase.STARTING
    flatten_wanted: bool = False
    standing: Standing = Standing.ACTIVE  # why we may trade as we may, over restarts too
    kill: KillState = KillState.IDLE
    breakers: BreakerState = BreakerState()
    controls: ControlState = ControlState()
    limits: tuple[RiskLimits, ...] = ()  # of SCOPES, as they are now; empty before the first session
    account: Account = Account()
    orders: PersistentMap[str, Order] = PersistentMap()
    live: tuple[str, ...] = ()  # client order ids of orders that may still fill, oldest first
    trades: PersistentMap[str, bool] = PersistentMap()
    recent_ns: tuple[int, ...] = ()  # event times of new orders within the rate window
    next_intent: int = 1
    decisions: int = 0
    refusals: int = 0
    consecutive_refusals: int = 0
    now_ns: int = 0
    book: BookEvent | None = None
    history: History | None = None
    advice_book: BookEvent | None = None  # of an outside feed, which has a memory of its own
    advice_history: History | None = None

    @property
    def latched(self) -> bool:
        """Whether nothing but a person's resume lets anything leave again."""
        return self.standing == Standing.HALTED

    def live_orders(self) -> list[Order]:
        """Return the orders that may still fill, oldest first."""
        return [order for order in map(self.orders.get, self.live) if order is not None]

    def mark_tick_x2(self) -> int:
        """Return twice the mid of the last book, without our own orders; 0 before the first."""
        return int(self.history.mid_half_tick) if self.history is not None else 0

    def equity_e8(self, value_e8: int) -> int:
        """Return cash - fees + position at the mark."""
        return equity_e8(self.account, self.mark_tick_x2(), value_e8)


class Turn:
    """The working copy of one step: attributes of CoreState, and the outputs so far."""

    def __init__(self, state: CoreState) -> None:
        self.session = state.session
        self.trading, self.phase = state.trading, state.phase
        self.flatten_wanted = state.flatten_wanted
        self.standing, self.kill = state.standing, state.kill
        self.breakers, self.controls, self.limits = state.breakers, state.controls, state.limits
        self.account, self.orders, self.live, self.trades = state.account, state.orders, state.live, state.trades
        self.recent_ns, self.next_intent = state.recent_ns, state.next_intent
        self.decisions, self.refusals = state.decisions, state.refusals
        self.consecutive_refusals, self.now_ns = state.consecutive_refusals, state.now_ns
        self.book, self.history = state.book, state.history
        self.advice_book, self.advice_history = state.advice_book, state.advice_history
        self.outputs: list[Output] = []

    def freeze(self) -> CoreState:
        """Return the state after the step."""
        return CoreState(*(getattr(self, name) for name in CoreState._fields))

    def live_orders(self) -> list[Order]:
        """Return the orders that may still fill, oldest first."""
        return [order for order in map(self.orders.get, self.live) if order is not None]

    def put(self, order: Order) -> None:
        """Write an order back and keep the list of live ones."""
        self.orders = self.orders.set(order.client_order_id, order)
        alive, listed = order.state in LIVE, order.client_order_id in self.live
        if alive and not listed:
            self.live = (*self.live, order.client_order_id)
        elif listed and not alive:
            self.live = tuple(name for name in self.live if name != order.client_order_id)

    def transition(self, order: Order, event: OrderEvent, reason: str = "") -> bool:
        """Apply an event to an order; an alert if the table does not allow it."""
        after = advance(order, event, reason)
        if after is None:
            self.alert("REFUSED_TRANSITION", f"{order.client_order_id}: {event.name} in {order.state.name}")
            return False
        self.put(after)
        return True

    def alert(self, code: str, detail: str) -> None:
        """Say something that a person must see."""
        self.outputs.append(Alert(code, detail, self.now_ns))

    def change(self, trading: TradingState, phase: Phase, reason: str) -> None:
        """Move to another trading state or phase; nothing if both stay."""
        if (trading, phase) == (self.trading, self.phase):
            return
        self.outputs.append(StateChange(self.trading, trading, self.phase, phase, reason, self.now_ns))
        self.trading, self.phase = trading, phase

    def stand(self, event: TradingEvent, phase: Phase, reason: str, by_person: bool = False) -> bool:
        """Move the standing by its table, the trading state with it, and the phase; False where it is not allowed.

        A session that stops stays halted whatever its standing is.
        """
        after = advance_standing(self.standing, event, by_person)
        if after is None:
            return False
        self.standing = after
        self.change(self.allowed(phase), phase, reason)
        return True

    def allowed(self, phase: Phase) -> TradingState:
        """Return the trading state of this standing in a phase."""
        stopping = phase in (Phase.STOPPING, Phase.STOPPED)
        return TradingState.HALTED if stopping else TradingState(TRADING[self.standing])

    def hear_kill(self, event: KillEvent) -> bool:
        """Move the kill switch; whether it stands elsewhere now."""
        before, self.kill = self.kill, advance_kill(self.kill, event)
        return self.kill != before

    def take_breakers(self, judged: tuple[BreakerState, Tripped | None]) -> Tripped | None:
        """Keep what breakers remember; return the one that opened."""
        self.breakers, tripped = judged
        return tripped

    def under_way(self) -> np.ndarray:
        """Return int32[2]: 1 where a message of ours about that side has no answer yet."""
        sides = np.zeros(2, np.int32)
        for order in self.live_orders():
            if order.state in UNDER_WAY:
                sides[order.side] = 1
        return sides
