"""Cursors of lists: opaque, and each good for its own list only."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from urllib.parse import urlencode

from api.problems import invalid
from eventstore.reading import MAX_POSITION

_CURSOR = re.compile(r"([0-9]{1,19})\.([0-9a-f]{16})", re.ASCII)

Filters = Sequence[tuple[str, str]]
"""What makes a list the list it is: its path and its parameters, cursor and limit aside."""


def _digest(path: str, filters: Filters) -> str:
    return hashlib.blake2b(f"{path}?{urlencode(filters)}".encode(), digest_size=8).hexdigest()


def write(place: int, path: str, filters: Filters) -> str:
    """The cursor of the list's page that begins after `place`."""
    return base64.urlsafe_b64encode(f"{place}.{_digest(path, filters)}".encode()).decode().rstrip("=")


def read(cursor: str | None, path: str, filters: Filters) -> int | None:
    """The place a cursor stands for. Raises Problem (422) for one that this list did not give."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii", "replace") + b"=" * (-len(cursor) % 4)
        found = _CURSOR.fullmatch(base64.b64decode(padded, altchars=b"-_", validate=True).decode())
    except ValueError:
        found = None
    if found is None or found[2] != _digest(path, filters) or int(found[1]) > MAX_POSITION:
        raise invalid({"parameter": "cursor", "message": "is not a cursor of this list"})
    return int(found[1])


def link(path: str, parameters: Filters) -> tuple[bytes, bytes]:
    """The Link header (RFC 8288) to the next page."""
    return b"link", f'<{path}?{urlencode(parameters)}>; rel="next"'.encode("ascii")
