"""`bookswarm bench engine | env | soak | execution | risk`: measure, with a reference in the same run."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.commands.soak import soak
from experiments.console import CommandFailed, Output


def register(app: typer.Typer) -> None:
    """Attach the group."""
    group = typer.Typer(help="Measure, with a reference in the same run.", no_args_is_help=True)
    group.command()(engine)
    group.command()(env)
    group.command()(soak)
    group.command()(execution)
    group.command()(risk)
    app.add_typer(group, name="bench")


def engine(
    stream: Annotated[
        Path | None, typer.Option("--stream", help=".npz stream; default: the data's stream_64x2000.")
    ] = None,
    books: Annotated[int, typer.Option(help="Books in parallel.", min=1)] = 1024,
    backend: Annotated[Literal["cpu", "xla", "cuda"], typer.Option(help="Engine to measure.")] = "cpu",
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Measure messages a second through `jit`, beside the other backend and a plain numba loop on the same stream.

    Example: bookswarm bench engine --stream data/stream_64x2000.npz --books 1024 --backend cpu --json
    """
    from experiments.runtime import configure_jax

    configure_jax()
    from experiments.bench_engine import bench_engine

    result = bench_engine(stream or default_stream(), books, backend)
    Output(json_mode, quiet).result(result)
    if not result["correct"]:
        raise CommandFailed(1, f"{backend}: fast, but the books are not the stream's expected ones")


def default_stream() -> Path:
    """Return the data's stream of 64 books, or end with code 3 and how to get one."""
    from market_models.datasets import find_data

    found = find_data()
    path = None if found is None else found / "streams" / "stream_64x2000.npz"
    if path is None or not path.is_file():
        raise CommandFailed(3, "no stream: give --stream FILE.npz, or set BOOKSWARM_DATA to a directory with streams/")
    return path


def env(
    envs: Annotated[int, typer.Option(help="Environments in parallel.", min=1)] = 1024,
    steps: Annotated[int, typer.Option(help="Steps to time.", min=1)] = 200,
    backend: Annotated[Literal["cpu", "xla", "cuda"], typer.Option(help="Engine inside.")] = "cpu",
    events_per_step: Annotated[int, typer.Option(help="Background events a decision.", min=1)] = 100,
    name: Annotated[
        Literal["market_making", "execution", "multi_agent"],
        typer.Option("--env", help="Environment; a row of multi_agent is one of its three learners."),
    ] = "market_making",
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Measure steps a second of environments in a book; the XLA engine on fewer of them is the reference.

    Example: bookswarm bench env --envs 1024 --events-per-step 100

    Example: bookswarm bench env --env execution --envs 1024
    """
    from experiments.runtime import configure_jax

    configure_jax()
    from experiments.bench_env import bench_env

    Output(json_mode, quiet).result(bench_env(envs, steps, backend, events_per_step, name))


def execution(
    parents: Annotated[int, typer.Option(help="Parent orders in the batch.", min=1)] = 10_000,
    slices: Annotated[int, typer.Option(help="Slices of each.", min=1)] = 100,
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Measure the execution kernels; NumPy on the same batch is the reference.

    Example: bookswarm bench execution --parents 10000 --slices 100
    """
    from experiments.bench_execution import bench_execution

    result = bench_execution(parents, slices, seed or 0)
    Output(json_mode, quiet).result(result)
    if not result["correct"]:
        raise CommandFailed(1, "fast, but the backends do not agree")


def risk(
    orders: Annotated[int, typer.Option(help="Orders in the gate's batch.", min=200)] = 1_000_000,
    assets: Annotated[int, typer.Option(help="Assets of the Monte Carlo portfolio.", min=1)] = 500,
    scenarios: Annotated[int, typer.Option(help="Monte Carlo scenarios.", min=100)] = 100_000,
    backend: Annotated[Literal["cpu", "cuda"], typer.Option(help="cuda: Monte Carlo on a GPU beside the CPU.")] = "cpu",
    json_mode: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """Measure the order gate, and VaR and ES by Monte Carlo; plain Python and NumPy are the references.

    Example: bookswarm bench risk --assets 500 --scenarios 100000 --json

    Example: bookswarm bench risk --assets 500 --scenarios 10000000 --backend cuda
    """
    from experiments.bench_risk import bench_risk

    result = bench_risk(orders, assets, scenarios, seed or 0, backend)
    Output(json_mode, quiet).result(result)
    if not result["correct"]:
        raise CommandFailed(1, "fast, but Monte Carlo does not give the reference's profit and loss")
