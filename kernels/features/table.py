"""The features: one table of names, units, formulas and scales. Its order is the order of the columns.

The digest covers every row, so an artifact made with another table refuses to load.
"""

import hashlib
import json
from typing import Final, NamedTuple

from kernels.features.market import FEATURE_LEVELS

LINEAR: Final = 0  # z = (x - shift) * scale
LOG: Final = 1  # z = (sign(x) * log(1 + |x|) - shift) * scale
FRACTION_ONE: Final = 1024  # fixed-point one of ratios
SCHEMA_VERSION: Final = 1


class Feature(NamedTuple):
    """One column. `typical` is the size of an ordinary value after the transform of `kind`: the default 1/scale."""

    name: str
    unit: str
    kind: int
    typical: float
    formula: str


def _levels() -> list[Feature]:
    sides = ("bid", "ask")
    gaps = [
        Feature(f"{side}_gap_{i}", "tick", LOG, 3.0, f"ticks from the best {side} to level {i}; the last known")
        for side in sides
        for i in range(1, FEATURE_LEVELS)
    ]
    lots = [
        Feature(f"{side}_lots_{i}", "lot", LOG, 5.0, f"lots at {side} level {i}, 0 where there is none")
        for side in sides
        for i in range(FEATURE_LEVELS)
    ]
    return gaps + lots


def _own(side: str) -> list[Feature]:
    return [
        Feature(f"own_{side}_present", "flag", LINEAR, 1.0, f"1 if our {side} rests"),
        Feature(f"own_{side}_behind", "tick", LOG, 2.0, f"how far our {side} rests behind the best other {side}"),
        Feature(f"own_{side}_lots", "lot", LOG, 5.0, f"lots of our resting {side}"),
        Feature(f"own_{side}_lots_ahead", "lot", LOG, 5.0, f"lots that trade before our {side}"),
        Feature(f"own_{side}_pending", "flag", LINEAR, 1.0, f"1 while a message of ours about the {side} is under way"),
    ]


FEATURES: Final[tuple[Feature, ...]] = (
    Feature("spread", "tick", LOG, 2.5, "best ask - best bid"),
    *_levels(),
    Feature("imbalance_touch", "1/1024", LINEAR, 512.0, "1024 (b - a) / (b + a), lots at the touch"),
    Feature("imbalance_depth", "1/1024", LINEAR, 512.0, "1024 (B - A) / (B + A), lots of all levels"),
    Feature("microprice", "1/2048 tick", LOG, 7.0, "spread * imbalance_touch: microprice - mid"),
    Feature("mid_change", "1/2 tick", LOG, 1.5, "change of best bid + best ask since the last decision"),
    Feature("ofi", "lot", LOG, 4.0, "order-flow imbalance since the last decision (Cont, Kukanov, Stoikov 2014)"),
    Feature("bought", "lot", LOG, 4.0, "lots that takers bought since the last decision"),
    Feature("sold", "lot", LOG, 4.0, "lots that takers sold since the last decision"),
    Feature("last_trade", "1/2 tick", LOG, 2.0, "2 * last price - (best bid + best ask), 0 without a trade"),
    Feature("trades", "count", LOG, 1.0, "trades since the last decision"),
    Feature("events", "count", LOG, 3.0, "background events since the last decision"),
    Feature("elapsed", "us", LOG, 12.0, "time since the last decision"),
    Feature("trend", "1/512 tick", LOG, 4.0, "moving average (1/16) of mid_change, times 256"),
    Feature("volatility", "1/512 tick", LOG, 6.0, "moving average (1/16) of |mid_change|, times 256"),
    Feature("ofi_average", "1/256 lot", LOG, 7.0, "moving average (1/16) of ofi, times 256"),
    Feature("trade_flow", "1/256 lot", LOG, 7.0, "moving average (1/16) of bought - sold, times 256"),
    *_own("bid"),
    *_own("ask"),
    Feature("inventory", "lot", LOG, 4.0, "our signed lots"),
    Feature("inventory_frac", "1/1024", LINEAR, 512.0, "1024 * inventory / inventory cap, clipped to 1024"),
    Feature("steps_left", "count", LOG, 5.0, "decisions left in the episode or session"),
)
FEATURE_NAMES: Final[tuple[str, ...]] = tuple(feature.name for feature in FEATURES)
NUM_FEATURES: Final = len(FEATURES)


def schema_digest() -> str:
    """Return the SHA-256 (hex) of the table: version, levels, and every row's name, unit, kind and formula."""
    rows = [[f.name, f.unit, f.kind, f.formula] for f in FEATURES]
    text = json.dumps([SCHEMA_VERSION, FEATURE_LEVELS, FRACTION_ONE, rows], separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
