"""`bookswarm paper`, `journal`, `evidence`, `query`, `report`: what sessions left behind. JAX only for `report`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from experiments.commands.evidence import evidence
from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output


def register(app: typer.Typer) -> None:
    """Attach the commands."""
    app.command()(paper)
    app.add_typer(journal_group(), name="journal")
    app.command()(evidence)
    app.command()(query)
    app.command()(report)


def paper(
    artifact: Annotated[Path, typer.Option("--artifact", help="Artifact directory.")],
    data: Annotated[Path, typer.Option("--data", help="LOBSTER recording to trade over.")],
    session: Annotated[
        Path | None, typer.Option("--session", help="Session directory; one that exists is continued.")
    ] = None,
    from_s: Annotated[int | None, typer.Option(help="Start, seconds after midnight.", min=0)] = None,
    to_s: Annotated[int | None, typer.Option(help="End, seconds after midnight.", min=0)] = None,
    speed: Annotated[str, typer.Option(help="'max', or times recorded time.")] = "max",
    max_decisions: Annotated[int | None, typer.Option(help="End after so many decisions.", min=1)] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="Serve gRPC on this loopback port; 0 picks one.", min=0)
    ] = None,
    fsync: Annotated[
        Literal["always", "intents", "never"], typer.Option(help="When the journal is forced to disk.")
    ] = "intents",
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Run a whole paper session over recorded data through the real bridge and the paper venue.

    Example: bookswarm paper --artifact artifacts/a --data data/AMZN_5.zip --from-s 45900 --to-s 57600

    Example: bookswarm paper --artifact artifacts/a --data data/AMZN_5.zip --speed 10 --port 50051
    """
    from experiments.home import home
    from experiments.sessions import run_session
    from live_bridge.paper import PaperConfig

    out = Output(json_mode, quiet)
    directory = session or home() / "journals" / f"paper-{artifact.resolve().name}-{data.stem}"
    config = PaperConfig(
        directory=directory,
        data=existing(data, "recording"),
        artifact=existing(artifact, "artifact directory"),
        from_s=from_s,
        to_s=to_s,
        speed=_speed(speed),
        max_decisions=max_decisions,
        fsync=fsync,
        run_id=directory.name,
    )
    result = run_session(config, port, lambda bound: out.say(f"gRPC on 127.0.0.1:{bound}"))
    out.result(result)
    if not result["reconciled"]:
        raise CommandFailed(1, f"{directory}: journal, venue and warehouse do not agree, or an order is still open")


def existing(path: Path, what: str) -> Path:
    """Return `path`, or raise FileNotFoundError that names it."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such {what}")
    return path


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise ValueError(f"--speed {text}: expected 'max' or a number above 0")
    return value


def journal_group() -> typer.Typer:
    """Return the group `journal`."""
    group = typer.Typer(help="Read the audit trail of a session.", no_args_is_help=True)
    group.command("verify")(journal_verify)
    group.command("show")(journal_show)
    group.command("export")(journal_export)
    return group


JournalPath = Annotated[Path, typer.Argument(help="Journal directory of a session.")]


def journal_verify(
    path: JournalPath,
    replay_artifact: Annotated[
        Path | None, typer.Option("--replay", help="Artifact to decide everything again with.")
    ] = None,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Check every byte and the hash chain; with --replay, also that the core decides the same again.

    Example: bookswarm journal verify runs/journals/quickstart/journal
    """
    from live_bridge import journal_tools
    from live_bridge.loading import load_policy

    existing(path, "journal directory")
    if replay_artifact is None:
        result, ok = (found := journal_tools.verify(path)), found["ok"]
    else:
        policy, _, _ = load_policy(replay_artifact, None)
        result = journal_tools.verify_replay(path, policy)
        ok = result["ok"] and result["replayed_ok"]
    Output(json_mode, quiet).result(result)
    if not ok:
        raise CommandFailed(1, f"{path}: {result['first_bad'] or result.get('diverged')}")


def journal_show(
    path: JournalPath,
    limit: Annotated[int, typer.Option(help="Records to print.", min=1)] = 20,
    from_sequence: Annotated[int, typer.Option(help="First sequence number.", min=1)] = 1,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Print records.

    Example: bookswarm journal show runs/journals/quickstart/journal --limit 5
    """
    from live_bridge import journal_tools

    rows = list(journal_tools.show(existing(path, "journal directory"), from_sequence, limit))
    if json_mode:
        Output(True, quiet).result({"records": len(rows), "rows": rows})
        return
    for row in rows:
        typer.echo(" ".join(f"{key}={value}" for key, value in row.items()))


def journal_export(
    path: JournalPath,
    out_file: Annotated[Path, typer.Option("--out", help="File to write, one JSON record a line.")],
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Write the whole journal as JSON lines.

    Example: bookswarm journal export runs/journals/quickstart/journal --out audit.jsonl
    """
    from live_bridge import journal_tools

    Output(json_mode, quiet).result(journal_tools.export(existing(path, "journal directory"), out_file))


def query(
    name: Annotated[str | None, typer.Argument(help="Named query; leave out to list them.")] = None,
    params: Annotated[list[str] | None, typer.Option("--param", help="key=value.")] = None,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Run a named warehouse query.

    Example: bookswarm query trial_count

    Example: bookswarm query equity_curve --param run_id=quickstart --json
    """
    from experiments.home import home
    from warehouse.client import open_warehouse
    from warehouse.reader import load_query, query_names, run_query

    out = Output(json_mode, quiet)
    if name is None:
        rows = [{"query": each, "answers": load_query(each).what} for each in query_names()]
        out.result({"queries": rows})
        return
    bound = dict(_pair(text) for text in params or ())
    with open_warehouse(home()) as client:
        columns, found = run_query(client, name, bound)
    if json_mode:
        out.result({"columns": list(columns), "rows": [list(row) for row in found]})
        return
    table: list[dict[str, Any]] = [dict(zip(columns, row, strict=True)) for row in found]
    out.result({name: table} if table else {"columns": ", ".join(columns), "rows": 0})


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ValueError(f"--param {text}: expected key=value")
    return key, value


def report(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    out_file: Annotated[Path, typer.Option("--out", help="HTML file to write.")],
    session: Annotated[
        Path | None, typer.Option("--session", help="JSON that `bookswarm paper --json` printed.")
    ] = None,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Write the report: one self-contained page.

    Example: bookswarm report runs/a --out report.html
    """
    import json

    from experiments.commands.training import require_run
    from experiments.home import home
    from experiments.report import write_report

    require_run(run)
    summary = None if session is None else json.loads(existing(session, "session file").read_text())
    Output(json_mode, quiet).result(write_report(run, summary, home(), out_file))
