"""Tasks through a writer: created, claimed, given back, as the API's commands do it."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from domain import task, task_events
from eventstore.ids import RandomIds
from eventstore.records import Command, Envelope, Receipt, Sealing
from eventstore.vault.keys import DataKey
from eventstore.vault.vault import Vault, seal
from eventstore.writer.writer import Writer
from projections.claimable_tasks import ClaimableTasks
from tests.eventstore.writer.harness import TENANT, envelope

CLIENT = "worklist-client"
AGENT = "worklist_agent"

_ids = RandomIds()
_numbers = itertools.count(1)


def plain(vault: Vault, command: Command, *, key: str | None = None) -> Envelope:
    """A command without personal values."""
    command_id = _ids()
    kind = "internal" if key is None else "caller"
    return Envelope(
        tenant_id=TENANT,
        actor="user:test",
        command=command,
        command_id=command_id,
        idempotency_key=vault.idempotency_key(TENANT, "user:test", kind, key or command_id),
        request_hash=vault.request_hash(TENANT, repr(command).encode()),
        correlation_id=command_id,
    )


def creating(vault: Vault, agent_name: str, priority: int) -> Envelope:
    """A new task for CLIENT."""
    task_id = str(uuid.UUID(int=next(_numbers)))

    def build(key: DataKey) -> Command:
        return task.CreateTask(task_id, CLIENT, agent_name, seal(key, TENANT, "task.payload", b"{}"), priority)

    found = plain(vault, task.ClaimTasks("", 1, 60))
    found.sealing = Sealing(CLIENT, vault.key_for_sealing(TENANT, CLIENT), build, task_id.encode())
    found.command, found.request_hash = found.sealing.bind(found.sealing.key)
    return found


class Worklist:
    """One process's way to the tasks of AGENT."""

    def __init__(self, writer: Writer, vault: Vault) -> None:
        self.writer = writer
        self.vault = vault

    async def onboard(self) -> None:
        """Record CLIENT."""
        await self.writer.submit(envelope(self.vault, CLIENT))

    async def create(self, *priorities: int, agent_name: str = AGENT) -> list[str]:
        """Ids of new tasks with these priorities, oldest first."""
        receipts = [await self.submit(creating(self.vault, agent_name, priority)) for priority in priorities]
        return [receipt.events[0].event.task_id for receipt in receipts]

    async def claim(self, limit: int = 1, *, key: str | None = None) -> dict[str, str]:
        """What a claim gives: task id to token, in order."""
        receipt = await self.submit(plain(self.vault, task.ClaimTasks(AGENT, limit, 3600), key=key))
        events = [event for event in receipt.events if isinstance(event.event, task_events.TaskClaimed)]
        return {event.event.task_id: event.event_id for event in events}

    async def release(self, task_id: str, token: str) -> None:
        """Give a task back."""
        await self.submit(plain(self.vault, task.ReleaseTask(task_id, token, None)))

    async def cancel(self, task_id: str) -> None:
        """Nobody needs it."""
        await self.submit(plain(self.vault, task.CancelTask(task_id, None)))

    async def submit(self, command: Envelope) -> Receipt:
        """The command's receipt."""
        answer = await self.writer.submit(command)
        assert isinstance(answer, Receipt)
        return answer


class CountingQueues(ClaimableTasks):
    """The product's selection, which counts how often its queue was restored."""

    restores = 0

    def queue(self) -> Any:
        self.restores += 1
        return super().queue()
