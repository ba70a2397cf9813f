"""Price processes by name: one line per addition."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from market_models.prices.base import Fit
from market_models.registry import resolve


class PriceModel(NamedTuple):
    """Where a process's parts are, as "module:attribute", so that reading the table imports none of them."""

    sample_path: str
    fit_path: str
    example_path: str

    @property
    def sample(self) -> Callable[[Any, int, int, int], np.ndarray]:
        """(params, num_steps, num_paths, seed) -> float64[num_paths, num_steps + 1]; a basket adds an asset axis."""
        return resolve(self.sample_path)

    @property
    def fit(self) -> Callable[[np.ndarray], Fit]:
        """(prices) -> Fit; prices [T], of a basket [T, N]."""
        return resolve(self.fit_path)

    @property
    def example(self) -> Any:
        """Plausible daily parameters, for tests and first steps; not a calibration."""
        return resolve(self.example_path)


def _of(module: str) -> PriceModel:
    path = f"market_models.prices.{module}"
    return PriceModel(f"{path}:sample", f"{path}:fit", f"{path}:EXAMPLE")


PRICE_MODELS: dict[str, PriceModel] = {
    "arithmetic_walk": _of("arithmetic_walk"),
    "bootstrap": _of("bootstrap"),
    "cointegration": _of("cointegration"),
    "garch": _of("garch"),
    "geometric_walk": _of("geometric_walk"),
    "heston": _of("heston"),
    "merton": _of("merton"),
    "ornstein_uhlenbeck": _of("ornstein_uhlenbeck"),
    "regime_switching": _of("regime_switching"),
}


def get_price_model(name: str) -> PriceModel:
    """Return the process `name`; ValueError names the valid ones."""
    if name not in PRICE_MODELS:
        raise ValueError(f"price model {name!r} is not one of {sorted(PRICE_MODELS)}")
    return PRICE_MODELS[name]
