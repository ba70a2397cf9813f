"""Position level: stops that close, and quotes cut to inventory bounds and to sizing. Each works on one step's turn.

A stop closes with reduce-only orders that pass the gate like any other; while it closes, the policy quotes nothing.
Sizing lies between decision and gate: it only makes smaller, rounds down to whole lot steps, and never holds back what
brings the position to zero.
"""

import numpy as np

from kernels.execution.quotes import TargetQuotes
from kernels.features.market import strip_own
from kernels.lob.spec import OWN_PRESENT
from kernels.risk.stops import Room, StopReason, advance_atr, advance_stop, inventory_room, open_position
from live_bridge import gating
from live_bridge.control_state import Bar
from live_bridge.controls import InventoryBounds
from live_bridge.core_state import CoreConfig, Turn
from live_bridge.risk_types import CutReason, SizeCut, StopTriggered
from live_bridge.types import BUY, SELL, BookEvent, Origin, Phase, TradingState


def moved(config: CoreConfig, turn: Turn, before_lots: int, price_tick: int) -> None:
    """Begin, keep or end the stops of a position after a fill. The entry is the mean price, rounded down."""
    after_lots = turn.account.position_lots
    if after_lots == before_lots or not config.controls.has_stops():
        return
    stop = turn.controls.stop
    sign = (after_lots > 0) - (after_lots < 0)
    if sign == 0 or sign != stop.side:
        stop = open_position(after_lots, price_tick, turn.now_ns)
    elif abs(after_lots) > abs(before_lots):
        added = abs(after_lots) - abs(before_lots)
        entry = (stop.entry_tick * abs(before_lots) + price_tick * added) // abs(after_lots)
        stop = stop._replace(entry_tick=entry)
    turn.controls = turn.controls._replace(stop=stop)


def watch(config: CoreConfig, turn: Turn, fresh: bool) -> None:
    """Hold the position against its stops at the touch of others; `fresh`: the turn's book is whole and new.

    Without such a book time alone is judged: at the best price since the entry no distance is reached.
    """
    before = turn.controls.stop
    if not config.controls.has_stops() or turn.book is None or turn.history is None:
        return
    price: int | None = before.best_tick
    if fresh:
        _advance_bar(config, turn, int(turn.history.mid_half_tick) // 2)
        price = _closing_tick(turn.book, before.side)
    if price is None:
        return
    after = advance_stop(config.controls.stops, before, turn.controls.atr, price, turn.now_ns)
    turn.controls = turn.controls._replace(stop=after)
    if after.reason and not before.reason:
        _say(turn, after.reason, after.entry_tick, price)


def _say(turn: Turn, reason: StopReason, entry_tick: int, price_tick: int) -> None:
    lots = turn.account.position_lots
    turn.outputs.append(StopTriggered(0, reason, lots, entry_tick, price_tick, turn.now_ns))
    turn.alert(f"STOP_{reason.name}", f"{lots} lots entered at {entry_tick} ticks, now {price_tick}")
    if turn.phase == Phase.RUNNING:
        gating.cancel_all(turn, Origin.PROTECT)


def _closing_tick(book: BookEvent, side: int) -> int | None:
    """Return the best price of others at which a position of that side could be closed; None where there is none."""
    if side == 0:
        return None
    best = strip_own(np, book.depth, book.own)[BUY if side > 0 else SELL, 0]
    return int(best[0]) if best[1] > 0 else None


def _advance_bar(config: CoreConfig, turn: Turn, mid_tick: int) -> None:
    bar, atr = turn.controls.bar, turn.controls.atr
    if bar.start_ns >= 0 and turn.now_ns - bar.start_ns >= config.controls.stop_bar_ns:
        atr = advance_atr(atr, bar.high_tick, bar.low_tick, bar.close_tick, config.controls.stops.atr_periods)
        bar = Bar()
    if bar.start_ns < 0:
        bar = Bar(mid_tick, mid_tick, mid_tick, turn.now_ns)
    bar = Bar(max(bar.high_tick, mid_tick), min(bar.low_tick, mid_tick), mid_tick, bar.start_ns)
    turn.controls = turn.controls._replace(bar=bar, atr=atr)


def closing(turn: Turn) -> StopReason:
    """Return the stop that is closing the position now, NONE where none is."""
    may = turn.phase == Phase.RUNNING and turn.trading != TradingState.HALTED
    return turn.controls.stop.reason if may and turn.account.position_lots else StopReason.NONE


def close(config: CoreConfig, turn: Turn, gate: gating.Gate, book: BookEvent) -> None:
    """Cancel everything, then send the reduce-only order that closes what a stop decided to close."""
    if turn.live:
        gating.cancel_all(turn, Origin.PROTECT)
    else:
        gate.send_new(turn, [gating.flattening(config, turn, book)._replace(origin=Origin.PROTECT)])


def cut(config: CoreConfig, turn: Turn, target: TargetQuotes, book: BookEvent) -> TargetQuotes:
    """Return the target with lots within bounds and sizing. A quote that rests larger than that is taken back first."""
    sizing = config.controls.portfolio is not None and config.controls.portfolio.sizing is not None
    if config.controls.inventory is None and not sizing:
        return target
    scale = turn.controls.scale if sizing else 1.0
    bounded, scaled = _room(config, turn, 1.0), _room(config, turn, scale)
    lots, present, room = target.lots.copy(), target.present.copy(), target.room_lots.copy()
    quotes = [order for order in turn.live_orders() if order.origin == Origin.POLICY]
    for side in (BUY, SELL):
        wanted, closes = int(lots[side]), turn.account.position_lots * (1 if side == SELL else -1)
        room[side] = min(int(room[side]), bounded[side], max(scaled[side], closes))
        allowed = min(wanted, int(room[side]), max(int(wanted * scale), closes))
        fits = _in_steps(turn, allowed)
        if fits < wanted and not book.advice:
            reason = CutReason.INVENTORY if bounded[side] <= allowed or not sizing else turn.controls.scale_by
            turn.outputs.append(SizeCut(book.instrument, side, reason, wanted, fits, turn.now_ns))
        resting = max((order.left_lots for order in quotes if order.side == side), default=0)
        lots[side] = fits
        present[side] &= fits > 0 and not (book.own[side, OWN_PRESENT] > 0 and resting > fits)
    return TargetQuotes(
        present=present,
        price_tick=np.where(present, target.price_tick, 0),
        lots=np.where(present, lots, 0),
        room_lots=room,
    )


def _room(config: CoreConfig, turn: Turn, scale: float) -> Room:
    """Return the lots that may be bought and sold; orders of people count as filled, quotes do not."""
    cap = config.inventory_cap_lots
    bounds = config.controls.inventory or InventoryBounds(-cap, cap)
    low, high = max(bounds.low_lots, -int(cap * scale)), min(bounds.high_lots, int(cap * scale))
    opened = [0, 0]
    for order in turn.live_orders():
        if order.origin != Origin.POLICY:
            opened[order.side] += order.left_lots
    room = inventory_room(turn.account.position_lots, opened[BUY], opened[SELL], low, high)
    return Room(*(min(each, 2**31 - 1) for each in room))


def _in_steps(turn: Turn, lots: int) -> int:
    limits = turn.limits[0]
    whole = max(lots, 0) // limits.lot_step * limits.lot_step
    return whole if whole >= limits.min_lots else 0
