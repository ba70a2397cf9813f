"""The scorecard in words and plain cells, for the terminal and for the page."""

from typing import Any

from market_models.scorecard.card import SELF, Card
from market_models.scorecard.classifier import TELLS_APART
from market_models.scorecard.score import Row, Score


def row_table(card: Card) -> list[dict[str, str]]:
    """Return one mapping a statistic: its name, every contender's L1 (W1), and the best model's interval."""
    rows = []
    for index, first in enumerate(card.best.rows):
        cells = {part.name: pair(part.rows[index]) for part in card.contenders}
        rows.append({"row": first.name, "unit": first.unit, **cells, "interval": span(first.ci_low, first.ci_high)})
    return rows


def pair(row: Row) -> str:
    """Return a row's L1 (W1), or why it has none."""
    if row.l1 is None:
        return row.reason
    return f"{row.l1:.3f} ({row.w1:.3f})" if row.w1 is not None else f"{row.l1:.3f}: {row.reason}"


def span(low: float | None, high: float | None) -> str:
    """Return an interval."""
    return "-" if low is None or high is None else f"{low:.3f} .. {high:.3f}"


def model_table(card: Card) -> list[dict[str, Any]]:
    """Return one mapping a contender, the self row first and the models best first."""
    return [_model(card, part) for part in card.contenders]


def _model(card: Card, part: Score) -> dict[str, Any]:
    verdict = card.verdicts[part.name]
    return {
        "market": part.name,
        "standing": standing(card, part),
        "IQM L1": f"{part.iqm_l1:.3f}",
        "IQM L1, 95 %": span(*part.iqm_l1_ci),
        "IQM W1": f"{part.iqm_w1:.3f}",
        "IQM W1, 95 %": span(*part.iqm_w1_ci),
        "AUC": verdict.reason
        if verdict.auc is None
        else f"{verdict.auc:.3f} ({span(verdict.ci_low, verdict.ci_high)})",
        "messages": f"{part.tape.rows:,}",
        "hours": f"{part.tape.duration_s / 3600:.2f}",
    }


def standing(card: Card, part: Score) -> str:
    """Return what a contender is on this card."""
    if part.name == SELF:
        return "the yardstick"
    if len(card.models) == 1:
        return "the only model"
    return {0: "best model", len(card.models) - 1: "worst model"}.get(card.models.index(part), "")


def fact_table(card: Card) -> list[dict[str, str]]:
    """Return one mapping a stylised fact: its figure and interval in every market."""
    rows = []
    for index, first in enumerate(card.facts["recorded"]):
        names = ["recorded", *(part.name for part in card.contenders)]
        cells = {name: _fact(card.facts[name][index]) for name in names}
        rows.append({"fact": first.name, **cells})
    return rows


def _fact(fact: Any) -> str:
    if fact.value is None:
        return fact.reason.split(":")[0]
    return f"{fact.value:.3g}" + (f" ({fact.ci_low:.3g} .. {fact.ci_high:.3g})" if fact.ci_low is not None else "")


def verdict_lines(card: Card) -> list[str]:
    """Return what the card says, a sentence each."""
    best, own = card.best, card.self_score
    lines = [f"{best.name} is nearest to the recording: IQM L1 {best.iqm_l1:.3f} ({span(*best.iqm_l1_ci)})."]
    if own is not None:
        lines.append(f"The recording differs from another hour of itself by {own.iqm_l1:.3f} ({span(*own.iqm_l1_ci)}).")
    else:
        lines.append("The recording has no other hour to be compared with: narrow the window with --from-s and --to-s.")
    for part in card.contenders:
        verdict = card.verdicts[part.name]
        if verdict.auc is None:
            lines.append(f"The classifier could not judge {part.name}: {verdict.reason}.")
        elif verdict.tells_apart:
            clues = ", ".join(verdict.strongest)
            lines.append(
                f"A classifier TELLS {part.name} from the recording: AUC {verdict.auc:.3f} is above {TELLS_APART}; "
                f"strongest clues {clues}."
            )
        else:
            lines.append(f"A classifier hardly tells {part.name} from the recording: AUC {verdict.auc:.3f}.")
    lost = [row.name for row in best.rows if row.reason]
    if lost:
        lines.append(f"Rows of {best.name} that could not be computed: {', '.join(lost)}.")
    return lines
