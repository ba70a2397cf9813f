from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Side(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIDE_UNSPECIFIED: _ClassVar[Side]
    SIDE_BUY: _ClassVar[Side]
    SIDE_SELL: _ClassVar[Side]

class OrderKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_KIND_UNSPECIFIED: _ClassVar[OrderKind]
    ORDER_KIND_LIMIT: _ClassVar[OrderKind]
    ORDER_KIND_IOC: _ClassVar[OrderKind]
    ORDER_KIND_POST_ONLY: _ClassVar[OrderKind]

class Origin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORIGIN_UNSPECIFIED: _ClassVar[Origin]
    ORIGIN_POLICY: _ClassVar[Origin]
    ORIGIN_EXTERNAL: _ClassVar[Origin]
    ORIGIN_FLATTEN: _ClassVar[Origin]
    ORIGIN_KILL: _ClassVar[Origin]
    ORIGIN_STOP: _ClassVar[Origin]
    ORIGIN_PROTECT: _ClassVar[Origin]

class TradingState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRADING_STATE_UNSPECIFIED: _ClassVar[TradingState]
    TRADING_STATE_ACTIVE: _ClassVar[TradingState]
    TRADING_STATE_REDUCE_ONLY: _ClassVar[TradingState]
    TRADING_STATE_HALTED: _ClassVar[TradingState]

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_STARTING: _ClassVar[Phase]
    PHASE_RECOVERING: _ClassVar[Phase]
    PHASE_RUNNING: _ClassVar[Phase]
    PHASE_FLATTENING: _ClassVar[Phase]
    PHASE_STOPPING: _ClassVar[Phase]
    PHASE_STOPPED: _ClassVar[Phase]

class OrderState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_STATE_UNSPECIFIED: _ClassVar[OrderState]
    ORDER_STATE_INTENT: _ClassVar[OrderState]
    ORDER_STATE_SENT: _ClassVar[OrderState]
    ORDER_STATE_UNKNOWN: _ClassVar[OrderState]
    ORDER_STATE_OPEN: _ClassVar[OrderState]
    ORDER_STATE_PARTIALLY_FILLED: _ClassVar[OrderState]
    ORDER_STATE_PENDING_CANCEL: _ClassVar[OrderState]
    ORDER_STATE_PENDING_REPLACE: _ClassVar[OrderState]
    ORDER_STATE_FILLED: _ClassVar[OrderState]
    ORDER_STATE_CANCELED: _ClassVar[OrderState]
    ORDER_STATE_EXPIRED: _ClassVar[OrderState]
    ORDER_STATE_REJECTED: _ClassVar[OrderState]

class Command(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMMAND_UNSPECIFIED: _ClassVar[Command]
    COMMAND_KILL: _ClassVar[Command]
    COMMAND_FLATTEN: _ClassVar[Command]
    COMMAND_RESUME: _ClassVar[Command]
    COMMAND_REDUCE_ONLY: _ClassVar[Command]
    COMMAND_STOP: _ClassVar[Command]

class Liquidity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIQUIDITY_UNSPECIFIED: _ClassVar[Liquidity]
    LIQUIDITY_MAKER: _ClassVar[Liquidity]
    LIQUIDITY_TAKER: _ClassVar[Liquidity]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_NOT_SENT: _ClassVar[Outcome]
    OUTCOME_OPEN: _ClassVar[Outcome]
    OUTCOME_FILLED: _ClassVar[Outcome]
    OUTCOME_CANCELED: _ClassVar[Outcome]
    OUTCOME_REJECTED: _ClassVar[Outcome]
    OUTCOME_EXPIRED: _ClassVar[Outcome]
    OUTCOME_STILL_UNKNOWN: _ClassVar[Outcome]
    OUTCOME_UNDER_WAY: _ClassVar[Outcome]
SIDE_UNSPECIFIED: Side
SIDE_BUY: Side
SIDE_SELL: Side
ORDER_KIND_UNSPECIFIED: OrderKind
ORDER_KIND_LIMIT: OrderKind
ORDER_KIND_IOC: OrderKind
ORDER_KIND_POST_ONLY: OrderKind
ORIGIN_UNSPECIFIED: Origin
ORIGIN_POLICY: Origin
ORIGIN_EXTERNAL: Origin
ORIGIN_FLATTEN: Origin
ORIGIN_KILL: Origin
ORIGIN_STOP: Origin
ORIGIN_PROTECT: Origin
TRADING_STATE_UNSPECIFIED: TradingState
TRADING_STATE_ACTIVE: TradingState
TRADING_STATE_REDUCE_ONLY: TradingState
TRADING_STATE_HALTED: TradingState
PHASE_STARTING: Phase
PHASE_RECOVERING: Phase
PHASE_RUNNING: Phase
PHASE_FLATTENING: Phase
PHASE_STOPPING: Phase
PHASE_STOPPED: Phase
ORDER_STATE_UNSPECIFIED: OrderState
ORDER_STATE_INTENT: OrderState
ORDER_STATE_SENT: OrderState
ORDER_STATE_UNKNOWN: OrderState
ORDER_STATE_OPEN: OrderState
ORDER_STATE_PARTIALLY_FILLED: OrderState
ORDER_STATE_PENDING_CANCEL: OrderState
ORDER_STATE_PENDING_REPLACE: OrderState
ORDER_STATE_FILLED: OrderState
ORDER_STATE_CANCELED: OrderState
ORDER_STATE_EXPIRED: OrderState
ORDER_STATE_REJECTED: OrderState
COMMAND_UNSPECIFIED: Command
COMMAND_KILL: Command
COMMAND_FLATTEN: Command
COMMAND_RESUME: Command
COMMAND_REDUCE_ONLY: Command
COMMAND_STOP: Command
LIQUIDITY_UNSPECIFIED: Liquidity
LIQUIDITY_MAKER: Liquidity
LIQUIDITY_TAKER: Liquidity
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_NOT_SENT: Outcome
OUTCOME_OPEN: Outcome
OUTCOME_FILLED: Outcome
OUTCOME_CANCELED: Outcome
OUTCOME_REJECTED: Outcome
OUTCOME_EXPIRED: Outcome
OUTCOME_STILL_UNKNOWN: Outcome
OUTCOME_UNDER_WAY: Outcome

class Record(_message.Message):
    __slots__ = ("session_start", "session_stop", "book_event", "order_ack", "order_reject", "cancel_ack", "cancel_reject", "fill", "outcome_unknown", "resolution", "reconciled", "timer", "control", "order_request", "cancel_request", "limits_change", "holding_mark", "decision", "refusal", "new_intent", "cancel_intent", "risk_refusal", "state_change", "alert", "stop_triggered", "size_cut", "hedge_suggestion", "portfolio_risk", "venue_open", "venue_command", "venue_advance", "venue_result")
    SESSION_START_FIELD_NUMBER: _ClassVar[int]
    SESSION_STOP_FIELD_NUMBER: _ClassVar[int]
    BOOK_EVENT_FIELD_NUMBER: _ClassVar[int]
    ORDER_ACK_FIELD_NUMBER: _ClassVar[int]
    ORDER_REJECT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_ACK_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REJECT_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    RECONCILED_FIELD_NUMBER: _ClassVar[int]
    TIMER_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    ORDER_REQUEST_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUEST_FIELD_NUMBER: _ClassVar[int]
    LIMITS_CHANGE_FIELD_NUMBER: _ClassVar[int]
    HOLDING_MARK_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    NEW_INTENT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_INTENT_FIELD_NUMBER: _ClassVar[int]
    RISK_REFUSAL_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    ALERT_FIELD_NUMBER: _ClassVar[int]
    STOP_TRIGGERED_FIELD_NUMBER: _ClassVar[int]
    SIZE_CUT_FIELD_NUMBER: _ClassVar[int]
    HEDGE_SUGGESTION_FIELD_NUMBER: _ClassVar[int]
    PORTFOLIO_RISK_FIELD_NUMBER: _ClassVar[int]
    VENUE_OPEN_FIELD_NUMBER: _ClassVar[int]
    VENUE_COMMAND_FIELD_NUMBER: _ClassVar[int]
    VENUE_ADVANCE_FIELD_NUMBER: _ClassVar[int]
    VENUE_RESULT_FIELD_NUMBER: _ClassVar[int]
    session_start: SessionStart
    session_stop: SessionStop
    book_event: BookEvent
    order_ack: OrderAck
    order_reject: OrderReject
    cancel_ack: CancelAck
    cancel_reject: CancelReject
    fill: Fill
    outcome_unknown: OutcomeUnknown
    resolution: Resolution
    reconciled: Reconciled
    timer: Timer
    control: Control
    order_request: OrderRequest
    cancel_request: CancelRequest
    limits_change: LimitsChange
    holding_mark: HoldingMark
    decision: Decision
    refusal: Refusal
    new_intent: NewIntent
    cancel_intent: CancelIntent
    risk_refusal: RiskRefusal
    state_change: StateChange
    alert: Alert
    stop_triggered: StopTriggered
    size_cut: SizeCut
    hedge_suggestion: HedgeSuggestion
    portfolio_risk: PortfolioRisk
    venue_open: VenueOpen
    venue_command: VenueCommand
    venue_advance: VenueAdvance
    venue_result: VenueResult
    def __init__(self, session_start: _Optional[_Union[SessionStart, _Mapping]] = ..., session_stop: _Optional[_Union[SessionStop, _Mapping]] = ..., book_event: _Optional[_Union[BookEvent, _Mapping]] = ..., order_ack: _Optional[_Union[OrderAck, _Mapping]] = ..., order_reject: _Optional[_Union[OrderReject, _Mapping]] = ..., cancel_ack: _Optional[_Union[CancelAck, _Mapping]] = ..., cancel_reject: _Optional[_Union[CancelReject, _Mapping]] = ..., fill: _Optional[_Union[Fill, _Mapping]] = ..., outcome_unknown: _Optional[_Union[OutcomeUnknown, _Mapping]] = ..., resolution: _Optional[_Union[Resolution, _Mapping]] = ..., reconciled: _Optional[_Union[Reconciled, _Mapping]] = ..., timer: _Optional[_Union[Timer, _Mapping]] = ..., control: _Optional[_Union[Control, _Mapping]] = ..., order_request: _Optional[_Union[OrderRequest, _Mapping]] = ..., cancel_request: _Optional[_Union[CancelRequest, _Mapping]] = ..., limits_change: _Optional[_Union[LimitsChange, _Mapping]] = ..., holding_mark: _Optional[_Union[HoldingMark, _Mapping]] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., new_intent: _Optional[_Union[NewIntent, _Mapping]] = ..., cancel_intent: _Optional[_Union[CancelIntent, _Mapping]] = ..., risk_refusal: _Optional[_Union[RiskRefusal, _Mapping]] = ..., state_change: _Optional[_Union[StateChange, _Mapping]] = ..., alert: _Optional[_Union[Alert, _Mapping]] = ..., stop_triggered: _Optional[_Union[StopTriggered, _Mapping]] = ..., size_cut: _Optional[_Union[SizeCut, _Mapping]] = ..., hedge_suggestion: _Optional[_Union[HedgeSuggestion, _Mapping]] = ..., portfolio_risk: _Optional[_Union[PortfolioRisk, _Mapping]] = ..., venue_open: _Optional[_Union[VenueOpen, _Mapping]] = ..., venue_command: _Optional[_Union[VenueCommand, _Mapping]] = ..., venue_advance: _Optional[_Union[VenueAdvance, _Mapping]] = ..., venue_result: _Optional[_Union[VenueResult, _Mapping]] = ...) -> None: ...

class SessionStart(_message.Message):
    __slots__ = ("instance", "epoch", "recv_ns", "recovered", "run_id", "source", "strategy", "venues", "instruments", "config_json", "artifact_digest")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    RECOVERED_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    VENUES_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    instance: str
    epoch: int
    recv_ns: int
    recovered: bool
    run_id: str
    source: str
    strategy: str
    venues: _containers.RepeatedScalarFieldContainer[str]
    instruments: _containers.RepeatedScalarFieldContainer[str]
    config_json: str
    artifact_digest: str
    def __init__(self, instance: _Optional[str] = ..., epoch: _Optional[int] = ..., recv_ns: _Optional[int] = ..., recovered: _Optional[bool] = ..., run_id: _Optional[str] = ..., source: _Optional[str] = ..., strategy: _Optional[str] = ..., venues: _Optional[_Iterable[str]] = ..., instruments: _Optional[_Iterable[str]] = ..., config_json: _Optional[str] = ..., artifact_digest: _Optional[str] = ...) -> None: ...

class SessionStop(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "reason", "open_orders")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    reason: str
    open_orders: int
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., reason: _Optional[str] = ..., open_orders: _Optional[int] = ...) -> None: ...

class BookEvent(_message.Message):
    __slots__ = ("instrument", "event_ns", "recv_ns", "now_ns", "feed_sequence", "gap", "levels", "depth", "summary", "own", "advice")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    NOW_NS_FIELD_NUMBER: _ClassVar[int]
    FEED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    event_ns: int
    recv_ns: int
    now_ns: int
    feed_sequence: int
    gap: bool
    levels: int
    depth: _containers.RepeatedScalarFieldContainer[int]
    summary: _containers.RepeatedScalarFieldContainer[int]
    own: _containers.RepeatedScalarFieldContainer[int]
    advice: bool
    def __init__(self, instrument: _Optional[int] = ..., event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., now_ns: _Optional[int] = ..., feed_sequence: _Optional[int] = ..., gap: _Optional[bool] = ..., levels: _Optional[int] = ..., depth: _Optional[_Iterable[int]] = ..., summary: _Optional[_Iterable[int]] = ..., own: _Optional[_Iterable[int]] = ..., advice: _Optional[bool] = ...) -> None: ...

class OrderAck(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "client_order_id", "venue_order_id")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    VENUE_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    client_order_id: str
    venue_order_id: str
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., client_order_id: _Optional[str] = ..., venue_order_id: _Optional[str] = ...) -> None: ...

class OrderReject(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "client_order_id", "code")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    client_order_id: str
    code: str
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., client_order_id: _Optional[str] = ..., code: _Optional[str] = ...) -> None: ...

class CancelAck(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "client_order_id", "venue_order_id", "lots", "expired")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    VENUE_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    client_order_id: str
    venue_order_id: str
    lots: int
    expired: bool
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., client_order_id: _Optional[str] = ..., venue_order_id: _Optional[str] = ..., lots: _Optional[int] = ..., expired: _Optional[bool] = ...) -> None: ...

class CancelReject(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "client_order_id", "code")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    client_order_id: str
    code: str
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., client_order_id: _Optional[str] = ..., code: _Optional[str] = ...) -> None: ...

class Fill(_message.Message):
    __slots__ = ("instrument", "event_ns", "recv_ns", "client_order_id", "venue_order_id", "venue", "trade_id", "side", "price_tick", "lots", "fee_e8", "liquidity")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    VENUE_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICK_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    FEE_E8_FIELD_NUMBER: _ClassVar[int]
    LIQUIDITY_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    event_ns: int
    recv_ns: int
    client_order_id: str
    venue_order_id: str
    venue: int
    trade_id: str
    side: Side
    price_tick: int
    lots: int
    fee_e8: int
    liquidity: Liquidity
    def __init__(self, instrument: _Optional[int] = ..., event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., client_order_id: _Optional[str] = ..., venue_order_id: _Optional[str] = ..., venue: _Optional[int] = ..., trade_id: _Optional[str] = ..., side: _Optional[_Union[Side, str]] = ..., price_tick: _Optional[int] = ..., lots: _Optional[int] = ..., fee_e8: _Optional[int] = ..., liquidity: _Optional[_Union[Liquidity, str]] = ...) -> None: ...

class OutcomeUnknown(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "client_order_id", "detail")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    client_order_id: str
    detail: str
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., client_order_id: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class Resolution(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "client_order_id", "venue_order_id", "outcome", "filled_lots", "evidence")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    VENUE_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FILLED_LOTS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    client_order_id: str
    venue_order_id: str
    outcome: Outcome
    filled_lots: int
    evidence: str
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., client_order_id: _Optional[str] = ..., venue_order_id: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., filled_lots: _Optional[int] = ..., evidence: _Optional[str] = ...) -> None: ...

class Reconciled(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "position_lots", "open_orders", "missing_fills", "equal")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    POSITION_LOTS_FIELD_NUMBER: _ClassVar[int]
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FILLS_FIELD_NUMBER: _ClassVar[int]
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    position_lots: int
    open_orders: int
    missing_fills: int
    equal: bool
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., position_lots: _Optional[int] = ..., open_orders: _Optional[int] = ..., missing_fills: _Optional[int] = ..., equal: _Optional[bool] = ...) -> None: ...

class Timer(_message.Message):
    __slots__ = ("event_ns", "recv_ns")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ...) -> None: ...

class Control(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "command", "actor", "reason")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    command: Command
    actor: str
    reason: str
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., command: _Optional[_Union[Command, str]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class LimitsChange(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "scope", "changes_json", "actor", "reason")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    CHANGES_JSON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    scope: str
    changes_json: str
    actor: str
    reason: str
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., scope: _Optional[str] = ..., changes_json: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class HoldingMark(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "asset", "quantity_e8", "mark_e8", "known", "actor")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_E8_FIELD_NUMBER: _ClassVar[int]
    MARK_E8_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    asset: str
    quantity_e8: int
    mark_e8: int
    known: bool
    actor: str
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., asset: _Optional[str] = ..., quantity_e8: _Optional[int] = ..., mark_e8: _Optional[int] = ..., known: _Optional[bool] = ..., actor: _Optional[str] = ...) -> None: ...

class OrderRequest(_message.Message):
    __slots__ = ("instrument", "event_ns", "recv_ns", "request_id", "side", "price_tick", "lots", "kind", "reduce_only", "actor")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICK_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    event_ns: int
    recv_ns: int
    request_id: str
    side: Side
    price_tick: int
    lots: int
    kind: OrderKind
    reduce_only: bool
    actor: str
    def __init__(self, instrument: _Optional[int] = ..., event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., request_id: _Optional[str] = ..., side: _Optional[_Union[Side, str]] = ..., price_tick: _Optional[int] = ..., lots: _Optional[int] = ..., kind: _Optional[_Union[OrderKind, str]] = ..., reduce_only: _Optional[bool] = ..., actor: _Optional[str] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("event_ns", "recv_ns", "client_order_id", "request_id", "actor")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    RECV_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    recv_ns: int
    client_order_id: str
    request_id: str
    actor: str
    def __init__(self, event_ns: _Optional[int] = ..., recv_ns: _Optional[int] = ..., client_order_id: _Optional[str] = ..., request_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("instrument", "event_ns", "decision_number", "action", "bid_price_tick", "bid_lots", "ask_price_tick", "ask_lots", "disagreement", "advice")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    DECISION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    BID_PRICE_TICK_FIELD_NUMBER: _ClassVar[int]
    BID_LOTS_FIELD_NUMBER: _ClassVar[int]
    ASK_PRICE_TICK_FIELD_NUMBER: _ClassVar[int]
    ASK_LOTS_FIELD_NUMBER: _ClassVar[int]
    DISAGREEMENT_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    event_ns: int
    decision_number: int
    action: int
    bid_price_tick: int
    bid_lots: int
    ask_price_tick: int
    ask_lots: int
    disagreement: float
    advice: bool
    def __init__(self, instrument: _Optional[int] = ..., event_ns: _Optional[int] = ..., decision_number: _Optional[int] = ..., action: _Optional[int] = ..., bid_price_tick: _Optional[int] = ..., bid_lots: _Optional[int] = ..., ask_price_tick: _Optional[int] = ..., ask_lots: _Optional[int] = ..., disagreement: _Optional[float] = ..., advice: _Optional[bool] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("instrument", "event_ns", "reason", "consecutive", "detail", "advice")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    event_ns: int
    reason: int
    consecutive: int
    detail: str
    advice: bool
    def __init__(self, instrument: _Optional[int] = ..., event_ns: _Optional[int] = ..., reason: _Optional[int] = ..., consecutive: _Optional[int] = ..., detail: _Optional[str] = ..., advice: _Optional[bool] = ...) -> None: ...

class NewIntent(_message.Message):
    __slots__ = ("instrument", "event_ns", "client_order_id", "intent_number", "side", "price_tick", "lots", "kind", "reduce_only", "origin", "request_id", "parent_order_id")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    INTENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICK_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    event_ns: int
    client_order_id: str
    intent_number: int
    side: Side
    price_tick: int
    lots: int
    kind: OrderKind
    reduce_only: bool
    origin: Origin
    request_id: str
    parent_order_id: str
    def __init__(self, instrument: _Optional[int] = ..., event_ns: _Optional[int] = ..., client_order_id: _Optional[str] = ..., intent_number: _Optional[int] = ..., side: _Optional[_Union[Side, str]] = ..., price_tick: _Optional[int] = ..., lots: _Optional[int] = ..., kind: _Optional[_Union[OrderKind, str]] = ..., reduce_only: _Optional[bool] = ..., origin: _Optional[_Union[Origin, str]] = ..., request_id: _Optional[str] = ..., parent_order_id: _Optional[str] = ...) -> None: ...

class CancelIntent(_message.Message):
    __slots__ = ("instrument", "event_ns", "client_order_id", "intent_number", "origin", "request_id")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    INTENT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    event_ns: int
    client_order_id: str
    intent_number: int
    origin: Origin
    request_id: str
    def __init__(self, instrument: _Optional[int] = ..., event_ns: _Optional[int] = ..., client_order_id: _Optional[str] = ..., intent_number: _Optional[int] = ..., origin: _Optional[_Union[Origin, str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class RiskRefusal(_message.Message):
    __slots__ = ("instrument", "event_ns", "reason", "side", "price_tick", "lots", "origin", "request_id")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICK_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    event_ns: int
    reason: int
    side: Side
    price_tick: int
    lots: int
    origin: Origin
    request_id: str
    def __init__(self, instrument: _Optional[int] = ..., event_ns: _Optional[int] = ..., reason: _Optional[int] = ..., side: _Optional[_Union[Side, str]] = ..., price_tick: _Optional[int] = ..., lots: _Optional[int] = ..., origin: _Optional[_Union[Origin, str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class StateChange(_message.Message):
    __slots__ = ("event_ns", "trading_from", "trading_to", "phase_from", "phase_to", "reason")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    TRADING_FROM_FIELD_NUMBER: _ClassVar[int]
    TRADING_TO_FIELD_NUMBER: _ClassVar[int]
    PHASE_FROM_FIELD_NUMBER: _ClassVar[int]
    PHASE_TO_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    trading_from: TradingState
    trading_to: TradingState
    phase_from: Phase
    phase_to: Phase
    reason: str
    def __init__(self, event_ns: _Optional[int] = ..., trading_from: _Optional[_Union[TradingState, str]] = ..., trading_to: _Optional[_Union[TradingState, str]] = ..., phase_from: _Optional[_Union[Phase, str]] = ..., phase_to: _Optional[_Union[Phase, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class Alert(_message.Message):
    __slots__ = ("event_ns", "code", "detail")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    code: str
    detail: str
    def __init__(self, event_ns: _Optional[int] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class StopTriggered(_message.Message):
    __slots__ = ("instrument", "event_ns", "reason", "position_lots", "entry_tick", "price_tick")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    POSITION_LOTS_FIELD_NUMBER: _ClassVar[int]
    ENTRY_TICK_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICK_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    event_ns: int
    reason: int
    position_lots: int
    entry_tick: int
    price_tick: int
    def __init__(self, instrument: _Optional[int] = ..., event_ns: _Optional[int] = ..., reason: _Optional[int] = ..., position_lots: _Optional[int] = ..., entry_tick: _Optional[int] = ..., price_tick: _Optional[int] = ...) -> None: ...

class SizeCut(_message.Message):
    __slots__ = ("instrument", "event_ns", "side", "reason", "wanted_lots", "lots")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WANTED_LOTS_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    event_ns: int
    side: Side
    reason: int
    wanted_lots: int
    lots: int
    def __init__(self, instrument: _Optional[int] = ..., event_ns: _Optional[int] = ..., side: _Optional[_Union[Side, str]] = ..., reason: _Optional[int] = ..., wanted_lots: _Optional[int] = ..., lots: _Optional[int] = ...) -> None: ...

class HedgeSuggestion(_message.Message):
    __slots__ = ("event_ns", "asset", "hedge_quantity", "ratio_ppm", "kept_ppm", "position_lots")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    ASSET_FIELD_NUMBER: _ClassVar[int]
    HEDGE_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    RATIO_PPM_FIELD_NUMBER: _ClassVar[int]
    KEPT_PPM_FIELD_NUMBER: _ClassVar[int]
    POSITION_LOTS_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    asset: str
    hedge_quantity: int
    ratio_ppm: int
    kept_ppm: int
    position_lots: int
    def __init__(self, event_ns: _Optional[int] = ..., asset: _Optional[str] = ..., hedge_quantity: _Optional[int] = ..., ratio_ppm: _Optional[int] = ..., kept_ppm: _Optional[int] = ..., position_lots: _Optional[int] = ...) -> None: ...

class PortfolioRisk(_message.Message):
    __slots__ = ("event_ns", "observations", "equity_e8", "gross_e8", "net_e8", "var_e8", "es_e8", "drawdown_bps", "daily_loss_bps", "scale_ppm")
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    EQUITY_E8_FIELD_NUMBER: _ClassVar[int]
    GROSS_E8_FIELD_NUMBER: _ClassVar[int]
    NET_E8_FIELD_NUMBER: _ClassVar[int]
    VAR_E8_FIELD_NUMBER: _ClassVar[int]
    ES_E8_FIELD_NUMBER: _ClassVar[int]
    DRAWDOWN_BPS_FIELD_NUMBER: _ClassVar[int]
    DAILY_LOSS_BPS_FIELD_NUMBER: _ClassVar[int]
    SCALE_PPM_FIELD_NUMBER: _ClassVar[int]
    event_ns: int
    observations: int
    equity_e8: int
    gross_e8: int
    net_e8: int
    var_e8: int
    es_e8: int
    drawdown_bps: int
    daily_loss_bps: int
    scale_ppm: int
    def __init__(self, event_ns: _Optional[int] = ..., observations: _Optional[int] = ..., equity_e8: _Optional[int] = ..., gross_e8: _Optional[int] = ..., net_e8: _Optional[int] = ..., var_e8: _Optional[int] = ..., es_e8: _Optional[int] = ..., drawdown_bps: _Optional[int] = ..., daily_loss_bps: _Optional[int] = ..., scale_ppm: _Optional[int] = ...) -> None: ...

class VenueOpen(_message.Message):
    __slots__ = ("instrument", "data_digest", "config_json", "epoch")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    DATA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    instrument: str
    data_digest: str
    config_json: str
    epoch: int
    def __init__(self, instrument: _Optional[str] = ..., data_digest: _Optional[str] = ..., config_json: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class VenueCommand(_message.Message):
    __slots__ = ("command_number", "event_ns", "arrival_ns", "client_order_id", "order_id", "cancel", "side", "price_tick", "lots", "kind")
    COMMAND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    ARRIVAL_NS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICK_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    command_number: int
    event_ns: int
    arrival_ns: int
    client_order_id: str
    order_id: int
    cancel: bool
    side: Side
    price_tick: int
    lots: int
    kind: OrderKind
    def __init__(self, command_number: _Optional[int] = ..., event_ns: _Optional[int] = ..., arrival_ns: _Optional[int] = ..., client_order_id: _Optional[str] = ..., order_id: _Optional[int] = ..., cancel: _Optional[bool] = ..., side: _Optional[_Union[Side, str]] = ..., price_tick: _Optional[int] = ..., lots: _Optional[int] = ..., kind: _Optional[_Union[OrderKind, str]] = ...) -> None: ...

class VenueAdvance(_message.Message):
    __slots__ = ("cursor", "event_ns", "drained", "results")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    DRAINED_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    event_ns: int
    drained: bool
    results: int
    def __init__(self, cursor: _Optional[int] = ..., event_ns: _Optional[int] = ..., drained: _Optional[bool] = ..., results: _Optional[int] = ...) -> None: ...

class VenueResult(_message.Message):
    __slots__ = ("ack", "reject", "cancel_ack", "cancel_reject", "fill")
    ACK_FIELD_NUMBER: _ClassVar[int]
    REJECT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_ACK_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REJECT_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    ack: OrderAck
    reject: OrderReject
    cancel_ack: CancelAck
    cancel_reject: CancelReject
    fill: Fill
    def __init__(self, ack: _Optional[_Union[OrderAck, _Mapping]] = ..., reject: _Optional[_Union[OrderReject, _Mapping]] = ..., cancel_ack: _Optional[_Union[CancelAck, _Mapping]] = ..., cancel_reject: _Optional[_Union[CancelReject, _Mapping]] = ..., fill: _Optional[_Union[Fill, _Mapping]] = ...) -> None: ...

class CoreSnapshot(_message.Message):
    __slots__ = ("sequence", "session", "trading", "phase", "flatten_wanted", "account", "orders", "live", "trade_keys", "recent_ns", "next_intent", "decisions", "refusals", "consecutive_refusals", "now_ns", "book", "history", "advice_book", "advice_history", "limits_json", "standing", "kill", "opened", "reference_tick_x2", "reference_ns", "rejects_ns", "slow", "run_side", "run", "controls_json")
    class Order(_message.Message):
        __slots__ = ("client_order_id", "venue_order_id", "instrument", "side", "price_tick", "lots", "filled_lots", "kind", "state", "origin", "reduce_only", "reason", "event_ns", "request_id", "cancel_sent")
        CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
        VENUE_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
        INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
        SIDE_FIELD_NUMBER: _ClassVar[int]
        PRICE_TICK_FIELD_NUMBER: _ClassVar[int]
        LOTS_FIELD_NUMBER: _ClassVar[int]
        FILLED_LOTS_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        ORIGIN_FIELD_NUMBER: _ClassVar[int]
        REDUCE_ONLY_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        EVENT_NS_FIELD_NUMBER: _ClassVar[int]
        REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
        CANCEL_SENT_FIELD_NUMBER: _ClassVar[int]
        client_order_id: str
        venue_order_id: str
        instrument: int
        side: Side
        price_tick: int
        lots: int
        filled_lots: int
        kind: OrderKind
        state: OrderState
        origin: Origin
        reduce_only: bool
        reason: str
        event_ns: int
        request_id: str
        cancel_sent: bool
        def __init__(self, client_order_id: _Optional[str] = ..., venue_order_id: _Optional[str] = ..., instrument: _Optional[int] = ..., side: _Optional[_Union[Side, str]] = ..., price_tick: _Optional[int] = ..., lots: _Optional[int] = ..., filled_lots: _Optional[int] = ..., kind: _Optional[_Union[OrderKind, str]] = ..., state: _Optional[_Union[OrderState, str]] = ..., origin: _Optional[_Union[Origin, str]] = ..., reduce_only: _Optional[bool] = ..., reason: _Optional[str] = ..., event_ns: _Optional[int] = ..., request_id: _Optional[str] = ..., cancel_sent: _Optional[bool] = ...) -> None: ...
    class Account(_message.Message):
        __slots__ = ("position_lots", "cash_e8", "fees_e8", "num_fills", "traded_lots")
        POSITION_LOTS_FIELD_NUMBER: _ClassVar[int]
        CASH_E8_FIELD_NUMBER: _ClassVar[int]
        FEES_E8_FIELD_NUMBER: _ClassVar[int]
        NUM_FILLS_FIELD_NUMBER: _ClassVar[int]
        TRADED_LOTS_FIELD_NUMBER: _ClassVar[int]
        position_lots: int
        cash_e8: int
        fees_e8: int
        num_fills: int
        traded_lots: int
        def __init__(self, position_lots: _Optional[int] = ..., cash_e8: _Optional[int] = ..., fees_e8: _Optional[int] = ..., num_fills: _Optional[int] = ..., traded_lots: _Optional[int] = ...) -> None: ...
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    TRADING_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    FLATTEN_WANTED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    TRADE_KEYS_FIELD_NUMBER: _ClassVar[int]
    RECENT_NS_FIELD_NUMBER: _ClassVar[int]
    NEXT_INTENT_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_REFUSALS_FIELD_NUMBER: _ClassVar[int]
    NOW_NS_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    ADVICE_BOOK_FIELD_NUMBER: _ClassVar[int]
    ADVICE_HISTORY_FIELD_NUMBER: _ClassVar[int]
    LIMITS_JSON_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_TICK_X2_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_NS_FIELD_NUMBER: _ClassVar[int]
    REJECTS_NS_FIELD_NUMBER: _ClassVar[int]
    SLOW_FIELD_NUMBER: _ClassVar[int]
    RUN_SIDE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    CONTROLS_JSON_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    session: SessionStart
    trading: TradingState
    phase: Phase
    flatten_wanted: bool
    account: CoreSnapshot.Account
    orders: _containers.RepeatedCompositeFieldContainer[CoreSnapshot.Order]
    live: _containers.RepeatedScalarFieldContainer[str]
    trade_keys: _containers.RepeatedScalarFieldContainer[str]
    recent_ns: _containers.RepeatedScalarFieldContainer[int]
    next_intent: int
    decisions: int
    refusals: int
    consecutive_refusals: int
    now_ns: int
    book: BookEvent
    history: _containers.RepeatedScalarFieldContainer[int]
    advice_book: BookEvent
    advice_history: _containers.RepeatedScalarFieldContainer[int]
    limits_json: _containers.RepeatedScalarFieldContainer[str]
    standing: int
    kill: int
    opened: int
    reference_tick_x2: int
    reference_ns: int
    rejects_ns: _containers.RepeatedScalarFieldContainer[int]
    slow: int
    run_side: int
    run: int
    controls_json: str
    def __init__(self, sequence: _Optional[int] = ..., session: _Optional[_Union[SessionStart, _Mapping]] = ..., trading: _Optional[_Union[TradingState, str]] = ..., phase: _Optional[_Union[Phase, str]] = ..., flatten_wanted: _Optional[bool] = ..., account: _Optional[_Union[CoreSnapshot.Account, _Mapping]] = ..., orders: _Optional[_Iterable[_Union[CoreSnapshot.Order, _Mapping]]] = ..., live: _Optional[_Iterable[str]] = ..., trade_keys: _Optional[_Iterable[str]] = ..., recent_ns: _Optional[_Iterable[int]] = ..., next_intent: _Optional[int] = ..., decisions: _Optional[int] = ..., refusals: _Optional[int] = ..., consecutive_refusals: _Optional[int] = ..., now_ns: _Optional[int] = ..., book: _Optional[_Union[BookEvent, _Mapping]] = ..., history: _Optional[_Iterable[int]] = ..., advice_book: _Optional[_Union[BookEvent, _Mapping]] = ..., advice_history: _Optional[_Iterable[int]] = ..., limits_json: _Optional[_Iterable[str]] = ..., standing: _Optional[int] = ..., kill: _Optional[int] = ..., opened: _Optional[int] = ..., reference_tick_x2: _Optional[int] = ..., reference_ns: _Optional[int] = ..., rejects_ns: _Optional[_Iterable[int]] = ..., slow: _Optional[int] = ..., run_side: _Optional[int] = ..., run: _Optional[int] = ..., controls_json: _Optional[str] = ...) -> None: ...
