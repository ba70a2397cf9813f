"""Order books kept in step with a venue's messages by that venue's own rule: pure state machines, no I/O, no JAX.

Prices and sizes are integers of any unit. Each machine returns an `Outcome` for every message; whatever breaks the
venue's sequence or checksum is GAP or CHECKSUM at that message, the book is then empty and not `synced` until the next
snapshot. The recorded readers and the live bridge use the same machines.
"""

from market_models.datasets.venue_books.base import Levels, Outcome, SequenceChain
from market_models.datasets.venue_books.binance import BinanceBook
from market_models.datasets.venue_books.checksummed import BitfinexBook, KrakenBook, OkxBook
from market_models.datasets.venue_books.sequenced import (
    BybitBook,
    CoinbaseBook,
    DeribitBook,
    KrakenFuturesBook,
    PlainBook,
)

__all__ = [
    "BinanceBook",
    "BitfinexBook",
    "BybitBook",
    "CoinbaseBook",
    "DeribitBook",
    "KrakenBook",
    "KrakenFuturesBook",
    "Levels",
    "OkxBook",
    "Outcome",
    "PlainBook",
    "SequenceChain",
]
