"""The `sweep:` group of a configuration: what is searched, how a trial is judged, and the experiment of one trial.

    sweep:
      base: quickstart             # an experiment by path or shipped name; without it, the rest of this file
      objective: episode_pnl       # a metric of training; and which quantile of the population (statistic)
      env_steps: 0                 # of a trial: num_updates follows from its shapes; 0 takes num_updates as it is
      prune: true                  # stop trials below the median of earlier ones at the same share of their updates
      space:
        train.ppo.hidden: {choices: [[32, 32], [64, 64]]}
        train.ppo.epochs: {low: 1, high: 4, whole: true}
        train.ranges.learning_rate.high: {low: 1.0e-3, high: 1.0e-2, scale: log}
Strict as every configuration: each key and each choice is tried on the experiment before any trial runs.
"""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from agents.metrics import QUANTILES
from experiments.config import ConfigError, apply_override, build, read_yaml
from experiments.experiment import CONFIGS, MARKET_MAKING, ExperimentConfig, find_config

STATISTICS: Final = (*QUANTILES, "mean", "best")


@dataclass(frozen=True)
class Interval:
    """Values between two ends, both included."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    whole: bool = False

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"low {self.low} is not above 0, which scale log needs")
        if self.whole and (self.low % 1 or self.high % 1):
            raise ValueError(f"low {self.low} and high {self.high} must be whole numbers where whole is true")


Choices = tuple[str, ...]
"""Values of one key as JSON texts: a study can keep those, a list of widths it cannot."""


@dataclass(frozen=True)
class SweepSettings:
    """Everything of the group but the space."""

    base: str | None = None
    objective: str | None = None  # None: episode_pnl in a market, episode_return elsewhere
    statistic: str = "q50"
    env_steps: int = 0
    prune: bool = True
    startup_trials: int = 5  # random ones before the model of good trials, and before anything is pruned

    def __post_init__(self) -> None:
        if self.statistic not in STATISTICS:
            raise ValueError(f"statistic is {self.statistic!r}; valid: {', '.join(STATISTICS)}")
        if self.env_steps < 0 or self.startup_trials < 1:
            raise ValueError("env_steps must be 0 or more, startup_trials 1 or more")


@dataclass(frozen=True)
class Sweep:
    """What is searched."""

    file: Path
    raw: dict[str, Any] = field(hash=False)  # the experiment's mapping, without the group
    settings: SweepSettings = field(default_factory=SweepSettings)
    space: dict[str, Interval | Choices] = field(default_factory=dict, hash=False)

    @property
    def objective(self) -> str:
        """Name of the metric that is maximised."""
        in_market = self.raw.get("environment", MARKET_MAKING) == MARKET_MAKING
        return self.settings.objective or ("episode_pnl" if in_market else "episode_return")


def find_sweep(name: str) -> Path:
    """Return the path of a sweep given by path or by the name of a shipped one."""
    path, shipped = Path(name), CONFIGS / "sweeps" / f"{name}.yaml"
    return shipped if not path.suffix and shipped.is_file() else path


def load_sweep(name: str, overrides: tuple[str, ...] = ()) -> Sweep:
    """Load a sweep; ConfigError names file, key and valid values. `overrides` are those of the experiment."""
    path = find_sweep(name)
    raw = read_yaml(path)
    group = raw.pop("sweep", None)
    if not isinstance(group, dict):
        raise ConfigError(f"{path}: missing key 'sweep', expected a mapping with keys base, objective, .., space")
    space = _space(group.pop("space", None), path)
    settings = build(SweepSettings, group, str(path), "sweep")
    if settings.base is not None:
        if raw:
            raise ConfigError(
                f"{path}: key '{next(iter(raw))}' stands beside sweep.base; one of them is the experiment"
            )
        raw = read_yaml(find_config(settings.base))
    for text in overrides:
        apply_override(raw, text, path)
    sweep = Sweep(path, raw, settings, space)
    _try_every_key(sweep)
    return sweep


def experiment_of(sweep: Sweep, values: dict[str, Any]) -> ExperimentConfig:
    """Return the experiment of a trial with these values by dotted key; ConfigError as any experiment."""
    raw = copy.deepcopy(sweep.raw)
    for key, value in values.items():
        apply_override(raw, f"{key}={json.dumps(value)}", sweep.file)
    config = build(ExperimentConfig, raw, str(sweep.file), "")
    if not sweep.settings.env_steps:
        return config
    updates = sweep.settings.env_steps // config.train.steps_per_update
    call = config.train.sizes.updates_per_call
    if updates < call:
        raise ConfigError(
            f"{sweep.file}: key 'sweep.env_steps' {sweep.settings.env_steps} is below one call of "
            f"{call * config.train.steps_per_update} steps with {values}"
        )
    raw.setdefault("train", {})["num_updates"] = updates // call * call
    return build(ExperimentConfig, raw, str(sweep.file), "")


def wandb_sweep(sweep: Sweep, program: str = "bookswarm") -> dict[str, Any]:
    """Return the same search as W&B describes it (`wandb sweep FILE`): Bayes, the objective, one entry a key."""
    kinds = {("linear", False): "uniform", ("log", False): "log_uniform_values"}
    kinds |= {("linear", True): "int_uniform", ("log", True): "q_log_uniform_values"}
    parameters: dict[str, Any] = {}
    for key, dimension in sweep.space.items():
        if isinstance(dimension, tuple):
            parameters[key] = {"values": [json.loads(text) for text in dimension]}
        else:
            ends = (int(dimension.low), int(dimension.high)) if dimension.whole else (dimension.low, dimension.high)
            kind = kinds[dimension.scale, dimension.whole]
            parameters[key] = {"distribution": kind, "min": ends[0], "max": ends[1]}
    metric = {"name": f"{sweep.objective}/{sweep.settings.statistic}", "goal": "maximize"}
    return {"program": program, "method": "bayes", "metric": metric, "parameters": parameters}


def _space(group: Any, path: Path) -> dict[str, Interval | Choices]:
    if not isinstance(group, dict) or not group:
        raise ConfigError(f"{path}: key 'sweep.space' holds {group!r}, expected a mapping of keys to what they may be")
    return {str(key): _dimension(value, f"sweep.space.{key}", path) for key, value in group.items()}


def _dimension(value: Any, where: str, path: Path) -> Interval | Choices:
    if not isinstance(value, dict) or "choices" not in value:
        return build(Interval, value, str(path), where)
    choices = value["choices"]
    if len(value) > 1 or not isinstance(choices, list) or len(choices) < 2:
        raise ConfigError(f"{path}: key '{where}' holds {value!r}, expected choices alone, a list of two or more")
    try:
        texts = tuple(json.dumps(choice, allow_nan=False) for choice in choices)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: key '{where}' holds a choice that is no plain value: {error}") from error
    if len(set(texts)) < len(texts):
        raise ConfigError(f"{path}: key '{where}' holds a choice twice: {choices!r}")
    return texts


def _try_every_key(sweep: Sweep) -> None:
    for key, dimension in sweep.space.items():
        if isinstance(dimension, tuple):
            tried = [json.loads(text) for text in dimension]
        else:
            tried = [int(end) if dimension.whole else end for end in (dimension.low, dimension.high)]
        for value in tried:
            raw = copy.deepcopy(sweep.raw)
            apply_override(raw, f"{key}={json.dumps(value)}", sweep.file)
            build(ExperimentConfig, raw, str(sweep.file), "")
    build(ExperimentConfig, copy.deepcopy(sweep.raw), str(sweep.file), "")
