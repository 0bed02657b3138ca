"""The queue of tasks that can be claimed: a fold over all task streams of a tenant, kept in memory.

What a claim asks for (an agent's tasks by priority, then age) would rescan an index that every claim changes; the fold
answers from memory, whatever else the database is doing.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator
from datetime import datetime, timedelta

from domain import task_events as task
from domain.decider import Recorded

Rank = tuple[int, int]
"""Priority, then the position it was created at."""


class _Entry:
    """An open task; `lease_expires_at` is None while it is pending."""

    __slots__ = ("agent_name", "lease_expires_at", "rank")

    def __init__(self, agent_name: str, rank: Rank, lease_expires_at: datetime | None) -> None:
        self.agent_name = agent_name
        self.rank = rank
        self.lease_expires_at = lease_expires_at


class TaskQueue:
    """Open tasks. Which of them can be claimed depends on the clock, so it is said when asked; the clock that is asked
    with must not go back."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        # Heaps whose items stand for an entry only while they agree with it; the others are dropped when met.
        self._claimable: dict[str, list[tuple[Rank, str]]] = {}
        self._leases: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, stream: str, agent_name: str, rank: Rank, lease_expires_at: datetime | None) -> None:
        """Take in an open task, pending or claimed until `lease_expires_at`."""
        entry = self._entries[stream] = _Entry(agent_name, rank, lease_expires_at)
        self._place(stream, entry)

    def _place(self, stream: str, entry: _Entry) -> None:
        if entry.lease_expires_at is None:
            heapq.heappush(self._claimable.setdefault(entry.agent_name, []), (entry.rank, stream))
        else:
            heapq.heappush(self._leases, (entry.lease_expires_at, stream))

    def drop(self, stream: str) -> None:
        """Leave the task out."""
        self._entries.pop(stream, None)

    def evolve(self, stream: str, recorded: Recorded[task.TaskEvent]) -> None:
        """Fold in the next event of a task."""
        event = recorded.event
        if isinstance(event, task.TaskCreated):
            self.put(stream, event.agent_name, (event.priority, recorded.position), None)
            return
        entry = self._entries.get(stream)
        if entry is None or isinstance(event, task.TaskCompletionRejected):
            return
        match event:
            case task.TaskClaimed():
                entry.lease_expires_at = recorded.recorded_at + timedelta(seconds=event.lease_seconds)
                self._place(stream, entry)
            case task.TaskReleased() | task.TaskLeaseExpired():
                entry.lease_expires_at = None
                self._place(stream, entry)
            case _:  # it has ended
                del self._entries[stream]

    def claimable(self, agent_name: str, now: datetime) -> Generator[str]:
        """The streams that the agent can claim at `now`, in order. To be closed before the queue changes."""
        self._lapse(now)
        heap = self._claimable.get(agent_name, [])
        met: list[tuple[Rank, str]] = []
        try:
            while heap:
                item = heapq.heappop(heap)
                if self._is_claimable(item[1], now) and (not met or met[-1] != item):
                    met.append(item)
                    yield item[1]
        finally:
            for item in met:
                heapq.heappush(heap, item)

    def _is_claimable(self, stream: str, now: datetime) -> bool:
        entry = self._entries.get(stream)
        return entry is not None and (entry.lease_expires_at is None or entry.lease_expires_at <= now)

    def _lapse(self, now: datetime) -> None:
        """Leases that are over by now make their tasks claimable."""
        while self._leases and self._leases[0][0] <= now:
            expires_at, stream = heapq.heappop(self._leases)
            entry = self._entries.get(stream)
            if entry is not None and entry.lease_expires_at == expires_at:
                heapq.heappush(self._claimable.setdefault(entry.agent_name, []), (entry.rank, stream))
