"""The first look at a trained population: every agent, and every classical strategy tuned, on validation episodes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from agents.baselines import STRATEGIES
from agents.episodes import DEFAULT_MAX_MARKETS, Markets
from agents.evaluation import Evaluation, Progress, evaluate, join, population_subject, write_evaluation
from agents.tuning import tune, write_tuned


def validate(
    run_dir: Path,
    run_id: str,
    params: Mapping[str, Any],
    markets: Markets,
    *,
    baselines: Sequence[str] = tuple(STRATEGIES),
    seed: int = 0,
    sampled: bool = False,
    max_markets: int = DEFAULT_MAX_MARKETS,
    progress: Progress | None = None,
) -> tuple[Evaluation, dict[str, Any]]:
    """Play `markets` (validation) with every agent and tune every classical strategy on them; write evaluation/.

    Each strategy may try as many parameter sets as there are agents. Returns the evaluation and the command line's
    document {agents, baselines, episodes, table}. Raises ValueError if `markets` are not of the validation split.
    """
    if markets.split != "validation":
        raise ValueError(f"a population is validated on validation episodes, not on {markets.split}")
    num_agents = jax.tree.leaves(params["actor"])[0].shape[0]
    agents = evaluate(
        [population_subject(params, sampled=sampled)], markets, max_markets=max_markets, progress=progress
    )
    tuned, rivals = tune(markets, num_agents, baselines, seed=seed, max_markets=max_markets, progress=progress)
    whole = join(agents, rivals)
    write_tuned(run_dir, tuned)
    table = write_evaluation(run_dir, whole, run_id)
    document = {
        "run": run_id,
        "agents": num_agents,
        "baselines": len(tuned),
        "episodes": len(markets.seed),
        "parameter_sets": {entry.name: entry.sets_tried for entry in tuned},
        "table": table,
    }
    return whole, document
