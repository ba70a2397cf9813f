"""The execution bench prints its reference and checks that the backends agree."""

from experiments.bench_execution import bench_execution


def test_the_bench_measures_agrees_and_names_its_reference():
    result = bench_execution(parents=50, slices=20)
    assert result["correct"] and result["reference"].startswith("NumPy")
    assert min(result[key] for key in ("children_per_s", "machine_steps_per_s", "routes_per_s", "ratio")) > 0
