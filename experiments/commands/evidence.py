"""`bookswarm evidence`: what each control is set to, when it acted, and the test that proves it. Free of JAX."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output


def evidence(
    journal: Annotated[Path, typer.Option("--journal", help="Journal directory of a session.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Directory to write evidence.json and evidence.md into.")],
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Write the bundle that shows each control working, from a journal and the tests.

    Example: bookswarm evidence --journal runs/journals/quickstart/journal --out evidence
    """
    import live_bridge
    from experiments.commands.live import existing
    from live_bridge.evidence import write_bundle

    root = Path(live_bridge.__file__).resolve().parents[1]
    bundle = write_bundle(existing(journal, "journal directory"), out_dir, root)
    if json_mode:
        Output(True, quiet).result(bundle)
    else:
        rows = [{"control": row["name"], "shown_by": "; ".join(row["shown_by"])} for row in bundle["controls"]]
        Output(False, quiet).result({"files": ", ".join(bundle["files"]), "controls": rows})
    if bundle["missing_tests"]:
        raise CommandFailed(1, f"a control names a test that is not there: {', '.join(bundle['missing_tests'])}")
