"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


@overload
def timestamp(value: datetime) -> str: ...
@overload
def timestamp(value: None) -> None: ...
def timestamp(value: datetime | None) -> str | None:
    """RFC 3339, UTC, always six digits: YYYY-MM-DDTHH:MM:SS.ffffffZ (the leaf's form)."""
    return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
