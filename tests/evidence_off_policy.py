"""Train the shipped off-policy configurations whole, and play their greedy policies in 100 fresh episodes each.

    python -m tests.evidence_off_policy [cartpole_dqn] [pendulum_sac]

Minutes each on two cores. All seeds are one population, one compiled program. Prints one JSON line a configuration and
ends with 1 when fewer agents reach the threshold than are asked for.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import gymnax

from agents.algorithms import ALGORITHMS
from agents.greedy import greedy_returns
from agents.networks import load_population
from agents.population import UpdateReport
from experiments.experiment import load_experiment
from experiments.training import run_training
from sim.vector import from_gymnax

EPISODES, MAX_STEPS = 100, 1000
WANTED = {"cartpole_dqn": (475.0, 12), "pendulum_sac": (-200.0, 7)}  # mean return, agents that must reach it


def check(name: str, out: Path) -> bool:
    """Train one configuration, print what it earned; whether enough agents reached the threshold."""
    config = load_experiment(name)

    def progress(report: UpdateReport) -> None:
        if report.update % 10 == 0:
            median = report.metrics["episode_return"]["q50"]
            print(f"{name}: update {report.update} of {report.num_updates}, return {median}", file=sys.stderr)

    result = run_training(config, out, resume=False, on_update=progress)
    env, params = gymnax.make(config.environment)
    algorithm, networks = ALGORITHMS[config.train.algorithm], load_population(out)
    returns = greedy_returns(
        algorithm, networks, from_gymnax(env), params, episodes=EPISODES, max_steps=MAX_STEPS, seed=config.train.seed
    ).mean(axis=1)
    threshold, wanted = WANTED[name]
    passed = int((returns >= threshold).sum())
    line = {
        "config": name,
        "ok": passed >= wanted,
        "passed": passed,
        "agents": len(returns),
        "threshold": threshold,
        "mean_returns": [round(float(value), 1) for value in sorted(returns)],
        "steps_an_agent": result.env_steps // result.agents,
        "env_steps_per_s": round(result.env_steps_per_s),
        "compile_s": round(result.compile_s, 1),
        "wall_s": round(result.wall_s, 1),
    }
    print(json.dumps(line), flush=True)
    return passed >= wanted


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="*", choices=[[], *WANTED], help="all by default")
    chosen = parser.parse_args().configs or list(WANTED)
    with tempfile.TemporaryDirectory() as directory:
        reached = [check(name, Path(directory) / name) for name in chosen]  # the second runs whatever the first did
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
