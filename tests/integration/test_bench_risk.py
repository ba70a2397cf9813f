"""`bench risk` prints the fields that scripts rely on, beside references that judge the same work."""

import json

from typer.testing import CliRunner

from experiments.bench_risk import bench_var
from experiments.cli import app


def test_the_command_prints_gate_and_monte_carlo_with_their_references():
    done = CliRunner().invoke(
        app, ["bench", "risk", "--orders", "2000", "--assets", "12", "--scenarios", "3000", "--json"]
    )
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["correct"] and result["single_passed"] == result["single"]
    assert 0 < result["check_p50_us"] <= result["check_p99_us"]
    assert min(result[name] for name in ("checks_per_s", "var_scenarios_per_s", "ratio", "var_ratio")) > 0
    assert 0 < result["var_99"] < result["es_99"]


def test_a_seed_gives_the_same_figures_and_another_seed_others():
    first, again, other = (bench_var(5, 2_000, seed) for seed in (1, 1, 2))
    assert (first["var_99"], first["es_99"]) == (again["var_99"], again["es_99"])
    assert first["var_99"] != other["var_99"]
