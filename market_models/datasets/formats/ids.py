"""Trade ids as int64: the venue's number, or 63 bits of the digest of an id that is text."""

import hashlib

from market_models.datasets.formats.blocks import MAX_INT64
from market_models.datasets.formats.fixed import RowError


def trade_number(value: object) -> int:
    """Return the id as an int64; RowError if there is none."""
    if type(value) is int and 0 <= value <= MAX_INT64:
        return value
    if not isinstance(value, str) or not 0 < len(value) <= 256:
        raise RowError("no trade id")
    if value.isascii() and value.isdigit() and int(value[:20]) <= MAX_INT64 and len(value) <= 19:
        return int(value)
    return int.from_bytes(hashlib.sha256(value.encode("utf-8", "replace")).digest()[:8], "big") >> 1
