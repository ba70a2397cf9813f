"""The report's sections about a paper or live session: what it did, its risk events, its books three ways."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from experiments import report_figures as figures
from experiments.report_data import SessionData
from experiments.report_page import Section, facts, heading, missing, paragraph, table

_FIGURES = (
    "run_id",
    "instrument",
    "decisions",
    "orders",
    "fills",
    "traded_lots",
    "unknown",
    "resolved",
    "reconciled",
    "position",
    "pnl",
    "currency",
    "trading",
    "epoch",
    "journal_records",
    "journal",
)
_SAME_FOR_ALL = ("source", "run_id", "strategy", "instrument")  # of one session
_BOOKS = ("journal", "venue", "warehouse")
_LEDGER = ("fills", "traded_lots", "position_lots", "cash_e8", "fees_e8")
MAX_EVENTS = 50


def behaviour(data: SessionData) -> Section:
    """Draw quotes, fills, inventory and PnL against time."""
    decisions, equity = data.tables.get("decisions"), data.tables.get("equity")
    parts: list[Any] = []
    if decisions is None and equity is None:
        reason = data.missing or "the warehouse has neither decisions nor equity of this session"
        return Section("behaviour", "Behaviour", (missing(f"quotes and inventory against time: {reason}"),))
    start_ns = min(int(table["event_ns"][0].as_py()) for table in (decisions, equity) if table is not None)
    x_range = None
    if decisions is not None:
        plot = figures.quotes(*_quotes(decisions, data.tables.get("fills"), start_ns))
        x_range = plot.x_range
        parts.append(plot)
    if equity is not None:
        seconds = _seconds(equity, start_ns)
        shared = {} if x_range is None else {"x_range": x_range}
        parts.append(figures.inventory(seconds, _floats(equity, "position_lots"), **shared))
        parts.append(figures.money(seconds, _floats(equity, "equity_e8") / 1e8, **shared))
    else:
        parts.append(missing("inventory and PnL against time: the warehouse has no equity of this session"))
    return Section("behaviour", "Behaviour", tuple(parts))


def _quotes(decisions: pa.Table, fills: pa.Table | None, start_ns: int) -> tuple[np.ndarray, dict, dict]:
    lines = {
        "best bid": _floats(decisions, "best_bid_tick"),
        "best ask": _floats(decisions, "best_ask_tick"),
        "our bid": _quoted(decisions, "bid"),
        "our ask": _quoted(decisions, "ask"),
    }
    shown = {name: values for name, values in lines.items() if not np.all(np.isnan(values))}
    marks = {}
    if fills is not None:
        when, price = _seconds(fills, start_ns), _floats(fills, "price_tick")
        sides = np.array(fills["side"].to_pylist())
        for name, side in (("bought", "BUY"), ("sold", "SELL")):
            if np.any(sides == side):
                marks[name] = (when[sides == side], price[sides == side])
    return _seconds(decisions, start_ns), shown, marks


def _quoted(decisions: pa.Table, side: str) -> np.ndarray:
    return np.where(_floats(decisions, f"{side}_lots") > 0, _floats(decisions, f"{side}_price_tick"), np.nan)


def session(data: SessionData) -> Section:
    """Summarise the session: what it did, what was refused, how long each stage took."""
    summary = data.summary
    if summary is None:
        return Section("session", "Paper session", (missing(data.missing),))
    parts = [facts([(name, summary[name]) for name in _FIGURES if name in summary])]
    parts += [heading("Orders refused by the gate or the venue"), _counts(summary.get("rejects"))]
    parts += [heading("Decisions refused"), _counts(summary.get("refusals"))]
    parts += [heading("Risk events"), _risk_events(data.tables.get("risk_events"))]
    parts += [heading("Latency, microseconds"), _latency(summary.get("latency_us"))]
    title = "Live session" if summary.get("source") == "live" else "Paper session"
    return Section("session", title, tuple(parts))


def executions(data: SessionData) -> Section:
    """Show what trading cost: fees, maker share, what became of the orders, and whether the fills were good."""
    found = {title: answer for title, answer in data.executions.items() if answer[1]}
    if not found:
        return Section("executions", "Execution", (missing(f"execution costs: {data.missing or 'no fills'}"),))
    parts = []
    for title, (columns, rows) in found.items():
        shown = [index for index, name in enumerate(columns) if name not in _SAME_FOR_ALL]
        cells = [[row[index] for index in shown] for row in rows]
        parts += [heading(title.capitalize()), table([columns[index] for index in shown], cells)]
    parts.append(paragraph("Markout: how far the mark moved in our favour after a fill, ticks a lot.", "soft"))
    return Section("executions", "Execution", tuple(parts))


def _counts(reasons: Mapping[str, int] | None) -> Any:
    if not reasons:
        return paragraph("None.", "soft")
    return table(["reason", "times"], sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def _risk_events(events: pa.Table | None) -> Any:
    if events is None:
        return paragraph("None on record.", "soft")
    rows = [[r["event_ns"], r["kind"], r["detail"]] for r in events.slice(0, MAX_EVENTS).to_pylist()]
    shown = f"the first {MAX_EVENTS} of {events.num_rows}" if events.num_rows > MAX_EVENTS else f"{events.num_rows}"
    return table(["event time, ns", "control", "detail"], rows, f"{shown} events")


def _latency(stages: Mapping[str, Mapping[str, float]] | None) -> Any:
    if not stages:
        return missing("latency percentiles: the session reported none (latency_us)")
    columns = list(dict.fromkeys(name for stage in stages.values() for name in stage))
    rows = [[name, *(stage.get(column) for column in columns)] for name, stage in stages.items()]
    return table(["stage", *columns], rows)


def ledger(data: SessionData) -> Section:
    """Set the journal's, the venue's and the warehouse's books side by side; they agree to the last unit or not."""
    books = data.ledgers
    if not books:
        return Section("ledger", "Three ledgers", (missing(f"reconciliation: {data.missing}"),))
    rows = []
    for item in _LEDGER:
        values = [int(book[item]) for book in books.values()]
        rows.append([item, *values, len(set(values)) == 1])
    agree = all(row[-1] for row in rows)
    absent = [name for name in _BOOKS if name not in books]
    verdict = f"{' and '.join(books)} agree to the last unit." if agree else "The ledgers differ."
    parts = [
        paragraph(verdict[0].upper() + verdict[1:], "good" if agree else "bad"),
        table(["", *books, "equal"], rows, "exact integers; money in 1e-8 of the quote currency, cash before fees"),
    ]
    if absent:
        parts.append(missing(f"the ledger of the {' and the '.join(absent)} ({data.missing})"))
    return Section("ledger", "Three ledgers", tuple(parts))


def _seconds(rows: pa.Table, start_ns: int) -> np.ndarray:
    return (np.asarray(rows["event_ns"].to_numpy(), np.int64) - start_ns) / 1e9


def _floats(rows: pa.Table, column: str) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in rows[column].to_pylist()], np.float64)
