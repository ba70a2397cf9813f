"""Quantiles over a population and the file they are kept in."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from agents.metrics import MetricsLog, leader, population_quantiles


def test_quantiles_leave_out_agents_without_a_value_and_best_is_the_leaders():
    values = np.array([4.0, np.nan, 0.0, 1.0, 2.0, 3.0, np.inf], np.float32)
    summary = population_quantiles(values, leader=3)
    assert summary == {"q05": 0.2, "q25": 1.0, "q50": 2.0, "q75": 3.0, "q95": 3.8, "mean": 2.0, "best": 1.0}
    assert population_quantiles(values, leader=1)["best"] is None
    assert set(population_quantiles(np.full(3, np.nan)).values()) == {None}


def test_the_leader_is_the_highest_finite_score():
    assert leader(np.array([np.nan, -3.0, np.inf, -1.0])) == 3
    assert leader(np.array([np.nan, np.inf])) is None


def add(log, update):
    return log.add(update, update * 10, {"recent_return": np.arange(3.0), "loss": np.full(3, update / 2)})


def test_a_log_is_one_row_an_update_and_metric_and_is_replaced_whole(tmp_path):
    log = MetricsLog(tmp_path)
    assert add(log, 1)["recent_return"]["best"] == 2.0
    log.flush()
    add(log, 2)
    log.flush()
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.parquet"]
    table = pq.read_table(tmp_path / "metrics.parquet").to_pydict()
    assert list(zip(table["update"], table["env_steps"], table["metric"], strict=True)) == [
        (1, 10, "loss"),
        (1, 10, "recent_return"),
        (2, 20, "loss"),
        (2, 20, "recent_return"),
    ]
    assert table["q50"] == pytest.approx([0.5, 1.0, 1.0, 1.0])


def test_a_log_continued_from_a_checkpoint_drops_what_came_after_it(tmp_path):
    log = MetricsLog(tmp_path)
    for update in (1, 2, 3):
        add(log, update)
    log.flush()
    again = MetricsLog(tmp_path, last_update=2)
    add(again, 3)
    again.flush()
    assert pq.read_table(tmp_path / "metrics.parquet")["update"].to_pylist() == [1, 1, 2, 2, 3, 3]
    fresh = MetricsLog(tmp_path)
    add(fresh, 1)
    fresh.flush()
    assert pq.read_table(tmp_path / "metrics.parquet")["update"].to_pylist() == [1, 1]
