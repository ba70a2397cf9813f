"""Selectors among strategies: they beat each of their members where regimes need different ones."""

import numpy as np
import pytest

from agents.bar_episodes import play_strategy
from agents.bar_selectors import gate_params
from tests.support.bar_worlds import (
    earned,
    interval,
    one_asset,
    two_regime_logs,
)


def test_the_selectors_beat_every_member_where_regimes_need_different_ones():
    gate = gate_params(np.diff(two_regime_logs(1, 3000, 9)[0]))
    assert gate["stay_calm"] == pytest.approx(0.995, abs=0.01) and gate["sd_wild"] == pytest.approx(0.02, rel=0.2)
    markets = one_asset(two_regime_logs(256, 500, 3))
    single = {
        name: earned(play_strategy(markets, name, [{}])) for name in ("momentum", "mean_reversion", "buy_and_hold")
    }
    gated = earned(play_strategy(markets, "regime_gated", [gate]))
    weighted = earned(play_strategy(markets, "performance_weighted", [{}]))
    for other in single.values():
        assert interval(gated - other)[0] > 0.3 and interval(weighted - other)[0] > 0.03
    equal = earned(play_strategy(markets, "performance_weighted", [{"rate": 0.0, "share": 1.0}]))
    assert interval(weighted - equal)[0] > 0.1
