"""One module a group of commands. Heavy libraries are imported inside the commands that need them."""

import typer


def register_all(app: typer.Typer) -> None:
    """Attach every command to the application, in the order of a working day."""
    from experiments.commands import (
        artifacts,
        bench,
        data,
        doctor,
        generate,
        live,
        quickstart,
        recordings,
        risk,
        score,
        sweep,
        training,
    )

    for module in (
        doctor,
        recordings,
        data,
        generate,
        score,
        training,
        sweep,
        artifacts,
        live,
        risk,
        bench,
        quickstart,
    ):
        module.register(app)
