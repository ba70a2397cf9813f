"""`evaluate`, `select` and `export` as pipelines over a run directory."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents import run_files
from agents.episodes import POOL_SEEDS, Markets, recorded_markets, simulated_markets
from agents.export import ExportConfig, Provenance, export
from agents.judgement import SelectionConfig
from agents.networks import PolicyParams, check_feed_forward, load_population
from agents.selection import Selection, read_selection, select
from agents.validation import validate
from experiments.experiment import ExperimentConfig, calibration_of
from experiments.home import git_commit
from experiments.training import (
    PROVENANCE_FILE,
    config_digest,
    load_market_run,
    load_normaliser,
    make_env,
    run_id_of,
    with_normaliser,
)
from market_models.datasets import lobster
from market_models.datasets.recording import Recording
from market_models.instrument import Instrument
from sim.market_making_types import EnvParams
from sim.recorded_market import make_recorded

Progress = Callable[[str, int, int], None]
MEBIBYTE = 2**20


def held_out_markets(config: ExperimentConfig, run: Path, split: str, episodes: int) -> Markets:
    """Return simulated episodes of a split: seeds and start books that no other split has."""
    env = make_env(config.market, POOL_SEEDS[split], load_normaliser(run))
    # What an agent was paid for in training is not what it is judged by: true PnL, no penalty, everywhere.
    return simulated_markets(env, split, episodes)


def recorded_holdout(config: ExperimentConfig, run: Path, path: Path, split: str = "test") -> Markets:
    """Return the windows of the held-out part of a recording as episodes."""
    env = make_env(config.market, POOL_SEEDS["test"], load_normaliser(run))
    params: EnvParams = env.default_params
    recording: Recording = lobster.read(path)
    recorded = make_recorded(
        env.config,
        recording,
        params,
        from_s=config.evaluate.from_s,
        to_s=config.evaluate.to_s,
        backend=config.market.backend,
        normaliser=env.normaliser,
    )
    return recorded_markets(with_normaliser(recorded, env.normaliser), split)


def _policies(run: Path, command: str) -> PolicyParams:
    """Return the population of a run; ValueError where its networks remember."""
    params = load_population(run)
    check_feed_forward(params, command)
    return params


def run_evaluation(run: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Play the validation episodes with every agent, tune every baseline on them, and write evaluation/."""
    config = load_market_run(run)
    markets = held_out_markets(config, run, "validation", config.evaluate.validation_episodes)
    _, document = validate(
        run, run_id_of(run), _policies(run, "evaluate"), markets, seed=config.train.seed, progress=progress
    )
    return document


def run_recorded_evaluation(run: Path, path: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Play the held-out part of a recording with every agent and the tuned baselines; nothing is chosen by it."""
    from agents.evaluation import baseline_subject, evaluate, population_subject, write_evaluation
    from agents.tuning import read_tuned

    config = load_market_run(run)
    markets = recorded_holdout(config, run, path, split="validation")
    params = _policies(run, "evaluate")
    tuned = read_tuned(run)
    subjects = [population_subject(params), baseline_subject([(t.name, t.parameters) for t in tuned])]
    table = write_evaluation(run, evaluate(subjects, markets, progress=progress), run_id_of(run))
    agents = sum(row["kind"] == "agent" for row in table)
    return {
        "run": run_id_of(run),
        "agents": agents,
        "baselines": len(tuned),
        "episodes": len(markets.seed),
        "table": table,
    }


def run_selection(run: Path, trials: int | None, recording: Path | None, progress: Progress | None = None) -> Selection:
    """Select an ensemble and show it the hold-out: simulated test episodes, and the recording where there is one."""
    config = load_market_run(run)
    holdout = [held_out_markets(config, run, "test", config.evaluate.test_episodes)]
    if recording is not None:
        holdout.append(recorded_holdout(config, run, recording))
    return select(
        run,
        run_id_of(run),
        _policies(run, "select"),
        holdout,
        trials=trials,
        config=SelectionConfig(
            max_members=config.select.max_members,
            max_correlation=config.select.max_correlation,
            min_dsr=config.select.min_deflated_sharpe,
            max_pbo=config.select.max_pbo,
            seed=config.train.seed,
        ),
        progress=progress,
    )


def run_export(run: Path, out: Path, *, overwrite: bool = False) -> dict[str, Any]:
    """Write the selected ensemble as a signed artifact and verify what was written."""
    config = load_market_run(run)
    selection = read_selection(run)
    markets = held_out_markets(config, run, "validation", 32)
    calibration = calibration_of(config.market)
    origin = run_files.read_json(run / PROVENANCE_FILE, "train")
    instrument: Instrument = calibration.instrument
    return export(
        run,
        selection,
        out,
        markets,
        [instrument],
        Provenance(
            run_id=run_id_of(run),
            commit=git_commit(),
            config_digest=config_digest(config),
            data_digest=origin["data_digest"],
            calibration_digest=hashlib.sha256(repr(sorted(calibration.params.items())).encode()).hexdigest(),
        ),
        config=ExportConfig(
            name=config.name,
            validity_days=float(config.export.expiry_days),
            disagreement_limit=config.export.disagreement_limit,
            overwrite=overwrite,
        ),
    )
