from protos.journal.v1 import journal_pb2 as _journal_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SessionState(_message.Message):
    __slots__ = ("instance", "run_id", "epoch", "sequence", "trading", "phase", "event_ns", "decisions", "refusals", "position_lots", "cash_e8", "fees_e8", "pnl_e8", "mark_tick_x2", "open_orders", "unknown_orders", "instruments")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TRADING_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    POSITION_LOTS_FIELD_NUMBER: _ClassVar[int]
    CASH_E8_FIELD_NUMBER: _ClassVar[int]
    FEES_E8_FIELD_NUMBER: _ClassVar[int]
    PNL_E8_FIELD_NUMBER: _ClassVar[int]
    MARK_TICK_X2_FIELD_NUMBER: _ClassVar[int]
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    instance: str
    run_id: str
    epoch: int
    sequence: int
    trading: _journal_pb2.TradingState
    phase: _journal_pb2.Phase
    event_ns: int
    decisions: int
    refusals: int
    position_lots: int
    cash_e8: int
    fees_e8: int
    pnl_e8: int
    mark_tick_x2: int
    open_orders: _containers.RepeatedCompositeFieldContainer[Order]
    unknown_orders: int
    instruments: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, instance: _Optional[str] = ..., run_id: _Optional[str] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., trading: _Optional[_Union[_journal_pb2.TradingState, str]] = ..., phase: _Optional[_Union[_journal_pb2.Phase, str]] = ..., event_ns: _Optional[int] = ..., decisions: _Optional[int] = ..., refusals: _Optional[int] = ..., position_lots: _Optional[int] = ..., cash_e8: _Optional[int] = ..., fees_e8: _Optional[int] = ..., pnl_e8: _Optional[int] = ..., mark_tick_x2: _Optional[int] = ..., open_orders: _Optional[_Iterable[_Union[Order, _Mapping]]] = ..., unknown_orders: _Optional[int] = ..., instruments: _Optional[_Iterable[str]] = ...) -> None: ...

class LimitsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LimitsResponse(_message.Message):
    __slots__ = ("instruments",)
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    instruments: _containers.RepeatedCompositeFieldContainer[InstrumentLimits]
    def __init__(self, instruments: _Optional[_Iterable[_Union[InstrumentLimits, _Mapping]]] = ...) -> None: ...

class InstrumentLimits(_message.Message):
    __slots__ = ("name", "tick_size", "lot_size", "currency", "tick_value_e8", "tradable", "price_step_tick", "lot_step", "min_lots", "max_lots", "collar_tick", "max_order_value_e8", "max_position_lots", "max_open_orders", "max_messages", "window_ns", "max_age_ns", "min_notional_e8", "collar_bps", "reference_collar_tick", "reference_collar_bps", "adverse_bps", "max_order_lots", "max_loss_bps", "max_position_bps", "max_leverage_bps", "max_group_bps", "max_repeats")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TICK_SIZE_FIELD_NUMBER: _ClassVar[int]
    LOT_SIZE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TICK_VALUE_E8_FIELD_NUMBER: _ClassVar[int]
    TRADABLE_FIELD_NUMBER: _ClassVar[int]
    PRICE_STEP_TICK_FIELD_NUMBER: _ClassVar[int]
    LOT_STEP_FIELD_NUMBER: _ClassVar[int]
    MIN_LOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_LOTS_FIELD_NUMBER: _ClassVar[int]
    COLLAR_TICK_FIELD_NUMBER: _ClassVar[int]
    MAX_ORDER_VALUE_E8_FIELD_NUMBER: _ClassVar[int]
    MAX_POSITION_LOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_NS_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_NS_FIELD_NUMBER: _ClassVar[int]
    MIN_NOTIONAL_E8_FIELD_NUMBER: _ClassVar[int]
    COLLAR_BPS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_COLLAR_TICK_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_COLLAR_BPS_FIELD_NUMBER: _ClassVar[int]
    ADVERSE_BPS_FIELD_NUMBER: _ClassVar[int]
    MAX_ORDER_LOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_LOSS_BPS_FIELD_NUMBER: _ClassVar[int]
    MAX_POSITION_BPS_FIELD_NUMBER: _ClassVar[int]
    MAX_LEVERAGE_BPS_FIELD_NUMBER: _ClassVar[int]
    MAX_GROUP_BPS_FIELD_NUMBER: _ClassVar[int]
    MAX_REPEATS_FIELD_NUMBER: _ClassVar[int]
    name: str
    tick_size: str
    lot_size: str
    currency: str
    tick_value_e8: int
    tradable: bool
    price_step_tick: int
    lot_step: int
    min_lots: int
    max_lots: int
    collar_tick: int
    max_order_value_e8: int
    max_position_lots: int
    max_open_orders: int
    max_messages: int
    window_ns: int
    max_age_ns: int
    min_notional_e8: int
    collar_bps: int
    reference_collar_tick: int
    reference_collar_bps: int
    adverse_bps: int
    max_order_lots: int
    max_loss_bps: int
    max_position_bps: int
    max_leverage_bps: int
    max_group_bps: int
    max_repeats: int
    def __init__(self, name: _Optional[str] = ..., tick_size: _Optional[str] = ..., lot_size: _Optional[str] = ..., currency: _Optional[str] = ..., tick_value_e8: _Optional[int] = ..., tradable: _Optional[bool] = ..., price_step_tick: _Optional[int] = ..., lot_step: _Optional[int] = ..., min_lots: _Optional[int] = ..., max_lots: _Optional[int] = ..., collar_tick: _Optional[int] = ..., max_order_value_e8: _Optional[int] = ..., max_position_lots: _Optional[int] = ..., max_open_orders: _Optional[int] = ..., max_messages: _Optional[int] = ..., window_ns: _Optional[int] = ..., max_age_ns: _Optional[int] = ..., min_notional_e8: _Optional[int] = ..., collar_bps: _Optional[int] = ..., reference_collar_tick: _Optional[int] = ..., reference_collar_bps: _Optional[int] = ..., adverse_bps: _Optional[int] = ..., max_order_lots: _Optional[int] = ..., max_loss_bps: _Optional[int] = ..., max_position_bps: _Optional[int] = ..., max_leverage_bps: _Optional[int] = ..., max_group_bps: _Optional[int] = ..., max_repeats: _Optional[int] = ...) -> None: ...

class CommandRequest(_message.Message):
    __slots__ = ("actor", "reason")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    actor: str
    reason: str
    def __init__(self, actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SetLimitsRequest(_message.Message):
    __slots__ = ("actor", "reason", "scope", "changes")
    class ChangesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    actor: str
    reason: str
    scope: str
    changes: _containers.ScalarMap[str, int]
    def __init__(self, actor: _Optional[str] = ..., reason: _Optional[str] = ..., scope: _Optional[str] = ..., changes: _Optional[_Mapping[str, int]] = ...) -> None: ...

class CommandResponse(_message.Message):
    __slots__ = ("accepted", "sequence", "client_order_id", "reason")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    sequence: int
    client_order_id: str
    reason: str
    def __init__(self, accepted: _Optional[bool] = ..., sequence: _Optional[int] = ..., client_order_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SubscribeRequest(_message.Message):
    __slots__ = ("from_sequence", "kinds")
    FROM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    from_sequence: int
    kinds: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, from_sequence: _Optional[int] = ..., kinds: _Optional[_Iterable[str]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("sequence", "record")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    record: _journal_pb2.Record
    def __init__(self, sequence: _Optional[int] = ..., record: _Optional[_Union[_journal_pb2.Record, _Mapping]] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("client_order_id", "venue_order_id", "instrument", "side", "price_tick", "lots", "filled_lots", "kind", "state", "origin", "reason", "event_ns")
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
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVENT_NS_FIELD_NUMBER: _ClassVar[int]
    client_order_id: str
    venue_order_id: str
    instrument: int
    side: _journal_pb2.Side
    price_tick: int
    lots: int
    filled_lots: int
    kind: _journal_pb2.OrderKind
    state: _journal_pb2.OrderState
    origin: _journal_pb2.Origin
    reason: str
    event_ns: int
    def __init__(self, client_order_id: _Optional[str] = ..., venue_order_id: _Optional[str] = ..., instrument: _Optional[int] = ..., side: _Optional[_Union[_journal_pb2.Side, str]] = ..., price_tick: _Optional[int] = ..., lots: _Optional[int] = ..., filled_lots: _Optional[int] = ..., kind: _Optional[_Union[_journal_pb2.OrderKind, str]] = ..., state: _Optional[_Union[_journal_pb2.OrderState, str]] = ..., origin: _Optional[_Union[_journal_pb2.Origin, str]] = ..., reason: _Optional[str] = ..., event_ns: _Optional[int] = ...) -> None: ...

class ListOrdersRequest(_message.Message):
    __slots__ = ("include_closed",)
    INCLUDE_CLOSED_FIELD_NUMBER: _ClassVar[int]
    include_closed: bool
    def __init__(self, include_closed: _Optional[bool] = ...) -> None: ...

class ListOrdersResponse(_message.Message):
    __slots__ = ("orders",)
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[Order]
    def __init__(self, orders: _Optional[_Iterable[_Union[Order, _Mapping]]] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("request_id", "instrument", "side", "price_tick", "lots", "kind", "reduce_only", "actor")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICK_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    instrument: int
    side: _journal_pb2.Side
    price_tick: int
    lots: int
    kind: _journal_pb2.OrderKind
    reduce_only: bool
    actor: str
    def __init__(self, request_id: _Optional[str] = ..., instrument: _Optional[int] = ..., side: _Optional[_Union[_journal_pb2.Side, str]] = ..., price_tick: _Optional[int] = ..., lots: _Optional[int] = ..., kind: _Optional[_Union[_journal_pb2.OrderKind, str]] = ..., reduce_only: _Optional[bool] = ..., actor: _Optional[str] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("request_id", "client_order_id", "actor")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    client_order_id: str
    actor: str
    def __init__(self, request_id: _Optional[str] = ..., client_order_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class DecisionRequest(_message.Message):
    __slots__ = ("request_number", "book")
    REQUEST_NUMBER_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    request_number: int
    book: _journal_pb2.BookEvent
    def __init__(self, request_number: _Optional[int] = ..., book: _Optional[_Union[_journal_pb2.BookEvent, _Mapping]] = ...) -> None: ...

class DecisionResponse(_message.Message):
    __slots__ = ("request_number", "decision", "refusal")
    REQUEST_NUMBER_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    request_number: int
    decision: _journal_pb2.Decision
    refusal: _journal_pb2.Refusal
    def __init__(self, request_number: _Optional[int] = ..., decision: _Optional[_Union[_journal_pb2.Decision, _Mapping]] = ..., refusal: _Optional[_Union[_journal_pb2.Refusal, _Mapping]] = ...) -> None: ...
