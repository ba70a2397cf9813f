"""What the bench of environments accepts; the figures are the command's."""

import pytest

from experiments.bench_env import BOOK_ENVIRONMENTS, bench_env
from sim.registry import ENVIRONMENTS


def test_an_environment_without_a_book_is_refused_by_name():
    assert set(BOOK_ENVIRONMENTS) < set(ENVIRONMENTS)
    with pytest.raises(ValueError, match=r"'trading' is not one of \['execution', 'market_making', 'multi_agent'\]"):
        bench_env(4, 2, "cpu", env="trading")
    with pytest.raises(ValueError, match="backend 'gpu' is not one of"):
        bench_env(4, 2, "gpu")
