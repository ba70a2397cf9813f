"""What the controls remember, and its canonical JSON for snapshots. Part of CoreState; empty while all are off."""

import json
from typing import Any, NamedTuple

import numpy as np

from kernels.risk.correlation import CorrelationState
from kernels.risk.drawdown import Control, DrawdownState
from kernels.risk.stops import AtrState, StopReason, StopState
from live_bridge.risk_types import CutReason


class Bar(NamedTuple):
    """The bar of mids under way, in ticks."""

    high_tick: int = 0
    low_tick: int = 0
    close_tick: int = 0
    start_ns: int = -1  # -1: none has begun


class Held(NamedTuple):
    """Last word on a holding, in 1e-8 units and quote units a unit."""

    quantity_e8: int
    mark_e8: int
    event_ns: int


class ControlState(NamedTuple):
    """Positions first, then the portfolio."""

    stop: StopState = StopState()
    atr: AtrState = AtrState()
    bar: Bar = Bar()
    book_ns: int = -1  # event time of the last whole book; -1: there was none
    drawdown: DrawdownState | None = None
    held: tuple[Held | None, ...] = ()  # in the order of the configuration's holdings; None: nothing that can be used
    sample_ns: int = -1  # of the last observation
    tries: int = 0  # observations since the window was last long enough
    unknown_ns: int = -1  # since when there are no numbers; -1: there are
    marks: tuple[float, ...] = ()  # of the last observation, all assets; empty where one was missing
    returns: tuple[tuple[float, ...], ...] = ()  # [T][N], the latest last
    correlation: CorrelationState | None = None
    tripped: tuple[str, ...] = ()  # breaches that a person has not answered yet
    scale: float = 1.0  # of lots and of the inventory cap
    scale_by: CutReason = CutReason.VOLATILITY
    hedge_quantity: int = 0  # last suggested


def to_json(state: ControlState) -> str:
    """Return canonical text, "" for the state before anything happened: floats come back bit for bit."""
    if state == ControlState():
        return ""
    fields: dict[str, Any] = dict(state._asdict())
    if state.correlation is not None:
        fields["correlation"] = [np.asarray(each).tolist() for each in state.correlation]
    return json.dumps(fields, separators=(",", ":"))


def from_json(text: str) -> ControlState:
    """Return the state of `to_json`."""
    if not text:
        return ControlState()
    fields = json.loads(text)
    fields |= {
        "stop": _stop(fields["stop"]),
        "atr": AtrState(*fields["atr"]),
        "bar": Bar(*fields["bar"]),
        "held": tuple(None if each is None else Held(*each) for each in fields["held"]),
        "marks": tuple(fields["marks"]),
        "returns": tuple(map(tuple, fields["returns"])),
        "tripped": tuple(fields["tripped"]),
        "scale_by": CutReason(fields["scale_by"]),
    }
    if fields["drawdown"] is not None:
        seen = DrawdownState(*fields["drawdown"])
        fields["drawdown"] = seen._replace(latched=Control(seen.latched))
    if fields["correlation"] is not None:
        observations, weight, *arrays = fields["correlation"]
        fields["correlation"] = CorrelationState(observations, weight, *(np.array(each) for each in arrays))
    return ControlState(**fields)


def _stop(values: list[int]) -> StopState:
    side, entry_tick, best_tick, entry_ns, reason = values
    return StopState(side, entry_tick, best_tick, entry_ns, StopReason(reason))
