"""The environments on bars by what they trade: one asset, several, or spreads between them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from market_models.impact import make_impact
from market_models.prices.registry import get_price_model
from market_models.slippage import make_slippage
from sim.bars.execution import Execution, ExecutionParams
from sim.bars.paths import Paths, cut_prices, make_paths, sample_prices
from sim.bars.trading import BarTrading
from sim.bars.types import LEVELS, BarConfig, BarParams
from sim.params import check_names

DEFAULT_BARS: Final = 128
DEFAULT_PATHS: Final = 1024
Cost = Mapping[str, Any] | None  # {"name": a model of the registry, its fields}


def make_trading(*, levels: Sequence[float] = LEVELS, process: str = "geometric_walk", **options: Any) -> BarTrading:
    """Return trading of one asset at one of `levels`; `levels` () makes actions continuous. Options as of `_make`."""
    return _make("trading", process, np.eye(1), np.zeros(1), BarConfig(tuple(levels), **_config(options)), options)


def make_portfolio(*, process: str = "cointegration", **options: Any) -> BarTrading:
    """Return a portfolio of all assets of the process, a continuous weight each. Options as of `_make`."""
    prices = options.get("prices")
    assets = np.shape(prices)[1] if prices is not None else len(_params_of(process, options).start_prices)
    config = BarConfig(**_config(options))
    return _make("portfolio", process, np.eye(assets), np.zeros(assets), config, options)


def make_pairs(
    *,
    process: str = "cointegration",
    vectors: np.ndarray | None = None,
    anchors: np.ndarray | None = None,
    levels: Sequence[float] = (),
    **options: Any,
) -> BarTrading:
    """Return trading of spreads: signal r is `vectors`[:, r] . log prices and returns to `anchors`[r].

    Without them the relations of the process; recorded prices need them. A position of 1 has a gross weight of 1.
    """
    if vectors is None:
        if options.get("prices") is not None:
            raise ValueError("vectors is missing: recorded prices do not say which spread returns; fit one first")
        params = _params_of(process, options)
        if not hasattr(params, "vectors"):
            raise ValueError(
                f"process {process!r} has no vectors: pairs need cointegrated prices, or vectors of their own"
            )
        vectors, anchors = params.vectors, -np.asarray(params.constants)
    vectors = np.asarray(vectors, np.float64)
    if vectors.ndim != 2 or not np.isfinite(vectors).all() or not np.abs(vectors).sum(0).all():
        raise ValueError(f"vectors has shape {vectors.shape}, expected finite [N, R] without a column of zeros")
    gross = np.abs(vectors).sum(0)
    anchors = np.zeros(len(gross)) if anchors is None else np.asarray(anchors, np.float64)
    config = BarConfig(tuple(levels), anchored=True, **_config(options))
    return _make("pairs", process, (vectors / gross).T, anchors / gross, config, options)


def make_execution(*, process: str = "geometric_walk", levels: Sequence[float] = (), **options: Any) -> Execution:
    """Return execution of a parent order on price paths; options as of `_make`, fields of `ExecutionParams`."""
    paths, fields = _paths(process, np.eye(1), np.zeros(1), options, ExecutionParams)
    return Execution(paths, ExecutionParams(**fields), tuple(levels))


def _config(options: dict[str, Any]) -> dict[str, Any]:
    return {"reward": options.pop("reward")} if "reward" in options else {}


def _params_of(process: str, options: Mapping[str, Any]) -> Any:
    given = options.get("process_params")
    return get_price_model(process).example if given is None else given


def _make(
    name: str, process: str, directions: np.ndarray, anchors: np.ndarray, config: BarConfig, options: dict[str, Any]
) -> BarTrading:
    """Return the environment `name`.

    Options: `process_params`, or recorded `prices` [T, N] instead of a process; `num_bars`, `path_count`, `pool_seed`;
    `slippage` and `impact` as {"name": model, its fields}; the rest are fields of `BarParams`. ValueError names an
    unknown one.
    """
    paths, fields = _paths(process, directions, anchors, options, BarParams)
    return BarTrading(paths, BarParams(**{"max_steps_in_episode": paths.num_bars, **fields}), config, name)


def _paths(
    process: str, directions: np.ndarray, anchors: np.ndarray, options: dict[str, Any], kind: type
) -> tuple[Paths, dict[str, Any]]:
    """Return the paths and the fields of the parameters `kind` that the options ask for."""
    given = dict(options)
    params, prices = given.pop("process_params", None), given.pop("prices", None)
    bars, count = given.pop("num_bars", DEFAULT_BARS), given.pop("path_count", DEFAULT_PATHS)
    seed = given.pop("pool_seed", 0)
    names = {"slippage", "impact"} & set(kind.__dataclass_fields__) & set(given)
    costs = {name: given.pop(name) for name in sorted(names)}
    check_names(given, kind)
    if prices is None:
        drawn = sample_prices(process, params, bars, count, seed)
    else:
        drawn = cut_prices(np.asarray(prices, np.float64), bars, count, seed)
    return make_paths(drawn, directions, anchors), {"num_paths": count, **_costs(costs), **given}


def _costs(given: Mapping[str, Cost]) -> dict[str, Any]:
    makers = {"slippage": make_slippage, "impact": make_impact}
    models = {}
    for field, cost in given.items():
        if cost is None:
            continue
        if not isinstance(cost, Mapping) or "name" not in cost:
            raise ValueError(f"{field} {cost!r} is not a mapping with the key 'name' and the model's fields")
        models[field] = makers[field](**cost)
    if "slippage" in models and type(models["slippage"]).__name__ == "WalkTheBook":
        raise ValueError("slippage 'walk_the_book' needs an order book; bars have none: use another model")
    return models
