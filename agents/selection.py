"""From a population to an ensemble: judged on validation episodes, then shown the hold-out once, and logged.

The order and the thresholds are those of `agents/judgement.py`. The hold-out (test seeds, and windows of a recording
that nothing was fitted on) is played by the ensemble and the tuned baselines after the members stand; each look is
appended to evaluation/holdout_log.json, so that a second one can be seen. The hold-out chooses nothing; it can only
take a release back: an ensemble that loses there beyond its 95 % interval is not released.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from agents import run_files
from agents.ensemble import EnsembleParams, take_members
from agents.episodes import DEFAULT_MAX_MARKETS, Markets
from agents.evaluation import (
    DIRECTORY,
    ENSEMBLE,
    Evaluation,
    Progress,
    baseline_subject,
    compare,
    ensemble_subject,
    evaluate,
    read_evaluation,
    write_evaluation,
)
from agents.judgement import Judgement, SelectionConfig, judge
from agents.statistics import bootstrap_mean, sharpe_interval
from agents.tuning import Tuned, read_tuned

SELECTION_FILE: Final = "selection.json"
LOG_FILE: Final = "holdout_log.json"
PASSED, NOBODY = "passed", "nobody"
HOLDOUT_STAGE: Final = "holdout"


class Selection(NamedTuple):
    """What `select` found; `document` is selection.json and what the command line prints."""

    judgement: Judgement
    ensemble: EnsembleParams
    holdout: tuple[Evaluation, ...]
    released: bool
    document: dict[str, Any]


def select(
    run_dir: Path,
    run_id: str,
    params: Mapping[str, Any],
    holdout: Sequence[Markets],
    *,
    trials: int | None = None,
    config: SelectionConfig | None = None,
    max_markets: int = DEFAULT_MAX_MARKETS,
    progress: Progress | None = None,
) -> Selection:
    """Select an ensemble from the population `params` and write selection.json. Nobody passing is a result, no error.

    Reads evaluation/returns_sim_validation.npz and evaluation/baselines.json (`bookswarm evaluate`). `trials`:
    strategies ever tried on this data set, this population included. `holdout`: test markets of one source each.
    Raises ValueError if a hold-out is not of the test split, or there is more than one of a source.
    """
    run_dir = Path(run_dir)
    _check_holdout(holdout)
    validation = read_evaluation(run_dir, "sim", "validation")
    tuned = read_tuned(run_dir)
    returns = agent_returns(validation)
    verdict = judge(returns, trials, config)
    shares = [1.0 / len(verdict.members)] * len(verdict.members)
    ensemble = take_members(params, verdict.members, shares)
    looks = log_look(run_dir, run_id, verdict.members, holdout)  # before looking: a crash does not hide it
    looked = [_look(markets, ensemble, tuned, max_markets, progress) for markets in holdout]
    for evaluation in looked:
        write_evaluation(run_dir, evaluation, run_id)
    figures = {name: value for evaluation in looked for name, value in holdout_figures(evaluation, tuned).items()}
    document = selection_document(run_id, verdict, returns, shares, {"looks": looks, **figures})
    run_files.write_json(run_dir / SELECTION_FILE, document)
    return Selection(verdict, ensemble, tuple(looked), document["released"], document)


def agent_returns(evaluation: Evaluation) -> np.ndarray:
    """Return the agents' PnL float64[A, S] in the order of the population."""
    agents = [row for row, kind in enumerate(evaluation.kinds) if kind == "agent"]
    return np.asarray(evaluation.results.pnl_tick_lots, np.float64)[agents]


def _check_holdout(holdout: Sequence[Markets]) -> None:
    for markets in holdout:
        if markets.split != "test":
            raise ValueError(f"a hold-out must be of the test split, this one is {markets.split}")
    if len({markets.source for markets in holdout}) != len(holdout):
        raise ValueError("there are two hold-outs of one source; give one simulated and one recorded at most")


def _look(
    markets: Markets, ensemble: EnsembleParams, tuned: Sequence[Tuned], max_markets: int, progress: Progress | None
) -> Evaluation:
    rivals = baseline_subject([(entry.name, entry.parameters) for entry in tuned])
    subjects = [ensemble_subject(ensemble), *([rivals] if tuned else [])]
    return evaluate(subjects, markets, max_markets=max_markets, progress=progress)


def log_look(run_dir: Path, run_id: str, members: Sequence[int], holdout: Sequence[Markets]) -> int:
    """Append a look at hold-out episodes to the run's log and return how many there have been, this one included.

    Whoever plays hold-out episodes for another purpose (a table of all agents: `members` empty) logs it as well.
    """
    path = Path(run_dir) / DIRECTORY / LOG_FILE
    looks = run_files.read_json(path, "select")["looks"] if path.is_file() else []
    looks.append(
        {
            "run": run_id,
            "looked_ns": time.time_ns(),
            "members": list(members),
            "episodes": {markets.source: len(markets.seed) for markets in holdout},
            "first_seed": {markets.source: int(markets.seed[0]) for markets in holdout},
        }
    )
    run_files.write_json(path, {"looks": looks})
    return len(looks)


def holdout_figures(evaluation: Evaluation, tuned: Sequence[Tuned]) -> dict[str, Any]:
    """Return the ensemble's hold-out figures as flat names `SOURCE_FIGURE`.

    The baseline that it is compared with is the one that was best on validation, chosen before the hold-out was seen.
    """
    pnl = evaluation.pnl(ENSEMBLE)
    mean, sharpe = bootstrap_mean(pnl), sharpe_interval(pnl)
    row = evaluation.names.index(ENSEMBLE)
    figures: dict[str, Any] = {
        "episodes": len(pnl),
        "mean_pnl": mean.value,
        "mean_pnl_low": mean.low,
        "mean_pnl_high": mean.high,
        "sharpe": sharpe.value,
        "sharpe_low": sharpe.low,
        "sharpe_high": sharpe.high,
        "win_rate": float(np.mean(pnl > 0.0)),
        "max_drawdown": float(evaluation.results.max_drawdown_tick_lots[row].max()),
    }
    if tuned:
        rival = max(tuned, key=lambda entry: entry.validation_mean_pnl).name
        apart = compare(pnl, evaluation.pnl(rival))
        figures |= {
            "best_baseline": rival,
            "best_baseline_mean_pnl": float(evaluation.pnl(rival).mean()),
            "over_baseline": apart.value,
            "over_baseline_low": apart.low,
            "over_baseline_high": apart.high,
        }
    return {f"{evaluation.source}_{name}": value for name, value in figures.items()}


def selection_document(
    run_id: str, verdict: Judgement, returns: np.ndarray, shares: Sequence[float], holdout: dict[str, Any]
) -> dict[str, Any]:
    """Return selection.json: released only if every stage passed and no hold-out's interval lies below 0."""
    lost = any(value < 0.0 for name, value in holdout.items() if name.endswith("_mean_pnl_high"))
    failed = [*verdict.failed, *([HOLDOUT_STAGE] if lost else [])]
    return {
        "run": run_id,
        "status": NOBODY if failed else PASSED,
        "released": not failed,
        "failed": failed,
        "trials": verdict.trials,
        "effective_trials": verdict.effective_trials,
        "dsr": verdict.dsr,
        "dsr_counted": verdict.dsr_counted,
        "pbo": verdict.pbo,
        "pbo_blocks": verdict.pbo_blocks,
        "stepm_survivors": int(verdict.survivors.sum()),
        "agents": len(returns),
        "validation_episodes": returns.shape[1],
        "best_agent": verdict.best,
        "best_sharpe": verdict.best_sharpe,
        "expected_best_sharpe": verdict.expected_best_sharpe,
        "effective_rank": verdict.effective_rank,
        "mean_correlation": verdict.mean_correlation,
        "members": list(verdict.members),
        "shares": list(shares),
        "member_table": [
            {
                "agent": member,
                "share": share,
                "validation_sharpe": float(verdict.sharpe[member]),
                "validation_mean_pnl": float(returns[member].mean()),
                "survivor": bool(verdict.survivors[member]),
            }
            for member, share in zip(verdict.members, shares, strict=True)
        ],
        "holdout": holdout,
    }


def read_selection(run_dir: Path) -> dict[str, Any]:
    """Return selection.json; FileNotFoundError says which command writes it."""
    return run_files.read_json(Path(run_dir) / SELECTION_FILE, f"select {run_dir}")
