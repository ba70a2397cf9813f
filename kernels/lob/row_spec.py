"""Encodings of the rows that a market without agents is written down as: one table for the kernel and its callers."""

from typing import Final

import numpy as np

# What a row says happened, in LOBSTER's numbers. Typed, because numba compiles a function again for each literal.
NEW: Final = np.int64(1)
PARTIAL_CANCEL: Final = np.int64(2)
FULL_CANCEL: Final = np.int64(3)
EXECUTION: Final = np.int64(4)

# Columns of a row, int32[..., 5].
ROW_TYPE: Final = 0
ROW_ORDER_ID: Final = 1
ROW_LOTS: Final = 2
ROW_PRICE_TICK: Final = 3
ROW_SIDE: Final = 4  # of the resting order
NUM_ROW_COLUMNS: Final = 5

# Words of the state of a run, int64[5].
STATE_ROWS: Final = 0  # rows written since the caller set it to 0
STATE_EVENTS: Final = 1  # events applied since then
STATE_PROPOSALS: Final = 2  # draws since then, those that the sampler thinned out included
STATE_PRIMED: Final = 3  # 0 before the first row of a recording, which only shows the book and is not written
STATE_STATUS: Final = 4  # RUN_*
NUM_STATE: Final = 5

RUN_OK: Final = 0
RUN_EXHAUSTED: Final = 1
RUN_UNSUPPORTED: Final = 2  # the sampler sent a kind of message that no row can say
