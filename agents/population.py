"""Train a population: draw hyperparameters, run the compiled updates, log, checkpoint, resume, write the result.

A run directory holds `checkpoints/`, `metrics.parquet`, `population.safetensors`, `hyperparameters.json`, `run.json`,
and `lineage.parquet` where agents were copied (population-based training).
"""

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from agents import hyperparameters, pbt, sharding
from agents.checkpoint import CheckpointError, Checkpoints, agreement
from agents.interruption import Interruption, noticed
from agents.lineage import LineageLog
from agents.metrics import MetricsLog, Quantiles, leader, population_quantiles
from agents.networks import save_population
from agents.program import Program, get_program
from agents.train_config import TrainConfig
from agents.train_state import TrainState
from sim.vector import AnyVectorEnv

RUN_FILE = "run.json"
HYPERPARAMETERS_FILE = "hyperparameters.json"
DONE, STOPPED, RUNNING = "done", "stopped", "running"


@dataclass(frozen=True)
class UpdateReport:
    """What `on_update` is told after each update."""

    update: int
    num_updates: int
    env_steps: int  # of the whole population since the run's start
    env_steps_per_s: float  # of this call of `train`, compilation left out
    metrics: dict[str, Quantiles]  # over the population, by metric


@dataclass(frozen=True)
class TrainResult:
    """How a call of `train` ended. `status` is done, stopped, SIGINT or SIGTERM; all but done can be resumed."""

    run: str
    agents: int
    env_steps: int  # of the whole population since the run's start
    env_steps_per_s: float  # of this call, compilation left out; 0 where nothing was left to do
    compile_s: float
    wall_s: float  # of this call
    final: dict[str, Quantiles]  # per-agent means of the last updates, by episode metric, over the population
    status: str
    updates: int
    directory: str
    devices: int


@dataclass
class _Run:
    """The pieces of a run that is under way."""

    config: TrainConfig
    out: Path
    program: Program
    env_params: Any  # batched, on the mesh
    agreement: dict[str, Any]
    checkpoints: Checkpoints
    log: MetricsLog
    lineage: LineageLog
    state: TrainState
    update: int
    compile_s: float = 0.0
    loop_s: float = 0.0
    done_here: int = 0  # updates of this call


def train(
    config: TrainConfig,
    env: AnyVectorEnv,
    env_params: Any,
    out: Path,
    *,
    resume: bool = False,
    on_update: Callable[[UpdateReport], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> TrainResult:
    """Train `config.num_agents` agents in `env` and write the run directory `out`.

    `env_params` are one environment's parameters, without a batch axis; scalar leaves named in `config.env_ranges`
    are drawn per agent. `stop` is asked, and signals are noticed, between two compiled calls: the state is then saved
    and the result's status says why. With `resume` the run continues from its newest whole checkpoint (from the start
    where there is none) and ends, on the same kind of machine, in the same bits as one that was never interrupted.
    Raises CheckpointError when `out` holds a run and `resume` is false, or when the run there had other settings,
    naming the first key that differs; ValueError for devices or ranges that do not fit.
    """
    begun = time.perf_counter()
    run = _open(config, env, env_params, Path(out), resume)
    try:
        _write_run(run, RUNNING, None)
        with noticed() as interruption:
            status = _loop(run, interruption, on_update, stop)
        result = _finish(run, status, time.perf_counter() - begun)
    finally:
        run.checkpoints.close()
    _write_run(run, status, result)
    return result


def _open(config: TrainConfig, env: AnyVectorEnv, env_params: Any, out: Path, resume: bool) -> _Run:
    mesh = sharding.make_mesh(config.num_agents, config.num_devices)
    program = get_program(env, config.sizes, mesh)
    hyper = hyperparameters.sample(config)
    batched = sharding.place(hyperparameters.batch_env_params(env_params, hyper, config.sizes), mesh)
    out.mkdir(parents=True, exist_ok=True)
    if not resume and (out / RUN_FILE).exists():
        raise CheckpointError(f"{out}: holds a run already; resume it, or give another directory")
    terms = agreement(config, env, env_params)
    checkpoints = Checkpoints(out)
    try:
        selection = pbt.settings(config, program.episode_metrics(hyper, batched)) if config.pbt.every_updates else ()
        target = program.abstract(hyper, batched, selection)
        restored = checkpoints.restore(target, sharding.state_shardings(target, mesh), terms) if resume else None
        if restored is None:
            state, update = program.init(config.seed, config.num_updates, hyper, batched, selection), 0
        else:
            state, update = restored.state, restored.update
    except BaseException:
        checkpoints.close()
        raise
    return _Run(
        config,
        out,
        program,
        batched,
        terms,
        checkpoints,
        MetricsLog(out, update),
        LineageLog(out, update),
        state,
        update,
    )


def _loop(
    run: _Run, interruption: Interruption, on_update: Callable[[UpdateReport], None] | None, stop: Callable | None
) -> str:
    """Run updates until the end, a signal or `stop`; returns the status."""
    config = run.config
    if run.update < config.num_updates:
        run.compile_s = run.program.compile(run.state, run.env_params)
    start = time.perf_counter()
    while run.update < config.num_updates:
        if interruption.name:
            return interruption.name
        if stop is not None and stop():
            return STOPPED
        run.state, metrics = run.program(run.state, run.env_params)
        host = jax.device_get(metrics)
        run.loop_s = time.perf_counter() - start
        for index in range(config.sizes.updates_per_call):
            _after_update(run, {name: values[index] for name, values in host.items()}, on_update)
        if config.checkpoint_every and run.update % config.checkpoint_every == 0:
            _flush(run)  # first: a checkpoint's metrics are on disk before it is
            run.checkpoints.save(run.update, run.state, run.agreement)
    return DONE


def _after_update(run: _Run, metrics: dict[str, np.ndarray], on_update: Callable[[UpdateReport], None] | None) -> None:
    run.update += 1
    run.done_here += 1
    env_steps = run.update * run.config.steps_per_update
    metrics = run.lineage.add(run.update, metrics)
    summaries = run.log.add(run.update, env_steps, metrics)
    if on_update is not None:
        on_update(UpdateReport(run.update, run.config.num_updates, env_steps, _rate(run), summaries))


def _flush(run: _Run) -> None:
    run.log.flush()
    run.lineage.flush()


def _rate(run: _Run) -> float:
    return run.done_here * run.config.steps_per_update / run.loop_s if run.loop_s > 0.0 else 0.0


def _finish(run: _Run, status: str, wall_s: float) -> TrainResult:
    """Save the state, write the population and what it was trained with."""
    _flush(run)
    if run.update > 0:
        run.checkpoints.save(run.update, run.state, run.agreement)
    save_population(run.out, run.program.algorithm.published(run.state.learner.params, run.config.sizes))
    recent = {name: _window_means(np.asarray(window)) for name, window in run.state.recent.items()}
    _write_hyperparameters(run, recent)
    run.checkpoints.wait()
    return TrainResult(
        run=run.out.resolve().name,
        agents=run.config.num_agents,
        env_steps=run.update * run.config.steps_per_update,
        env_steps_per_s=_rate(run),
        compile_s=run.compile_s,
        wall_s=wall_s,
        final={name: population_quantiles(values, leader(recent["episode_return"])) for name, values in recent.items()},
        status=status,
        updates=run.update,
        directory=str(run.out),
        devices=run.program.mesh.size,
    )


def _window_means(window: np.ndarray) -> np.ndarray:
    """Mean float64[A] over the numbers in float32[A, W]; nan where there is none."""
    known = np.isfinite(window)
    total = np.where(known, window, 0.0).sum(axis=1, dtype=np.float64)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


def _write_hyperparameters(run: _Run, recent: dict[str, np.ndarray]) -> None:
    drawn = hyperparameters.by_name(run.state.hyper)
    content = {
        "agents": run.config.num_agents,
        "hyperparameters": {name: np.asarray(values).tolist() for name, values in drawn.items()},
        "recent": {name: [v if np.isfinite(v) else None for v in values.tolist()] for name, values in recent.items()},
    }
    if run.state.lineage:
        content["origin"] = np.asarray(run.state.lineage.origin).tolist()
    _write_json(run.out / HYPERPARAMETERS_FILE, content)


def _write_run(run: _Run, status: str, result: TrainResult | None) -> None:
    content = {
        "run": run.out.resolve().name,
        "status": status,
        "agents": run.config.num_agents,
        "updates": run.update,
        "devices": run.program.mesh.size,
        "platform": run.program.mesh.devices.flat[0].platform,
        "jax": jax.__version__,
        "train": dataclasses.asdict(run.config),
    }
    _write_json(run.out / RUN_FILE, content | (dataclasses.asdict(result) if result else {}))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
