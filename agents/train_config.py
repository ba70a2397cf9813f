"""What a training run is: sizes that shape the compiled program, and ranges that hyperparameters are drawn from."""

from dataclasses import dataclass, field, fields
from typing import Literal

from agents.off_policy_config import DQNConfig, DQNRanges, SACConfig, SACRanges
from agents.ranges import ABOVE_ZERO, ZERO_OR_MORE, ZERO_TO_ONE, Range, check_bounds, fixed


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
