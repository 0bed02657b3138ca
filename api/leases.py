"""Leases that ran out are taken back by the server, without any worker's help."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from domain.task import ExpireLeases
from eventstore.errors import StoreError
from eventstore.writer.internal import InternalCommands
from projections.queries import Queries

log = logging.getLogger(__name__)

ACTOR = "system:fidelog"
EVERY_SECONDS = 1.0
TASKS_AT_ONCE = 100
LOOK_BACK = timedelta(minutes=1)
"""A turn that left nothing over need not look there again: a lease begins seconds before it ends, so none appears there
later (what the index keeps of ended leases is not read at every turn). The minute allows for a clock that was set back."""

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


class LeaseSweep:
    """Looks for leases that are over and takes them back. Several processes may do so: it is decided under the lock."""

    def __init__(self, tenant_id: str, queries: Queries, internal: InternalCommands) -> None:
        self._tenant_id = tenant_id
        self._queries = queries
        self._internal = internal
        self._after = BEGINNING

    async def run(self) -> None:
        """Sweep for ever; what stands in the way is logged, and tried again at the next turn."""
        failing = False
        while True:
            try:
                full = await self.turn()
                failing = False
            except StoreError as error:
                full = False
                if not failing:
                    log.warning("leases that ran out wait to be taken back: %s", error)
                failing = True
            if not full:
                await asyncio.sleep(EVERY_SECONDS)

    async def turn(self) -> bool:
        """Take back what is over now; whether there may be more. Raises StoreError."""
        now, task_ids = await self._queries.leases_over(self._tenant_id, self._after, TASKS_AT_ONCE)
        if task_ids:
            await self._internal.submit(self._tenant_id, ACTOR, ExpireLeases(tuple(task_ids)))
        full = len(task_ids) == TASKS_AT_ONCE
        if not full:
            self._after = now - LOOK_BACK
        return full
