"""Layout of the risk gate's arrays: what each column holds, its unit, and who writes it.

Three levels of scopes stand in one axis, G = S + V + 1: rows 0..S-1 are strategies, S..S+V-1 venues, the last the firm.
Every order belongs to three of them and must fit the limits of all three. Columns named SCRATCH are written by the gate
at the start of a call and while it goes through a batch; what a caller leaves there is of no effect.
"""

from typing import Final

# Intents, int64[N, NUM_INTENT_COLUMNS].
INTENT_KIND: Final = 0  # NEW, CANCEL or REPLACE
INTENT_STRATEGY: Final = 1  # 0..S-1
INTENT_VENUE: Final = 2  # 0..V-1
INTENT_INSTRUMENT: Final = 3  # 0..I-1
INTENT_SIDE: Final = 4  # 0 BUY, 1 SELL
INTENT_PRICE_TICK: Final = 5
INTENT_LOTS: Final = 6
INTENT_REDUCE_ONLY: Final = 7  # 1: the order may only bring its strategy's position nearer to zero
INTENT_TYPE: Final = 8  # LIMIT, IOC or POST_ONLY
INTENT_LOSS_TICK: Final = 9  # what a lot loses down to the order's protective stop; 0: it has none
INTENT_TARGET: Final = 10  # CANCEL, REPLACE: row of the live order, counted from 1; 0: none
NUM_INTENT_COLUMNS: Final = 11
NEW: Final = 1
CANCEL: Final = 2
REPLACE: Final = 3
LIMIT: Final = 1
IOC: Final = 2  # never rests
POST_ONLY: Final = 3  # never takes

# Live orders, int64[K, NUM_LIVE_COLUMNS]: every order that may still fill, unknown and cancelling ones included.
LIVE_STRATEGY: Final = 0
LIVE_VENUE: Final = 1
LIVE_INSTRUMENT: Final = 2
LIVE_SIDE: Final = 3
LIVE_PRICE_TICK: Final = 4
LIVE_LOTS: Final = 5  # as sent
LIVE_LEFT_LOTS: Final = 6  # may still fill
LIVE_CANCELLING: Final = 7  # 1: a cancel or replace is under way, so another order like it is no duplicate
LIVE_TYPE: Final = 8
LIVE_BUSY: Final = 9  # SCRATCH: LIVE_CANCELLING, and what this batch cancels or replaces
NUM_LIVE_COLUMNS: Final = 10
NUM_LIVE_GIVEN: Final = 9

# Instruments, int64[I, NUM_INSTRUMENT_COLUMNS]. The first NUM_INSTRUMENT_LIMITS are limits.
INSTRUMENT_TRADABLE: Final = 0  # 1: known and tradable
INSTRUMENT_PRICE_STEP_TICK: Final = 1  # a price is a multiple of this
INSTRUMENT_LOT_STEP: Final = 2  # a quantity is a multiple of this
INSTRUMENT_MIN_LOTS: Final = 3
INSTRUMENT_MAX_LOTS: Final = 4
INSTRUMENT_MIN_NOTIONAL_E8: Final = 5
INSTRUMENT_COLLAR_TICK: Final = 6  # beyond the touch; both collars hold, in ticks and in bps
INSTRUMENT_COLLAR_BPS: Final = 7  # of the touch
INSTRUMENT_REFERENCE_COLLAR_TICK: Final = 8  # from the reference price
INSTRUMENT_REFERENCE_COLLAR_BPS: Final = 9  # of the reference price
INSTRUMENT_ADVERSE_BPS: Final = 10  # the move that an order without a stop is taken to lose
INSTRUMENT_TICK_VALUE_E8: Final = 11  # worth of one lot moving one tick
INSTRUMENT_MAX_AGE_NS: Final = 12  # older market data is stale
NUM_INSTRUMENT_LIMITS: Final = 13
INSTRUMENT_GROUP: Final = 13  # 0..Q-1, of the concentration limit
INSTRUMENT_MARK_TICK: Final = 14  # values positions and open orders
INSTRUMENT_VALID: Final = 15  # SCRATCH
NUM_INSTRUMENT_COLUMNS: Final = 16
NUM_INSTRUMENT_GIVEN: Final = 15

# Market data, int64[V, I, NUM_MARKET_COLUMNS].
MARKET_BID_TICK: Final = 0
MARKET_ASK_TICK: Final = 1
MARKET_REFERENCE_TICK: Final = 2  # a price that the touch cannot have moved just now
MARKET_BOOK_NS: Final = 3  # event time of the book
MARKET_BOOK_VALID: Final = 4  # 1: whole and two-sided
MARKET_OWN_BID_TICK: Final = 5  # SCRATCH: our highest resting bid there
MARKET_OWN_ASK_TICK: Final = 6  # SCRATCH: our lowest resting ask there
NUM_MARKET_COLUMNS: Final = 7
NUM_MARKET_GIVEN: Final = 5

# Scopes, int64[G, NUM_SCOPE_COLUMNS]. The first NUM_SCOPE_LIMITS are limits.
SCOPE_MAX_ORDER_LOTS: Final = 0
SCOPE_MAX_ORDER_VALUE_E8: Final = 1
SCOPE_MAX_LOSS_BPS: Final = 2  # of equity, per order
SCOPE_MAX_POSITION_BPS: Final = 3  # of equity, per instrument
SCOPE_MAX_LEVERAGE_BPS: Final = 4  # gross exposure, of equity
SCOPE_MAX_GROUP_BPS: Final = 5  # exposure of one group, of equity
SCOPE_MAX_OPEN_ORDERS: Final = 6
SCOPE_MAX_MESSAGES: Final = 7  # new orders and replaces within the caller's window
SCOPE_MAX_REPEATS: Final = 8  # executions in a row; then a person must re-enable
NUM_SCOPE_LIMITS: Final = 9
SCOPE_TRADING: Final = 9  # ACTIVE, REDUCE_ONLY or HALTED
SCOPE_EQUITY_E8: Final = 10
SCOPE_RECENT: Final = 11  # new orders and replaces already sent within the window
SCOPE_VALID: Final = 12  # SCRATCH
SCOPE_OPEN: Final = 13  # SCRATCH: open orders
SCOPE_SENT: Final = 14  # SCRATCH: SCOPE_RECENT and what this batch sends
SCOPE_GROSS_E8: Final = 15  # SCRATCH: worst-case exposure over all instruments
SCOPE_UNMARKED: Final = 16  # SCRATCH: instruments with exposure and without a mark
NUM_SCOPE_COLUMNS: Final = 17
NUM_SCOPE_GIVEN: Final = 12

# What a scope holds of an instrument, int64[G, I, NUM_CELL_COLUMNS].
CELL_POSITION_LOTS: Final = 0
CELL_REPEATS: Final = 1  # executions in a row since a person last re-enabled
CELL_MAX_POSITION_LOTS: Final = 2  # limit, beside SCOPE_MAX_POSITION_BPS
CELL_OPEN_LOTS: Final = 3  # SCRATCH: two columns, buys and sells that may still fill
NUM_CELL_COLUMNS: Final = 5
NUM_CELL_GIVEN: Final = 3
