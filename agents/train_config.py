"""What a training run is: sizes that shape the compiled program, and ranges that hyperparameters are drawn from."""

import math
from dataclasses import dataclass, field, fields
from typing import Literal

from agents.off_policy_config import DQNConfig, DQNRanges, SACConfig, SACRanges
from agents.ranges import ABOVE_ZERO, ZERO_OR_MORE, ZERO_TO_ONE, Range, check_bounds, fixed

ATTENTION_HEADS = 4


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
        check_bounds(self, _VALID)


_VALID = {
    "learning_rate": ZERO_TO_ONE,
    "final_learning_rate_frac": ZERO_TO_ONE,
    "gamma": ZERO_TO_ONE,
    "gae_lambda": ZERO_TO_ONE,
    "clip": ABOVE_ZERO,
    "entropy_coef": ZERO_OR_MORE,
    "value_coef": ZERO_OR_MORE,
    "max_grad_norm": ABOVE_ZERO,
    "reward_scale": ABOVE_ZERO,
}


@dataclass(frozen=True)
class PPOConfig:
    """The static half: everything here shapes the compiled program, and two runs that share it share the program."""

    envs_per_agent: int = 4  # E
    steps_per_update: int = 128  # T
    epochs: int = 4
    minibatches: int = 4  # must divide T * E
    hidden: tuple[int, ...] = (64, 64)
    network: Literal["mlp", "gru", "attention"] = "mlp"  # gru: hidden widths, then a GRU; attention: hidden is not read
    memory_width: int = 64  # of the GRU's state, or of attention's tokens
    window: int = 16  # W, observations that attention sees
    sequence_length: int = 0  # L, steps that gru and attention learn through; 0: all of steps_per_update
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
        if self.network == "mlp":
            batch, unit = self.envs_per_agent * self.steps_per_update, "envs_per_agent * steps_per_update"
        else:
            self._check_memory()
            batch, unit = self.envs_per_agent * (self.steps_per_update // self.steps_a_sequence), "the sequences"
        if batch % self.minibatches:
            raise ValueError(f"minibatches is {self.minibatches}; it must divide {unit} = {batch}")

    def _check_memory(self) -> None:
        if self.network not in ("gru", "attention"):
            raise ValueError(f"network is {self.network!r}; valid: mlp, gru, attention")
        if self.memory_width < 1 or (self.network == "attention" and self.memory_width % ATTENTION_HEADS):
            raise ValueError(
                f"memory_width is {self.memory_width}; valid: 1 or more, in attention a multiple of {ATTENTION_HEADS}"
            )
        if self.window < 1:
            raise ValueError(f"window is {self.window}; valid: 1 or more")
        if self.sequence_length < 0 or self.steps_per_update % self.steps_a_sequence:
            raise ValueError(
                f"sequence_length is {self.sequence_length}; valid: 0 (all), or a divisor of "
                f"steps_per_update = {self.steps_per_update}"
            )

    @property
    def steps_a_sequence(self) -> int:
        """Steps L of a sequence."""
        return self.sequence_length or self.steps_per_update


@dataclass(frozen=True)
class PBTConfig:
    """Population-based training: the worst agents continue from copies of the best with other hyperparameters."""

    every_updates: int = 0  # updates from one selection to the next; 0: every agent keeps what it was drawn with
    share: float = 0.25  # of the population that is replaced, and from which as many best ones are copied
    factors: tuple[float, float] = (0.8, 1.25)  # one of them multiplies each hyperparameter of a copy, within its range
    metric: str = "episode_return"  # what agents are ranked by: an episode metric's mean over recent_updates

    def __post_init__(self) -> None:
        if self.every_updates < 0:
            raise ValueError(f"every_updates is {self.every_updates}; valid: 0 (off) or more")
        if not 0.0 < self.share <= 0.5:
            raise ValueError(f"share is {self.share}; valid: above 0, at most 0.5")
        if not all(math.isfinite(factor) and factor > 0.0 for factor in self.factors):
            raise ValueError(f"factors is {list(self.factors)}; valid: two finite numbers above 0")
        set_here = any(getattr(self, f.name) != f.default for f in fields(self))
        if not self.every_updates and set_here:
            raise ValueError("pbt is set, but every_updates is 0, which turns it off; set every_updates to 1 or more")


Sizes = PPOConfig | DQNConfig | SACConfig
"""The static half of any algorithm."""
GROUPS = {"ppo": ("ppo", "ranges"), "dqn": ("dqn", "dqn_ranges"), "sac": ("sac", "sac_ranges")}
"""Which fields of `TrainConfig` an algorithm reads: its sizes and its ranges."""


@dataclass(frozen=True)
class TrainConfig:
    """A training run of a population. `env_ranges` names leaves of the environment's parameters to draw per agent."""

    num_agents: int = 64  # A
    num_updates: int = 200  # each T * E environment steps an agent
    seed: int = 0
    algorithm: Literal["ppo", "dqn", "sac"] = "ppo"
    ppo: PPOConfig = field(default_factory=PPOConfig)
    ranges: PPORanges = field(default_factory=PPORanges)  # PPO's
    dqn: DQNConfig = field(default_factory=DQNConfig)
    dqn_ranges: DQNRanges = field(default_factory=DQNRanges)
    sac: SACConfig = field(default_factory=SACConfig)
    sac_ranges: SACRanges = field(default_factory=SACRanges)
    env_ranges: dict[str, Range] = field(default_factory=dict)
    pbt: PBTConfig = field(default_factory=PBTConfig)
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
        if self.algorithm not in GROUPS:
            raise ValueError(f"algorithm is {self.algorithm!r}; valid: {', '.join(GROUPS)}")
        self._check_groups()
        if self.pbt.every_updates and round(self.pbt.share * self.num_agents) < 1:
            raise ValueError(f"pbt.share is {self.pbt.share}, which is nobody of num_agents = {self.num_agents}")
        if not isinstance(self.sizes, PPOConfig):
            per_agent = self.num_updates * self.sizes.steps_per_update * self.sizes.envs_per_agent
            if per_agent >= 2**31:
                raise ValueError(
                    f"num_updates is {self.num_updates}: {per_agent} transitions an agent; valid: below 2^31"
                )
        calls = self.sizes.updates_per_call
        for name in ("num_updates", "checkpoint_every"):
            if getattr(self, name) % calls:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; "
                    f"it must be a multiple of {self.algorithm}.updates_per_call = {calls}"
                )

    def _check_groups(self) -> None:
        """Refuse settings that would be read by nobody."""
        defaults = {f.name: f.default_factory for f in fields(self)}
        for algorithm, names in GROUPS.items():
            for name in names:
                make = defaults[name]
                if algorithm != self.algorithm and callable(make) and getattr(self, name) != make():
                    raise ValueError(
                        f"{name} is set, but algorithm is {self.algorithm!r}, which reads "
                        f"{' and '.join(GROUPS[self.algorithm])}; leave {name} out or set algorithm to {algorithm!r}"
                    )

    @property
    def sizes(self) -> Sizes:
        """The static half of the algorithm that is run."""
        return getattr(self, GROUPS[self.algorithm][0])

    @property
    def hyper_ranges(self) -> PPORanges | DQNRanges | SACRanges:
        """The ranges of the algorithm that is run."""
        return getattr(self, GROUPS[self.algorithm][1])

    @property
    def steps_per_update(self) -> int:
        """Environment steps of the whole population in one update."""
        return self.num_agents * self.sizes.envs_per_agent * self.sizes.steps_per_update


def hyperparameter_ranges(config: TrainConfig) -> dict[str, Range]:
    """Every range of a run by name: the algorithm's, then the environment's as `env.NAME`."""
    own = {f.name: getattr(config.hyper_ranges, f.name) for f in fields(config.hyper_ranges)}
    return own | {f"env.{name}": value for name, value in sorted(config.env_ranges.items())}
