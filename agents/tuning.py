"""Classical strategies get the population's chance: as many parameter sets as it has agents, in the same episodes."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from agents import run_files
from agents.baselines import STRATEGIES, Searchable, grid_params
from agents.episodes import DEFAULT_MAX_MARKETS, Markets, Results, play
from agents.evaluation import DIRECTORY, Evaluation, Progress
from agents.players import strategy_params, strategy_player

BASELINES_FILE: Final = "baselines.json"


class Tuned(NamedTuple):
    """The best found of one classical strategy."""

    name: str
    parameters: dict[str, float]  # all of them, tuned or default
    sets_tried: int
    validation_mean_pnl: float  # tick-lots an episode, of the set that was best there


def parameter_sets(strategy: Searchable, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return at most `count` parameter sets to try, float32[n] by name; the first is the default.

    A grid with more points than that is sampled without replacement; one with fewer is taken whole and, unless its
    values are whole numbers (a choice, not a scale), filled up with sets drawn between its least and largest values,
    on a logarithmic scale where all are above 0.
    """
    if count < 1:
        raise ValueError(f"count {count} is below 1")
    if not strategy.grid:
        return {name: np.array([value], np.float32) for name, value in strategy.defaults.items()}
    generator = np.random.default_rng([seed, *strategy.name.encode()])
    grid = {name: np.asarray(values) for name, values in grid_params(strategy).items()}
    size = len(next(iter(grid.values())))
    kept = np.sort(generator.permutation(size)[: count - 1])
    missing = 0 if _is_choice(strategy) else count - 1 - len(kept)
    sets = {}
    for name, values in grid.items():
        default = strategy.defaults[name]
        drawn = _draw(generator, strategy.grid.get(name, (default,)), missing)
        sets[name] = np.array([default, *values[kept].tolist(), *drawn], np.float32)
    return sets


def _is_choice(strategy: Searchable) -> bool:
    values = [np.asarray(values) for values in strategy.grid.values()]
    return len(values) == 1 and len(values[0]) > 1 and bool(np.all(np.diff(values[0]) == 1.0))


def _draw(generator: np.random.Generator, values: Sequence[float], count: int) -> list[float]:
    low, high = min(values), max(values)
    if low > 0.0:
        return np.exp(generator.uniform(np.log(low), np.log(high), count)).tolist()
    return generator.uniform(low, high, count).tolist()


def tune(
    markets: Markets,
    count: int,
    names: Sequence[str] = tuple(STRATEGIES),
    *,
    seed: int = 0,
    max_markets: int = DEFAULT_MAX_MARKETS,
    progress: Progress | None = None,
) -> tuple[list[Tuned], Evaluation]:
    """Search `count` parameter sets of each strategy on `markets`, the best by mean PnL (the first among equals).

    Returns the tuned strategies and their own episodes. Raises ValueError unless `markets` are validation episodes.
    """
    if markets.split != "validation":
        raise ValueError(f"baselines are tuned on validation episodes, not on {markets.split}")
    tried = {name: parameter_sets(STRATEGIES[name], count, seed) for name in names}
    rows = [(name, row) for name in names for row in set_rows(tried[name])]
    report = None if progress is None else partial(progress, "tuning baselines")
    results = play(markets, strategy_player(), strategy_params(rows), max_markets=max_markets, progress=report)
    means = results.pnl_tick_lots.astype(np.float64).mean(axis=1)
    whose = np.array([name for name, _ in rows])
    best = {name: int(max(np.flatnonzero(whose == name), key=lambda row: means[row])) for name in names}
    tuned = [
        Tuned(name, dict(rows[row][1]), int(np.sum(whose == name)), float(means[row])) for name, row in best.items()
    ]
    kept = Results(*(field[list(best.values())] for field in results))
    return tuned, Evaluation(markets.source, markets.split, ("baseline",) * len(best), tuple(best), markets.seed, kept)


def set_rows(sets: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """Return the sets one by one; a strategy without parameters has one."""
    count = len(next(iter(sets.values()))) if sets else 1
    return [{key: float(values[row]) for key, values in sets.items()} for row in range(count)]


def write_tuned(run_dir: Path, tuned: Sequence[Tuned]) -> Path:
    """Write evaluation/baselines.json."""
    path = Path(run_dir) / DIRECTORY / BASELINES_FILE
    return run_files.write_json(path, {"baselines": [entry._asdict() for entry in tuned]})


def read_tuned(run_dir: Path) -> list[Tuned]:
    """Return what `write_tuned` wrote; FileNotFoundError says which command writes it."""
    document = run_files.read_json(Path(run_dir) / DIRECTORY / BASELINES_FILE, f"evaluate {run_dir}")
    return [Tuned(**entry) for entry in document["baselines"]]
