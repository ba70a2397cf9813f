"""Who earns what: agents, the ensemble and classical strategies in the same held-out episodes.

Three kinds of episodes, disjoint (`episodes.SEED_RANGES`): training's own, validation (baselines are tuned and members
are chosen on it), test (looked at once). Per episode and strategy: PnL after fees in tick-lots, fills, traded lots,
deepest fall of the equity path, inventory. All strategies play the same episodes, so their differences are paired.

In a run directory: evaluation/returns_SOURCE_SPLIT.npz, evaluation/table.json, evaluation/baselines.json, and an Arrow
file of episodes for the warehouse, `episodes_SOURCE_test.parquet` (validation: `validation_SOURCE.parquet`).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import numpy as np
import pyarrow as pa

from agents import run_files, statistics
from agents.ensemble import EnsembleParams
from agents.episodes import DEFAULT_MAX_MARKETS, Markets, Results, play
from agents.players import (
    ParameterSet,
    Player,
    ensemble_player,
    population_player,
    strategy_params,
    strategy_player,
)
from agents.statistics import Interval

KIND_ORDER: Final = {"ensemble": 0, "baseline": 1, "agent": 2}
ENSEMBLE: Final = "ensemble"
DIRECTORY: Final = "evaluation"
# Episodes of one strategy in the warehouse are numbered apart by split: one key (source, run, strategy, episode).
FIRST_EPISODE: Final = {"train": 2_000_000, "validation": 0, "test": 1_000_000}
MARKET_NAMES: Final = {"sim": "simulated", "replay": "recorded"}

Progress = Callable[[str, int, int], None]
"""`progress(what, done, total)`, counting episodes of strategies."""


class Subject(NamedTuple):
    """K strategies that one player plays."""

    kind: str  # "agent", "ensemble" or "baseline"
    names: tuple[str, ...]  # [K]
    player: Player
    params: Any  # every leaf [K, ...]


class Evaluation(NamedTuple):
    """What K strategies did in S episodes."""

    source: str  # "sim" or "replay"
    split: str
    kinds: tuple[str, ...]  # [K]
    names: tuple[str, ...]  # [K]
    seed: np.ndarray  # uint64[S]
    results: Results  # each [K, S]

    @property
    def label(self) -> str:
        """Name of this evaluation in file names."""
        return f"{self.source}_{self.split}"

    @property
    def market(self) -> str:
        """Name of the market for people."""
        return f"{MARKET_NAMES[self.source]}, {self.split}"

    def pnl(self, name: str) -> np.ndarray:
        """Return one strategy's PnL float64[S]; ValueError names those that there are."""
        if name not in self.names:
            raise ValueError(f"'{name}' was not evaluated; there are {', '.join(self.names[:8])}, ...")
        return np.asarray(self.results.pnl_tick_lots[self.names.index(name)], np.float64)


def agent_name(index: int) -> str:
    """Return the name of agent `index` of a population."""
    return f"agent_{index:04d}"


def population_subject(params: Mapping[str, Any], *, sampled: bool = False) -> Subject:
    """Return every agent of a population (`networks.load_population`), greedy unless `sampled`."""
    num_agents = jax.tree.leaves(params["actor"])[0].shape[0]
    names = tuple(agent_name(index) for index in range(num_agents))
    return Subject("agent", names, population_player(sampled), params["actor"])


def ensemble_subject(params: EnsembleParams, name: str = ENSEMBLE) -> Subject:
    """Return the ensemble as one strategy."""
    return Subject("ensemble", (name,), ensemble_player(), jax.tree.map(lambda leaf: leaf[None], params))


def baseline_subject(sets: Sequence[ParameterSet]) -> Subject:
    """Return classical strategies, each (name, parameters), defaults for the rest."""
    return Subject("baseline", tuple(name for name, _ in sets), strategy_player(), strategy_params(sets))


def evaluate(
    subjects: Sequence[Subject],
    markets: Markets,
    *,
    max_markets: int = DEFAULT_MAX_MARKETS,
    progress: Progress | None = None,
) -> Evaluation:
    """Let every subject play every episode of `markets`. Raises ValueError for two strategies of one name."""
    names = tuple(name for subject in subjects for name in subject.names)
    if len(set(names)) != len(names):
        raise ValueError("two strategies have the same name")
    played = [
        play(
            markets,
            subject.player,
            subject.params,
            max_markets=max_markets,
            progress=None if progress is None else _named(progress, subject),
        )
        for subject in subjects
    ]
    results = Results(*(np.concatenate(field) for field in zip(*played, strict=True)))
    kinds = tuple(subject.kind for subject in subjects for _ in subject.names)
    return Evaluation(markets.source, markets.split, kinds, names, markets.seed, results)


def _named(progress: Progress, subject: Subject) -> Callable[[int, int], None]:
    what = subject.names[0] if len(subject.names) == 1 else f"{len(subject.names)} {subject.kind}s"
    return lambda done, total: progress(what, done, total)


def join(first: Evaluation, second: Evaluation) -> Evaluation:
    """Return one evaluation of both sets of strategies; ValueError if they did not play the same episodes."""
    if first.label != second.label or not np.array_equal(first.seed, second.seed):
        raise ValueError(f"{first.label} and {second.label} are not the same episodes")
    results = Results(*(np.concatenate(pair) for pair in zip(first.results, second.results, strict=True)))
    return first._replace(kinds=first.kinds + second.kinds, names=first.names + second.names, results=results)


def compare(first: np.ndarray, second: np.ndarray, *, seed: int = 0) -> Interval:
    """Return the mean difference first - second of paired episodes float64[S], with its 95 % BCa bootstrap interval."""
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} episodes are not paired")
    return statistics.bootstrap_mean(np.asarray(first, np.float64) - second, seed=seed)


def table_rows(evaluation: Evaluation, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return one row a strategy: ensemble, baselines, agents, each by mean PnL.

    `mean_pnl` tick-lots an episode with its 95 % interval `ci`; `sharpe` of an episode's PnL; `max_drawdown` the
    deepest fall within an episode, tick-lots; `fills` and `turnover` (lots bought plus sold) a mean episode.
    """
    results = evaluation.results
    columns = {
        "max_drawdown": results.max_drawdown_tick_lots.max(1),
        "fills": results.num_fills.mean(1),
        "turnover": results.traded_lots.mean(1),
        "mean_abs_inventory": results.mean_abs_inventory_lots.mean(1),
    }
    return strategy_rows(evaluation, results.pnl_tick_lots, columns, seed=seed)


def strategy_rows(evaluation: Any, pnl: Any, columns: Mapping[str, Any], *, seed: int) -> list[dict[str, Any]]:
    """Return the rows of `table_rows` for PnL [K, S] of K strategies in S episodes and more `columns` [K] of them.

    `evaluation` has `names`, `kinds` and `market`.
    """
    pnl = np.asarray(pnl, np.float64)
    low, high = statistics.bootstrap_mean_bounds(pnl, seed=seed, resamples=2000)
    sharpe, wins = statistics.sharpe_ratio(pnl), statistics.win_rate(pnl)
    rows = [
        {
            "name": name,
            "kind": evaluation.kinds[k],
            "market": evaluation.market,
            "episodes": pnl.shape[1],
            "mean_pnl": float(pnl[k].mean()),
            "ci": [float(low[k]), float(high[k])],
            "sharpe": float(sharpe[k]),
            "win_rate": float(wins[k]),
            **{column: float(values[k]) for column, values in columns.items()},
        }
        for k, name in enumerate(evaluation.names)
    ]
    return sorted(rows, key=lambda row: (KIND_ORDER[row["kind"]], -row["mean_pnl"], row["name"]))


def episode_table(evaluation: Evaluation, run_id: str) -> pa.Table:
    """Return one row an episode and strategy, in the columns of the warehouse's `episodes` table."""
    count, episodes = evaluation.results.pnl_tick_lots.shape
    number = FIRST_EPISODE[evaluation.split] + np.arange(episodes)
    r = evaluation.results
    return pa.table(
        {
            "run_id": pa.array([run_id] * (count * episodes), pa.string()),
            "source": pa.array([evaluation.source] * (count * episodes), pa.string()),
            "strategy": pa.array(np.repeat(np.array(evaluation.names, dtype=object), episodes), pa.string()),
            "episode": pa.array(np.tile(number, count), pa.uint64()),
            "seed": pa.array(np.tile(evaluation.seed, count), pa.uint64()),
            "pnl_tick_lots": pa.array(r.pnl_tick_lots.ravel().astype(np.float64), pa.float64()),
            "fills": pa.array(r.num_fills.ravel(), pa.uint64()),
            "traded_lots": pa.array(r.traded_lots.ravel(), pa.uint64()),
            "max_drawdown": pa.array(r.max_drawdown_tick_lots.ravel().astype(np.float64), pa.float64()),
            "final_inventory": pa.array(r.final_inventory_lots.ravel(), pa.int64()),
        }
    )


def write_evaluation(run_dir: Path, evaluation: Evaluation, run_id: str) -> list[dict[str, Any]]:
    """Write returns, episodes and table of one evaluation into the run; returns the table's rows.

    table.json keeps the rows of other markets; those of this market are replaced.
    """
    directory = Path(run_dir) / DIRECTORY
    text = {"kinds": np.array(evaluation.kinds), "names": np.array(evaluation.names)}
    fields = {f"results_{name}": value for name, value in evaluation.results._asdict().items()}
    pnl = evaluation.results.pnl_tick_lots
    run_files.write_npz(
        directory / f"returns_{evaluation.label}.npz", {**text, "seed": evaluation.seed, "pnl": pnl, **fields}
    )
    stem = (
        f"episodes_{evaluation.source}_test"
        if evaluation.split == "test"
        else f"{evaluation.split}_{evaluation.source}"
    )
    run_files.write_parquet(directory / f"{stem}.parquet", episode_table(evaluation, run_id))
    rows = table_rows(evaluation)
    path = directory / "table.json"
    kept = run_files.read_json(path, "evaluate")["table"] if path.is_file() else []
    table = [row for row in kept if row["market"] != evaluation.market] + rows
    run_files.write_json(path, {"run": run_id, "table": table})
    return rows


def read_evaluation(run_dir: Path, source: str, split: str) -> Evaluation:
    """Return what `write_evaluation` wrote; FileNotFoundError says which command writes it."""
    path = Path(run_dir) / DIRECTORY / f"returns_{source}_{split}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not there; `bookswarm evaluate {run_dir}` writes it")
    with np.load(path, allow_pickle=False) as file:
        results = Results(*(file[f"results_{name}"] for name in Results._fields))
        kinds, names = tuple(map(str, file["kinds"])), tuple(map(str, file["names"]))
        return Evaluation(source, split, kinds, names, file["seed"], results)
