"""What an evaluation says and writes is what was played."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from agents import run_files
from agents.baselines import STRATEGIES
from agents.episodes import Results
from agents.evaluation import Evaluation, compare, join, read_evaluation, table_rows, write_evaluation
from agents.tuning import Tuned, parameter_sets, read_tuned, write_tuned
from kernels.execution import quotes


def make_evaluation(names=("agent_0000", "agent_0001", "glft", "ensemble"), split="test", episodes=20) -> Evaluation:
    generator = np.random.default_rng(len(names))
    shape = (len(names), episodes)
    whole = {
        "pnl_tick_lots": generator.normal(5.0, 20.0, shape).astype(np.float32),
        "num_fills": generator.integers(0, 30, shape).astype(np.int32),
        "traded_lots": generator.integers(0, 3000, shape).astype(np.int32),
        "max_drawdown_tick_lots": generator.random(shape).astype(np.float32),
        "mean_abs_inventory_lots": generator.random(shape).astype(np.float32),
        "final_inventory_lots": generator.integers(-5, 5, shape).astype(np.int32),
        "num_steps": np.full(shape, 12, np.int32),
        "overflows": np.zeros(shape, np.int32),
    }
    kinds = tuple("ensemble" if n == "ensemble" else "agent" if n.startswith("agent") else "baseline" for n in names)
    return Evaluation("sim", split, kinds, tuple(names), np.arange(episodes, dtype=np.uint64) + 7, Results(**whole))


def test_the_table_holds_what_the_episodes_say() -> None:
    evaluation = make_evaluation()
    rows = {row["name"]: row for row in table_rows(evaluation)}
    pnl = evaluation.pnl("agent_0001")
    row = rows["agent_0001"]
    assert row["mean_pnl"] == pytest.approx(pnl.mean())
    assert row["sharpe"] == pytest.approx(pnl.mean() / pnl.std(ddof=1))
    assert row["win_rate"] == pytest.approx(np.mean(pnl > 0))
    assert row["max_drawdown"] == pytest.approx(evaluation.results.max_drawdown_tick_lots[1].max())
    assert row["fills"] == pytest.approx(evaluation.results.num_fills[1].mean())
    assert row["turnover"] == pytest.approx(evaluation.results.traded_lots[1].mean())
    half = 1.96 * pnl.std(ddof=1) / np.sqrt(20)
    assert row["ci"][0] == pytest.approx(pnl.mean() - half, abs=0.25 * half)
    assert row["ci"][1] == pytest.approx(pnl.mean() + half, abs=0.25 * half)
    assert row["market"] == "simulated, test"
    kinds = [row["kind"] for row in table_rows(evaluation)]
    assert kinds == ["ensemble", "baseline", "agent", "agent"]


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    evaluation = make_evaluation()
    write_evaluation(tmp_path, evaluation, "run-7")
    again = read_evaluation(tmp_path, "sim", "test")
    assert again.names == evaluation.names and again.kinds == evaluation.kinds
    assert all(np.array_equal(a, b) for a, b in zip(again.results, evaluation.results, strict=True))
    with np.load(tmp_path / "evaluation" / "returns_sim_test.npz") as file:
        assert file["pnl"].shape == (4, 20) and file["names"].tolist() == list(evaluation.names)
    with pytest.raises(FileNotFoundError, match=r"returns_replay_test\.npz: not there; `bookswarm evaluate"):
        read_evaluation(tmp_path, "replay", "test")


def test_the_table_keeps_the_rows_of_other_markets(tmp_path: Path) -> None:
    write_evaluation(tmp_path, make_evaluation(split="validation"), "run-7")
    write_evaluation(tmp_path, make_evaluation(names=("a", "b")), "run-7")
    write_evaluation(tmp_path, make_evaluation(), "run-7")
    table = run_files.read_json(tmp_path / "evaluation" / "table.json", "evaluate")["table"]
    markets = [row["market"] for row in table]
    assert markets == ["simulated, validation"] * 4 + ["simulated, test"] * 4
    assert sorted(path.name for path in (tmp_path / "evaluation").iterdir()) == [
        "episodes_sim_test.parquet",
        "returns_sim_test.npz",
        "returns_sim_validation.npz",
        "table.json",
        "validation_sim.parquet",
    ]


def test_the_episodes_have_the_columns_of_the_warehouse_and_numbers_of_their_split(tmp_path: Path) -> None:
    for split in ("validation", "test"):
        write_evaluation(tmp_path, make_evaluation(split=split), "run-7")
    test = pq.read_table(tmp_path / "evaluation" / "episodes_sim_test.parquet")
    validation = pq.read_table(tmp_path / "evaluation" / "validation_sim.parquet")
    columns = "run_id source strategy episode seed pnl_tick_lots fills traded_lots max_drawdown final_inventory"
    assert test.column_names == columns.split()
    assert test.num_rows == 80 and set(test["source"].to_pylist()) == {"sim"}
    assert not set(test["episode"].to_pylist()) & set(validation["episode"].to_pylist())
    evaluation = make_evaluation()
    at = [i for i, row in enumerate(test.to_pylist()) if row["strategy"] == "glft"]
    assert np.allclose(np.array(test["pnl_tick_lots"])[at], evaluation.pnl("glft"))
    assert np.array(test["seed"])[at].tolist() == evaluation.seed.tolist()


def test_a_comparison_is_paired() -> None:
    """What both strategies share of an episode falls out: the interval is that of the differences."""
    generator = np.random.default_rng(0)
    market = generator.normal(0, 100.0, 200)
    first, second = market + generator.normal(1.0, 1.0, 200), market + generator.normal(0, 1.0, 200)
    paired = compare(first, second)
    assert 0.7 < paired.low < paired.value < paired.high < 1.4
    with pytest.raises(ValueError, match="not paired"):
        compare(first, second[:-1])


def test_only_the_same_episodes_are_joined() -> None:
    a, b = make_evaluation(names=("x", "y")), make_evaluation(names=("z",))
    assert join(a, b).names == ("x", "y", "z") and join(a, b).results.num_fills.shape == (3, 20)
    with pytest.raises(ValueError, match="not the same episodes"):
        join(a, make_evaluation(names=("z",), split="validation"))
    with pytest.raises(ValueError, match="not the same episodes"):
        join(a, b._replace(seed=b.seed + 1))
    with pytest.raises(ValueError, match="'nobody' was not evaluated"):
        a.pnl("nobody")


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("count", [1, 5, 64, 300])
def test_a_strategy_tries_as_many_sets_as_there_are_agents_or_all_it_has(name: str, count: int) -> None:
    strategy = STRATEGIES[name]
    sets = parameter_sets(strategy, count)
    assert set(sets) == set(strategy.defaults)
    sizes = {len(values) for values in sets.values()} or {1}
    expected = 1 if not strategy.grid else min(count, 37) if name == "constant_action" else count
    assert sizes == {expected}
    for key, values in sets.items():
        assert values[0] == np.float32(strategy.defaults[key])
        low, high = min(strategy.grid.get(key, values)), max(strategy.grid.get(key, values))
        assert np.all(values[1:] >= np.float32(low) * 0.9999) and np.all(values[1:] <= np.float32(high) * 1.0001)
    if name == "constant_action" and count >= 37:
        assert set(sets["action"].tolist()) == set(map(float, range(quotes.NUM_ACTIONS)))


def test_more_sets_than_the_grid_has_are_new_ones() -> None:
    sets = parameter_sets(STRATEGIES["fixed_spread"], 100)
    assert len({(a, b) for a, b in zip(*sets.values(), strict=True)}) >= 99  # the default may stand in the grid as well
    again = parameter_sets(STRATEGIES["fixed_spread"], 100)
    assert all(np.array_equal(sets[key], again[key]) for key in sets)
    with pytest.raises(ValueError, match="count 0 is below 1"):
        parameter_sets(STRATEGIES["glft"], 0)


def test_tuned_parameters_are_written_and_read(tmp_path: Path) -> None:
    tuned = [Tuned("glft", {"gamma": 0.25}, 64, 12.5), Tuned("do_nothing", {}, 1, 0.0)]
    write_tuned(tmp_path, tuned)
    assert read_tuned(tmp_path) == tuned
    with pytest.raises(FileNotFoundError, match="bookswarm evaluate"):
        read_tuned(tmp_path / "other")


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    with pytest.raises(ValueError, match="not JSON compliant"):
        run_files.write_json(path, {"x": float("nan")})
    assert not path.exists()
    run_files.write_json(path, {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        run_files.write_json(path, {"x": float("inf")})
    assert run_files.read_json(path, "evaluate") == {"x": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["b.json"]
    (tmp_path / "a" / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        run_files.write_json(tmp_path / "a" / "taken", {})
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["b.json", "taken"]
    path.write_text("{")
    with pytest.raises(ValueError, match=r"b\.json: is not JSON"):
        run_files.read_json(path, "evaluate")
