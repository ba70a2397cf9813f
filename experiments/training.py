"""`train` as a pipeline: the environment of an experiment, its normaliser, the population, tracking."""

import copy
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnax
import numpy as np

from agents import run_files
from agents.population import TrainResult, UpdateReport, train
from experiments import environments
from experiments.config import build, dump_yaml, read_yaml, to_plain
from experiments.environments import EnvironmentSettings
from experiments.experiment import MARKET_MAKING, ExperimentConfig, MarketSettings, calibration_of, env_options
from experiments.home import git_commit
from experiments.tracking import start_tracking
from kernels.features.normalise import Normaliser, check_normaliser, default_normaliser
from kernels.lob.spec import LobConfig
from sim.market_making import MarketMaking
from sim.market_making_types import MarketMakingConfig
from sim.registry import make_market_making, measure_normaliser
from sim.vector import AnyVectorEnv, from_gymnax, market_making_vector

CONFIG_FILE = "config.yaml"
NORMALISER_FILE = "normaliser.json"
PROVENANCE_FILE = "provenance.json"
NORMALISER_SEED = 0
Update = Callable[[UpdateReport], None]


def market_config(settings: MarketSettings) -> MarketMakingConfig:
    """Return the static shape of the environment."""
    config = MarketMakingConfig()
    lob: LobConfig = config.market.lob._replace(capacity=settings.capacity)
    return config._replace(market=config.market._replace(lob=lob))


def make_env(settings: MarketSettings, pool_seed: int, normaliser: Normaliser | None) -> MarketMaking:
    """Return market making in the experiment's simulated market; `pool_seed` keeps train, validation and test apart."""
    return make_market_making(
        calibration_of(settings),
        backend=settings.backend,
        config=market_config(settings),
        pool_size=settings.pool_size,
        pool_seed=pool_seed,
        normaliser=normaliser,
        **env_options(settings),
    )


def with_normaliser(env: MarketMaking, normaliser: Normaliser) -> MarketMaking:
    """Return the same environment (pool and parameters shared) with another normaliser."""
    other = copy.copy(env)
    other.normaliser = check_normaliser(normaliser)
    return other


def save_normaliser(run: Path, normaliser: Normaliser) -> None:
    """Write the normaliser's arrays; `load_normaliser` reads the same float32 bits back."""
    fields = {name: value.tolist() for name, value in normaliser._asdict().items()}
    run_files.write_json(run / NORMALISER_FILE, fields)


def load_normaliser(run: Path) -> Normaliser:
    """Return the normaliser that the run was trained with."""
    fields = run_files.read_json(run / NORMALISER_FILE, "train")
    like = default_normaliser()
    if set(fields) != set(like._fields):
        raise ValueError(f"{run / NORMALISER_FILE}: keys {sorted(fields)}, expected {sorted(like._fields)}")
    arrays = {name: np.asarray(fields[name], getattr(like, name).dtype) for name in like._fields}
    return check_normaliser(Normaliser(**arrays))


def load_run_config(run: Path) -> ExperimentConfig:
    """Return the resolved configuration of a run directory, or raise ConfigError."""
    path = run / CONFIG_FILE
    return build(ExperimentConfig, read_yaml(path), str(path), "")


def load_market_run(run: Path) -> ExperimentConfig:
    """Return the configuration of a run in a market; ValueError for one in another environment."""
    config = load_run_config(run)
    if config.environment != MARKET_MAKING:
        raise ValueError(
            f"{run}: trained in {config.environment_name}; only runs in {MARKET_MAKING} are judged and exported"
        )
    return config


def config_digest(config: ExperimentConfig) -> str:
    """Return the SHA-256 (hex) of the resolved configuration."""
    return hashlib.sha256(json.dumps(to_plain(config), sort_keys=True).encode()).hexdigest()


def run_id_of(run: Path) -> str:
    """Return the id under which a run is known everywhere: its directory's name and its configuration's digest."""
    return str(run_files.read_json(run / PROVENANCE_FILE, "train")["run_id"])


def provenance(config: ExperimentConfig, run_id: str) -> dict[str, Any]:
    """Return what a run was made from; without a market there is no data."""
    origin = {"run_id": run_id, "commit": git_commit(), "config_digest": config_digest(config)}
    if config.environment != MARKET_MAKING:
        return origin | {"environment": config.environment_name}
    calibration = calibration_of(config.market)
    return origin | {"calibration": config.market.calibration, "data_digest": calibration.data_digest}


def training_env(config: ExperimentConfig, run: Path) -> tuple[AnyVectorEnv, Any]:
    """Return the vector environment of an experiment and its parameters; a market's normaliser is saved in `run`."""
    if isinstance(config.environment, EnvironmentSettings):
        env = environments.make(config.environment)
        return from_gymnax(env), env.default_params
    if config.environment != MARKET_MAKING:
        env, params = gymnax.make(config.environment)
        return from_gymnax(env), params
    market = make_env(config.market, pool_seed=0, normaliser=None)
    normaliser = measure_normaliser(market, seed=NORMALISER_SEED)
    save_normaliser(run, normaliser)
    market = with_normaliser(market, normaliser)
    return market_making_vector(market, config.market.phases), market.default_params


def run_training(
    config: ExperimentConfig,
    run: Path,
    *,
    resume: bool,
    on_update: Update | None = None,
    stop: Callable[[], bool] | None = None,
) -> TrainResult:
    """Train the population of an experiment into the directory `run`; see `agents.population.train`."""
    if not resume and (run / CONFIG_FILE).exists():
        raise FileExistsError(f"{run}: holds a run already; continue it with --resume or give another --out")
    run.mkdir(parents=True, exist_ok=True)
    if resume and (run / CONFIG_FILE).exists():
        _refuse_other_config(run, config)
    env, env_params = training_env(config, run)
    run_files.write_bytes(run / CONFIG_FILE, dump_yaml(config).encode())
    origin = provenance(config, f"{run.name}-{config_digest(config)[:8]}")
    run_files.write_json(run / PROVENANCE_FILE, origin)
    with start_tracking(run, origin["run_id"], to_plain(config), origin) as tracker:

        def report(update: UpdateReport) -> None:
            rows = [{"metric": name, **quantiles} for name, quantiles in update.metrics.items()]
            tracker.log_update(update.update, update.env_steps, rows)
            tracker.log_values({"env_steps_per_s": update.env_steps_per_s})
            if on_update is not None:
                on_update(update)

        result = train(config.train, env, env_params, run, resume=resume, on_update=report, stop=stop)
        tracker.log_summary("train", {"env_steps": result.env_steps, "wall_s": result.wall_s})
    return result


def _refuse_other_config(run: Path, config: ExperimentConfig) -> None:
    """Raise ValueError naming the first key in which the run's configuration differs from the one given."""
    have, want = to_plain(load_run_config(run)), to_plain(config)
    if have["environment"] != want["environment"]:
        raise ValueError(
            f"{run / CONFIG_FILE}: key 'environment' was {have['environment']!r}, now {want['environment']!r}; "
            "resume with the run's own configuration"
        )
    for group in dataclasses.fields(config):
        if group.name in ("market", "train") and have[group.name] != want[group.name]:
            keys = [key for key in want[group.name] if have[group.name].get(key) != want[group.name][key]]
            raise ValueError(
                f"{run / CONFIG_FILE}: key '{group.name}.{keys[0]}' was {have[group.name][keys[0]]!r}, now "
                f"{want[group.name][keys[0]]!r}; resume with the run's own configuration"
            )
