"""An experiment: one YAML file into frozen dataclasses, and the environments that it describes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agents.train_config import TrainConfig
from experiments.config import load_config
from experiments.environments import EnvironmentSettings
from market_models.calibration import Calibration, load_calibration
from market_models.latency import log_normal_table
from market_models.latency_file import load_latency

MARKET_MAKING = "market_making"
CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class MarketSettings:
    """The simulated market and the episode in it; fees are those of the calibration."""

    calibration: str = "amzn_2012_06_21_zi"  # a shipped name, or a path
    backend: Literal["cpu", "xla", "cuda"] = "cpu"
    capacity: Literal[64, 128, 256, 512] = 128
    pool_size: int = 256  # start states
    steps_per_episode: int = 256  # decisions
    events_per_step: int = 20  # background events a decision
    latency_ns: int = 1_000_000  # constant part of decision to venue
    latency_model: Literal["constant", "log_normal", "empirical"] = "constant"  # what is added: nothing, a draw
    latency_median_ns: int = 1_000_000  # log_normal
    latency_sigma: float = 0.5  # log_normal: standard deviation of the logarithm
    latency_table: str = "binance_usdm_btcusdt"  # empirical: a shipped name or a file; its entry, else its feed leg
    quote_lots: int = 100
    inventory_cap_lots: int = 500
    inventory_penalty: float = 0.0  # tick-lots a step at |inventory| = quote_lots
    held_mark_share: float = 1.0  # share of the held inventory's mark moves that a reward counts
    phases: int = 8  # staggered groups of training environments

    def __post_init__(self) -> None:
        for name in ("pool_size", "steps_per_episode", "events_per_step", "quote_lots", "inventory_cap_lots", "phases"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; valid: 1 or more")
        if self.inventory_cap_lots < self.quote_lots:
            raise ValueError(f"inventory_cap_lots {self.inventory_cap_lots} is below quote_lots {self.quote_lots}")


@dataclass(frozen=True)
class EvaluateSettings:
    """How much is evaluated; validation chooses, test is looked at once."""

    validation_episodes: int = 128
    test_episodes: int = 256
    from_s: int = 45_900  # the held-out part of a recording, seconds since midnight
    to_s: int = 57_600

    def __post_init__(self) -> None:
        if self.validation_episodes < 16 or self.test_episodes < 16:
            raise ValueError("validation_episodes and test_episodes must be at least 16")
        if self.from_s >= self.to_s:
            raise ValueError(f"from_s {self.from_s} is not before to_s {self.to_s}")


@dataclass(frozen=True)
class SelectSettings:
    """The release rule, fixed before looking."""

    max_members: int = 8
    max_correlation: float = 0.95
    min_deflated_sharpe: float = 0.95
    max_pbo: float = 0.2


@dataclass(frozen=True)
class ExportSettings:
    """What the artifact promises."""

    disagreement_limit: float | None = None  # None: measured on validation episodes, with a margin
    expiry_days: int = 90


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that one run is made of."""

    name: str
    environment: str | EnvironmentSettings = MARKET_MAKING  # or another: trained and logged, not judged or exported
    market: MarketSettings = field(default_factory=MarketSettings)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)
    select: SelectSettings = field(default_factory=SelectSettings)
    export: ExportSettings = field(default_factory=ExportSettings)

    def __post_init__(self) -> None:
        if self.environment == MARKET_MAKING:
            return  # gymnax imports JAX, which a command configures first
        from gymnax.registration import registered_envs

        if isinstance(self.environment, str) and self.environment not in registered_envs:
            raise ValueError(
                f"environment is {self.environment!r}; valid: {', '.join((MARKET_MAKING, *registered_envs))}, "
                "or a mapping of name and options"
            )
        if self.market != MarketSettings():
            raise ValueError(f"market is set, but environment {self.environment_name} has none; leave market out")

    @property
    def environment_name(self) -> str:
        """The environment's name alone."""
        return self.environment if isinstance(self.environment, str) else self.environment.name


def find_config(name: str) -> Path:
    """Return the path of a configuration given by path or by the name of a shipped one."""
    path = Path(name)
    shipped = CONFIGS / f"{name}.yaml"
    return shipped if not path.suffix and shipped.is_file() else path


def load_experiment(name: str, overrides: tuple[str, ...] = ()) -> ExperimentConfig:
    """Load an experiment by path or shipped name; ConfigError names file, key and valid values."""
    return load_config(find_config(name), ExperimentConfig, overrides)


def entry_quantiles_ns(settings: MarketSettings) -> np.ndarray:
    """Return the table of what a message takes beyond `latency_ns`, int32[K]; ValueError names what is wrong."""
    if settings.latency_model == "constant":
        return np.zeros(1, np.int32)
    if settings.latency_model == "log_normal":
        return log_normal_table(settings.latency_median_ns, settings.latency_sigma)
    latency = load_latency(settings.latency_table)
    entry = latency.table("entry")
    return entry if entry.any() else latency.table("feed")


def env_options(settings: MarketSettings) -> dict[str, Any]:
    """Return the EnvParams fields that the settings give."""
    return {
        "max_steps_in_episode": settings.steps_per_episode,
        "horizon": np.array([settings.events_per_step, 0], np.int32),
        "latency_ns": settings.latency_ns,
        "entry_quantiles_ns": entry_quantiles_ns(settings),
        "quote_lots": settings.quote_lots,
        "inventory_cap_lots": settings.inventory_cap_lots,
        "inventory_penalty": settings.inventory_penalty,
        "held_mark_share": settings.held_mark_share,
    }


def calibration_of(settings: MarketSettings) -> Calibration:
    """Return the calibration of the market."""
    return load_calibration(settings.calibration)
