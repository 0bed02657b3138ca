"""The access log: who was shown personal data of whom, and why; and who was refused. Events of the tenant's own log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from api.identity.caller import Caller
from domain.administration import RecordAccess, RecordRefusal, grouped
from eventstore.errors import StoreError
from eventstore.records import Command
from eventstore.writer.internal import InternalCommands

log = logging.getLogger(__name__)

REFUSALS_EVERY = 60.0
"""Seconds between two recorded refusals of somebody's one credential at one route."""
REMEMBERED = 10_000


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

    def recorded(self, caller: Caller) -> bool:
        """Whether what this caller reads is recorded."""
        return self._everybody or caller.credential is not None

    async def read(
        self,
        caller: Caller,
        actor: str,
        route: str,
        clients: Iterable[str],
        purpose: str | None,
        correlation_id: str | None,
    ) -> None:
        """Record that the clients' data is about to be shown; when this returns, it is durable. Raises StoreError."""
        each_once = list(dict.fromkeys(clients))
        for group in grouped(each_once) if each_once else []:
            await self._submit(caller, actor, RecordAccess(route, group, purpose, caller.credential), correlation_id)

    async def refused(
        self, caller: Caller, actor: str, route: str, status: int, reason: str, correlation_id: str | None
    ) -> None:
        """Record a refusal, at most one a minute for somebody's credential and a route. What prevents it is logged: the caller
        is refused all the same."""
        who, now = (caller.tenant_id, caller.credential, caller.principal, route), self._clock()
        if not self.recorded(caller) or now - self._refused.get(who, float("-inf")) < REFUSALS_EVERY:
            return
        self._refused.pop(who, None)
        self._refused[who] = now
        if len(self._refused) > REMEMBERED:
            del self._refused[next(iter(self._refused))]
        command = RecordRefusal(route, status, reason, caller.credential)
        try:
            await self._submit(caller, actor, command, correlation_id)
        except StoreError as error:
            log.warning("a refusal could not be recorded: %s", error)

    async def _submit(self, caller: Caller, actor: str, command: Command, correlation_id: str | None) -> None:
        await self._internal.submit(
            caller.tenant_id, actor, command, correlation_id=correlation_id, on_behalf_of=caller.on_behalf_of
        )
