"""Market models by name: one line per addition."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from market_models.flow import Flow


class MarketModel(NamedTuple):
    """Where a model's parts are, as "module:attribute", so that reading the table imports none of them."""

    flow_path: str
    calibrate_path: str = ""
    pack_path: str = ""
    start_path: str = ""

    @property
    def flow(self) -> Flow:
        """What the engine's market step samples."""
        return resolve(self.flow_path)

    @property
    def calibrate(self) -> Callable[..., Any]:
        """(recording, from_s, to_s) -> Calibration."""
        return self._part("calibrate_path", "be calibrated")

    @property
    def pack_params(self) -> Callable[..., Any]:
        """(calibration) -> int32[P]."""
        return self._part("pack_path", "be packed")

    @property
    def start_messages(self) -> Callable[..., Any]:
        """(calibration, seed) -> int32[M, 8]."""
        return self._part("start_path", "make a start book")

    def _part(self, field: str, what: str) -> Callable[..., Any]:
        if not getattr(self, field):
            raise ValueError(f"the model of {self.flow_path} cannot {what}")
        return resolve(getattr(self, field))


_FIT = "market_models.zero_intelligence_fit"
_QUEUE = "market_models.queue_reactive_fit"
_AGENTS = "market_models.agent_based_fit"
_HAWKES = "market_models.hawkes_fit"
MODELS: dict[str, MarketModel] = {
    "replay": MarketModel("market_models.replay:FLOW"),
    "zero_intelligence": MarketModel(
        "market_models.zero_intelligence_numba:FLOW", f"{_FIT}:fit", f"{_FIT}:pack_params", f"{_FIT}:start_messages"
    ),
    "agent_based": MarketModel(
        "market_models.agent_based_numba:FLOW", f"{_AGENTS}:fit", f"{_AGENTS}:pack_params", f"{_FIT}:start_messages"
    ),
    "queue_reactive": MarketModel(
        "market_models.queue_reactive_numba:FLOW", f"{_QUEUE}:fit", f"{_QUEUE}:pack_params", f"{_FIT}:start_messages"
    ),
    "hawkes": MarketModel(
        "market_models.hawkes_numba:FLOW", f"{_HAWKES}:fit", f"{_HAWKES}:pack_params", f"{_FIT}:start_messages"
    ),
}


def resolve(path: str) -> Any:
    """Return the attribute that "module:attribute" names."""
    module, attribute = path.split(":")
    return getattr(import_module(module), attribute)


def calibrated_models() -> list[str]:
    """Return the names of the models that can be fitted on a recording."""
    return [name for name, model in MODELS.items() if model.calibrate_path]


def get_model(name: str) -> MarketModel:
    """Return the model `name`; ValueError names the valid ones."""
    if name not in MODELS:
        raise ValueError(f"market model {name!r} is not one of {sorted(MODELS)}")
    return MODELS[name]


def get_flow(name: str) -> Flow:
    """Return the flow of the model `name`."""
    return get_model(name).flow
