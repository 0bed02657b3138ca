"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload

import orjson


@overload
def timestamp(value: datetime) -> str: ...
@overload
def timestamp(value: None) -> None: ...
def timestamp(value: datetime | None) -> str | None:
    """RFC 3339, UTC, always six digits: YYYY-MM-DDTHH:MM:SS.ffffffZ (the leaf's form)."""
    if value is None:
        return None
    instant = value if value.tzinfo is UTC else value.astimezone(UTC)
    if instant.microsecond:  # orjson leaves out six zeros; it takes a fifth of the time
        return orjson.dumps(instant, option=orjson.OPT_UTC_Z)[1:-1].decode()
    return instant.isoformat(timespec="microseconds")[:-6] + "Z"
