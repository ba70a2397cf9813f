"""The core's state as bytes and back: what a snapshot holds, and what tests compare."""

import json
from typing import Any

import numpy as np

from kernels.features.market import History
from kernels.risk.spec import RiskLimits
from kernels.risk.states import BreakerState, KillState, Standing
from live_bridge import control_state
from live_bridge.accounts import Account
from live_bridge.core_state import CoreState
from live_bridge.orders import Order
from live_bridge.persistent import PersistentMap
from live_bridge.records import fill_message, from_body
from live_bridge.types import BookEvent, OrderKind, OrderState, Origin, Phase, SessionStart, TradingState
from protos.journal.v1 import journal_pb2 as pb

_COUNTERS = ("next_intent", "decisions", "refusals", "consecutive_refusals", "now_ns", "flatten_wanted")
_BREAKERS = ("opened", "reference_tick_x2", "reference_ns", "slow", "run_side", "run")
_ENUMS = {"kind": OrderKind, "state": OrderState, "origin": Origin}


def encode_state(state: CoreState, sequence: int = 0) -> bytes:
    """Return the canonical bytes of a state: equal states give equal bytes."""
    out = pb.CoreSnapshot(sequence=sequence)
    out.trading, out.phase = state.trading.value, state.phase.value  # type: ignore[assignment]
    for name in _COUNTERS:
        setattr(out, name, getattr(state, name))
    for name, value in state.account._asdict().items():
        setattr(out.account, name, value)
    for _, order in sorted(state.orders.items()):
        _fill_order(out.orders.add(), order)
    out.live.extend(state.live)
    out.trade_keys.extend(sorted(key for key, _ in state.trades.items()))
    out.recent_ns.extend(state.recent_ns)
    out.limits_json.extend(json.dumps(limits._asdict(), separators=(",", ":")) for limits in state.limits)
    out.standing, out.kill = state.standing.value, state.kill.value
    for name in _BREAKERS:
        setattr(out, name, getattr(state.breakers, name))
    out.rejects_ns.extend(state.breakers.rejects_ns)
    out.controls_json = control_state.to_json(state.controls)
    if state.session is not None:
        fill_message(state.session, out.session)
    if state.book is not None:
        fill_message(state.book, out.book)
    if state.advice_book is not None:
        fill_message(state.advice_book, out.advice_book)
    out.history.extend(int(value) for value in state.history or ())
    out.advice_history.extend(int(value) for value in state.advice_history or ())
    return out.SerializeToString(deterministic=True)


def decode_state(payload: bytes) -> tuple[CoreState, int]:
    """Return (state, sequence) of `encode_state`."""
    snapshot = pb.CoreSnapshot.FromString(payload)
    orders: PersistentMap[str, Order] = PersistentMap()
    for message in snapshot.orders:
        orders = orders.set(message.client_order_id, _order(message))
    trades: PersistentMap[str, bool] = PersistentMap()
    for key in snapshot.trade_keys:
        trades = trades.set(key, True)
    state = CoreState(
        session=from_body(SessionStart, snapshot.session) if snapshot.HasField("session") else None,
        trading=TradingState(snapshot.trading),
        phase=Phase(snapshot.phase),
        account=Account(*(getattr(snapshot.account, name) for name in Account._fields)),
        orders=orders,
        live=tuple(snapshot.live),
        trades=trades,
        recent_ns=tuple(snapshot.recent_ns),
        limits=tuple(RiskLimits(**json.loads(text)) for text in snapshot.limits_json),
        standing=Standing(snapshot.standing),
        kill=KillState(snapshot.kill),
        breakers=BreakerState(
            rejects_ns=tuple(snapshot.rejects_ns), **{name: getattr(snapshot, name) for name in _BREAKERS}
        ),
        controls=control_state.from_json(snapshot.controls_json),
        book=from_body(BookEvent, snapshot.book) if snapshot.HasField("book") else None,
        history=_history(snapshot.history),
        advice_book=from_body(BookEvent, snapshot.advice_book) if snapshot.HasField("advice_book") else None,
        advice_history=_history(snapshot.advice_history),
        **{name: getattr(snapshot, name) for name in _COUNTERS},
    )
    return state, snapshot.sequence


def _history(values: Any) -> History | None:
    return History(*(np.int32(value) for value in values)) if values else None


def _fill_order(message: Any, order: Order) -> None:
    for name, value in order._asdict().items():
        setattr(message, name, value + 1 if name == "side" else value)


def _order(message: Any) -> Order:
    values = {name: getattr(message, name) for name in Order._fields}
    values["side"] -= 1
    return Order(**values | {name: convert(values[name]) for name, convert in _ENUMS.items()})
