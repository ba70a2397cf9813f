"""The risk gate as one numba call over a batch of intents. Cost: O(N (N + K)) integer operations, no allocation."""

from numba import njit

from kernels.lob.spec import MAX_ABS_PRICE_TICK
from kernels.lob.spec import MAX_LOTS as ENGINE_MAX_LOTS
from kernels.risk import spec
from kernels.risk.spec import RiskReason

# numba freezes module constants; IntEnum members are taken as plain integers once, here.
_WORD_RANGE = spec.MAX_ABS_WORD
_OK = int(RiskReason.OK)
_BAD_INPUT = int(RiskReason.BAD_INPUT)
_HALTED = int(RiskReason.HALTED)
_NOT_TRADABLE = int(RiskReason.NOT_TRADABLE)
_INVALID_BOOK = int(RiskReason.INVALID_BOOK)
_STALE_DATA = int(RiskReason.STALE_DATA)
_PRICE_STEP = int(RiskReason.PRICE_STEP)
_LOT_STEP = int(RiskReason.LOT_STEP)
_MIN_LOTS = int(RiskReason.MIN_LOTS)
_MAX_LOTS = int(RiskReason.MAX_LOTS)
_PRICE_COLLAR = int(RiskReason.PRICE_COLLAR)
_MAX_ORDER_VALUE = int(RiskReason.MAX_ORDER_VALUE)
_REDUCE_ONLY = int(RiskReason.REDUCE_ONLY)
_MAX_POSITION = int(RiskReason.MAX_POSITION)
_MAX_OPEN_ORDERS = int(RiskReason.MAX_OPEN_ORDERS)
_DUPLICATE_INTENT = int(RiskReason.DUPLICATE_INTENT)
_MESSAGE_RATE = int(RiskReason.MESSAGE_RATE)


@njit(nogil=True, cache=True)
def gate(intents, live, limits, state, reasons):
    """Write a RiskReason into `reasons` int64[N] for each of `intents` int64[N, 5]; return how many new orders passed.

    `live` int64[K, 5], `limits` int64[12], `state` int64[8]: columns and words in kernels/risk/spec.py. Intents
    are judged in order: each new order that passes counts against the limits of those after it. Cancels always pass.
    """
    inputs_whole = _whole(limits) and _whole(state) and _limits_valid(limits) and _live_valid(live)
    open_lots = (0, 0)
    if inputs_whole:
        open_lots = (_left_lots(live, 0), _left_lots(live, 1))
    passed = 0
    for row in range(intents.shape[0]):
        if intents[row, spec.INTENT_KIND] == spec.CANCEL:
            reasons[row] = _OK
            continue
        reason = _BAD_INPUT
        if inputs_whole and _intent_valid(intents[row]):
            reason = _market_reason(intents[row], limits, state)
            if reason == _OK:
                reason = _exposure_reason(intents, row, live, limits, state, open_lots, passed, reasons)
        reasons[row] = reason
        if reason == _OK:
            passed += 1
            lots = intents[row, spec.INTENT_LOTS]
            if intents[row, spec.INTENT_SIDE] == 0:
                open_lots = (open_lots[0] + lots, open_lots[1])
            else:
                open_lots = (open_lots[0], open_lots[1] + lots)
    return passed


@njit(nogil=True, cache=True)
def _whole(words):
    for value in words:  # noqa: SIM110 - numba compiles no generator in `all`
        if not -_WORD_RANGE <= value <= _WORD_RANGE:
            return False
    return True


@njit(nogil=True, cache=True)
def _limits_valid(limits):
    return (
        limits[spec.LIMIT_PRICE_STEP_TICK] >= 1
        and limits[spec.LIMIT_LOT_STEP] >= 1
        and limits[spec.LIMIT_MAX_ORDER_VALUE_E8] >= 0
        and 1 <= limits[spec.LIMIT_TICK_VALUE_E8] <= spec.MAX_TICK_VALUE_E8
        and limits[spec.LIMIT_COLLAR_TICK] >= 0
        and limits[spec.LIMIT_MAX_AGE_NS] >= 0
    )


@njit(nogil=True, cache=True)
def _live_valid(live):
    for row in range(live.shape[0]):
        side = live[row, spec.LIVE_SIDE]
        left = live[row, spec.LIVE_LEFT_LOTS]
        if not (0 <= side <= 1 and 0 <= left <= ENGINE_MAX_LOTS) or not _whole(live[row]):
            return False
    return True


@njit(nogil=True, cache=True)
def _left_lots(live, side):
    total = 0
    for row in range(live.shape[0]):
        if live[row, spec.LIVE_SIDE] == side:
            total += live[row, spec.LIVE_LEFT_LOTS]
    return total


@njit(nogil=True, cache=True)
def _intent_valid(intent):
    return (
        _whole(intent)
        and intent[spec.INTENT_KIND] == spec.NEW
        and 0 <= intent[spec.INTENT_SIDE] <= 1
        and -MAX_ABS_PRICE_TICK <= intent[spec.INTENT_PRICE_TICK] <= MAX_ABS_PRICE_TICK
        and 1 <= intent[spec.INTENT_LOTS] <= ENGINE_MAX_LOTS
        and 0 <= intent[spec.INTENT_REDUCE_ONLY] <= 1
    )


@njit(nogil=True, cache=True)
def _market_reason(intent, limits, state):  # noqa: PLR0911 - one return a check, in the order of the reasons
    """Checks that need only the order, the instrument and the market."""
    price, lots = intent[spec.INTENT_PRICE_TICK], intent[spec.INTENT_LOTS]
    trading = state[spec.STATE_TRADING]
    age_ns = state[spec.STATE_NOW_NS] - state[spec.STATE_BOOK_NS]
    collar = limits[spec.LIMIT_COLLAR_TICK]
    if trading != spec.ACTIVE and trading != spec.REDUCE_ONLY:  # noqa: PLR1714 - numba has no set of constants here
        return _HALTED
    if limits[spec.LIMIT_TRADABLE] != 1:
        return _NOT_TRADABLE
    if state[spec.STATE_BOOK_VALID] != 1 or state[spec.STATE_BEST_BID_TICK] >= state[spec.STATE_BEST_ASK_TICK]:
        return _INVALID_BOOK
    if age_ns < 0 or age_ns > limits[spec.LIMIT_MAX_AGE_NS]:
        return _STALE_DATA
    if price % limits[spec.LIMIT_PRICE_STEP_TICK] != 0:
        return _PRICE_STEP
    if lots % limits[spec.LIMIT_LOT_STEP] != 0:
        return _LOT_STEP
    if lots < limits[spec.LIMIT_MIN_LOTS]:
        return _MIN_LOTS
    if lots > limits[spec.LIMIT_MAX_LOTS]:
        return _MAX_LOTS
    if price < state[spec.STATE_BEST_BID_TICK] - collar or price > state[spec.STATE_BEST_ASK_TICK] + collar:
        return _PRICE_COLLAR
    # lots * unit > limit, as lots > limit // unit: the product could pass int64.
    unit = abs(price) * limits[spec.LIMIT_TICK_VALUE_E8]
    if unit > 0 and lots > limits[spec.LIMIT_MAX_ORDER_VALUE_E8] // unit:
        return _MAX_ORDER_VALUE
    return _OK


@njit(nogil=True, cache=True)
def _exposure_reason(intents, row, live, limits, state, open_lots, passed, reasons):
    """Checks against the position, the live orders and the orders that passed earlier in the batch."""
    intent = intents[row]
    side, lots = intent[spec.INTENT_SIDE], intent[spec.INTENT_LOTS]
    position = state[spec.STATE_POSITION_LOTS]
    worst = open_lots[side] + lots  # everything live on this side fills, nothing on the other
    if intent[spec.INTENT_REDUCE_ONLY] == 1 or state[spec.STATE_TRADING] == spec.REDUCE_ONLY:
        reducible = -position if side == 0 else position
        if worst > reducible:
            return _REDUCE_ONLY
    else:
        reached = position + worst if side == 0 else worst - position
        if reached > limits[spec.LIMIT_MAX_POSITION_LOTS]:
            return _MAX_POSITION
    if live.shape[0] + passed + 1 > limits[spec.LIMIT_MAX_OPEN_ORDERS]:
        return _MAX_OPEN_ORDERS
    if _is_duplicate(intents, row, live, reasons):
        return _DUPLICATE_INTENT
    if state[spec.STATE_RECENT_ORDERS] + passed + 1 > limits[spec.LIMIT_MAX_MESSAGES]:
        return _MESSAGE_RATE
    return _OK


@njit(nogil=True, cache=True)
def _is_duplicate(intents, row, live, reasons):
    side, price = intents[row, spec.INTENT_SIDE], intents[row, spec.INTENT_PRICE_TICK]
    lots = intents[row, spec.INTENT_LOTS]
    for other in range(live.shape[0]):
        if (
            live[other, spec.LIVE_CANCELLING] == 0
            and live[other, spec.LIVE_SIDE] == side
            and live[other, spec.LIVE_PRICE_TICK] == price
            and live[other, spec.LIVE_LOTS] == lots
        ):
            return True
    for other in range(row):
        if (
            reasons[other] == _OK
            and intents[other, spec.INTENT_KIND] == spec.NEW
            and intents[other, spec.INTENT_SIDE] == side
            and intents[other, spec.INTENT_PRICE_TICK] == price
            and intents[other, spec.INTENT_LOTS] == lots
        ):
            return True
    return False
