"""Delays between the market, us and the venue.

Formula: arrival = now + latency. One model so far, constant; another is a class with the same three fields-or-methods
and one line in LATENCIES. A constant latency understates the risk of a burst, when real queues are slowest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NS_PER_S = 1_000_000_000
MAX_LATENCY_NS = 3_600 * NS_PER_S


@dataclass(frozen=True)
class ConstantLatency:
    """Constant latencies in nanoseconds, 0..one hour; ValueError otherwise."""

    feed_ns: int = 0  # market to us
    entry_ns: int = 0  # us to venue
    response_ns: int = 0  # venue to us

    def __post_init__(self) -> None:
        for field in ("feed_ns", "entry_ns", "response_ns"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_LATENCY_NS:
                raise ValueError(f"{field} {value!r} is not an integer in 0..{MAX_LATENCY_NS}")

    def entry_arrival_ns(self, now_ns: int) -> int:
        """Return when an order sent at `now_ns` (int64 nanoseconds) reaches the venue."""
        return int(now_ns) + self.entry_ns


def arrival(xp: Any, now_s: Any, now_ns: Any, latency_ns: Any) -> tuple[Any, Any]:
    """Add a latency to an int32 pair (s, ns), for `xp` numpy or jax.numpy; `latency_ns` is int32, 0..2e9.

    The nanosecond sum stays below 2^31 because the latency is split into seconds and the rest first.
    """
    rest = now_ns + latency_ns % NS_PER_S
    carry = (rest >= NS_PER_S).astype(xp.int32)
    return now_s + latency_ns // NS_PER_S + carry, rest - carry * NS_PER_S


LATENCIES: dict[str, Callable[..., ConstantLatency]] = {"constant": ConstantLatency}


def make_latency(name: str, **fields: int) -> ConstantLatency:
    """Return the latency model `name` with its fields; ValueError names the valid ones."""
    if name not in LATENCIES:
        raise ValueError(f"latency model {name!r} is not one of {sorted(LATENCIES)}")
    return LATENCIES[name](**fields)
