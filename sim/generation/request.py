"""What a generated recording is asked to be, checked before anything runs."""

from dataclasses import dataclass
from typing import Final

from kernels.lob import spec
from sim.generation.market import BURN_IN_EVENTS

MAX_SEQUENCES: Final = 9999
MAX_SEED: Final = 2**32 - 1


@dataclass(frozen=True)
class Request:
    """What to generate. Raises ValueError at construction, naming the field and what is valid."""

    messages: int  # rows of each sequence
    seed: int
    sequences: int = 1
    first_label: int = 1  # number in the first sequence's file names; the others count on
    levels: int = 5
    capacity: int = 128
    start_s: int = 34_200
    burn_in_events: int = BURN_IN_EVENTS  # of the flow before the first row
    threads: int = 1
    as_zip: bool = True

    def __post_init__(self) -> None:
        limits = {
            "messages": (1, 10**9),
            "sequences": (1, MAX_SEQUENCES),
            "seed": (0, MAX_SEED),
            "levels": (1, self.capacity),
            "start_s": (0, 86_399),
            "threads": (1, 1024),
            "burn_in_events": (0, 10**9),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} {getattr(self, name)} is outside {low}..{high}")
        if self.capacity not in spec.CAPACITIES:
            raise ValueError(f"capacity {self.capacity} is not one of {spec.CAPACITIES}")

    @property
    def rows(self) -> int:
        """Rows of all sequences together."""
        return self.messages * self.sequences
