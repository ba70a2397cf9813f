"""Databento Binary Encoding (DBN), decoded by the databento-dbn library: MBO, MBP, trades, bars."""

from functools import partial
from typing import Any

from market_models.datasets.errors import DataError
from market_models.datasets.formats.blocks import MAX_INT64
from market_models.datasets.formats.databento_feed import DatabentoFeed
from market_models.datasets.formats.fixed import RowError
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import take
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source

_CHUNK = 1 << 16


def recognise(source: Source) -> bool:
    """DBN's magic."""
    return source.head[:3] == b"DBN" and 1 <= source.head[3] <= 9 if len(source.head) > 3 else False


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Feed the decoder chunk by chunk."""
    import databento_dbn as dbn

    decoder = dbn.DBNDecoder()
    feed = _Records(DatabentoFeed(sink), options)
    with source.opened() as stream:
        while chunk := stream.read(_CHUNK):
            for record in _decode(source, decoder, chunk):
                if isinstance(record, dbn.Metadata):
                    feed.metadata(record)
                    continue
                sink.report.rows += 1
                take(sink, partial(feed.record, record))
    if len(decoder.buffer()):
        raise DataError(source.path, sink.report.rows + 1, "ends in the middle of a record")


def _decode(source: Source, decoder: Any, chunk: bytes) -> list[Any]:
    try:
        decoder.write(chunk)
        return decoder.decode()
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # the library's panics are no Exceptions
        reason = " ".join(str(error).split())[:200]
        raise DataError(source.path, 0, f"not DBN, or damaged ({reason})") from error


class _Records:
    def __init__(self, feed: DatabentoFeed, options: ImportOptions) -> None:
        self.feed, self.options = feed, options
        self.names: dict[int, str] = {}
        # By the class names of the library, which spells them differently from version to version.
        self._handlers = {
            "mbomsg": self._order,
            "mbp1msg": self._prices,
            "mbp10msg": self._prices,
            "trademsg": self._trade,
            "ohlcvmsg": self._bar,
        }

    def metadata(self, metadata: Any) -> None:
        """Learn the symbols of instrument ids; one symbol names them all."""
        for symbol, intervals in metadata.mappings.items():
            for interval in intervals:
                if str(interval["symbol"]).isdigit():
                    self.names[int(interval["symbol"])] = symbol

    def record(self, record: Any) -> None:
        kind = type(record).__name__
        handler = self._handlers.get(kind.lower())
        if handler is None:
            self.feed.sink.skip(f"{kind[:40]} record")
            return
        number = int(record.instrument_id)
        handler(record, self.feed.sink.instrument(self.options.name_or(self.names.get(number, f"instrument {number}"))))

    def _order(self, record: Any, instrument: int) -> None:
        action, side, flags = str(record.action), str(record.side), int(record.flags)
        self.feed.order(
            _times(record), instrument, action, side, record.order_id, _price(record.price), record.size, flags
        )

    def _prices(self, record: Any, instrument: int) -> None:
        levels = [(_price(lv.bid_px), int(lv.bid_sz), _price(lv.ask_px), int(lv.ask_sz)) for lv in record.levels]
        action, side = str(record.action), str(record.side)
        price, sequence, flags = _price(record.price), int(record.sequence), int(record.flags)
        self.feed.prices(_times(record), instrument, action, side, price, record.size, levels, sequence, flags)

    def _trade(self, record: Any, instrument: int) -> None:
        self.feed.trade(_times(record), instrument, str(record.side), _price(record.price), record.size)

    def _bar(self, record: Any, instrument: int) -> None:
        prices = (_price(record.open), _price(record.high), _price(record.low), _price(record.close))
        self.feed.bar(_time(record.ts_event), instrument, prices, int(record.volume))


def _times(record: Any) -> tuple[int, int]:
    return _time(record.ts_event), _time(record.ts_recv)


def _time(value: int) -> int:
    if not 0 <= value < MAX_INT64:
        raise RowError("time is undefined")
    return int(value)


def _price(value: int) -> int:
    if value == -(2**63):
        raise RowError("price is out of range")
    return int(value)


FORMAT = Format("databento_dbn", recognise, read)
