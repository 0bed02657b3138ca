"""An answer that is sent while it is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from api.answer import Answer, Header

log = logging.getLogger(__name__)


class StreamedAnswer(Answer):
    """A body without a length, in chunks. When the making fails, or the caller hangs up, the last chunk is never sent:
    nobody takes a part for the whole (RFC 9112, section 8)."""

    __slots__ = ("_chunks", "receive")

    def __init__(self, chunks: AsyncGenerator[bytes, None], headers: list[Header], content_type: bytes) -> None:
        super().__init__(200, b"", headers, content_type)
        self._chunks = chunks
        self.receive: Any = None
        """The request's, by which its end is known; set before it is sent."""

    async def send(self, send: Any) -> None:
        """Send as ASGI messages, no faster than they are taken."""
        headers = [(b"content-type", self.content_type), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        sending, leaving = asyncio.ensure_future(self._send(send)), asyncio.ensure_future(self._left())
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not sending.cancelled():
                await sending
        except Exception as error:
            log.error("an answer was broken off: %s", error, exc_info=error)
            return
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Any) -> None:
        async with aclosing(self._chunks) as chunks:
            async for chunk in chunks:
                if chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _left(self) -> None:
        """Until the caller hangs up."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
