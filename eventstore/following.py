"""Whatever follows a tenant's log in turns: how far it has got, why it stands still, when its next turn begins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


class Following:
    """Follows one tenant's log under `name`. `every` and `rest` are the longest and the shortest time from one turn to
    the next, in seconds, while it keeps up; a wake-up only shortens the wait, and missing one loses nothing."""

    def __init__(self, name: str, tenant_id: str, *, every: float, rest: float) -> None:
        self.name = name
        self.tenant_id = tenant_id
        self.position = 0
        """The last event handled, as far as this process knows."""
        self.head = 0
        """The newest event, as of the last turn."""
        self.fault: str | None = None
        """Why it stands still, if it does: nothing of what an event holds."""
        self.turns = 0
        self.wakes: tuple[Following, ...] = ()
        """Others of the same log, which need not look for themselves while this one does."""
        self._every = every
        self._rest = rest
        self._wake = asyncio.Event()
        self._turned = asyncio.Event()
        self._waiting = 0
        self._ended = False

    @property
    def lag(self) -> int:
        """Events not yet handled."""
        return self.head - self.position

    def wake(self) -> None:
        """Shorten the wait: there is something new."""
        self._wake.set()

    async def until(self, reached: Callable[[], bool], seconds: float) -> bool:
        """Wait until `reached()`, asked after every turn, at most so long; whether it came true.

        Meanwhile turns follow each other at the shortest interval, however many wait.
        """
        self._waiting += 1
        self.wake()
        try:
            async with asyncio.timeout(seconds):
                while not (reached() or self._ended):
                    await self._turned.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
        return reached()

    async def first_turn(self, seconds: float) -> None:
        """Wait until `position` and `head` were read, at most so long."""
        await self.until(lambda: self.turns > 0, seconds)

    def end_waits(self) -> None:
        """Nobody waits any longer, now or later: the server stops."""
        self._ended = True
        self._turned.set()

    def _reached(self, position: int) -> None:
        """The log may have grown since the look, and another process got further."""
        self.position, self.head = position, max(self.head, position)

    def _tell(self) -> None:
        """Whoever waits looks again."""
        self.turns += 1
        self._turned.set()
        if not self._ended:
            self._turned = asyncio.Event()

    async def _pause(self, rest: float | None = None) -> None:
        """Until the next turn; `rest` in place of the shortest time."""
        rest = self._rest if rest is None else rest
        await asyncio.sleep(rest)
        if self._waiting and not self._ended:
            return
        try:
            async with asyncio.timeout(max(self._every - rest, 0)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _stand(self, error: Exception, where: str, *, trace: bool = True) -> str:
        """Keep the fault, and log it once: in one line where the kind of error and its text say enough."""
        fault = f"{type(error).__name__} {where}"
        if fault != self.fault:
            text = "" if trace else f": {str(error).partition(chr(10))[0]}"
            log.error("tail %s stands still: %s%s", self.name, fault, text, exc_info=error if trace else None)
        self.fault = fault
        return fault
