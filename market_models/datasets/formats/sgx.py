"""SGX best levels as text: a line `TimeStamp,<local time>`, then up to three lines bid, size, ask, size.

Prices are index points x 100; times are Singapore's, as kdb writes them (2014-01-29D04:24:59.489814800). A record is
one book: its time and its levels.
"""

from functools import partial

from market_models.datasets.formats.blocks import NULL
from market_models.datasets.formats.fixed import RowError, to_fixed
from market_models.datasets.formats.format import Format, ImportOptions
from market_models.datasets.formats.records import take
from market_models.datasets.formats.sink import Sink
from market_models.datasets.formats.source import Source, lines
from market_models.datasets.formats.times import parse_iso

_HEADER = b"Bid,Bid_Quantity,Ask,Ask_Quantity"
_ZONE_NS = 8 * 3_600_000_000_000  # Singapore has had no other offset since 1982
_MAX_LEVELS = 20


def recognise(source: Source) -> bool:
    """The header over a time line."""
    return source.head.startswith(_HEADER) and source.head[len(_HEADER) :].lstrip().startswith(b"TimeStamp,")


def read(source: Source, sink: Sink, options: ImportOptions) -> None:
    """Read block by block."""
    instrument = sink.instrument(options.name_or("CN"))
    with source.opened() as stream:
        block: list[bytes] = []
        for number, line in enumerate(lines(source.path, stream)):
            if number == 0 and line.strip() == _HEADER:
                continue
            if line.startswith(b"TimeStamp,") and block:
                _take(sink, instrument, block)
                block = []
            if len(block) <= _MAX_LEVELS:
                block.append(line)
        if block:
            _take(sink, instrument, block)


def _take(sink: Sink, instrument: int, block: list[bytes]) -> None:
    sink.report.rows += 1
    take(sink, partial(_book, sink, instrument, block))


def _book(sink: Sink, instrument: int, block: list[bytes]) -> None:
    word, _, stamp = block[0].decode("ascii", "replace").partition(",")
    if word != "TimeStamp":
        raise RowError("levels without a time")
    if len(block) > _MAX_LEVELS:
        raise RowError("too many levels")
    time_ns = parse_iso(stamp.replace("D", "T")) - _ZONE_NS
    best: list[int | None] = [None, None]
    for line in block[1:]:
        cells = line.decode("ascii", "replace").split(",")
        if len(cells) != 4:
            raise RowError("wrong number of columns")
        for side in (0, 1):
            price_text, size_text = cells[2 * side], cells[2 * side + 1]
            if price_text in ("", "nan") or size_text in ("", "nan"):
                continue
            price, _ = to_fixed(price_text, 7, "price")  # x 100
            size = sink.report.size(size_text)
            if size < 0:
                raise RowError("size is negative")
            if size:
                sink.add("levels", time_ns, NULL, instrument, time_ns, 1, side, price, size)
                best[side] = price if best[side] is None else best[side]
    sink.commit(time_ns)
    sink.report.judge(best[0], best[1])


FORMAT = Format("sgx", recognise, read)
