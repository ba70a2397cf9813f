"""`bookswarm score`: is a generated market like the recorded one?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import Output, print_value


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command()(score)


def score(
    generated: Annotated[
        list[Path],
        typer.Option(help="A model's folder of LOBSTER files, as `generate` writes them; once for each model."),
    ],
    recorded: Annotated[Path, typer.Option(help="LOBSTER recording: a zip, or a message file beside its order book.")],
    from_s: Annotated[float | None, typer.Option(help="Recorded window: seconds after midnight.")] = None,
    to_s: Annotated[float | None, typer.Option(help="Where the recorded window ends.")] = None,
    self_from_s: Annotated[
        float | None, typer.Option(help="The recording's other hour; default: as long, beside the window.")
    ] = None,
    self_to_s: Annotated[float | None, typer.Option(help="Where the other hour ends.")] = None,
    tick_size: Annotated[str, typer.Option(help="Tick of the recording and of every folder.")] = "0.01",
    page: Annotated[Path | None, typer.Option("--out", help="Write one self-contained HTML page.")] = None,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Compare generated markets with a recorded one, row by row, beside another hour of the recording itself.

    Each row has an L1 distance in 0..1 and a Wasserstein distance in recorded standard deviations, with block-bootstrap
    intervals; then stylised facts, and whether a classifier tells the markets apart. docs/scorecard.md says what each
    row is. `rows`, `iqm_l1` and `iqm_w1` are those of the best model.

    Example: bookswarm score --generated zi --generated qr --recorded AMZN_5.zip --from-s 45900 --out score.html
    """
    from market_models.scorecard.card import Windows, as_record, make_card

    out = Output(json_mode, quiet)
    windows = Windows(from_s, to_s, self_from_s, self_to_s)
    with out.progress("score", "rows") as advance:
        card = make_card(generated, recorded, windows, seed=seed or 0, tick_size=tick_size, progress=advance)
    result = as_record(card)
    if page is not None:
        from experiments.report import write_atomically
        from experiments.score_page import render

        result |= {"page": str(page), "page_bytes": write_atomically(page, render(card, str(recorded)).encode())}
    if json_mode:
        out.result(result)
    else:
        _print(card, result)


def _print(card: Any, result: dict[str, Any]) -> None:
    from experiments.score_text import fact_table, model_table, row_table, verdict_lines

    print_value("rows: L1 (Wasserstein-1) and the best model's 95 % interval of L1", row_table(card))
    print_value("facts", fact_table(card))
    print_value("models", model_table(card))
    for line in verdict_lines(card):
        print_value("verdict", line)
    if "page" in result:
        print_value("page", result["page"])
