"""One round of job lifecycles through a queue in Python, as bench/peers/node/lifecycles.mjs does it in Node."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

WARM_UP_SECONDS = 1.0
DRAIN_SECONDS = 60.0
POLL_SECONDS = 0.01

order: dict[str, Any] = json.loads(sys.argv[1])
"""url, seconds, in_flight (enqueuing calls at once), open (jobs open at once, at most), payload."""


class Round:
    """Enqueues and counts. A job counts when its completion is in the tables, which `completed` asks."""

    def __init__(self, enqueue: Callable[[], Awaitable[object]], completed: Callable[[], Awaitable[int]]) -> None:
        self._enqueue = enqueue
        self._completed = completed
        self._slots = asyncio.Semaphore(order["open"])
        self._times: list[float] = []

    def worked(self) -> None:
        """Called by a worker for every job it did: callers may go on."""
        self._slots.release()

    async def measure(self) -> None:
        """Load the queue and print the answer: of the time after the warm-up, which begins and ends under full load."""
        first = await self._completed()
        load = asyncio.create_task(self._load(WARM_UP_SECONDS + order["seconds"]))
        await asyncio.sleep(WARM_UP_SECONDS)
        started, before, warm_up = time.perf_counter(), await self._completed(), len(self._times)
        await asyncio.sleep(order["seconds"])
        seconds, after, until = time.perf_counter() - started, await self._completed(), len(self._times)
        await load
        await self._drain(first)
        sent, times = len(self._times), self._times[warm_up:until]
        print(json.dumps({"count": after - before, "seconds": seconds, "sent": sent, "times": times}))

    async def _load(self, seconds: float) -> None:
        clock = time.perf_counter
        end = clock() + seconds

        async def caller() -> None:
            while clock() < end:
                await self._slots.acquire()
                began = clock()
                await self._enqueue()
                self._times.append(clock() - began)

        async with asyncio.TaskGroup() as callers:
            for _ in range(order["in_flight"]):
                callers.create_task(caller())

    async def _drain(self, first: int) -> None:
        async with asyncio.timeout(DRAIN_SECONDS):
            while await self._completed() - first < len(self._times):  # noqa: ASYNC110  # the tables tell it, no event
                await asyncio.sleep(POLL_SECONDS)
