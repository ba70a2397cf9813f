"""Dates and times as recordings write them, to nanoseconds UTC."""

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from market_models.datasets.formats.blocks import NULL
from market_models.datasets.formats.fixed import RowError

if TYPE_CHECKING:
    import pyarrow as pa

DAY_NS = 86_400_000_000_000
NEW_YORK, SINGAPORE = "America/New_York", "Asia/Singapore"

# (what a text looks like, how it reads in ISO order); %AM is handled after.
_SHAPES = (
    (r"^(\d{4})-(\d\d)-(\d\d)$", r"\1-\2-\3 00:00:00"),
    (r"^(\d{4})(\d\d)$", r"\1-\2-01 00:00:00"),
    (r"^(\d{4})(\d\d)(\d\d)$", r"\1-\2-\3 00:00:00"),
    (r"^(\d{4})(\d\d)(\d\d) (\d\d):(\d\d)(?::(\d\d))?$", r"\1-\2-\3 \4:\5:00"),
    (r"^(\d\d)\.(\d\d)\.(\d{4}) (\d\d:\d\d:\d\d)(\.\d+)?$", r"\3-\2-\1 \4\5"),
    (r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,9})?(?:Z|\+00:?00| UTC)?$", r"\1 \2\3"),
    (r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)$", r"\1 \2:00"),
)
_SLASHES = r"^(\d{1,2})/(\d{1,2})/(\d{4})$"
_HOUR12 = r"^(\d{4}-\d\d-\d\d) (\d\d)-(AM|PM)$"


class Clock:
    """Reads one column of times. The order of day and month in 3/4/2012 is decided once, by the first batch."""

    def __init__(self) -> None:
        self._day_first: bool | None = None

    def to_ns(self, texts: "pa.Array") -> tuple[np.ndarray, np.ndarray]:
        """Return (int64[N] nanoseconds, bool[N] understood)."""
        import pyarrow as pa
        import pyarrow.compute as pc

        text = pc.cast(texts, pa.string(), safe=False) if _is_text(texts) else pa.array([""] * len(texts))
        text = pc.call_function("utf8_trim_whitespace", [text])
        iso = text
        for shape, order in _SHAPES:
            iso = pc.call_function("replace_substring_regex", [iso], pc.ReplaceSubstringOptions(shape, order))
        if self._day_first is None:
            self._day_first = _is_day_first(text)
        order = _pad(iso, self._day_first)
        iso, shift_ns = _from_12_hours(order)
        return _parse(iso, shift_ns)


def parse_iso(value: object) -> int:
    """Return an ISO 8601 time with up to nine decimals as nanoseconds UTC; RowError if it is none."""
    match = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:?00)?", str(value), re.ASCII
    )
    if not match:
        raise RowError("time is not ISO 8601")
    try:
        moment = datetime(*(int(match[i]) for i in range(1, 7)), tzinfo=UTC)  # pyright: ignore[reportArgumentType]
    except ValueError:
        raise RowError("time is not ISO 8601") from None
    total_ns = int(moment.timestamp()) * 1_000_000_000 + int((match[7] or "0").ljust(9, "0"))
    if abs(total_ns) >= 2**63:
        raise RowError("time is out of range")
    return total_ns


def find_date(name: str) -> date | None:
    """Return the first date in a file's name: 2012-06-21, 20131007 or 2014_1_29."""
    for pattern in (
        r"(\d{4})-(\d\d)-(\d\d)",
        r"(?<!\d)(\d{4})(\d\d)(\d\d)(?!\d)",
        r"(\d{4})_(\d{1,2})_(\d{1,2})(?!\d)",
    ):
        for match in re.finditer(pattern, name):
            try:
                found = date(int(match[1]), int(match[2]), int(match[3]))
            except ValueError:
                continue
            if 1900 < found.year < 2200:
                return found
    return None


def midnight_ns(day: date | None, zone: str = "UTC") -> int:
    """Return midnight of the day in the zone as nanoseconds UTC; 0 where the recording has no date."""
    if day is None:
        return 0
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000_000


def _is_text(texts: "pa.Array") -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.cast(texts, pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _is_day_first(text: "pa.Array") -> bool:
    """Decide by a field above 12, else by which order runs forward."""
    parts = [re.fullmatch(_SLASHES, value or "", re.ASCII) for value in text.to_pylist()]
    dates = [(int(m[1]), int(m[2]), int(m[3])) for m in parts if m]
    if any(first > 12 for first, _, _ in dates):
        return not any(second > 12 for _, second, _ in dates)
    if any(second > 12 for _, second, _ in dates):
        return False
    days = [(year, second, first) for first, second, year in dates]
    months = [(year, first, second) for first, second, year in dates]
    return days == sorted(days) and months != sorted(months)


def _pad(text: "pa.Array", day_first: bool) -> "pa.Array":
    import pyarrow.compute as pc

    order = r"\3-0\2-0\1" if day_first else r"\3-0\1-0\2"
    iso = pc.call_function("replace_substring_regex", [text], pc.ReplaceSubstringOptions(_SLASHES, order))
    for shape, keep in ((r"^(\d{4})-0(\d\d)-", r"\1-\2-"), (r"^(\d{4}-\d\d)-0(\d\d)$", r"\1-\2")):
        iso = pc.call_function("replace_substring_regex", [iso], pc.ReplaceSubstringOptions(shape, keep))
    return pc.call_function(
        "replace_substring_regex", [iso], pc.ReplaceSubstringOptions(r"^(\d{4}-\d\d-\d\d)$", r"\1 00:00:00")
    )


def _from_12_hours(text: "pa.Array") -> tuple["pa.Array", np.ndarray]:
    """Read `2019-10-17 09-AM` as a time of day and what is to be added: 12-AM is midnight."""
    import pyarrow.compute as pc

    matches = np.asarray(pc.call_function("match_substring_regex", [text], pc.MatchSubstringOptions(_HOUR12)))
    shift_ns = np.zeros(len(text), np.int64)
    for index in np.flatnonzero(matches):
        _, hour, half = re.fullmatch(_HOUR12, text[int(index)].as_py()).groups()  # pyright: ignore[reportOptionalMemberAccess]
        right = 1 <= int(hour) <= 12
        shift_ns[index] = (int(hour) % 12 + (12 if half == "PM" else 0)) * 3_600_000_000_000 if right else NULL
    iso = pc.call_function("replace_substring_regex", [text], pc.ReplaceSubstringOptions(_HOUR12, r"\1 00:00:00"))
    return iso, shift_ns


def _parse(iso: "pa.Array", shift_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow as pa
    import pyarrow.compute as pc

    shape = pc.MatchSubstringOptions(
        r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]) ([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?$"
    )
    good = np.asarray(pc.call_function("match_substring_regex", [iso], shape)) & (shift_ns != NULL)
    out = np.full(len(iso), NULL, np.int64)
    try:
        values = pc.cast(iso.filter(pa.array(good)), pa.timestamp("ns"))
    except pa.ArrowInvalid:  # a day that no month has, or a year beyond the range: one by one
        return _parse_slowly(iso, shift_ns, good)
    out[good] = np.asarray(pc.cast(values, pa.int64())) + shift_ns[good]
    return out, good


def _parse_slowly(iso: "pa.Array", shift_ns: np.ndarray, good: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    out = np.full(len(iso), NULL, np.int64)
    understood = good.copy()
    for index in np.flatnonzero(good):
        try:
            out[index] = parse_iso(iso[int(index)].as_py()) + int(shift_ns[index])
        except RowError:
            understood[index] = False
    return out, understood
