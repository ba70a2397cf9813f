"""Small valid artifacts for tests, and the scalar ensemble that judges the fast ones."""

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np

from protos.artifact import manifest as m
from protos.artifact.keys import load_or_create_signing_key
from protos.artifact.store import write_artifact

FEATURES = ("spread_tick", "imbalance", "inventory_lots")
FAR_FUTURE_NS = 4_000_000_000_000_000_000


def make_network(layers: tuple[int, ...] = (5, 4), activation: str = "tanh") -> m.NetworkSpec:
    return m.NetworkSpec("mlp", layers, activation, observation_dim=len(FEATURES), num_actions=4)


def make_weights(network: m.NetworkSpec, shares: tuple[float, ...], seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    widths = (network.observation_dim, *network.layers, network.num_actions)
    weights: dict[str, np.ndarray] = {"member_weight": np.array(shares, np.float32)}
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
        weights[f"actor/{layer}/kernel"] = generator.normal(size=(len(shares), fan_in, fan_out)).astype(np.float32)
        weights[f"actor/{layer}/bias"] = generator.normal(size=(len(shares), fan_out)).astype(np.float32)
    return weights


def make_golden(weights: dict[str, np.ndarray], network: m.NetworkSpec, count: int = 6) -> dict[str, np.ndarray]:
    """Golden vectors from the scalar ensemble below."""
    obs = np.random.default_rng(9).normal(size=(count, network.observation_dim)).astype(np.float32)
    answers = [scalar_ensemble(weights, network, row) for row in obs]
    return {
        "obs": obs,
        "action": np.array([action for action, _, _ in answers], np.int32),
        "probs": np.array([probs for _, probs, _ in answers], np.float32),
        "disagreement": np.array([apart for _, _, apart in answers], np.float32),
    }


def scalar_ensemble(weights: dict[str, np.ndarray], network: Any, obs: np.ndarray) -> tuple[int, list[float], float]:
    """The ensemble rule with Python floats and loops: (action, probabilities, disagreement)."""
    shares = [float(share) for share in weights["member_weight"]]
    members = []
    for member in range(len(shares)):
        hidden = [float(value) for value in obs]
        for layer in range(len(network.layers) + 1):
            kernel, bias = weights[f"actor/{layer}/kernel"][member], weights[f"actor/{layer}/bias"][member]
            hidden = [
                float(bias[j]) + sum(hidden[i] * float(kernel[i, j]) for i in range(len(hidden)))
                for j in range(len(bias))
            ]
            if layer < len(network.layers):
                hidden = [math.tanh(x) if network.activation == "tanh" else max(x, 0.0) for x in hidden]
        exps = [math.exp(x - max(hidden)) for x in hidden]
        members.append([e / sum(exps) for e in exps])
    actions = range(len(members[0]))
    average = [sum(w * p[a] for w, p in zip(shares, members, strict=True)) for a in actions]
    apart = sum(w * sum(abs(p[a] - average[a]) for a in actions) / 2 for w, p in zip(shares, members, strict=True))
    return max(actions, key=lambda a: (average[a], -a)), average, apart


def make_manifest(network: m.NetworkSpec, shares: tuple[float, ...], **changes: Any) -> m.Manifest:
    selection = m.SelectionSpec("passed", 128, 40.5, 0.97, 0.05, 3, {"mean_pnl": 12.5, "episodes": 64})
    manifest = m.Manifest(
        schema_version=m.SCHEMA_VERSION,
        name="test-ensemble",
        created_by="tests",
        created_ns=1_000,
        expires_ns=FAR_FUTURE_NS,
        released=True,
        instruments=(m.InstrumentSpec("AMZN", "0.01", "1", "USD"),),
        features=m.FeatureSpec(FEATURES, m.feature_digest(FEATURES)),
        normaliser=(m.ArraySpec("normaliser/scale", "float32", (len(FEATURES),)),),
        action=m.ActionSpec("quote_table", ("bid_offset_tick", "ask_offset_tick"), ((0, 0), (1, 0), (0, 1), (1, 1))),
        limits=m.LimitSpec(order_lots=100, max_inventory_lots=500, options={"post_only": True}),
        timing=m.TimingSpec(horizon_events=20, horizon_us=0, latency_ns=1_000_000),
        network=network,
        members=tuple(m.MemberSpec(7 * i, share, {"learning_rate": 3e-4}) for i, share in enumerate(shares)),
        ensemble=m.EnsembleSpec(m.MEAN_PROBABILITY_ARGMAX, disagreement_limit=0.5),
        provenance=m.ProvenanceSpec("run-1", "abc123", "", "", "", {"jax": "0.10.2"}, selection),
        files={},
    )
    return dataclasses.replace(manifest, **changes)


def write_small_artifact(path: Path, keys_dir: Path, **changes: Any) -> str:
    """Write a valid artifact of three members with keys in `keys_dir`; `changes` replace fields of the manifest."""
    shares = (0.5, 0.25, 0.25)
    network = make_network()
    weights = make_weights(network, shares)
    weights["normaliser/scale"] = np.array([0.5, 2.0, 1.0], np.float32)
    golden = make_golden(weights, network)
    manifest = make_manifest(network, shares, **changes)
    return write_artifact(path, manifest, weights, golden, load_or_create_signing_key(keys_dir))
