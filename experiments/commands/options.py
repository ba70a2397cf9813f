"""Options that every command shares."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no remarks.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything random in this command.", min=0)]
