"""The scorecard's page: one HTML file that loads nothing, for a phone and a screen, dark and light."""

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from experiments import score_plots as plots
from experiments.home import git_commit
from experiments.report_page import Markup, Section, facts, heading, number, paragraph, render_page, table
from experiments.score_text import fact_table, model_table, span, verdict_lines
from market_models.scorecard.card import Card
from market_models.scorecard.classifier import TELLS_APART, WINDOW
from market_models.scorecard.conditions import LAGS, RESPONSES
from market_models.scorecard.score import NUM_BLOCKS, RESAMPLES, Row

_KINDS = {
    "statistic": ("Distributions", "of one value a message, order, minute or ten seconds"),
    "conditional": ("Conditional distributions", "drawn: the mean in each group of the condition"),
    "response": ("Price response", f"signed mid change {', '.join(map(str, LAGS))} events on; drawn: its mean"),
}


def render(card: Card, source: str) -> str:
    """Return the page of a card; `source` names the recording."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    sections = [_verdict(card), *(_rows(card, kind) for kind in _KINDS), _responses(card), _facts(card)]
    sections += [_classifier(card), _method(card, source)]
    return render_page("Scorecard: is the generated market real?", f"Made {made}", [s for s in sections if s.parts])


def _verdict(card: Card) -> Section:
    told = {part.name for part in card.contenders if card.verdicts[part.name].tells_apart}
    lines = [paragraph(line, "bad" if "TELLS" in line else "") for line in verdict_lines(card)]
    rows = [list(row.values()) for row in model_table(card)]
    columns = list(model_table(card)[0])
    chosen = frozenset(i for i, part in enumerate(card.contenders) if part.name not in told)
    caption = "IQM: interquartile mean over all rows below; 0 is equal; AUC 0.5: cannot be told apart"
    return Section("verdict", "Verdict", (*lines, table(columns, rows, caption, chosen)))


def _rows(card: Card, kind: str) -> Section:
    title, meaning = _KINDS[kind]
    indexes = [i for i, row in enumerate(card.best.rows) if row.kind == kind]
    names = [part.name for part in card.contenders]
    head = ["row", "unit", "", *(f"{name}: {what}" for name in names for what in ("L1", "95 %", "W1")), "n recorded"]
    body = []
    for index in indexes:
        rows = [part.rows[index] for part in card.contenders]
        cells = [cell for row in rows for cell in _cells(row)]
        body.append([rows[0].name, rows[0].unit, _plot(card, rows[0].name), *cells, number(rows[0].n_recorded)])
    parts = (paragraph(meaning[0].upper() + meaning[1:] + ".", "soft"), plots.legend(names), _markup_table(head, body))
    return Section(kind, title, parts if indexes else ())


def _cells(row: Row) -> list[str]:
    if row.l1 is None:
        return ["-", row.reason, "-"]
    w1 = "-" if row.w1 is None else f"{row.w1:.3f}"
    return [f"{row.l1:.3f}", row.reason or span(row.ci_low, row.ci_high), w1]


def _plot(card: Card, name: str) -> Markup:
    shapes = {part.name: part.shapes[name] for part in card.contenders if name in part.shapes}
    if not shapes:
        return Markup("")
    first = next(iter(shapes.values()))
    empty = np.zeros(len(first.recorded))
    lines = {part.name: shapes[part.name].contender if part.name in shapes else empty for part in card.contenders}
    if not len(first.edges):
        return plots.group_lines(first.recorded, lines, f"{name}: mean by group")
    drawn = plots.overlay(first.recorded, lines, f"{name}: shares of the bins")
    low, high = number(float(first.edges[0])), number(float(first.edges[-1]))
    return Markup(f'{drawn}<br><span class="soft">{html.escape(low)} .. {html.escape(high)}</span>')


def _markup_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> Markup:
    """Return a table whose cells may be drawings; every other text is escaped."""
    columns = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{c if isinstance(c, Markup) else html.escape(c)}</td>" for c in row) + "</tr>"
        for row in body
    )
    return Markup(f'<div class="scroll"><table><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table></div>')


def _responses(card: Card) -> Section:
    names = ["recorded", *(part.name for part in card.contenders)]
    rows = [
        [event, lag, *(card.responses[n][event][i] for n in names)] for event in RESPONSES for i, lag in enumerate(LAGS)
    ]
    caption = "mean signed mid change in ticks, by how many events later; positive: with the event"
    return Section("impact", "Mean price response", (table(["event", "events later", *names], rows, caption),))


def _facts(card: Card) -> Section:
    rows = [list(row.values()) for row in fact_table(card)]
    own = card.facts["recorded"]
    notes = [(fact.name, f"{fact.meaning} (recorded n = {fact.n:,})" + _why(fact)) for fact in own]
    caption = "figure (95 % interval of a jackknife over blocks of time)"
    return Section("facts", "Stylised facts", (table(list(fact_table(card)[0]), rows, caption), facts(notes)))


def _why(fact: Any) -> str:
    return "" if fact.value is not None else f"; {fact.reason}"


def _classifier(card: Card) -> Section:
    columns = ["market", "AUC", "95 %", "windows", "told apart", "strongest clues"]
    rows = []
    for part in card.contenders:
        verdict = card.verdicts[part.name]
        told = "not judged" if verdict.auc is None else "yes" if verdict.tells_apart else "no"
        interval = span(verdict.ci_low, verdict.ci_high)
        clues = ", ".join(verdict.strongest) or verdict.reason
        rows.append([part.name, verdict.auc, interval, verdict.windows, told, clues])
    text = (
        f"Gradient-boosted trees on summaries of {WINDOW} successive messages, cross-validated by block of time. An "
        f"AUC above {TELLS_APART} means that the market can be told from the recording."
    )
    return Section("classifier", "Classifier", (paragraph(text, "soft"), table(columns, rows)))


def _method(card: Card, source: str) -> Section:
    own = card.self_window
    about = [
        ("recording", source),
        ("recorded window, seconds after midnight", f"{card.recorded_window[0]:.0f} .. {card.recorded_window[1]:.0f}"),
        ("other hour", "none" if own is None else f"{own[0]:.0f} .. {own[1]:.0f}"),
        ("recorded messages", card.recorded.rows),
        ("left out of the recording", f"{card.recorded.left_out:,} hidden executions, crosses and halts"),
        (
            "blocks of the bootstrap",
            f"{NUM_BLOCKS} of {card.recorded.duration_s / NUM_BLOCKS:.1f} s, {RESAMPLES} draws",
        ),
        ("seed", card.seed),
        ("commit", git_commit()),
    ]
    counts = [[part.name, part.tape.rows, part.tape.duration_s, len(part.tape.stretches)] for part in card.contenders]
    text = (
        "L1: half the summed difference of two histograms on bins of the recorded values, 0 equal, 1 disjoint. W1: "
        "Wasserstein-1 distance in recorded standard deviations. Every contender has at most the market time of the "
        "recorded window. docs/scorecard.md says what each row is and where it differs from LOB-Bench."
    )
    sizes = table(["market", "messages", "seconds", "sequences"], counts)
    return Section("method", "Method and sizes", (paragraph(text), facts(about), heading("Samples"), sizes))
