"""Latencies by stage of the decision path, measured and summarised. Nothing here can influence a decision."""

from collections import deque
from time import perf_counter_ns

import numpy as np

STAGES = ("features", "policy", "quotes", "risk", "core", "journal", "fsync", "send", "decision")
# features..risk: parts of a core step that decides; core: a whole step; journal: encoding and writing one step's
# records; fsync: of commits that sync; send: one intent to the venue; decision: book event in to last intent out.
KEPT = 1_000_000  # last samples of a stage


class LatencyStats:
    """Nanoseconds by stage. `mark` is the observer that the core is given."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[int]] = {stage: deque(maxlen=KEPT) for stage in STAGES}
        self._last = 0

    def begin(self) -> None:
        """Start the clock of the next `mark`."""
        self._last = perf_counter_ns()

    def mark(self, stage: str) -> None:
        """Note the time since the last mark as `stage`."""
        now = perf_counter_ns()
        self._samples[stage].append(now - self._last)
        self._last = now

    def add(self, stage: str, duration_ns: int) -> None:
        """Note a duration measured elsewhere."""
        self._samples[stage].append(duration_ns)

    def summary(self) -> dict[str, dict[str, float]]:
        """Return {stage: {p50, p99, p999}} in microseconds, of the stages that were seen."""
        return {
            stage: {
                name: round(float(np.quantile(samples, q)) / 1_000, 3)
                for name, q in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
            }
            for stage, samples in self._samples.items()
            if samples
        }
