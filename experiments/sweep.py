"""`sweep`: an Optuna study over an experiment's shapes, every trial a run directory of `train`.

In the sweep's directory: sweep.json (what is searched; a resumed sweep must ask for the same), study.log (Optuna's
journal), trial_0000/ .. (runs that `evaluate` and `train --resume` read), wandb_sweep.yaml where WANDB_MODE is online.

Trial t draws with TPE seeded by (seed, t) from the trials that ended before it, so a sweep that was stopped and resumed
makes the trials of one that was not. A trial that was interrupted, or whose process died, goes on from its checkpoint.
Source: TPE: Bergstra, Bardenet, Bengio, Kegl (2011); pruning at the median: Golovin et al. (2017), Vizier.
"""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import yaml
from optuna.pruners import MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from agents import run_files
from agents.population import UpdateReport
from experiments.config import ConfigError
from experiments.experiment import ExperimentConfig
from experiments.sweep_config import Interval, Sweep, experiment_of, wandb_sweep
from experiments.training import CONFIG_FILE, run_training

SWEEP_FILE: Final = "sweep.json"
STUDY_FILE: Final = "study.log"
WANDB_FILE: Final = "wandb_sweep.yaml"
DONE: Final = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
STEPS: Final = 20  # shares of a trial's updates at which it is compared with others
Progress = Callable[[int, int, str], None]


class InterruptedSweepError(Exception):
    """A signal ended a trial; what is there is saved. `signal` is SIGINT or SIGTERM."""

    def __init__(self, signal: str, trial: int) -> None:
        super().__init__(f"stopped in trial {trial}")
        self.signal = signal


def run_sweep(
    sweep: Sweep, out: Path, trials: int, *, seed: int = 0, resume: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Go on until `trials` trials have ended in the directory `out`; returns the document of the command.

    ValueError for `trials` below 1 or another search than the directory's, FileExistsError where there is a sweep and
    `resume` is false, InterruptedSweepError after a signal.
    """
    if trials < 1:
        raise ValueError(f"trials is {trials}; valid: 1 or more")
    _prepare(sweep, out, seed, resume)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = _open(sweep, out)
    _take_up(study)
    while (ended := _ended(study)) < trials:
        if progress is not None:
            progress(ended, trials, _note(study))
        study.sampler = TPESampler(
            seed=int(np.random.SeedSequence([seed, ended]).generate_state(1)[0]),
            n_startup_trials=sweep.settings.startup_trials,
        )
        _run_trial(sweep, study, out)
    return document(study, out)


def document(study: optuna.Study, out: Path) -> dict[str, Any]:
    """Return what a study found: counts, one row a trial, and the best, None where no trial ended with a value."""
    rows = [_row(trial, out) for trial in _counted(study)]
    whole = [row for row in rows if row["state"] == "complete"]
    best = max(whole, key=lambda row: row["value"], default=None)
    states = {name: sum(row["state"] == name for row in rows) for name in ("complete", "pruned", "fail")}
    return {"sweep": str(out), "trials": len(rows), **states, "best": best, "table": rows}


def _prepare(sweep: Sweep, out: Path, seed: int, resume: bool) -> None:
    path = out / SWEEP_FILE
    told = {
        "experiment": sweep.raw,
        "settings": sweep.settings.__dict__,
        "objective": sweep.objective,
        "space": {k: d.__dict__ if isinstance(d, Interval) else list(d) for k, d in sweep.space.items()},
        "seed": seed,
    }
    told = json.loads(json.dumps(told))
    if path.is_file():
        if not resume:
            raise FileExistsError(f"{out}: holds a sweep already; continue it with --resume or give another --out")
        have = run_files.read_json(path, "sweep")
        different = [key for key in told if have.get(key) != told[key]]
        if different:
            raise ValueError(f"{path}: {different[0]} is not what is asked for now; resume with the sweep's own")
    run_files.write_json(path, told)
    if os.environ.get("WANDB_MODE") == "online":
        run_files.write_bytes(out / WANDB_FILE, yaml.safe_dump(wandb_sweep(sweep), sort_keys=False).encode())


def _open(sweep: Sweep, out: Path) -> optuna.Study:
    settings = sweep.settings
    pruner = MedianPruner(n_startup_trials=settings.startup_trials) if settings.prune else NopPruner()
    storage = JournalStorage(JournalFileBackend(str(out / STUDY_FILE)))
    return optuna.create_study(
        study_name="sweep", storage=storage, direction="maximize", pruner=pruner, load_if_exists=True
    )


def _take_up(study: optuna.Study) -> None:
    """Queue again what a signal or a dead process cut short, in its own directory."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params, user_attrs={"directory": _directory(trial)})


def _run_trial(sweep: Sweep, study: optuna.Study, out: Path) -> None:
    place = _ended(study)
    trial = study.ask()
    trial.set_user_attr("directory", trial.user_attrs.get("directory", f"trial_{place:04d}"))
    values = {key: _suggest(trial, key, dimension) for key, dimension in sweep.space.items()}
    trial.set_user_attr("values", values)
    try:
        config = experiment_of(sweep, values)
    except ConfigError as error:  # single values fit, but not these together
        trial.set_user_attr("reason", str(error))
        study.tell(trial, state=TrialState.FAIL)
        return
    _train_trial(sweep, study, trial, config, out / trial.user_attrs["directory"])


class _Judge:
    """Reports a trial's metric as it trains, and notices where the study would have it stopped."""

    def __init__(self, sweep: Sweep, trial: Trial) -> None:
        self.sweep, self.trial, self.last, self.pruned = sweep, trial, 0, False

    def take(self, report: UpdateReport) -> None:
        value = report.metrics.get(self.sweep.objective, {}).get(self.sweep.settings.statistic)
        # Shapes differ in how many updates they make: a share of the budget is the same for all.
        step = report.update * STEPS // report.num_updates
        if value is None or not math.isfinite(value) or not self.last < step < STEPS:
            return
        self.last = step
        self.trial.report(value, step)
        self.pruned = self.pruned or (self.sweep.settings.prune and self.trial.should_prune())


def _train_trial(sweep: Sweep, study: optuna.Study, trial: Trial, config: ExperimentConfig, run: Path) -> None:
    judge = _Judge(sweep, trial)
    begun = (run / CONFIG_FILE).is_file()
    result = run_training(config, run, resume=begun, on_update=judge.take, stop=lambda: judge.pruned)
    if result.status in ("SIGINT", "SIGTERM"):
        raise InterruptedSweepError(result.status, trial.number)
    if result.status != "done":
        study.tell(trial, state=TrialState.PRUNED)
        return
    final = result.final.get(sweep.objective, {}).get(sweep.settings.statistic)
    if final is None or not math.isfinite(final):
        known = ", ".join(sorted(result.final))
        trial.set_user_attr("reason", f"no {sweep.objective} {sweep.settings.statistic} at the end; there are {known}")
        study.tell(trial, state=TrialState.FAIL)
        return
    study.tell(trial, final)


def _suggest(trial: Trial, key: str, dimension: Interval | tuple[str, ...]) -> Any:
    if isinstance(dimension, tuple):
        return json.loads(trial.suggest_categorical(key, dimension))
    log = dimension.scale == "log"
    if dimension.whole:
        return trial.suggest_int(key, int(dimension.low), int(dimension.high), log=log)
    return trial.suggest_float(key, dimension.low, dimension.high, log=log)


def _counted(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that ended by themselves; one that was cut short and taken up again is counted once."""
    ended = study.get_trials(deepcopy=False, states=DONE)
    return [trial for trial in ended if trial.state != TrialState.FAIL or "reason" in trial.user_attrs]


def _ended(study: optuna.Study) -> int:
    return len(_counted(study))


def _directory(trial: FrozenTrial) -> str:
    return trial.user_attrs.get("directory", f"trial_{trial.number:04d}")


def _row(trial: FrozenTrial, out: Path) -> dict[str, Any]:
    complete = trial.state == TrialState.COMPLETE
    return {
        "run": str(out / _directory(trial)),
        "state": trial.state.name.lower(),
        "value": trial.value if complete else None,
        "params": trial.user_attrs.get("values", trial.params),
        "reason": trial.user_attrs.get("reason", ""),
    }


def _note(study: optuna.Study) -> str:
    values = [trial.value for trial in _counted(study) if trial.value is not None]
    return f"best {max(values):,.4g}" if values else ""
