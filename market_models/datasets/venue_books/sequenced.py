"""Venues that number their messages: Bybit, Coinbase, Deribit, Kraken Futures."""

from market_models.datasets.venue_books.base import Levels, Outcome, SequenceChain, VenueBook


class PlainBook(VenueBook):
    """A book of a feed without sequence or checksum: nothing lost can be noticed."""

    def on_snapshot(self, bids: Levels, asks: Levels) -> Outcome:
        """Begin anew."""
        return self.start(bids, asks)

    def on_change(self, bids: Levels, asks: Levels) -> Outcome:
        """Apply a change."""
        return self.lose() if self.missed_start() else self.change(bids, asks)


class BybitBook(VenueBook):
    """Bybit v5 order book: `u` rises by one a delta; a snapshot, or u = 1 (the service was restarted), begins anew.

    Source: Bybit API v5, "Orderbook" websocket topic.
    """

    def __init__(self) -> None:
        super().__init__()
        self.last_id: int | None = None

    def on_snapshot(self, update_id: int, bids: Levels, asks: Levels) -> Outcome:
        """Begin anew."""
        self.last_id = update_id
        return self.start(bids, asks)

    def on_delta(self, update_id: int, bids: Levels, asks: Levels) -> Outcome:
        """Apply a delta."""
        if update_id == 1:
            return self.on_snapshot(update_id, bids, asks)
        follows = not self.missed_start() and self.last_id is not None and update_id == self.last_id + 1
        self.last_id = update_id
        if not follows:
            return self.lose()
        return self.change(bids, asks)


class CoinbaseBook(PlainBook):
    """One product of Coinbase's level2 channel. The sequence is the connection's: `SequenceChain` over all messages.

    Source: Coinbase Advanced Trade WebSocket, "sequence_num".
    """


class DeribitBook(VenueBook):
    """Deribit raw book: `prev_change_id` is the `change_id` before; a message of type snapshot begins anew.

    Source: Deribit API, "book.{instrument_name}.{interval}".
    """

    def __init__(self) -> None:
        super().__init__()
        self.last_id: int | None = None

    def on_snapshot(self, change_id: int, bids: Levels, asks: Levels) -> Outcome:
        """Begin anew."""
        self.last_id = change_id
        return self.start(bids, asks)

    def on_change(self, change_id: int, previous_id: int, bids: Levels, asks: Levels) -> Outcome:
        """Apply a change."""
        follows = not self.missed_start() and previous_id == self.last_id and change_id > previous_id
        self.last_id = change_id
        return self.change(bids, asks) if follows else self.lose()


class KrakenFuturesBook(VenueBook):
    """Kraken Futures book: `seq` rises by one a message of the product; a snapshot carries the last one it contains.

    Source: Kraken Futures WebSocket, "book" feed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.chain = SequenceChain()

    def on_snapshot(self, seq: int, bids: Levels, asks: Levels) -> Outcome:
        """Begin anew."""
        self.chain.last = seq
        return self.start(bids, asks)

    def on_change(self, seq: int, bids: Levels, asks: Levels) -> Outcome:
        """Apply a change."""
        follows = self.chain.follow(seq) and not self.missed_start()
        return self.change(bids, asks) if follows else self.lose()
