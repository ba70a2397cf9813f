"""What regimes are told apart by: volatility, trend and liquidity over a trailing window, from the past alone."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kernels import checks as check

COLUMNS = ("log_volatility", "trend", "log_liquidity")
MIN_VOLATILITY = 1e-8  # a still price: the logarithm needs a floor


def regime_observations(price: Any, depth_lots: Any, window: int) -> np.ndarray:
    """Return float64[N - window, 3] in the order of COLUMNS, row i known at row i + window of N prices and depths.

    Over the last `window` log returns r: log of the root mean square of r; sum(r) / (rms * window), in -1..1, which is
    1 for an even rise and about 0 without trend; log of the mean of the last `window` depths.
    """
    p, depth = check.positive("price", price), check.positive("depth_lots", depth_lots)
    rows, count = check.same_length(price=p, depth_lots=depth), check.whole("window", window, 2)
    if rows <= count:
        raise ValueError(f"{rows} rows are too few for a window of {count}: one more than the window is needed")
    r = sliding_window_view(np.diff(np.log(p)), count)
    rms = np.maximum(np.sqrt((r**2).mean(1)), MIN_VOLATILITY)
    liquidity = np.log(sliding_window_view(depth[1:], count).mean(1))
    return np.stack([np.log(rms), r.sum(1) / (rms * count), liquidity], axis=1)
