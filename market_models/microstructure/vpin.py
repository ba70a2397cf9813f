"""VPIN: the imbalance of buying and selling volume over buckets of equal volume.

Trades, or bars of trades, fill buckets of V; what does not fit goes on to the next. Bucket b holds bought volume B_b
and sold S_b = V - B_b, and VPIN is the mean of |B - S| / V over the last n buckets. Volume is split by true signs, or
in bulk: the part Phi(dP / sigma) of a bar's volume was bought, with dP the price's change over the bar and sigma its
standard deviation. Source: Easley, Lopez de Prado, O'Hara 2012, "Flow toxicity and liquidity in a high-frequency
world", Review of Financial Studies 25(5).
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from kernels import checks as check


class VolumeBuckets(NamedTuple):
    """K full buckets."""

    bought_lots: np.ndarray  # float64[K]
    sold_lots: np.ndarray  # float64[K]
    end_row: np.ndarray  # int64[K] the row that filled the bucket


def bulk_bought_frac(price_change: Any, sigma: Any = None) -> np.ndarray:
    """Return the bought part of each bar's volume, float64[N] in 0..1.

    `sigma` is one number or float[N]. None takes the sample's standard deviation, which looks at the whole sample:
    for a feature, give a sigma known before each bar. ValueError if it is not above 0.
    """
    change = check.vector("price_change", price_change, least=2)
    scale = change.std(ddof=1) if sigma is None else sigma
    scale = check.positive("sigma", np.atleast_1d(scale))
    if len(scale) > 1:
        check.same_length(price_change=change, sigma=scale)
    return ndtr(change / scale)


def volume_buckets(lots: Any, bought_frac: Any, bucket_lots: float) -> VolumeBuckets:
    """Fill buckets of `bucket_lots` with rows of `lots` float[N] above 0, of which `bought_frac` was bought.

    With true signs `bought_frac` is 1 or 0. A row's volume is split between buckets in the same proportion. The
    unfinished last bucket is left out.
    """
    volume, share = check.positive("lots", lots), check.vector("bought_frac", bought_frac)
    check.same_length(lots=volume, bought_frac=share)
    if ((share < 0) | (share > 1)).any():
        raise ValueError("bought_frac has a value outside 0..1")
    size = check.number("bucket_lots", bucket_lots, 0, open_low=True)
    filled = np.concatenate([[0.0], np.cumsum(volume)])
    bought = np.concatenate([[0.0], np.cumsum(volume * share)])
    edges = size * np.arange(int(filled[-1] / size * (1 + 1e-12)) + 1)
    per_bucket = np.diff(np.interp(edges, filled, bought))
    end_row = np.searchsorted(filled, edges[1:] * (1 - 1e-12)) - 1
    return VolumeBuckets(per_bucket, size - per_bucket, end_row)


def vpin(buckets: VolumeBuckets, window: int = 50) -> np.ndarray:
    """Return the mean of |bought - sold| / volume over the last `window` buckets, float64[K - window + 1] in 0..1.

    Element i is known once bucket i + window - 1 is full. ValueError where there are fewer buckets than the window.
    """
    count = check.whole("window", window, 1)
    if len(buckets.bought_lots) < count:
        raise ValueError(f"{len(buckets.bought_lots)} full buckets are fewer than the window of {count}")
    imbalance = np.abs(buckets.bought_lots - buckets.sold_lots) / (buckets.bought_lots + buckets.sold_lots)
    return np.convolve(imbalance, np.full(count, 1 / count), "valid")
