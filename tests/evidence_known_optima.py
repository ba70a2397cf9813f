"""Train the shipped configurations whose optimum is known, and hold every agent's greedy policy against it.

    python -m tests.evidence_known_optima [merton] [almgren_chriss]

Minutes on two cores. Prints one JSON line a configuration and ends with 1 when an agent misses.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize_scalar

from agents.algorithms import ALGORITHMS
from agents.greedy import greedy_returns
from agents.hyperparameters import sample
from agents.networks import load_population
from experiments.experiment import ExperimentConfig, load_experiment
from experiments.training import run_training, training_env
from kernels.execution import almgren_chriss
from sim.vector import broadcast_params

PPO = ALGORITHMS["ppo"]
WEIGHT_TOLERANCE, COST_TOLERANCE = 0.02, 0.01
TABLE = almgren_chriss.ImpactParams(1e6, 5.0, 5, 0.95, 0.0625, 2.5e-7, 2.5e-6)


def best_weight(config: ExperimentConfig) -> float:
    """Return the weight that maximises E u(1 + w (exp(x) - 1)), x normal, by Gauss-Hermite quadrature."""
    options: Any = config.environment.options  # pyright: ignore[reportAttributeAccessIssue]
    process, aversion = options["process_params"], options["risk_aversion"]
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    change = np.expm1(process["log_drift_per_bar"] + process["volatility_per_bar"] * nodes)

    def loss(weight: float) -> float:
        return -float(weights @ ((1.0 + weight * change) ** (1.0 - aversion) / (1.0 - aversion)))

    found: Any = minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-9})
    return float(found.x)


def merton(config: ExperimentConfig, out: Path) -> dict[str, Any]:
    """Return every agent's greedy weight, its mean and its range over the observations of fresh episodes."""
    env, params = training_env(config, out)
    vector: Any = env
    batched = broadcast_params(params, 4096)
    observed = vector.reset(jax.random.key(2**31), batched)[1]
    policies = load_population(out)
    num_agents = config.train.num_agents
    obs = jnp.broadcast_to(observed, (num_agents, *observed.shape))
    weights = np.asarray(PPO.act_greedy(policies, obs, env))[..., 0]
    best, found = best_weight(config), weights.mean(axis=1)
    return {
        "ok": bool((np.abs(found - best) < WEIGHT_TOLERANCE).all()),
        "optimum": round(best, 4),
        "weights": [round(float(x), 4) for x in found],
        "spread_over_observations": [round(float(x), 4) for x in weights.std(axis=1)],
    }


def execution(config: ExperimentConfig, out: Path) -> dict[str, Any]:
    """Return E + lambda V of every agent's greedy schedule over that of the closed form."""
    env, params = training_env(config, out)
    aversion = np.asarray(sample(config.train).env["risk_aversion"])
    policies, ratios = load_population(out), {}
    for value in np.unique(aversion):
        own = np.flatnonzero(aversion == value)
        theirs = jax.tree.map(lambda leaf, rows=own: leaf[rows], policies)
        changed: Any = params.replace(risk_aversion=np.float32(value))
        returns = greedy_returns(PPO, theirs, env, changed, episodes=64, max_steps=6).mean(axis=1)
        holdings = almgren_chriss.trajectory(TABLE, float(value))
        best = almgren_chriss.expected_cost(TABLE, holdings) + float(value) * almgren_chriss.cost_variance(
            TABLE, holdings
        )
        ratios[f"{value:.0e}"] = [round(float(-r * params.cost_scale / best), 5) for r in returns]
    every = np.concatenate([np.array(values) for values in ratios.values()])
    return {"ok": len(ratios) == 3 and bool((every < 1.0 + COST_TOLERANCE).all()), "objective_over_optimum": ratios}


JUDGES = {"merton": merton, "almgren_chriss": execution}


def check(name: str, out: Path) -> bool:
    """Train one configuration and print how far its agents are from the optimum."""
    config, begun = load_experiment(name), time.perf_counter()
    result = run_training(config, out, resume=False)
    judged = JUDGES[name](config, out)
    rate, wall = round(result.env_steps_per_s), round(time.perf_counter() - begun, 1)
    line = {"config": name, **judged, "env_steps": result.env_steps, "env_steps_per_s": rate, "wall_s": wall}
    print(json.dumps(line), flush=True)
    return judged["ok"]


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="*", choices=[[], *JUDGES], help="all by default")
    chosen = parser.parse_args().configs or list(JUDGES)
    with tempfile.TemporaryDirectory() as directory:
        reached = [check(name, Path(directory) / name) for name in chosen]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
