"""A small synthetic market and a policy without weights, for tests of the live bridge. Deterministic by seed."""

from hashlib import blake2b

import numpy as np

from kernels.execution.quotes import NUM_ACTIONS
from kernels.features.normalise import Normaliser, default_normaliser
from kernels.lob import spec
from live_bridge.policy import PolicyAnswer
from live_bridge.venues.paper import PaperMarketData
from market_models.instrument import Instrument

MID_TICK = 10_000
START_S = 34_200
INSTRUMENT = Instrument("TEST", "0.01", "1", "USD")


class HashPolicy:
    """Chooses by a hash of the observation: pure, busy, and without preference."""

    def __init__(self, quiet_one_in: int = 0) -> None:
        self._quiet = quiet_one_in
        self._normaliser = default_normaliser()

    @property
    def digest(self) -> str:
        return f"hash policy, quiet one in {self._quiet}"

    @property
    def normaliser(self) -> Normaliser:
        return self._normaliser

    def act(self, obs: np.ndarray) -> PolicyAnswer:
        number = int.from_bytes(blake2b(obs.tobytes(), digest_size=8).digest(), "little")
        if self._quiet and number % self._quiet == 0:
            return PolicyAnswer(0, 0.0)
        return PolicyAnswer(number // 64 % NUM_ACTIONS, (number % 64) / 640)


def make_market(num_messages: int = 4_000, seed: int = 0) -> PaperMarketData:
    """Return a market of limit orders around a fixed mid, cancels, and takers that cross."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, ...]] = []
    alive: list[tuple[int, int]] = []  # (side, order id)
    next_id = 1
    for side in (spec.BUY, spec.SELL):
        for level in range(12):
            price = MID_TICK - 2 - level if side == spec.BUY else MID_TICK + 2 + level
            rows.append((spec.LIMIT, side, 60, price, next_id, 0, START_S, 0))
            alive.append((side, next_id))
            next_id += 1
    seed_rows = np.array(rows, np.int32)
    rows = []
    time_us = 0
    for _ in range(num_messages):
        time_us += 1 + int(rng.exponential(2_000))
        clock = (START_S + time_us // 1_000_000, time_us % 1_000_000 * 1_000)
        kind = rng.random()
        side = int(rng.integers(2))
        lots = int(rng.integers(1, 40))
        if kind < 0.55 or len(alive) < 30:
            distance = 1 + int(rng.geometric(0.3))
            price = MID_TICK - distance if side == spec.BUY else MID_TICK + distance
            rows.append((spec.LIMIT, side, lots, price, next_id, 0, *clock))
            alive.append((side, next_id))
        elif kind < 0.8:
            side, gone = alive.pop(int(rng.integers(len(alive))))
            rows.append((spec.DELETE, side, 1, 0, gone, 0, *clock))
        else:
            price = MID_TICK + 12 if side == spec.BUY else MID_TICK - 12
            rows.append((spec.IOC, side, lots * 2, price, next_id, 0, *clock))
        next_id += 1
    return PaperMarketData(INSTRUMENT, seed_rows, np.array(rows, np.int32), START_S * 10**9, f"synthetic {seed}")
