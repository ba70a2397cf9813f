"""Fills, position and money recomputed from the records on disk: from the bridge's journal, from the venue's ledger.

Neither uses the core or the venue's code: they read the records and add up. The two must agree to the last integer, and
with what the warehouse ingested.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from live_bridge.accounts import tick_value_e8
from live_bridge.journal import JournalReader
from live_bridge.records import decode
from live_bridge.types import Decision, Fill, NewIntent, OrderReject, Refusal, RiskRefusal, SessionStart
from market_models.instrument import Instrument
from protos.journal.v1 import journal_pb2 as pb


class FillRow(NamedTuple):
    """One fill, by what makes it the same fill everywhere."""

    trade_id: str
    client_order_id: str
    side: int  # 0 BUY, 1 SELL
    price_tick: int
    lots: int
    fee_e8: int
    is_maker: bool
    event_ns: int


@dataclass
class Ledger:
    """What a record adds up to; money in 1e-8 quote units."""

    tick_value_e8: int = 0
    position_lots: int = 0
    cash_e8: int = 0  # before fees
    fees_e8: int = 0
    fills: list[FillRow] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)  # client order ids sent, in order
    _seen: set[str] = field(default_factory=set)

    def book(self, row: FillRow) -> None:
        """Add a fill, once."""
        if row.trade_id in self._seen:
            return
        self._seen.add(row.trade_id)
        sign = 1 if row.side == 0 else -1
        self.position_lots += sign * row.lots
        self.cash_e8 -= sign * row.lots * row.price_tick * self.tick_value_e8
        self.fees_e8 += row.fee_e8
        self.fills.append(row)

    def equal(self, other: "Ledger") -> bool:
        """Whether both hold the same fills, position, cash and fees, to the integer."""
        mine = (self.position_lots, self.cash_e8, self.fees_e8, sorted(self.fills))
        return mine == (other.position_lots, other.cash_e8, other.fees_e8, sorted(other.fills))


@dataclass
class JournalLedger(Ledger):
    """A ledger and the counts that a journal has beside it."""

    decisions: int = 0
    refusals: Counter[str] = field(default_factory=Counter)  # by reason
    rejects: Counter[str] = field(default_factory=Counter)  # venue codes, and risk reasons as RISK_...
    sessions: int = 0
    records: int = 0


def ledger_from_journal(directory: Path) -> JournalLedger:
    """Add up a bridge journal. Raises JournalDamagedError or RecordError where it cannot be read."""
    ledger = JournalLedger()
    for frame in JournalReader(directory).frames():
        ledger.records += 1
        body = decode(frame.payload)
        match body:
            case SessionStart():
                ledger.sessions += 1
                ledger.tick_value_e8 = _tick_value(json.loads(body.config_json)["instrument"])
            case Fill():
                ledger.book(_fill_row(body))
            case NewIntent():
                ledger.orders.append(body.client_order_id)
            case Decision() if not body.advice:
                ledger.decisions += 1
            case Refusal() if not body.advice:
                ledger.refusals[body.reason.name] += 1
            case OrderReject():
                ledger.rejects[body.code] += 1
            case RiskRefusal():
                ledger.rejects[f"RISK_{body.reason.name}"] += 1
    return ledger


def ledger_from_venue(directory: Path) -> Ledger:
    """Add up a paper venue's own ledger."""
    ledger = Ledger()
    for frame in JournalReader(directory, "ledger").frames():
        record = pb.Record.FromString(frame.payload)
        match record.WhichOneof("body"):
            case "venue_open":
                ledger.tick_value_e8 = _tick_value(json.loads(record.venue_open.config_json)["instrument"])
            case "venue_command" if not record.venue_command.cancel:
                ledger.orders.append(record.venue_command.client_order_id)
            case "venue_result" if record.venue_result.HasField("fill"):
                fill = record.venue_result.fill
                ledger.book(
                    FillRow(
                        trade_id=fill.trade_id,
                        client_order_id=fill.client_order_id,
                        side=fill.side - pb.SIDE_BUY,
                        price_tick=fill.price_tick,
                        lots=fill.lots,
                        fee_e8=fill.fee_e8,
                        is_maker=fill.liquidity == pb.LIQUIDITY_MAKER,
                        event_ns=fill.event_ns,
                    )
                )
    return ledger


def _tick_value(fields: dict[str, str]) -> int:
    return tick_value_e8(Instrument(**fields))


def _fill_row(fill: Fill) -> FillRow:
    return FillRow(
        trade_id=fill.trade_id,
        client_order_id=fill.client_order_id,
        side=fill.side,
        price_tick=fill.price_tick,
        lots=fill.lots,
        fee_e8=fill.fee_e8,
        is_maker=fill.liquidity.name == "MAKER",
        event_ns=fill.event_ns,
    )
