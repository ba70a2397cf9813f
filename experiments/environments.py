"""Environments of the registry in a configuration: `environment: {name: trading, options: {...}}`.

What imports JAX is imported where it is used: reading a configuration of market making needs none of it.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from experiments.config import read_number
from market_models.prices.registry import get_price_model

if TYPE_CHECKING:
    from gymnax.environments import environment

EXECUTION = "execution_on_prices"
NAMES = (EXECUTION, "pairs", "portfolio", "trading")
_SHARED = ("process_params", "num_bars", "path_count", "pool_seed")


@dataclass(frozen=True)
class EnvironmentSettings:
    """An environment on bars and the options of its maker in sim/bars/make.py; `market_making` has a group of its own.

    `process_params` overrides fields of the price process's example. Raises ValueError naming what is not valid.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"name is {self.name!r}; valid: {', '.join(NAMES)}")
        valid = self._valid_options()
        for key in self.options:
            if key not in valid:
                raise ValueError(f"options has no key {key!r} in {self.name}; valid: {', '.join(valid)}")
        object.__setattr__(self, "options", {key: read_number(value) for key, value in self.options.items()})

    def _valid_options(self) -> list[str]:
        from sim.bars.execution import ExecutionParams
        from sim.bars.types import BarParams
        from sim.registry import ENVIRONMENTS

        fields = (ExecutionParams if self.name == EXECUTION else BarParams).__dataclass_fields__
        parameters = inspect.signature(ENVIRONMENTS[self.name]).parameters.values()
        own = [parameter.name for parameter in parameters if parameter.kind == parameter.KEYWORD_ONLY]
        reward = [] if self.name == EXECUTION else ["reward"]
        return sorted({*own, *reward, *_SHARED, *fields})


def make(settings: EnvironmentSettings) -> "environment.Environment":
    """Return the environment; ValueError names the option that is wrong."""
    from sim.registry import ENVIRONMENTS, make_environment

    options = dict(settings.options)
    if isinstance(options.get("levels"), list):
        options["levels"] = tuple(options["levels"])
    if "process_params" in options:
        process = options.get("process", inspect.signature(ENVIRONMENTS[settings.name]).parameters["process"].default)
        options["process_params"] = _process_params(process, options["process_params"])
    try:
        return make_environment(settings.name, **options)
    except ValueError as error:
        raise ValueError(f"environment.options: {error}") from error


def _process_params(process: str, given: Any) -> Any:
    example = get_price_model(process).example
    if not isinstance(given, Mapping):
        raise ValueError(f"environment.options: process_params is {given!r}; valid: a mapping of {example._fields}")
    for key in given:
        if key not in example._fields:
            valid = ", ".join(example._fields)
            raise ValueError(f"environment.options: process_params has no field {key!r} in {process}; valid: {valid}")
    return example._replace(**given)
