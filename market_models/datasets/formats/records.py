"""JSON as recordings hold it: decimal numbers stay text, elements of one huge array come one at a time."""

import codecs
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from market_models.datasets.errors import DataError
from market_models.datasets.formats.fixed import RowError
from market_models.datasets.formats.sink import Sink

MAX_ELEMENT_CHARS = 1 << 26
_CHUNK = 1 << 18
# What reading a value of the wrong shape raises; each is the record's fault, never ours to die of.
MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, ArithmeticError)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_float=str, parse_constant=_no_constant)


def parse(text: bytes | str) -> Any:
    """Return the JSON value, floats as their text; RowError if it is not JSON."""
    try:
        return _DECODER.decode(text.decode("utf-8") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError):
        raise RowError("not JSON") from None


def take(sink: Sink, record: Callable[[], None]) -> None:
    """Run one record: it commits or skips itself; whatever is wrong with it quarantines it."""
    try:
        record()
    except RowError as error:
        sink.quarantine(str(error))
    except MALFORMED:
        sink.quarantine("fields are missing or of the wrong type")


def array_elements(name: object, stream: BinaryIO) -> Iterator[Any]:
    """Yield the elements of one JSON array without holding it whole.

    DataError where it is not a JSON array, ends early, or goes on after its end.
    """
    text = _Text(name, stream)
    text.expect("[")
    if text.next_is("]"):
        text.finish()
        return
    while True:
        yield text.element()
        if text.next_is("]"):
            text.finish()
            return
        text.expect(",")


class _Text:
    """A window of decoded text that grows while an element is incomplete."""

    def __init__(self, name: object, stream: BinaryIO) -> None:
        self._name, self._stream = name, stream
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at, self._ended, self._before = "", 0, False, 0

    def element(self) -> Any:
        self._skip_space()
        want = _CHUNK
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            except (ValueError, RecursionError) as error:
                if self._ended or len(self._text) - self._at > MAX_ELEMENT_CHARS:
                    raise self._error("not JSON, or cut short") from error
            self._more(want)
            want *= 2

    def expect(self, sign: str) -> None:
        if not self.next_is(sign):
            raise self._error(f"there is no {sign!r} where one is expected: not a whole JSON array")

    def next_is(self, sign: str) -> bool:
        self._skip_space()
        if self._text[self._at : self._at + 1] != sign:
            return False
        self._at += 1
        return True

    def finish(self) -> None:
        self._skip_space()
        if self._at < len(self._text):
            raise self._error("text follows the end of the array")

    def _skip_space(self) -> None:
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text) or self._ended:
                return
            self._more(_CHUNK)

    def _more(self, size: int) -> None:
        data = self._stream.read(size)
        self._ended = not data
        try:
            fresh = self._decode.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise self._error("not UTF-8") from error
        self._before += self._at
        self._text, self._at = self._text[self._at :] + fresh, 0

    def _error(self, reason: str) -> DataError:
        return DataError(self._name, 0, f"character {self._before + self._at}: {reason}")
