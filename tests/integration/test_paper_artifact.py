"""A signed artifact in a paper session: what it says holds, and what is not exactly it is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kernels.ensemble.ensemble import Ensemble
from kernels.execution.quotes import ACTION_COLUMNS, ACTION_TABLE
from kernels.features.normalise import default_normaliser
from kernels.features.table import FEATURE_NAMES, NUM_FEATURES, schema_digest
from live_bridge.journal_tools import verify_replay
from live_bridge.loading import load_market, load_policy
from live_bridge.paper import PaperConfig, run_paper
from protos.artifact import manifest as m
from protos.artifact.errors import ArtifactError
from protos.artifact.keys import load_or_create_signing_key
from protos.artifact.store import write_artifact
from tests.support.artifacts import FAR_FUTURE_NS, make_weights
from tests.support.paper_market import HashPolicy, make_market

SHARES = (0.5, 0.25, 0.25)
NETWORK = m.NetworkSpec("mlp", (16,), "tanh", NUM_FEATURES, len(ACTION_TABLE))


def write(path: Path, keys: Path, weights=None, **changes) -> str:
    """Write an artifact of random members for the synthetic market."""
    normaliser = {f"normaliser/{name}": value for name, value in default_normaliser()._asdict().items()}
    weights = {**(weights or make_weights(NETWORK, SHARES)), **normaliser}
    obs = np.random.default_rng(1).normal(size=(4, NUM_FEATURES)).astype(np.float32)
    answer = Ensemble.from_weights(weights, NETWORK, "reference").act_batch(obs)
    golden = {"obs": obs, **answer._asdict()}
    fields = {
        "schema_version": m.SCHEMA_VERSION,
        "name": "random",
        "created_by": "tests",
        "created_ns": 1_000,
        "expires_ns": FAR_FUTURE_NS,
        "released": False,
        "network": NETWORK,
        "members": tuple(m.MemberSpec(number, share, {}) for number, share in enumerate(SHARES)),
        "provenance": m.ProvenanceSpec("run", "", "", "", "", {}, m.SelectionSpec("nobody", 1, 1.0, 0.0, 1.0, 0, {})),
        "files": {},
        "instruments": (m.InstrumentSpec("TEST", "0.01", "1", "USD"),),
        "features": m.FeatureSpec(FEATURE_NAMES, schema_digest()),
        "normaliser": tuple(m.ArraySpec(name, a.dtype.name, a.shape) for name, a in normaliser.items()),
        "action": m.ActionSpec("quote_table", ACTION_COLUMNS, ACTION_TABLE),
        "limits": m.LimitSpec(10, 40, {"max_steps_in_episode": 30}),
        "timing": m.TimingSpec(horizon_events=10, horizon_us=0, latency_ns=2_000_000),
        "ensemble": m.EnsembleSpec(m.MEAN_PROBABILITY_ARGMAX, disagreement_limit=1.0),
    }
    return write_artifact(path, m.Manifest(**fields | changes), weights, golden, load_or_create_signing_key(keys))


def paper(tmp_path: Path, **changes) -> PaperConfig:
    return PaperConfig(
        **{
            "directory": tmp_path / "session",
            "market": make_market(600, 2),
            "artifact": tmp_path / "artifact",
            "trusted_keys": tmp_path / "keys",
            "backend": "oracle",
        }
        | changes
    )


def test_a_paper_session_runs_the_artifact_with_its_pace_and_limits_and_replays_with_it(tmp_path):
    digest = write(tmp_path / "artifact", tmp_path / "keys")
    result = run_paper(paper(tmp_path))
    assert result["decisions"] == 61
    assert result["reconciled"]
    assert result["fills"] > 0
    assert abs(result["position"]) <= 40
    policy, timing, limits = load_policy(tmp_path / "artifact", None, tmp_path / "keys")
    assert (policy.digest, timing.latency_ns, timing.episode_steps, limits.quote_lots) == (digest, 2_000_000, 30, 10)
    assert verify_replay(tmp_path / "session" / "journal", policy)["replayed_ok"]


def test_members_that_disagree_above_the_manifests_limit_are_refused_until_the_session_halts(tmp_path):
    ensemble = m.EnsembleSpec(m.MEAN_PROBABILITY_ARGMAX, disagreement_limit=1e-6)
    write(tmp_path / "artifact", tmp_path / "keys", ensemble=ensemble)
    result = run_paper(paper(tmp_path, max_refusals=5))
    assert result["refusals"]["DISAGREEMENT"] == 5
    assert (result["decisions"], result["orders"], result["trading"]) == (0, 0, "HALTED")


WRONG = [
    ("feature", {"features": m.FeatureSpec(FEATURE_NAMES, "0" * 64)}, {}),
    ("action table", {"action": m.ActionSpec("quote_table", ACTION_COLUMNS, ACTION_TABLE[::-1])}, {}),
    ("trades", {"instruments": (m.InstrumentSpec("OTHER", "0.01", "1", "USD"),)}, {}),
    ("trades", {"instruments": (m.InstrumentSpec("TEST", "0.02", "1", "USD"),)}, {}),
    ("horizon_us", {"timing": m.TimingSpec(10, 500, 1)}, {}),
    ("expired", {"expires_ns": 2_000}, {}),
    ("quote_lots 11", {}, {"quote_lots": 11}),
    ("inventory_cap_lots 41", {}, {"inventory_cap_lots": 41}),
    ("exactly one of artifact", {}, {"policy": HashPolicy()}),
]


@pytest.mark.parametrize(("message", "manifest", "config"), WRONG)
def test_what_does_not_fit_the_artifact_is_refused_before_anything_is_written(tmp_path, message, manifest, config):
    write(tmp_path / "artifact", tmp_path / "keys", **manifest)
    with pytest.raises((ArtifactError, ValueError), match=message):
        run_paper(paper(tmp_path, **config))
    assert not (tmp_path / "session").exists()


def test_a_changed_weight_is_refused(tmp_path):
    write(tmp_path / "artifact", tmp_path / "keys")
    weights = tmp_path / "artifact" / "weights.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-3] ^= 1
    weights.write_bytes(raw)
    with pytest.raises(ArtifactError, match="was changed"):
        run_paper(paper(tmp_path))


@pytest.mark.data
def test_a_recorded_market_is_traded_and_reconciled(tmp_path, data_dir):
    path = data_dir / "l3" / "lobster" / "LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"
    market = load_market(path, 45_900, 46_200)
    assert market.background.shape[0] > 2_000
    config = paper(
        tmp_path,
        data=path,
        market=market,
        artifact=None,
        policy=HashPolicy(),
        backend="cpu",
        fsync="never",
    )
    result = run_paper(dataclasses.replace(config, quote_lots=20, inventory_cap_lots=100))
    assert result["reconciled"]
    assert result["fills"] > 10
    assert result["decisions"] == -(-len(market.background) // 20) + 1
    assert abs(result["position"]) <= 100
