"""Validate, select, export, load, act: the path from a population to what live runs."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import ensemble, networks
from agents.baselines import STRATEGIES
from agents.episodes import Markets, play, simulated_markets
from agents.evaluation import agent_name, read_evaluation, write_evaluation
from agents.export import ExportConfig, Provenance, export
from agents.judgement import SelectionConfig
from agents.players import strategy_params, strategy_player
from agents.selection import read_selection, select
from agents.tuning import read_tuned, tune
from agents.validation import validate
from kernels.ensemble.ensemble import Ensemble
from kernels.ensemble.golden import make_golden_check
from kernels.features.table import FEATURE_NAMES, schema_digest
from market_models.instrument import Instrument
from protos.artifact import ArtifactError, load_artifact, verify_artifact
from protos.artifact.manifest import FeatureSpec
from tests.support.markets import small_market_making

pytestmark = pytest.mark.slow

AGENTS, EPISODES = 4, 16
BASELINES = ("do_nothing", "fixed_spread")
CHECK = make_golden_check()
FEATURES = FeatureSpec(FEATURE_NAMES, schema_digest())


def make_population() -> networks.PolicyParams:
    """Agents that differ, but for agent 3, which never quotes."""
    env = small_market_making()
    keys = jax.random.split(jax.random.key(3), AGENTS)
    params = networks.init_population(keys, env.observation_space().shape[0], env.num_actions, (8, 8))
    params["actor"]["2"]["kernel"] *= 300.0
    idle = jnp.arange(AGENTS)[:, None] < 3
    params["actor"]["2"]["kernel"] *= idle[..., None]
    params["actor"]["2"]["bias"] = params["actor"]["2"]["bias"].at[3, 0].set(50.0)
    return params


@pytest.fixture(scope="module")
def population() -> networks.PolicyParams:
    return make_population()


@pytest.fixture(scope="module")
def validation() -> Markets:
    return simulated_markets(small_market_making(), "validation", EPISODES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, population: networks.PolicyParams, validation: Markets) -> Path:
    """A run directory with a population that was validated."""
    path = tmp_path_factory.mktemp("runs") / "run-1"
    path.mkdir()
    networks.save_population(path, population)
    hyper = {"agents": AGENTS, "hyperparameters": {"learning_rate": [1e-3 * (i + 1) for i in range(AGENTS)]}}
    (path / "hyperparameters.json").write_text(json.dumps(hyper))
    seen: list[str] = []
    _, document = validate(
        path,
        "run-1",
        networks.load_population(path),
        validation,
        baselines=BASELINES,
        progress=lambda what, done, total: seen.append(what),
    )
    assert document["agents"] == AGENTS and document["baselines"] == 2
    assert document["parameter_sets"] == {"do_nothing": 1, "fixed_spread": AGENTS}
    assert {row["name"] for row in document["table"]} == {*map(agent_name, range(AGENTS)), *BASELINES}
    assert seen == ["4 agents", "tuning baselines"]
    return path


def plant(run: Path, skilled: int) -> None:
    """Put returns into the run's validation in which agent `skilled` is truly good; the hold-out stays real."""
    evaluation = read_evaluation(run, "sim", "validation")
    generator = np.random.default_rng(0)
    pnl = generator.normal(-8.0, 10.0, evaluation.results.pnl_tick_lots.shape)
    pnl[skilled] += 40.0
    write_evaluation(
        run, evaluation._replace(results=evaluation.results._replace(pnl_tick_lots=pnl.astype(np.float32))), "run-1"
    )


def test_the_tuned_baseline_is_the_best_of_its_sets(run: Path, validation: Markets) -> None:
    entry = next(entry for entry in read_tuned(run) if entry.name == "fixed_spread")
    defaults = {name: np.float32(value) for name, value in STRATEGIES["fixed_spread"].defaults.items()}
    sets = [("fixed_spread", entry.parameters), ("fixed_spread", defaults), *[("do_nothing", {})] * 3]
    again = play(validation, strategy_player(), strategy_params(sets))  # five, as in tuning: compiled once
    means = again.pnl_tick_lots.astype(np.float64).mean(axis=1)
    assert entry.validation_mean_pnl == means[0] >= means[1] and entry.sets_tried == AGENTS
    assert np.array_equal(read_evaluation(run, "sim", "validation").pnl("fixed_spread"), again.pnl_tick_lots[0])


def test_only_validation_may_tune_and_only_test_may_be_held_out(
    run: Path, validation: Markets, population: networks.PolicyParams
) -> None:
    test = simulated_markets(validation.env, "test", EPISODES)
    with pytest.raises(ValueError, match="tuned on validation episodes, not on test"):
        tune(test, 2, BASELINES)
    with pytest.raises(ValueError, match="validated on validation episodes, not on test"):
        validate(run, "run-1", population, test, baselines=BASELINES)
    with pytest.raises(ValueError, match="must be of the test split, this one is validation"):
        select(run, "run-1", population, [validation])
    with pytest.raises(ValueError, match="two hold-outs of one source"):
        select(run, "run-1", population, [test, test])
    assert not (run / "selection.json").exists() and not (run / "evaluation" / "holdout_log.json").exists()


def test_nobody_passing_is_a_result_and_the_artifact_says_so(
    run: Path, validation: Markets, population: networks.PolicyParams, tmp_path: Path
) -> None:
    """Random agents: the procedure names the best of them, and releases nobody."""
    held_out = simulated_markets(validation.env, "test", EPISODES)
    selection = select(run, "run-1", population, [held_out], trials=900, config=SelectionConfig(pbo_blocks=4))
    document = read_selection(run)
    assert document == selection.document
    assert document["status"] == "nobody" and not document["released"] and document["failed"]
    assert document["trials"] == 900 and document["members"]
    assert {"trials", "effective_trials", "dsr", "pbo", "stepm_survivors", "members", "holdout"} <= set(document)
    holdout = read_evaluation(run, "sim", "test")
    assert holdout.names == ("ensemble", *BASELINES)
    assert document["holdout"]["sim_mean_pnl"] == pytest.approx(holdout.pnl("ensemble").mean())
    assert document["holdout"]["looks"] == 1
    rival = document["holdout"]["sim_best_baseline"]
    apart = holdout.pnl("ensemble").mean() - holdout.pnl(rival).mean()
    assert document["holdout"]["sim_over_baseline"] == pytest.approx(apart)

    chosen = ensemble.take_members(population, document["members"], document["shares"])
    report = export(
        run,
        document,
        tmp_path / "artifact",
        validation,
        [Instrument("TEST", "0.01")],
        Provenance("run-1", "abc", calibration_digest="0" * 64),
    )
    assert report["golden_max_error"] < 1e-5 and not report["released"]
    assert verify_artifact(tmp_path / "artifact", CHECK, features=FEATURES)["ok"]
    loaded = load_artifact(tmp_path / "artifact", CHECK, features=FEATURES)
    assert not loaded.manifest.released
    assert [member.agent_index for member in loaded.manifest.members] == document["members"]
    assert loaded.manifest.members[0].hyperparameters["learning_rate"] == 1e-3 * (document["members"][0] + 1)
    assert loaded.manifest.limits.max_inventory_lots == 25 and loaded.manifest.limits.order_lots == 10
    assert loaded.manifest.timing.latency_ns == 50_000_000
    assert loaded.manifest.provenance.selection.trials == 900
    live = Ensemble.from_weights(loaded.weights, loaded.manifest.network)
    obs = np.random.default_rng(1).normal(size=(200, live.observation_dim)).astype(np.float32)
    probs, apart = ensemble.probabilities(chosen, jnp.asarray(obs))
    answer = live.act_batch(obs)
    assert np.abs(answer.probs - probs).max() < 1e-5
    assert np.abs(answer.disagreement - apart).max() < 1e-5
    assert np.mean(answer.action == np.asarray(ensemble.act(chosen, jnp.asarray(obs)))) > 0.99
    normaliser = validation.env.normaliser._asdict()
    assert all(np.array_equal(loaded.weights[f"normaliser/{name}"], value) for name, value in normaliser.items())
    with pytest.raises(ArtifactError, match="exists already"):
        export(run, document, tmp_path / "artifact", validation, [Instrument("TEST", "0.01")], Provenance("r", "c"))


def test_a_skilled_agent_is_released_and_each_look_is_counted(
    run: Path, validation: Markets, population: networks.PolicyParams, tmp_path: Path
) -> None:
    """Agent 3 never quotes, so that it neither wins nor loses on the real hold-out: nothing takes its release back."""
    before = json.loads((run / "evaluation" / "holdout_log.json").read_text())["looks"]
    plant(run, 3)
    held_out = simulated_markets(validation.env, "test", EPISODES)
    config = SelectionConfig(pbo_blocks=4)
    document = select(run, "run-1", population, [held_out], config=config).document
    assert document["status"] == "passed" and document["released"] and document["failed"] == []
    assert document["members"] == [3] and document["shares"] == [1.0]
    assert document["holdout"]["looks"] == len(before) + 1
    assert document["holdout"]["sim_mean_pnl"] == 0.0
    settings = ExportConfig(name="released", disagreement_limit=0.4)
    export(
        run, document, tmp_path / "a", validation, [Instrument("TEST", "0.01")], Provenance("r", "c"), config=settings
    )
    manifest = load_artifact(tmp_path / "a", CHECK, features=FEATURES).manifest
    assert manifest.released and manifest.name == "released" and manifest.ensemble.disagreement_limit == 0.4
