"""Sizes and ranges of the algorithms that learn from a replay buffer."""

from dataclasses import dataclass, field

from agents.ranges import ABOVE_ZERO, ZERO_TO_ONE, Range, check_bounds, fixed

_POSITIVE = (
    "envs_per_agent",
    "steps_per_update",
    "train_every",
    "gradient_steps",
    "batch_size",
    "buffer_capacity",
    "learning_starts",
    "updates_per_call",
    "recent_updates",
)


@dataclass(frozen=True)
class OffPolicyConfig:
    """The static half that DQN and SAC share: everything here shapes the compiled program."""

    envs_per_agent: int = 1  # E
    steps_per_update: int = 256  # T steps of every environment between two rows of metrics
    train_every: int = 1  # steps of every environment between two rounds of learning; must divide T
    gradient_steps: int = 1  # in a round
    batch_size: int = 128  # transitions a gradient step
    buffer_capacity: int = 50_000  # transitions an agent; the oldest are overwritten; a multiple of E
    learning_starts: int = 1_000  # transitions an agent before the first round
    hidden: tuple[int, ...] = (64, 64)
    updates_per_call: int = 1  # updates inside one compiled call; metrics leave after each call
    recent_updates: int = 16  # window of the per-agent means that are kept for selection
    agents_per_chunk: int = 0  # agents whose gradients are computed together; 0 chooses by platform

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; valid: 1 or more")
        if self.agents_per_chunk < 0:
            raise ValueError(f"agents_per_chunk is {self.agents_per_chunk}; valid: 0 (choose by platform) or more")
        if not self.hidden or any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden is {list(self.hidden)}; valid: one or more widths of 1 or more")
        if self.steps_per_update % self.train_every:
            raise ValueError(
                f"train_every is {self.train_every}; it must divide steps_per_update = {self.steps_per_update}"
            )
        if self.buffer_capacity % self.envs_per_agent:
            raise ValueError(
                f"buffer_capacity is {self.buffer_capacity}; "
                f"it must be a multiple of envs_per_agent = {self.envs_per_agent}"
            )
        if self.batch_size > self.buffer_capacity:
            raise ValueError(
                f"batch_size is {self.batch_size}; valid: at most buffer_capacity = {self.buffer_capacity}"
            )
        if self.learning_starts > self.buffer_capacity:
            raise ValueError(
                f"learning_starts is {self.learning_starts}; valid: at most buffer_capacity = {self.buffer_capacity}"
            )


@dataclass(frozen=True)
class DQNConfig(OffPolicyConfig):
    """Which of the DQN family: any combination of double, dueling and distributional."""

    double: bool = True  # the online network chooses the next action, the target network judges it
    dueling: bool = True  # separate streams for the value and the advantages
    quantiles: int = 1  # of the return's distribution; 1 is the expected return with a Huber loss

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.quantiles < 1:
            raise ValueError(f"quantiles is {self.quantiles}; valid: 1 (no distribution) or more")


@dataclass(frozen=True)
class DQNRanges:
    """The range of every hyperparameter of DQN; all are array leaves, so a population with any values compiles once."""

    learning_rate: Range = field(default_factory=lambda: Range(3e-4, 1e-3, "log"))
    final_learning_rate_frac: Range = field(default_factory=lambda: fixed(0.1))  # at the last update, linear in between
    gamma: Range = field(default_factory=lambda: fixed(0.99))
    tau: Range = field(default_factory=lambda: fixed(0.005))  # share of the online network that the target takes a step
    epsilon_start: Range = field(default_factory=lambda: fixed(1.0))  # probability of a random action at the start
    epsilon_end: Range = field(default_factory=lambda: fixed(0.05))
    exploration_frac: Range = field(default_factory=lambda: fixed(0.3))  # share of the updates in which epsilon falls
    huber_threshold: Range = field(default_factory=lambda: fixed(1.0))  # errors above it count linearly
    max_grad_norm: Range = field(default_factory=lambda: fixed(10.0))
    reward_scale: Range = field(default_factory=lambda: fixed(1.0))

    def __post_init__(self) -> None:
        check_bounds(self, _DQN_VALID)


_DQN_VALID = {
    "learning_rate": ZERO_TO_ONE,
    "final_learning_rate_frac": ZERO_TO_ONE,
    "gamma": ZERO_TO_ONE,
    "tau": ZERO_TO_ONE,
    "epsilon_start": ZERO_TO_ONE,
    "epsilon_end": ZERO_TO_ONE,
    "exploration_frac": ZERO_TO_ONE,
    "huber_threshold": ABOVE_ZERO,
    "max_grad_norm": ABOVE_ZERO,
    "reward_scale": ABOVE_ZERO,
}


@dataclass(frozen=True)
class SACConfig(OffPolicyConfig):
    """The static half of SAC; until `learning_starts` transitions are there, actions are uniform in their bounds."""


@dataclass(frozen=True)
class SACRanges:
    """The range of every hyperparameter of SAC; all are array leaves, so a population with any values compiles once."""

    actor_learning_rate: Range = field(default_factory=lambda: Range(3e-4, 1e-3, "log"))
    critic_learning_rate: Range = field(default_factory=lambda: Range(3e-4, 1e-3, "log"))
    temperature_learning_rate: Range = field(default_factory=lambda: fixed(3e-4))
    final_learning_rate_frac: Range = field(default_factory=lambda: fixed(1.0))  # of all three, linear in between
    gamma: Range = field(default_factory=lambda: fixed(0.99))
    tau: Range = field(default_factory=lambda: fixed(0.005))  # share of the critics that their targets take a step
    initial_temperature: Range = field(default_factory=lambda: fixed(1.0))  # weight of the entropy at the start
    target_entropy: Range = field(default_factory=lambda: fixed(-1.0))  # nats a dimension of the action in [-1, 1]
    max_grad_norm: Range = field(default_factory=lambda: fixed(10.0))  # of the actor and of the critics, each
    reward_scale: Range = field(default_factory=lambda: fixed(1.0))

    def __post_init__(self) -> None:
        check_bounds(self, _SAC_VALID)


_SAC_VALID = {
    "actor_learning_rate": ZERO_TO_ONE,
    "critic_learning_rate": ZERO_TO_ONE,
    "temperature_learning_rate": ZERO_TO_ONE,
    "final_learning_rate_frac": ZERO_TO_ONE,
    "gamma": ZERO_TO_ONE,
    "tau": ZERO_TO_ONE,
    "initial_temperature": ABOVE_ZERO,
    "max_grad_norm": ABOVE_ZERO,
    "reward_scale": ABOVE_ZERO,
}
