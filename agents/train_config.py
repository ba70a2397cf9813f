"""What a training run is: sizes that shape the compiled program, and ranges that hyperparameters are drawn from."""

import math
from dataclasses import dataclass, field, fields
from typing import Literal

SCALES = ("log", "linear", "choice")


@dataclass(frozen=True)
class Range:
    """Where one hyperparameter of every agent is drawn from.

    `log`: log-uniform in [low, high]; `linear`: uniform in [low, high]; `choice`: one of `choices`, equally likely.
    `low == high` gives every agent the same value.
    """

    low: float = 0.0
    high: float = 0.0
    scale: Literal["log", "linear", "choice"] = "linear"
    choices: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ValueError(f"scale is {self.scale!r}; valid: {', '.join(SCALES)}")
        if self.scale == "choice":
            self._check_choices()
            return
        if self.choices:
            raise ValueError(
                f"choices is given but scale is {self.scale!r}; set scale to 'choice' or leave choices out"
            )
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"low is {self.low}, high is {self.high}; valid: finite numbers with low <= high")
        if self.scale == "log" and self.low <= 0.0:
            raise ValueError(f"low is {self.low}; a log range needs low > 0")

    def _check_choices(self) -> None:
        if not self.choices:
            raise ValueError("choices is empty; scale 'choice' needs at least one value")
        if not all(math.isfinite(value) for value in self.choices):
            raise ValueError(f"choices is {self.choices}; valid: finite numbers")

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value that can be drawn."""
        return (min(self.choices), max(self.choices)) if self.scale == "choice" else (self.low, self.high)


def fixed(value: float) -> Range:
    """Return the range that gives every agent `value`."""
    return Range(value, value)


@dataclass(frozen=True)
class PPORanges:
    """The range of every hyperparameter of PPO; all are array leaves, so a population with any values compiles once."""

    learning_rate: Range = field(default_factory=lambda: Range(1e-4, 1e-3, "log"))
    final_learning_rate_frac: Range = field(default_factory=lambda: fixed(0.1))  # at the last update, linear in between
    gamma: Range = field(default_factory=lambda: fixed(0.99))
    gae_lambda: Range = field(default_factory=lambda: Range(0.9, 0.98))
    clip: Range = field(default_factory=lambda: fixed(0.2))
    entropy_coef: Range = field(default_factory=lambda: Range(1e-3, 1e-2, "log"))
    value_coef: Range = field(default_factory=lambda: fixed(0.5))
    max_grad_norm: Range = field(default_factory=lambda: fixed(0.5))
    reward_scale: Range = field(default_factory=lambda: fixed(1.0))

    def __post_init__(self) -> None:
        for name, (low, high, text) in _VALID.items():
            lowest, highest = getattr(self, name).bounds
            if lowest < low or highest > high:
                raise ValueError(f"{name} can be drawn from {lowest} to {highest}; valid: {text}")


_TINY = math.ulp(0.0)
_VALID = {
    "learning_rate": (0.0, 1.0, "0 to 1"),
    "final_learning_rate_frac": (0.0, 1.0, "0 to 1"),
    "gamma": (0.0, 1.0, "0 to 1"),
    "gae_lambda": (0.0, 1.0, "0 to 1"),
    "clip": (_TINY, math.inf, "above 0"),
    "entropy_coef": (0.0, math.inf, "0 or more"),
    "value_coef": (0.0, math.inf, "0 or more"),
    "max_grad_norm": (_TINY, math.inf, "above 0"),
    "reward_scale": (_TINY, math.inf, "above 0"),
}


@dataclass(frozen=True)
class PPOConfig:
    """The static half: everything here shapes the compiled program, and two runs that share it share the program."""

    envs_per_agent: int = 4  # E
    steps_per_update: int = 128  # T
    epochs: int = 4
    minibatches: int = 4  # must divide T * E
    hidden: tuple[int, ...] = (64, 64)
    normalise_returns: bool = True  # divide rewards by a running deviation of the discounted return, per agent
    updates_per_call: int = 1  # updates inside one compiled call; metrics leave after each call
    recent_updates: int = 16  # window of the per-agent means that are kept for selection
    agents_per_chunk: int = 0  # agents whose gradients are computed together; 0 chooses by platform

    def __post_init__(self) -> None:
        for name in (
            "envs_per_agent",
            "steps_per_update",
            "epochs",
            "minibatches",
            "updates_per_call",
            "recent_updates",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; valid: 1 or more")
        if self.agents_per_chunk < 0:
            raise ValueError(f"agents_per_chunk is {self.agents_per_chunk}; valid: 0 (choose by platform) or more")
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden is {list(self.hidden)}; valid: widths of 1 or more")
        batch = self.envs_per_agent * self.steps_per_update
        if batch % self.minibatches:
            raise ValueError(
                f"minibatches is {self.minibatches}; it must divide envs_per_agent * steps_per_update = {batch}"
            )


@dataclass(frozen=True)
class TrainConfig:
    """A training run of a population. `env_ranges` names leaves of the environment's parameters to draw per agent."""

    num_agents: int = 64  # A
    num_updates: int = 200  # each T * E environment steps an agent
    seed: int = 0
    ppo: PPOConfig = field(default_factory=PPOConfig)
    ranges: PPORanges = field(default_factory=PPORanges)
    env_ranges: dict[str, Range] = field(default_factory=dict)
    num_devices: int = 0  # 0: as many as there are and divide num_agents
    checkpoint_every: int = 50  # updates; 0 keeps only the state at the end or at a stop

    def __post_init__(self) -> None:
        for name in ("num_agents", "num_updates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; valid: 1 or more")
        for name in ("num_devices", "checkpoint_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; valid: 0 or more")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed is {self.seed}; valid: 0 to 2^31 - 1")
        calls = self.ppo.updates_per_call
        if self.num_updates % calls:
            raise ValueError(
                f"num_updates is {self.num_updates}; it must be a multiple of ppo.updates_per_call = {calls}"
            )
        if self.checkpoint_every % calls:
            raise ValueError(
                f"checkpoint_every is {self.checkpoint_every}; it must be a multiple of ppo.updates_per_call = {calls}"
            )

    @property
    def steps_per_update(self) -> int:
        """Environment steps of the whole population in one update."""
        return self.num_agents * self.ppo.envs_per_agent * self.ppo.steps_per_update


def hyperparameter_ranges(config: TrainConfig) -> dict[str, Range]:
    """Every range of a run by name: PPO's, then the environment's as `env.NAME`."""
    ppo = {f.name: getattr(config.ranges, f.name) for f in fields(config.ranges)}
    return ppo | {f"env.{name}": value for name, value in sorted(config.env_ranges.items())}
