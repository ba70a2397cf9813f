"""Weights & Biases: the only module that imports it.

Offline by default (`WANDB_MODE=online` uploads, `disabled` turns it off). Tracking is telemetry: whatever goes wrong in
it is said once and never reaches the run that is tracked.
"""

import functools
import logging
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

_log = logging.getLogger(__name__)

PROJECT = "bookswarm"
MODES = ("offline", "online", "disabled")
QUANTILES = ("q05", "q25", "q50", "q75", "q95", "mean", "best")
_INIT_TIMEOUT_S = 20.0

_Method = TypeVar("_Method", bound=Callable[..., None])


class Tracker(Protocol):
    """What a run tells about itself; every call returns at once and never raises."""

    @property
    def folder(self) -> Path | None:
        """Where the run's files are, or None where nothing is kept."""
        ...

    def log_update(self, update: int, env_steps: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Log population quantiles: a row has `metric` and q05, q25, q50, q75, q95, mean, best (each may be None)."""
        ...

    def log_values(self, values: Mapping[str, float | int]) -> None:
        """Log scalars beside the current update (throughput)."""
        ...

    def log_summary(self, prefix: str, values: Mapping[str, Any]) -> None:
        """Set figures that hold for the whole run, as `prefix/name` (selection statistics)."""
        ...

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Log a table (evaluation)."""
        ...

    def log_html(self, name: str, path: Path) -> None:
        """Log a self-contained page (the report)."""
        ...

    def log_artifact(self, path: Path, name: str, kind: str, lineage: Mapping[str, str]) -> None:
        """Log a file or folder with what it was made from: digests of data, calibration, configuration; the commit."""
        ...

    def finish(self) -> None:
        """Close the run."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...


class NoTracker:
    """Keeps nothing."""

    folder: Path | None = None

    def log_update(self, update: int, env_steps: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Do nothing."""

    def log_values(self, values: Mapping[str, float | int]) -> None:
        """Do nothing."""

    def log_summary(self, prefix: str, values: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Do nothing."""

    def log_html(self, name: str, path: Path) -> None:
        """Do nothing."""

    def log_artifact(self, path: Path, name: str, kind: str, lineage: Mapping[str, str]) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        return None


def start_tracking(
    run_dir: Path,
    run_id: str,
    config: Mapping[str, Any],
    provenance: Mapping[str, Any],
    *,
    mode: str | None = None,
    group: str | None = None,
) -> Tracker:
    """Start tracking a run in `run_dir/wandb`, or continue the one with this id.

    `config` is the resolved configuration; `provenance` what it ran on: commit, digests of data and calibration. The
    machine is added. `mode` wins over `WANDB_MODE`. Raises ValueError for an unknown mode, and nothing else: where
    W&B cannot start, the run goes on without it.
    """
    mode = mode or os.environ.get("WANDB_MODE") or "offline"
    if mode not in MODES:
        raise ValueError(f"WANDB_MODE is {mode!r}; valid: {', '.join(MODES)}")
    if mode == "disabled":
        return NoTracker()
    resolved = {**config, "provenance": {**provenance, "machine": machine()}}
    try:
        return WandbTracker(_init(run_dir, run_id, resolved, mode, group))
    except Exception as error:  # telemetry must not stop a run, whatever it was
        if mode == "online":
            _log.warning("W&B cannot start online (%s); this run is tracked offline", _short(error))
            return start_tracking(run_dir, run_id, config, provenance, mode="offline", group=group)
        _log.warning("W&B cannot start (%s); this run is not tracked", _short(error))
        return NoTracker()


def machine() -> dict[str, Any]:
    """Return what the figures of a run depend on, without names of users or hosts."""
    return {"python": platform.python_version(), "system": platform.system(), "cores": os.cpu_count() or 1}


def _init(run_dir: Path, run_id: str, config: dict[str, Any], mode: str, group: str | None) -> Any:
    import wandb

    run_dir.mkdir(parents=True, exist_ok=True)
    # Files of artifacts wait for a synchronisation beside the run, not in the user's home.
    os.environ.setdefault("WANDB_DATA_DIR", str(run_dir / "wandb"))
    return wandb.init(
        project=PROJECT,
        id=run_id,
        name=run_id,
        group=group,
        dir=str(run_dir),
        config=config,
        mode=mode,  # pyright: ignore[reportArgumentType]  (checked above)
        resume="allow" if mode == "online" else None,  # offline, runs of one id are joined when they are synchronised
        settings=wandb.Settings(console="off", silent=True, init_timeout=_INIT_TIMEOUT_S),
    )


def _guarded(method: _Method) -> _Method:
    """Turn any failure of a tracking call into one warning and silence afterwards."""

    @functools.wraps(method)
    def call(self: "WandbTracker", *arguments: Any) -> None:
        if self.failure is not None:
            return
        try:
            method(self, *arguments)
        except Exception as error:  # see the module's docstring
            self.failure = _short(error)
            _log.warning("W&B failed in %s (%s); tracking stops here, the run goes on", method.__name__, self.failure)

    return call  # pyright: ignore[reportReturnType]


class WandbTracker:
    """A W&B run; see `Tracker`. `failure` says why tracking stopped early, if it did."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self.failure: str | None = None
        self.folder: Path | None = Path(run.dir).parent

    @_guarded
    def log_update(self, update: int, env_steps: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Log one update in one call: a curve for each quantile of each metric, not one for each agent."""
        values = {
            f"{row['metric']}/{name}": float(row[name])
            for row in rows
            for name in QUANTILES
            if row.get(name) is not None
        }
        self._run.log({**values, "update": update, "env_steps": env_steps}, step=update)

    @_guarded
    def log_values(self, values: Mapping[str, float | int]) -> None:
        """Log scalars."""
        self._run.log(dict(values))

    @_guarded
    def log_summary(self, prefix: str, values: Mapping[str, Any]) -> None:
        """Set run-wide figures."""
        for name, value in values.items():
            self._run.summary[f"{prefix}/{name}"] = value

    @_guarded
    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Log a table; a cell that is a sequence becomes text, since columns have one type."""
        import wandb

        plain: Any = [[str(cell) if isinstance(cell, list | tuple | dict) else cell for cell in row] for row in rows]
        self._run.log({name: wandb.Table(columns=list(columns), data=plain)})

    @_guarded
    def log_html(self, name: str, path: Path) -> None:
        """Log a page."""
        import wandb

        self._run.log({name: wandb.Html(path.read_text(encoding="utf-8"), inject=False)})

    @_guarded
    def log_artifact(self, path: Path, name: str, kind: str, lineage: Mapping[str, str]) -> None:
        """Log a file or folder; the lineage is its metadata, since links between artifacts need the server."""
        import wandb

        artifact = wandb.Artifact(name, type=kind, metadata=dict(lineage))
        if path.is_dir():
            artifact.add_dir(str(path))
        else:
            artifact.add_file(str(path))
        self._run.log_artifact(artifact)

    def finish(self) -> None:
        """Close the run, also after a failure."""
        try:
            self._run.finish()
        except Exception as error:  # see the module's docstring
            if self.failure is None:
                _log.warning("W&B could not finish: %s", _short(error))
            self.failure = self.failure or _short(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.finish()


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
