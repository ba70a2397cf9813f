"""What one hyperparameter of every agent is drawn from."""

import math
from dataclasses import dataclass
from typing import Any, Literal

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


def check_bounds(ranges: Any, valid: dict[str, tuple[float, float, str]]) -> None:
    """Raise ValueError for the first field of `ranges` that can be drawn outside of its (lowest, highest, in words)."""
    for name, (low, high, text) in valid.items():
        lowest, highest = getattr(ranges, name).bounds
        if lowest < low or highest > high:
            raise ValueError(f"{name} can be drawn from {lowest} to {highest}; valid: {text}")


ABOVE_ZERO = (math.ulp(0.0), math.inf, "above 0")
ZERO_OR_MORE = (0.0, math.inf, "0 or more")
ZERO_TO_ONE = (0.0, 1.0, "0 to 1")
