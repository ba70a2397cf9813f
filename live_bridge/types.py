"""The vocabulary of the bridge: every event that enters the core and every output that leaves it.

Integers throughout: prices in ticks, sizes in lots, times in int64 UTC nanoseconds (recorded data: nanoseconds since
that day's midnight), money in int64 1e-8 quote units. `instrument` and `venue` are indexes into the tables of
`SessionStart`. Records are journalled in `protos/journal/v1`; `live_bridge/records.py` converts.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from kernels.risk.spec import RiskReason
from live_bridge.risk_types import HedgeSuggestion, HoldingMark, PortfolioRisk, SizeCut, StopTriggered

BUY: Final = 0
SELL: Final = 1


class OrderState(IntEnum):
    """States of an order; live_bridge/orders.py holds the transition table."""

    INTENT = 1  # decided, not yet durable or not yet handed to the venue
    SENT = 2
    UNKNOWN = 3  # the outcome of a send is not known; reserves the worst case
    OPEN = 4
    PARTIALLY_FILLED = 5
    PENDING_CANCEL = 6
    PENDING_REPLACE = 7
    FILLED = 8
    CANCELED = 9
    EXPIRED = 10
    REJECTED = 11


class OrderKind(IntEnum):
    """What the venue is asked to do with an order."""

    LIMIT = 1
    IOC = 2
    POST_ONLY = 3


class Origin(IntEnum):
    """Who asked for an order."""

    POLICY = 1
    EXTERNAL = 2  # gRPC Orders
    FLATTEN = 3
    KILL = 4
    STOP = 5  # cancels of a draining session
    PROTECT = 6  # a stop of the position, or a limit of the portfolio


class TradingState(IntEnum):
    """What the session may do; the values are those of kernels/risk/spec.py."""

    ACTIVE = 1
    REDUCE_ONLY = 2
    HALTED = 3


class Phase(IntEnum):
    """Where the session is in its life."""

    STARTING = 0
    RECOVERING = 1  # orders of unknown outcome are being resolved; nothing new leaves
    RUNNING = 2
    FLATTENING = 3  # cancel all, then bring the position to zero
    STOPPING = 4  # cancel all, confirm zero open
    STOPPED = 5


class Command(IntEnum):
    """Control commands."""

    KILL = 1  # cancel everything, unacknowledged orders too; HALTED until `resume`
    FLATTEN = 2  # cancel everything, trade the position to zero, then HALTED
    RESUME = 3  # ACTIVE again
    REDUCE_ONLY = 4
    STOP = 5  # drain: cancel everything, confirm zero open, end the session


class Liquidity(IntEnum):
    """Which side of a fill we were."""

    MAKER = 1
    TAKER = 2


class Outcome(IntEnum):
    """What the venue's records prove about an order whose outcome was unknown."""

    NOT_SENT = 1  # the intent never became durable, so it never left
    OPEN = 2
    FILLED = 3
    CANCELED = 4
    REJECTED = 5
    EXPIRED = 6
    UNDER_WAY = 8  # the venue has it and has not answered yet
    STILL_UNKNOWN = 7  # no evidence either way; never taken as proof of absence


class RefusalReason(IntEnum):
    """Why the core made no decision on a book event."""

    NOT_ACTIVE = 1
    STALE_BOOK = 2
    GAPPED_BOOK = 3
    CROSSED_BOOK = 4
    EMPTY_BOOK = 5  # a side without any level
    NON_FINITE = 6
    BAD_ACTION = 7
    DISAGREEMENT = 8
    EXPIRED_ARTIFACT = 9
    BAD_SHAPE = 10  # depth, summary or own rows of another shape than the configuration's


# Events: what enters the core. `recv_ns` is the bridge's own clock, for the record only; the core never reads it.


@dataclass(frozen=True, slots=True)
class SessionStart:
    """A process took over the journal; `recovered` says that it continues an earlier one."""

    instance: str
    epoch: int
    recovered: bool
    run_id: str
    source: str  # "paper" or "live"
    strategy: str
    venues: tuple[str, ...]
    instruments: tuple[str, ...]
    config_json: str  # the core's whole configuration, canonical JSON
    artifact_digest: str  # "" where the policy is built in
    recv_ns: int


@dataclass(frozen=True, slots=True)
class SessionStop:
    """The session ends; nothing follows it in this epoch."""

    reason: str
    open_orders: int  # confirmed by the venue
    event_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class BookEvent:
    """One decision point: the book of an instrument after a batch of market messages. Compared by its encoding."""

    instrument: int
    event_ns: int  # venue time of the book
    now_ns: int  # time of the decision on the same clock; now_ns - event_ns is the book's age
    feed_sequence: int  # messages consumed so far
    gap: bool  # the feed lost messages: the book is not whole
    depth: np.ndarray  # int32[2, L, 2] (price_tick, lots) best first, (0, 0) where there is no level
    summary: np.ndarray  # int32[16] kernels/lob/spec.py SUM_* words
    own: np.ndarray  # int32[2, 6] kernels/lob/spec.py OWN_* columns, queue position included
    recv_ns: int
    advice: bool = False  # from an outside feed: answered by a decision, and never by an order of ours


@dataclass(frozen=True, slots=True)
class OrderAck:
    """The venue holds the order: its id is not empty and the identity is proven."""

    client_order_id: str
    venue_order_id: str
    event_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True)
class OrderReject:
    """The venue definitely refused the order."""

    client_order_id: str
    code: str
    event_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True)
class CancelAck:
    """The order no longer rests: cancelled on request, or expired at the venue."""

    client_order_id: str
    venue_order_id: str
    lots: int  # taken off the book; 0 for an IOC remainder already dropped
    expired: bool
    event_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True)
class CancelReject:
    """The venue did not cancel (most often because a fill came first)."""

    client_order_id: str
    code: str
    event_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of our order; (venue, instrument, trade_id) is unique."""

    venue: int
    instrument: int
    trade_id: str
    client_order_id: str
    venue_order_id: str
    side: int  # 0 BUY, 1 SELL
    price_tick: int
    lots: int
    fee_e8: int  # positive is a cost, 1e-8 quote units
    liquidity: Liquidity
    event_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """A send timed out or was answered by something that proves nothing."""

    client_order_id: str
    detail: str
    event_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a query by client id proved about an order."""

    client_order_id: str
    outcome: Outcome
    venue_order_id: str
    filled_lots: int
    evidence: str  # which query answered
    event_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The venue's account and open orders beside ours, after every resolution; `equal` lets trading resume."""

    position_lots: int
    open_orders: int
    missing_fills: int  # fills that the venue had and we did not, delivered before this event
    equal: bool
    event_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True)
class Timer:
    """Time passed without a market event."""

    event_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True)
class Control:
    """An operator's command."""

    command: Command
    actor: str
    reason: str
    event_ns: int
    recv_ns: int


@dataclass(frozen=True, slots=True)
class LimitsChange:
    """A person changes limits of the gate while the session runs. On record, so a replay judges alike."""

    scope: str  # "strategy", "venue" or "firm"
    changes_json: str  # {limit's name: whole number}
    actor: str
    reason: str
    event_ns: int = 0  # set by the session
    recv_ns: int = 0


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order from outside the policy (gRPC Orders); it passes the same gate. `request_id` is the caller's own."""

    request_id: str
    instrument: int
    side: int
    price_tick: int
    lots: int
    kind: OrderKind
    reduce_only: bool
    actor: str
    event_ns: int = 0  # set by the session
    recv_ns: int = 0


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A cancel from outside the policy."""

    request_id: str
    client_order_id: str
    actor: str
    event_ns: int = 0
    recv_ns: int = 0


Event = (
    SessionStart
    | SessionStop
    | BookEvent
    | OrderAck
    | OrderReject
    | CancelAck
    | CancelReject
    | Fill
    | OutcomeUnknown
    | Resolution
    | Reconciled
    | Timer
    | Control
    | LimitsChange
    | OrderRequest
    | CancelRequest
    | HoldingMark
)

# Outputs: what leaves the core.


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy chose and what it means. Lots 0: no quote on that side."""

    instrument: int
    decision_number: int
    event_ns: int
    action: int
    bid_price_tick: int
    bid_lots: int
    ask_price_tick: int
    ask_lots: int
    disagreement: float  # of the ensemble's members, 0 where there is one
    advice: bool = False  # answers an outside feed: nothing was placed; decision_number is 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """No decision was made on a book event."""

    instrument: int
    event_ns: int
    reason: RefusalReason
    consecutive: int
    detail: str
    advice: bool = False  # answers an outside feed; does not count as one in a row


@dataclass(frozen=True, slots=True)
class NewIntent:
    """An order that passed the gate; it leaves after this record is durable."""

    client_order_id: str
    intent_number: int
    instrument: int
    side: int
    price_tick: int
    lots: int
    kind: OrderKind
    reduce_only: bool
    origin: Origin
    request_id: str  # "" unless EXTERNAL
    event_ns: int


@dataclass(frozen=True, slots=True)
class CancelIntent:
    """A cancel that leaves; cancels always pass the gate."""

    client_order_id: str
    intent_number: int
    instrument: int
    origin: Origin
    request_id: str
    event_ns: int


@dataclass(frozen=True, slots=True)
class RiskRefusal:
    """The gate refused an order; it got no client order id."""

    instrument: int
    reason: RiskReason
    side: int
    price_tick: int
    lots: int
    origin: Origin
    request_id: str
    event_ns: int


@dataclass(frozen=True, slots=True)
class StateChange:
    """The trading state or the phase changed."""

    trading_from: TradingState
    trading_to: TradingState
    phase_from: Phase
    phase_to: Phase
    reason: str
    event_ns: int


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a person must see: an unexpected fill, a refused transition, a difference to the venue."""

    code: str
    detail: str
    event_ns: int


Output = (
    Decision
    | Refusal
    | NewIntent
    | CancelIntent
    | RiskRefusal
    | StateChange
    | Alert
    | StopTriggered
    | SizeCut
    | HedgeSuggestion
    | PortfolioRisk
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One journalled record as the event bus hands it out; `sequence` counts every record of the journal from 1."""

    sequence: int
    body: Event | Output


@dataclass(frozen=True, slots=True)
class SubscriptionDropped:
    """Last item of a subscription that was too slow; subscribe again from `next_sequence`."""

    next_sequence: int
    reason: str


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as the session sees it."""

    client_order_id: str
    venue_order_id: str
    instrument: int
    side: int
    price_tick: int
    lots: int
    filled_lots: int
    kind: OrderKind
    state: OrderState
    origin: Origin
    reason: str
    event_ns: int


@dataclass(frozen=True, slots=True)
class SessionView:
    """A consistent snapshot of the session, replaced whole after each event."""

    instance: str
    run_id: str
    epoch: int
    sequence: int  # last journalled record
    trading: TradingState
    phase: Phase
    event_ns: int
    decisions: int
    refusals: int
    position_lots: int
    cash_e8: int
    fees_e8: int
    pnl_e8: int  # cash - fees + position at the mark
    mark_tick_x2: int  # twice the mid, so that it stays an integer
    open_orders: tuple[OrderView, ...]
    unknown_orders: int


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The answer to a control call, order or cancel request, after its records are durable."""

    accepted: bool
    sequence: int  # of the request's record
    client_order_id: str  # "" unless an order was created or named
    reason: str  # "" where accepted, else the typed reason's name
