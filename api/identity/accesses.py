"""The access log: who was shown personal data of whom, and why; and who was refused. Events of the tenant's own log.

A read of one person's data, an export, the entries of a log: recorded, durably, before the answer is sent. A list of several
people's is one event (or a few) that is handed to the writer before the answer, and not waited for: a process that is killed
loses at most what it handed over within `LATE_SECONDS`, and never more than `LATE_LISTS` answers. These are the last it gave; where
the database held up their records, no list was shown since.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from api.identity.caller import Caller
from domain.administration import RecordAccess, RecordRefusal, grouped
from eventstore.errors import StoreError
from eventstore.records import Command
from eventstore.writer.internal import InternalCommands

log = logging.getLogger(__name__)

REFUSALS_EVERY = 60.0
"""Seconds between two recorded refusals of somebody's one credential at one route."""
REMEMBERED = 10_000
LATE_SECONDS = 1.0
LATE_LISTS = 64
"""How long, and for how many lists of a process, the record may be under way after the answer. Beyond it, and after a record that
failed, a list waits for its own."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for what: what every record of it says."""

    caller: Caller
    actor: str
    """The caller's, with the version that an agent states."""
    route: str
    correlation_id: str | None


class Accesses:
    """Records accesses before they are answered, and refusals, each through the writer; `everybody`: also of the local
    operator, whom nothing proves."""

    def __init__(
        self, internal: InternalCommands, *, everybody: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._internal = internal
        self._everybody = everybody
        self._clock = clock
        self._refused: dict[tuple[str, str | None, str, str], float] = {}
        self._late: dict[asyncio.Task[None], float] = {}
        self._failed = False

    def recorded(self, caller: Caller) -> bool:
        """Whether what this caller reads is recorded."""
        return self._everybody or caller.credential is not None

    async def read(self, asked: Asked, clients: Iterable[str], purpose: str | None) -> None:
        """Record that the clients' data is about to be shown; when this returns, it is durable. Raises StoreError."""
        each_once = list(dict.fromkeys(clients))
        for group in grouped(each_once) if each_once else []:
            await self._submit(asked, RecordAccess(asked.route, group, purpose, asked.caller.credential))

    async def listed(self, asked: Asked, clients: Iterable[str], purpose: str | None) -> None:
        """As `read` for a list; durable at the latest when the bound says. Raises StoreError."""
        each_once = list(dict.fromkeys(clients))
        recording = asyncio.create_task(self.read(asked, each_once, purpose))
        await asyncio.sleep(0)  # by now the writer has taken it, or refused
        if recording.done() or len(each_once) == 1 or self._must_wait():
            await asyncio.shield(recording)
            self._failed = False
        else:
            self._late[recording] = self._clock()
            recording.add_done_callback(self._recorded)

    def _must_wait(self) -> bool:
        oldest = next(iter(self._late.values()), self._clock())
        return self._failed or len(self._late) >= LATE_LISTS or self._clock() - oldest > LATE_SECONDS

    def _recorded(self, recording: asyncio.Task[None]) -> None:
        del self._late[recording]
        if recording.cancelled() or (error := recording.exception()) is None:
            return
        self._failed = True
        log.error("a list was shown and its record failed: %s", error)

    async def settle(self) -> None:
        """Until every record that is under way has ended."""
        while self._late:
            await asyncio.wait(list(self._late))

    async def refused(self, asked: Asked, status: int, reason: str) -> None:
        """Record a refusal, at most one a minute for somebody's credential and a route. What prevents it is logged: the caller
        is refused all the same."""
        caller, now = asked.caller, self._clock()
        who = (caller.tenant_id, caller.credential, caller.principal, asked.route)
        if not self.recorded(caller) or now - self._refused.get(who, float("-inf")) < REFUSALS_EVERY:
            return
        self._refused.pop(who, None)
        self._refused[who] = now
        if len(self._refused) > REMEMBERED:
            del self._refused[next(iter(self._refused))]
        try:
            await self._submit(asked, RecordRefusal(asked.route, status, reason, caller.credential))
        except StoreError as error:
            log.warning("a refusal could not be recorded: %s", error)

    async def _submit(self, asked: Asked, command: Command) -> None:
        await self._internal.submit(
            asked.caller.tenant_id,
            asked.actor,
            command,
            correlation_id=asked.correlation_id,
            on_behalf_of=asked.caller.on_behalf_of,
        )
