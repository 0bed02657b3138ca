"""The key set of an issuer (RFC 7517): read when it is needed, by one reading at a time, and not too often."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import jwt
import orjson

log = logging.getLogger(__name__)

KEYS_FRESH_SECONDS = 600.0
"""What is older is believed only if it cannot be read again; at half of that it is read again while it still holds."""
KEYS_AGAIN_SECONDS = 10.0
"""So often at most it is read again because of a key it did not have, or because it could not be read."""
KEYS_HOLD_SECONDS = 3600.0
"""An issuer that cannot be read for longer is not believed any more: it may have withdrawn a key."""
READ_SECONDS = 5.0
MOST_BYTES = 1 << 20


class KeySetUnreadable(Exception):
    """There is no key set that may be believed."""


class KeySet:
    """The keys at a URL or in a file."""

    def __init__(self, place: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock
        self._keys: list[jwt.PyJWK] = []
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def key(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of that id; without an id, the only key there is. Raises KeySetUnreadable.

        Whoever names a key that is there and fresh does not wait for a reading, however slow the issuer is.
        """
        age = self._clock() - self._read_at
        found = self._named(kid)
        if (found is None or age > KEYS_FRESH_SECONDS / 2) and self._may_read():
            self._reading = asyncio.create_task(self._read(), name="key-set")
        if (found is None or age > KEYS_FRESH_SECONDS) and self._reading is not None:
            await asyncio.shield(self._reading)
            found = self._named(kid)
        if self._clock() - self._read_at > KEYS_HOLD_SECONDS:
            raise KeySetUnreadable
        return found

    @property
    def believed_until(self) -> float:
        """Until when, by the clock, what the keys verified now need not be verified again."""
        return max(self._read_at + KEYS_FRESH_SECONDS, self._clock() + KEYS_AGAIN_SECONDS)

    def _named(self, kid: str | None) -> jwt.PyJWK | None:
        named = self._keys if kid is None else [key for key in self._keys if key.key_id == kid]
        return named[0] if len(named) == 1 else None

    def _may_read(self) -> bool:
        return self._reading is None and self._clock() - self._tried_at > KEYS_AGAIN_SECONDS

    async def _read(self) -> None:
        """Never raises: what was read before stays, and grows old."""
        self._tried_at = started = self._clock()
        try:
            async with asyncio.timeout(READ_SECONDS):
                content = await _content(self._place)
            self._keys = jwt.PyJWKSet.from_dict(orjson.loads(content)).keys
            self._read_at = started
        except Exception as error:  # whatever the place holds instead of keys
            log.warning("the issuer's key set could not be read: %s", type(error).__name__)
        finally:
            self._reading = None


async def _content(place: str) -> bytes:
    """What is there. Raises OSError, httpx.HTTPError, httpx.InvalidURL, ValueError."""
    if not place.startswith(("https://", "http://")):
        return await asyncio.to_thread(Path(place).read_bytes)
    async with (
        httpx.AsyncClient(timeout=READ_SECONDS, follow_redirects=False) as client,
        client.stream("GET", place) as answer,
    ):
        answer.raise_for_status()
        content = b""
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > MOST_BYTES:
                raise ValueError("this is no key set")
        return content
