"""`bookswarm artifact verify | show | diff`."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output

Directory = Annotated[Path, typer.Argument(help="Artifact directory.")]


def register(app: typer.Typer) -> None:
    """Attach the group."""
    group = typer.Typer(help="Check, print and compare artifacts.", no_args_is_help=True)
    group.command()(verify)
    group.command()(show)
    group.command()(diff)
    app.add_typer(group, name="artifact")


def verify(path: Directory, json_mode: Json = False, quiet: Quiet = False, seed: Seed = None) -> None:
    """Check every digest, the signature, the schema and the golden vectors.

    Example: bookswarm artifact verify artifacts/a
    """
    from kernels.ensemble.golden import make_golden_check
    from kernels.features.table import FEATURE_NAMES, schema_digest
    from protos.artifact.inspect import verify_artifact
    from protos.artifact.manifest import FeatureSpec

    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such directory; give the directory that `bookswarm export` wrote")
    result = verify_artifact(path, make_golden_check(), features=FeatureSpec(FEATURE_NAMES, schema_digest()))
    Output(json_mode, quiet).result(result)
    if not result["ok"]:
        raise CommandFailed(1, f"{path}: {result['reason']}")


def show(path: Directory, json_mode: Json = False, quiet: Quiet = False, seed: Seed = None) -> None:
    """Print the manifest of a verified artifact.

    Example: bookswarm artifact show artifacts/a --json
    """
    from protos.artifact.inspect import show_artifact

    Output(json_mode, quiet).result(show_artifact(path))


def diff(
    left: Directory,
    right: Annotated[Path, typer.Argument(help="Other artifact directory.")],
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Compare two artifacts field by field and tensor by tensor.

    Example: bookswarm artifact diff artifacts/a artifacts/b
    """
    from protos.artifact.inspect import diff_artifacts

    Output(json_mode, quiet).result(diff_artifacts(left, right))
