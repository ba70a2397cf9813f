"""Classical strategies on bars, one row each; they compete with the learners in every evaluation of such a market."""

from collections.abc import Mapping
from typing import Final

from agents import bar_rules as rules
from agents.bar_selectors import performance_weighted, regime_gated
from agents.bar_strategy import BarStrategy
from market_models.pair_selection import Pair

_THRESHOLDS: Final = {"entry": 1.5, "exit": 0.25, "stop": 4.0, "half_life_bars": 10.0, "max_half_lives": 6.0}
_THRESHOLD_GRID: Final = {"entry": (0.5, 1.0, 1.5, 2.0), "exit": (0.0, 0.25, 0.5), "stop": (3.0, 4.0, 8.0)}
_HORIZONS: Final = (8.0, 32.0, 128.0)

_MOMENTUM: Final = BarStrategy(
    "momentum",
    rules.nothing_to_remember,
    rules.follow_trend,
    {"horizon": 32.0, "gain": 1.0, "target_deviation": 1.0},
    {"horizon": _HORIZONS, "gain": (0.5, 1.0, 2.0, 4.0), "target_deviation": (0.005, 0.02, 1.0)},
    "clip(gain x trend over volatility); Moskowitz, Ooi, Pedersen (2012)",
)
_REVERSION: Final = BarStrategy(
    "mean_reversion",
    rules.nothing_to_remember,
    rules.fade_distance,
    {"horizon": 32.0, "gain": 1.0, "entry": 0.25},
    {"horizon": _HORIZONS, "gain": (0.5, 1.0, 2.0, 4.0), "entry": (0.0, 0.25, 0.5)},
    "against the distance from the moving mean beyond `entry`",
)
_HOLD: Final = BarStrategy(
    "buy_and_hold", rules.nothing_to_remember, rules.hold, {"weight": 1.0}, {}, "the same long share of every signal"
)
BAR_STRATEGIES: Final[dict[str, BarStrategy]] = {
    strategy.name: strategy
    for strategy in (
        BarStrategy("do_nothing", rules.nothing_to_remember, rules.stay_flat, {}, {}, "no position"),
        BarStrategy("random", rules.start_drawing, rules.draw_positions, {}, {}, "uniform positions at every bar"),
        _HOLD,
        BarStrategy(
            "merton",
            rules.nothing_to_remember,
            rules.hold_merton,
            {"log_drift_per_bar": 0.0005, "volatility_per_bar": 0.01, "risk_aversion": 1.0},
            {"log_drift_per_bar": (-0.001, -0.0003, 0.0, 0.0003, 0.001), "risk_aversion": (1.0, 3.0, 10.0)},
            "the constant weight (m + s^2 / 2) / (g s^2); Merton (1969)",
        ),
        _MOMENTUM,
        _REVERSION,
        BarStrategy(
            "stat_arb",
            rules.start_holding,
            rules.trade_gap,
            _THRESHOLDS | {"deviation": 0.05},
            _THRESHOLD_GRID | {"deviation": (0.01, 0.03, 0.1)},
            "z of the gap to the anchor: entry, exit, stop, time limit in half-lives; Vidyamurthy (2004)",
        ),
        BarStrategy(
            "kalman_pair",
            rules.start_hedging,
            rules.hedge_and_revert,
            _THRESHOLDS | {"entry": 1.0, "drift": 1e-6, "noise": 1e-3, "warm_up": 20.0},
            _THRESHOLD_GRID | {"drift": (1e-7, 1e-6, 1e-5), "noise": (1e-4, 1e-3, 1e-2)},
            "z of the surprise of a drifting hedge ratio; Chan (2013)",
            signals=2,
        ),
        performance_weighted((_MOMENTUM, _REVERSION, _HOLD)),
        regime_gated((_MOMENTUM, _REVERSION, _HOLD)),
    )
}


def pair_params(pair: Pair) -> Mapping[str, float]:
    """Return the parameters of "stat_arb" for a selected pair that `make_pairs(vectors=...)` trades.

    The environment scales a spread to a gross weight of 1, and so its deviation.
    """
    gross = 1.0 + abs(pair.slope)
    return {"deviation": pair.reversion.deviation / gross, "half_life_bars": pair.reversion.half_life_bars}
