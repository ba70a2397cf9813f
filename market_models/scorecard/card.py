"""The whole card: every contender's rows, facts and classifier beside the recorded market and another hour of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from market_models.datasets import lobster
from market_models.datasets.recording import Recording
from market_models.scorecard.classifier import Verdict, tell_apart
from market_models.scorecard.facts import Fact, stylised_facts
from market_models.scorecard.score import Progress, Score, response_curves, row_units, score
from market_models.scorecard.tape import Tape, folder_tape, window_tape

SELF = "recorded, another hour"
MIN_SELF_FRAC = 0.1  # of the window; less of another time is no yardstick


@dataclass(frozen=True)
class Windows:
    """Stretches of the recording, seconds after midnight. None: the first or last second, or the default rule."""

    from_s: float | None = None
    to_s: float | None = None
    self_from_s: float | None = None
    self_to_s: float | None = None


@dataclass(frozen=True)
class Card:
    """What the page and the JSON show."""

    recorded: Tape
    recorded_window: tuple[float, float]
    self_window: tuple[float, float] | None
    models: tuple[Score, ...]  # best first, by interquartile mean of L1
    self_score: Score | None
    facts: dict[str, list[Fact]]  # by market
    verdicts: dict[str, Verdict]  # by contender
    responses: dict[str, dict[str, list[float | None]]]  # by market, by kind of event
    seed: int

    @property
    def best(self) -> Score:
        """The model with the lowest interquartile mean of L1."""
        return self.models[0]

    @property
    def contenders(self) -> tuple[Score, ...]:
        """The self row, where there is one, and the models."""
        return self.models if self.self_score is None else (self.self_score, *self.models)


def make_card(
    folders: Sequence[Path],
    recorded_path: Path,
    windows: Windows,
    *,
    seed: int = 0,
    tick_size: str = "0.01",
    progress: Progress = lambda done, total, note: None,
) -> Card:
    """Read the recording and the folders, and score.

    Raises FileNotFoundError, NotADirectoryError, DataError for files that are missing or malformed, ValueError for
    windows that hold too little or overlap, and for markets of another price step.
    """
    if not folders:
        raise ValueError("generated is empty: name at least one folder of LOBSTER files")
    recording = lobster.read(recorded_path, tick_size=tick_size)
    first, last = _window(recording, windows)
    tape = window_tape(recording, "recorded", first, last)
    other = self_window(recording, windows, first, last)
    contenders = [] if other is None else [window_tape(recording, SELF, *other)]
    contenders += [folder_tape(folder, tape.duration_s, tick_size=tick_size) for folder in folders]
    rows = len(contenders) * len(row_units())
    total = rows + 2 * len(contenders) + 1
    scores = score(tape, contenders, seed=seed, progress=lambda done, _, note: progress(done, total, note))
    facts, verdicts, done = {"recorded": stylised_facts(tape)}, {}, rows + 1
    for part in contenders:
        progress(done, total, f"{part.name}: stylised facts")
        facts[part.name] = stylised_facts(part)
        progress(done + 1, total, f"{part.name}: classifier")
        verdicts[part.name] = tell_apart(tape, part, seed)
        done += 2
    models = sorted((s for s in scores if s.name != SELF), key=lambda s: (s.iqm_l1, s.name))
    own = next((s for s in scores if s.name == SELF), None)
    curves = {part.name: response_curves(part) for part in (tape, *contenders)}
    return Card(tape, (first, last), other, tuple(models), own, facts, verdicts, curves, seed)


def _window(recording: Recording, windows: Windows) -> tuple[float, float]:
    first = float(recording.time_s[0]) if windows.from_s is None else windows.from_s
    last = float(recording.time_s[-1]) + 1 if windows.to_s is None else windows.to_s
    return first, last


def self_window(recording: Recording, windows: Windows, first: float, last: float) -> tuple[float, float] | None:
    """Return the other hour: the one asked for, else what lies directly before the window, or after it where that is
    longer; never longer than the window. None where less than a tenth of the window is left.

    ValueError where the one asked for overlaps the window or is empty.
    """
    start, end, length = float(recording.time_s[0]), float(recording.time_s[-1]) + 1, last - first
    if windows.self_from_s is None and windows.self_to_s is None:
        before, after = (max(start, first - length), first), (last, min(end, last + length))
        chosen = before if before[1] - before[0] >= after[1] - after[0] else after
        return chosen if chosen[1] - chosen[0] >= MIN_SELF_FRAC * length else None
    low = start if windows.self_from_s is None else windows.self_from_s
    high = end if windows.self_to_s is None else windows.self_to_s
    high = min(high, low + length)  # the same market time as the window, at most
    if not low < high:
        raise ValueError(f"self window {low}..{high} s is empty: self_from_s must be below self_to_s")
    if low < last and first < high:
        raise ValueError(f"self window {low}..{high} s overlaps {first}..{last} s: it must be another hour")
    return low, high


def as_record(card: Card) -> dict[str, Any]:
    """Return the card as the command's JSON object: the contract's fields are those of the best model."""
    own = card.self_score
    return {
        "rows": _rows(card.best, own),
        "iqm_l1": card.best.iqm_l1,
        "iqm_w1": card.best.iqm_w1,
        "self_iqm_l1": None if own is None else own.iqm_l1,
        "self_iqm_w1": None if own is None else own.iqm_w1,
        "model": card.best.name,
        "worst_model": card.models[-1].name,
        "models": [_model(card, part) for part in card.models],
        "self": None if own is None else _model(card, own),
        "facts": {name: [fact._asdict() for fact in facts] for name, facts in card.facts.items()},
        "auc": card.verdicts[card.best.name].auc,
        "responses": card.responses,
        "recorded_window_s": card.recorded_window,
        "self_window_s": card.self_window,
        "n": {"recorded": card.recorded.rows, **{part.name: part.tape.rows for part in card.contenders}},
        "left_out": card.recorded.left_out,
        "seed": card.seed,
    }


def _rows(part: Score, own: Score | None) -> list[dict[str, Any]]:
    rows = [dict(vars(row)) for row in part.rows]
    if own is not None:
        for row, same in zip(rows, own.rows, strict=True):
            row |= {"self_l1": same.l1, "self_w1": same.w1}
    return rows


def _model(card: Card, part: Score) -> dict[str, Any]:
    verdict = card.verdicts[part.name]
    return {
        "name": part.name,
        "iqm_l1": part.iqm_l1,
        "iqm_l1_ci": part.iqm_l1_ci,
        "iqm_w1": part.iqm_w1,
        "iqm_w1_ci": part.iqm_w1_ci,
        "iqm_l1_by_kind": part.iqm_l1_by_kind,
        "classifier": {**verdict._asdict(), "tells_apart": verdict.tells_apart},
        "messages": part.tape.rows,
        "duration_s": part.tape.duration_s,
        "rows": _rows(part, None),
    }
