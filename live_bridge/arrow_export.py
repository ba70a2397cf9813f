"""A journal as Arrow segments for the warehouse: orders, fills, equity, decisions, risk_events, instruments.

Segments cover fixed ranges of journal records and are named TABLE-FIRST-LAST.arrow, so that a whole range always gives
the same bytes and is ingested once; the last, open range is written anew and replaces its earlier file. Column names
and units are the warehouse's (warehouse/migrations); rows carry the journal's sequence number.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from kernels.features.market import strip_own
from live_bridge.accounts import equity_e8
from live_bridge.core_state import CoreConfig
from live_bridge.journal import JournalError, JournalReader
from live_bridge.journal_tools import plain
from live_bridge.order_tracking import Tracker
from live_bridge.orders import Order
from live_bridge.records import BODIES, Body, decode
from live_bridge.types import (
    Alert,
    BookEvent,
    Decision,
    Fill,
    HedgeSuggestion,
    Output,
    PortfolioRisk,
    Refusal,
    RiskRefusal,
    SessionStart,
    SizeCut,
    StateChange,
    StopTriggered,
)

SEGMENT_RECORDS = 100_000
Row = dict[str, Any]


def journal_to_arrow(directory: Path, out_dir: Path, segment_records: int = SEGMENT_RECORDS) -> dict[str, Any]:
    """Write the segments of a journal and return {"rows": {table: rows}, "files": [path]}.

    Raises JournalDamagedError or RecordError where the journal cannot be read, JournalError where it is empty.
    """
    if segment_records < 1:
        raise ValueError(f"segment_records {segment_records} is below 1")
    out_dir.mkdir(parents=True, exist_ok=True)
    export = _Export(out_dir)
    first = last = 1
    for frame in JournalReader(directory).frames():
        if frame.sequence >= first + segment_records:
            export.write(first, frame.sequence - 1)
            first = frame.sequence
        last = frame.sequence
        export.take(frame.sequence, decode(frame.payload))
    if export.tracker is None:
        raise JournalError(f"{directory} holds no session")
    export.write(first, last)
    return {"rows": dict(export.counts), "files": export.files}


class _Export:
    """Rows of the open range, and what is known of the session so far."""

    def __init__(self, out_dir: Path) -> None:
        self.out_dir = out_dir
        self.tables: dict[str, list[Row]] = defaultdict(list)
        self.counts: dict[str, int] = defaultdict(int)
        self.files: list[str] = []
        self.tracker: Tracker | None = None
        self.tick_value_e8 = 0
        self.names: Row = {}
        self.instruments: tuple[str, ...] = ()
        self.mark_tick_x2 = 0
        self.touch: tuple[int | None, int | None] = (None, None)
        self.recv_ns = 0

    def take(self, sequence: int, body: Body) -> None:
        if isinstance(body, SessionStart):
            self._session(body)
        if self.tracker is None:
            raise JournalError(f"record {sequence} comes before any session")
        self.recv_ns = getattr(body, "recv_ns", self.recv_ns)
        self.tracker.take(body)
        event_ns = getattr(body, "event_ns", self.tracker.now_ns)
        if not getattr(body, "advice", False):
            self.tracker.now_ns = max(self.tracker.now_ns, event_ns)
        for order in self.tracker.changed.values():
            self.tables["orders"].append(self._order(order, sequence, event_ns))
        match body:
            case BookEvent() if not body.advice:
                self._book(body)
                self.tables["equity"].append(self._equity(sequence, event_ns))
            case Fill() if self.tracker.booked:
                self.tables["fills"].append(self._fill(body, sequence))
                self.tables["equity"].append(self._equity(sequence, event_ns))
            case Decision() | Refusal() if not body.advice:
                self.tables["decisions"].append(self._decision(body, sequence))
            case RiskRefusal() | StateChange() | Alert():
                self.tables["risk_events"].append(self._risk(body, sequence))
            case StopTriggered() | SizeCut() | HedgeSuggestion() | PortfolioRisk():
                self.tables["risk_events"].append(self._risk(body, sequence))

    def _session(self, start: SessionStart) -> None:
        config = CoreConfig.from_json(start.config_json)
        self.tick_value_e8 = config.limits.tick_value_e8
        self.instruments = start.instruments
        self.names = {"source": start.source, "run_id": start.run_id, "strategy": start.strategy}
        if self.tracker is not None:
            return
        self.tracker = Tracker(self.tick_value_e8)
        instrument = config.instrument
        self.tables["instruments"].append(
            {
                "source": start.source,
                "run_id": start.run_id,
                "instrument": instrument.name,
                "currency": instrument.currency,
                "tick_size": instrument.tick_size,
                "lot_size": instrument.lot_size,
                "tick_lot_value_e8": self.tick_value_e8,
            }
        )

    def _of(self, instrument: int) -> Row:
        known = instrument < len(self.instruments)  # a refused request may name one that is none of ours
        return {**self.names, "instrument": self.instruments[instrument] if known else f"unknown {instrument}"}

    def _book(self, book: BookEvent) -> None:
        if book.gap or not (book.depth[:, 0, 1] > 0).all():
            self.touch = (None, None)
            return
        self.touch = (int(book.depth[0, 0, 0]), int(book.depth[1, 0, 0]))
        net = strip_own(np, book.depth, book.own)
        if self.touch[0] < self.touch[1] and (net[:, 0, 1] > 0).all():
            self.mark_tick_x2 = int(net[0, 0, 0]) + int(net[1, 0, 0])

    def _order(self, order: Order, sequence: int, event_ns: int) -> Row:
        return {
            **self._of(order.instrument),
            "client_order_id": order.client_order_id,
            "venue_order_id": order.venue_order_id,
            "side": order.side,
            "price_tick": order.price_tick,
            "lots": order.lots,
            "status": order.state.name,
            "reason": order.reason,
            "event_ns": event_ns,
            "recv_ns": self.recv_ns,
            "sequence": sequence,
        }

    def _fill(self, fill: Fill, sequence: int) -> Row:
        return {
            **self._of(fill.instrument),
            "trade_id": fill.trade_id,
            "client_order_id": fill.client_order_id,
            "venue_order_id": fill.venue_order_id,
            "side": fill.side,
            "price_tick": fill.price_tick,
            "lots": fill.lots,
            "fee_e8": fill.fee_e8,
            "liquidity": fill.liquidity.name,
            "event_ns": fill.event_ns,
            "recv_ns": fill.recv_ns,
            "sequence": sequence,
        }

    def _equity(self, sequence: int, event_ns: int) -> Row:
        assert self.tracker is not None
        account = self.tracker.account
        return {
            **self._of(0),
            "event_ns": event_ns,
            "position_lots": account.position_lots,
            "cash_e8": account.cash_e8,
            "fees_e8": account.fees_e8,
            "equity_e8": equity_e8(account, self.mark_tick_x2, self.tick_value_e8),
            "mark_tick": self.mark_tick_x2 // 2,
            "sequence": sequence,
        }

    def _decision(self, body: Decision | Refusal, sequence: int) -> Row:
        assert self.tracker is not None
        made = isinstance(body, Decision)
        return {
            **self._of(body.instrument),
            "event_ns": body.event_ns,
            "recv_ns": self.recv_ns,
            "sequence": sequence,
            "decision_number": body.decision_number if made else 0,
            "action": body.action if made else -1,
            "refusal": "" if made else body.reason.name,
            "disagreement": body.disagreement if made else 0.0,
            "bid_price_tick": body.bid_price_tick if made else 0,
            "bid_lots": body.bid_lots if made else 0,
            "ask_price_tick": body.ask_price_tick if made else 0,
            "ask_lots": body.ask_lots if made else 0,
            "best_bid_tick": self.touch[0],
            "best_ask_tick": self.touch[1],
            "inventory_lots": self.tracker.account.position_lots,
        }

    def _risk(self, body: Output, sequence: int) -> Row:
        match body:
            case RiskRefusal():
                kind, detail = "REFUSED", body.reason.name
            case StateChange():
                kind = "STATE"
                detail = f"{body.trading_from.name} {body.phase_from.name} -> {body.trading_to.name} "
                detail += f"{body.phase_to.name}: {body.reason}"
            case Alert():
                kind, detail = body.code, body.detail
            case _:  # what a control beside the gate said: its fields, units in their names
                kind, words = BODIES[type(body)].upper(), plain(body)
                detail = ", ".join(f"{name} {value}" for name, value in words.items() if name != "event_ns")
        return {**self._of(0), "event_ns": body.event_ns, "sequence": sequence, "kind": kind, "detail": detail}

    def write(self, first: int, last: int) -> None:
        """Write the open range's tables and start the next."""
        for table in sorted(self.tables):
            rows = self.tables[table]
            if not rows:
                continue
            for stale in self.out_dir.glob(f"{table}-{first:012d}-*.arrow"):
                stale.unlink()
            path = self.out_dir / f"{table}-{first:012d}-{last:012d}.arrow"
            partial = path.with_suffix(".partial")
            arrow = pa.Table.from_pylist(rows, schema=_SCHEMAS[table])
            with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_file(file, arrow.schema) as writer:
                writer.write_table(arrow)
            partial.replace(path)
            self.counts[table] += arrow.num_rows
            self.files.append(str(path))
        self.tables.clear()


def _schema(strings: str, integers: str, **others: pa.DataType) -> pa.Schema:
    columns = {name: pa.string() for name in strings.split()} | {name: pa.int64() for name in integers.split()}
    return pa.schema(list((columns | others).items()))


_NAMES = "source run_id strategy instrument"
_SCHEMAS = {
    "orders": _schema(
        f"{_NAMES} client_order_id venue_order_id status reason", "side price_tick lots event_ns recv_ns sequence"
    ),
    "fills": _schema(
        f"{_NAMES} trade_id client_order_id venue_order_id liquidity",
        "side price_tick lots fee_e8 event_ns recv_ns sequence",
    ),
    "equity": _schema(_NAMES, "event_ns position_lots cash_e8 fees_e8 equity_e8 mark_tick sequence"),
    "decisions": _schema(
        f"{_NAMES} refusal",
        "event_ns recv_ns sequence decision_number action bid_price_tick bid_lots ask_price_tick ask_lots "
        "best_bid_tick best_ask_tick inventory_lots",
        disagreement=pa.float64(),
    ),
    "risk_events": _schema(f"{_NAMES} kind detail", "event_ns sequence"),
    "instruments": _schema("source run_id instrument currency tick_size lot_size", "tick_lot_value_e8"),
}
