"""Bodies of requests on their way in: bounded each, and all together."""

from __future__ import annotations

from asyncio import Lock
from typing import Any

from api.problems import Problem

MAX_BODY_BYTES = 1 << 20
MAX_DRAINED_BYTES = 32 << 20
"""How much of a body that is too large is still taken, so that its sender is there to read the answer."""
SMALL_BODY_BYTES = 64 << 10
KEPT_FOR_SMALL = 4
"""One part in so many of the room for bodies is for small ones: large ones that come slowly cannot shut everybody out."""


class Disconnected(Exception):
    """The client went away before its request was whole; nobody is left to answer."""


class Bodies:
    """Counts the bytes of bodies that are being received."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._large = most - most // KEPT_FOR_SMALL
        self.held = 0
        self.turn = Lock()
        """Large bodies are read one by one: each may take a tenth of a second, in which nobody else is served."""

    def take(self, had: int, more: int) -> bool:
        """Whether there is room for `more` bytes of a body that had so many; if so they count from now on."""
        held = self.held + more
        if more and held > (self._most if had + more <= SMALL_BODY_BYTES else self._large):
            return False
        self.held = held
        return True

    def give_back(self, size: int) -> None:
        """So many bytes are held no longer."""
        self.held -= size

    async def take_in(self, receive: Any, announced: int) -> tuple[bytes, int]:
        """The body that ASGI's `receive` gives, and the room it has, to be given back. `announced` is its Content-Length or 0.

        One that is too large, or for which there is no room, is taken and thrown away. Raises Problem (413, 503),
        Disconnected.
        """
        chunks, held, size, more, room = list[bytes](), 0, 0, True, True
        try:
            while more and size <= MAX_DRAINED_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                chunk, more = message.get("body", b""), message.get("more_body", False)
                size += len(chunk)
                if room and max(size, announced) <= MAX_BODY_BYTES:
                    # A small body counts as it comes, a larger one as a whole: else many would get half their room.
                    wanted = size if size <= SMALL_BODY_BYTES else announced or MAX_BODY_BYTES
                    room = self.take(held, wanted - held)
                    if room:
                        chunks.append(chunk)
                        held = wanted
                elif chunks:
                    chunks.clear()
                    self.give_back(held)
                    held = 0
            if (size := max(size, announced)) > MAX_BODY_BYTES:
                raise Problem("body-too-large", limit=MAX_BODY_BYTES, size=size, headers={"connection": "close"})
            if not room:
                raise Problem("overloaded", "Too many bodies are being received")
        except BaseException:
            self.give_back(held)
            raise
        return (chunks[0] if len(chunks) == 1 else b"".join(chunks)), held
