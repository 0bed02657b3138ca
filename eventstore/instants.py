"""Times that a caller wrote, as instants of the log's precision: a microsecond."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

# After decoding a query string, a '+' that was not percent-encoded is a space.
_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):([0-5]\d|60)(?:\.(\d{1,32}))?"
    r"(?:[Zz]|(?P<sign>[+\- ])(?P<hours>[01]\d|2[0-3]):(?P<minutes>[0-5]\d))",
    re.ASCII,
)


def instant(text: str, *, up: bool) -> datetime:
    """An RFC 3339 time with its offset, in UTC; finer fractions than a microsecond go up or down.

    The log's times are whole microseconds, so a time rounded up begins and ends a range exactly where the finer one
    would. Raises ValueError.
    """
    found = _RFC_3339.fullmatch(text)
    if found is None:
        raise ValueError("must be an RFC 3339 time with an offset, such as 2026-01-31T09:00:00Z")
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    fraction = (found[7] or "").ljust(6, "0")
    microseconds = int(fraction[:6]) + (up and bool(fraction[6:].strip("0")))
    offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    try:
        start = datetime(year, month, day, hour, minute, tzinfo=UTC)
        return (
            start + timedelta(seconds=second, microseconds=microseconds) - (offset if found["sign"] != "-" else -offset)
        )
    except (ValueError, OverflowError):
        raise ValueError("must be a time that exists, in the years 1 to 9999") from None
