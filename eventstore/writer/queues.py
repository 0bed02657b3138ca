"""Commands that wait, each tenant's in arrival order, and outcomes on their way back to the callers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from eventstore.records import Envelope, Receipt, Repeated
from eventstore.writer.deciding import Outcome

ANSWERS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of queues and batches, and how long an unknown outcome is pursued."""

    queue_commands: int = 4_096
    queue_bytes: int = 64 << 20
    batch_commands: int = 512
    split_commands: int = 64
    """From so many commands in flight on, a batch has at most half of them (docs/adr/0013-half-is-written.md)."""
    batch_bytes: int = 4 << 20
    lanes: int = 2
    connect_seconds: float = 1.0
    """How long to try to connect while it is known that nothing was committed; then 503."""
    resolve_seconds: float = 10.0
    """How long to pursue an unknown outcome, or a lock that others hold, before 503."""


@dataclass(slots=True)
class Waiting:
    """A command and the future its caller waits for."""

    envelope: Envelope
    answer: asyncio.Future[Receipt | Repeated]

    def give(self, outcome: Outcome) -> None:
        """The command's end."""
        if self.answer.done():  # the waiter went away; the command was carried out all the same
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


@dataclass(slots=True)
class Queue:
    """One tenant's commands in arrival order. `scheduled`: it is in the ready line or a lane works on it."""

    waiting: deque[Waiting] = field(default_factory=deque)
    size: int = 0
    taken: int = 0
    """How many commands the last batch had."""
    scheduled: bool = False

    def take(self, limits: Limits) -> list[Waiting]:
        """The next batch. Of many in flight no more than half: the callers of one half are answered, and send their next
        commands, while the other half is written (docs/adr/0013-half-is-written.md)."""
        batch: list[Waiting] = []
        size, most = 0, limits.batch_commands
        if (in_flight := len(self.waiting) + self.taken) >= limits.split_commands:
            most = min(most, (in_flight + 1) // 2)
        while self.waiting and len(batch) < most:
            size += self.waiting[0].envelope.size
            if batch and size > limits.batch_bytes:
                break
            taken = self.waiting.popleft()
            self.size -= taken.envelope.size
            batch.append(taken)
        self.taken = len(batch)
        return batch


class Answers:
    """Gives callers their outcomes a few at a time, so that the next batch's round trips are not kept waiting for all
    that the callers of the last one do."""

    def __init__(self) -> None:
        self._due: deque[tuple[Waiting, Outcome]] = deque()
        self._none_due = asyncio.Event()
        self._none_due.set()

    async def given(self) -> None:
        """Until every outcome that is due was given."""
        await self._none_due.wait()

    def add(self, outcomes: Iterable[tuple[Waiting, Outcome]]) -> None:
        """These are due: durable, or known to have failed (P6)."""
        idle = not self._due
        self._due.extend(outcomes)
        if idle:
            self._none_due.clear()
            self._give()

    def _give(self) -> None:
        for _ in range(min(ANSWERS_AT_ONCE, len(self._due))):
            waiting, outcome = self._due.popleft()
            waiting.give(outcome)
        if self._due:
            asyncio.get_running_loop().call_soon(self._give)
        else:
            self._none_due.set()
