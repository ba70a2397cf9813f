"""Events for tests of the core: a book, and the venue's answers, with ordinary values."""

from typing import Any

import numpy as np

from kernels.lob import spec
from live_bridge.core import Core
from live_bridge.core_state import CoreConfig, CoreState
from live_bridge.types import (
    BookEvent,
    CancelAck,
    Event,
    Fill,
    Liquidity,
    OrderAck,
    Output,
    SessionStart,
)
from tests.support.paper_market import INSTRUMENT

SECOND = 1_000_000_000
NOON = 12 * 3_600 * SECOND


def core_config(**changes: Any) -> CoreConfig:
    return CoreConfig(**{"instrument": INSTRUMENT, "quote_lots": 10, "inventory_cap_lots": 40} | changes)


def book(number: int = 0, bid: int = 9_990, ask: int = 10_010, **changes: Any) -> BookEvent:
    depth = np.zeros((2, 6, 2), np.int32)
    for level in range(6):
        depth[0, level] = (bid - level, 50)
        depth[1, level] = (ask + level, 50)
    fields: dict[str, Any] = {
        "instrument": 0,
        "event_ns": NOON + number * SECOND,
        "now_ns": NOON + number * SECOND,
        "feed_sequence": number,
        "gap": False,
        "depth": depth,
        "summary": np.zeros(spec.NUM_SUMMARY, np.int32),
        "own": np.zeros((2, spec.NUM_OWN_COLUMNS), np.int32),
        "recv_ns": 1,
    }
    return BookEvent(**fields | changes)


def start(core: Core, epoch: int = 1, recovered: bool = False) -> SessionStart:
    return SessionStart(
        instance="test",
        epoch=epoch,
        recovered=recovered,
        run_id="run",
        source="paper",
        strategy="s",
        venues=("paper",),
        instruments=("TEST",),
        config_json=core.config.to_json(),
        artifact_digest=core.policy.digest,
        recv_ns=1,
    )


def ack(name: str, number: int = 0) -> OrderAck:
    return OrderAck(name, f"V{name[-4:]}", NOON + number * SECOND, 1)


def cancel_ack(name: str, lots: int, number: int = 0) -> CancelAck:
    return CancelAck(name, f"V{name[-4:]}", lots, False, NOON + number * SECOND, 1)


def fill(name: str, trade: str, side: int, lots: int, price_tick: int = 10_000, fee_e8: int = 5) -> Fill:
    return Fill(0, 0, trade, name, f"V{name[-4:]}", side, price_tick, lots, fee_e8, Liquidity.MAKER, NOON, 1)


def run(core: Core, events: list[Event], state: CoreState | None = None) -> tuple[CoreState, list[Output]]:
    """Step through events; return the last state and all outputs."""
    outputs: list[Output] = []
    state = CoreState() if state is None else state
    for event in events:
        state, made = core.step(state, event)
        outputs += made
    return state, outputs
