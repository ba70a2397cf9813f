"""Population-based training against hyperparameters that stay as they were drawn, in equal environment steps.

    python -m tests.evidence_pbt [CONFIG] [--seeds 3] [--every-updates 20] [--set KEY=VALUE ...]

CONFIG is market_maker unless given. Both populations start from the same draws. Prints one JSON line a seed: the
median and the best agent's mean of the last episodes' ranking metric, with and without, and how many lineages are left.
Ends with 1 unless the median is higher with population-based training in most seeds.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.population import TrainResult, train
from agents.train_config import PBTConfig
from experiments.experiment import ExperimentConfig, load_experiment
from experiments.training import training_env


def compare(config: ExperimentConfig, env: Any, params: Any, seed: int, pbt: PBTConfig, out: Path) -> dict[str, Any]:
    """Train one seed both ways; returns its line."""
    results: dict[str, TrainResult] = {}
    for name, selection in (("fixed", PBTConfig()), ("pbt", pbt)):
        settings = replace(config.train, seed=seed, pbt=selection, checkpoint_every=0)
        results[name] = train(settings, env, params, out / f"{name}-{seed}")
    assert results["pbt"].env_steps == results["fixed"].env_steps
    line: dict[str, Any] = {"config": config.name, "seed": seed, "env_steps": results["pbt"].env_steps}
    for name, result in results.items():
        final = result.final[pbt.metric]
        line[name] = {"median": final["q50"], "best": final["best"], "env_steps_per_s": round(result.env_steps_per_s)}
    origins = json.loads((out / f"pbt-{seed}" / "hyperparameters.json").read_text())["origin"]
    return line | {"lineages": len(set(origins)), "ok": line["pbt"]["median"] > line["fixed"]["median"]}


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="?", default="market_maker")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--every-updates", type=int, default=20)
    parser.add_argument("--metric", default="episode_return", help="an episode metric; episode_pnl in a market")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    config = load_experiment(given.config, tuple(given.set))
    pbt = PBTConfig(every_updates=given.every_updates, metric=given.metric)
    with tempfile.TemporaryDirectory() as directory:
        env, params = training_env(config, Path(directory))
        lines = [compare(config, env, params, seed, pbt, Path(directory)) for seed in range(given.seeds)]
    for line in lines:
        print(json.dumps(line), flush=True)
    return 0 if 2 * sum(line["ok"] for line in lines) > len(lines) else 1


if __name__ == "__main__":
    sys.exit(main())
