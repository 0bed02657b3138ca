"""An answer, serialised once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Header = tuple[bytes, bytes]

SECURITY_HEADERS = (
    b"x-content-type-options: nosniff\r\n"
    b"content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
    b"referrer-policy: no-referrer\r\n"
)
"""Of every answer, those of the HTTP layer included: no browser runs, frames or guesses at what comes from here."""

NO_STORE: Header = (b"cache-control", b"no-store")
"""Nothing keeps the answer: most hold personal data."""
REVALIDATED: Header = (b"cache-control", b"private, no-cache")
"""The caller may keep the answer, and asks each time whether it is still current (If-None-Match)."""


@dataclass(slots=True)
class Answer:
    """Status, body bytes and headers, sent as they are."""

    status: int
    body: bytes
    headers: list[Header] = field(default_factory=list)
    content_type: bytes = b"application/json"
    kept: Header | None = None
    """Who may keep the answer and how long, where it is not what the route says."""

    async def send(self, send: Any) -> None:
        """Send as ASGI messages."""
        headers = self.headers
        if self.status != 304:
            headers = [
                (b"content-type", self.content_type),
                (b"content-length", b"%d" % len(self.body)),
                *headers,
            ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})
