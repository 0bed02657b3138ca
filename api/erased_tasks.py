"""The open tasks of people who were erased: nobody can work on them any more, so they are cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from api.leases import ACTOR, EVERY_SECONDS, TASKS_AT_ONCE
from domain.task import CancelTask
from eventstore.errors import CommandRefused, StoreError
from eventstore.vault.vault import Vault
from eventstore.writer.internal import InternalCommands
from projections.queries import Queries

log = logging.getLogger(__name__)


class ErasedTasks:
    """Follows the erasures of a tenant, this process's and others'. Several processes may do so: it is decided under the
    lock. No key of an erased person stays in memory longer than a turn."""

    def __init__(
        self, tenant_id: str, queries: Queries, internal: InternalCommands, vault: Vault, head: Callable[[], int]
    ) -> None:
        self._tenant_id = tenant_id
        self._queries = queries
        self._internal = internal
        self._vault = vault
        self._head = head
        self._seen = 0
        self._after = 0

    async def run(self) -> None:
        """Follow for ever; what stands in the way is logged, and tried again at the next turn."""
        failing = more = False
        while True:
            try:
                more = await self.turn() if more or failing or self._moved() else False
                failing = False
            except StoreError as error:
                more = False
                if not failing:
                    log.warning("open tasks of erased clients wait to be cancelled: %s", error)
                failing = True
            if not more:
                await asyncio.sleep(EVERY_SECONDS)

    def _moved(self) -> bool:
        """Whether the log may have grown; nobody who follows it says where it ends: 0, which tells nothing."""
        before, self._seen = self._seen, self._head()
        return self._seen == 0 or self._seen != before

    async def turn(self) -> bool:
        """Cancel what is open; whether there may be more. Raises StoreError."""
        erased, task_ids = await self._queries.erased_since(self._tenant_id, self._after, TASKS_AT_ONCE)
        for subject in erased:
            self._vault.forget(self._tenant_id, subject)
        if task_ids:
            results = await asyncio.gather(*map(self._cancel, task_ids), return_exceptions=True)
            for error in results:
                if isinstance(error, BaseException) and not isinstance(error, CommandRefused):
                    raise error
            return True
        self._after = max(erased.values(), default=self._after)
        return bool(erased)

    async def _cancel(self, task_id: str) -> None:
        await self._internal.submit(self._tenant_id, ACTOR, CancelTask(task_id, None))
