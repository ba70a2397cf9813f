"""The command line: `bookswarm COMMAND`. Exit codes and JSON fields are a contract (docs/cli.md)."""

import os
import signal
import sys
import traceback
from typing import NoReturn

import typer

from experiments.commands import register_all
from experiments.console import CommandFailed

app = typer.Typer(
    name="bookswarm",
    help="Market simulation, reinforcement learning and a live bridge, from recorded order books to orders.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
register_all(app)


# Errors of our packages that are not ValueErrors, by name: looking one up imports nothing.
_EXIT_CODES = {
    "warehouse.errors.WarehouseError": 2,
    "live_bridge.journal.JournalError": 2,
    "live_bridge.records.RecordError": 2,
    "live_bridge.server.ServerError": 2,
    "agents.checkpoint.CheckpointError": 2,
    "live_bridge.session.SessionFailedError": 1,
    "kernels.lob.cuda.errors.CudaMissingError": 3,
}
_BAD_INPUT = (  # boundary errors of every package are ValueErrors that name file, key and valid values
    ValueError,
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)


def exit_code(error: Exception) -> int | None:
    """Return the documented exit code of an error, or None where it is a defect of ours."""
    if isinstance(error, CommandFailed):
        return error.code
    if isinstance(error, ModuleNotFoundError):
        return 3
    if isinstance(error, _BAD_INPUT):
        return 2
    names = [f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__]
    return next((_EXIT_CODES[name] for name in names if name in _EXIT_CODES), None)


def _end(code: int, sentence: str) -> NoReturn:
    sys.stdout.flush()
    if code:
        sys.stderr.write(f"bookswarm: {sentence}\n")
    sys.exit(code)


def main() -> None:
    """Run one command and map what went wrong to the documented exit codes; BOOKSWARM_DEBUG=1 shows the traceback."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        app()
    except KeyboardInterrupt:
        _end(130, "interrupted; what was saved is kept (train: repeat the command with --resume)")
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        if os.environ.get("BOOKSWARM_DEBUG"):
            traceback.print_exc()
        missing = isinstance(error, ModuleNotFoundError)
        sentence = f"component missing: {error.name}; install it with 'make setup'" if missing else str(error)
        _end(code, " ".join(sentence.split()))


if __name__ == "__main__":
    main()
