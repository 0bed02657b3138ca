"""So many writes a second over HTTP, each begun when its time has come whatever became of those before, and timed."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Any

from tests.clusters import CLEAR_NAMES
from tests.soak.http_client import Connection, NoAnswer

CLIENTS = 200
CONNECTIONS = 64


class PacedLoad:
    """Client upserts and new tasks by turns. A write's time counts from when it was due: one that had to wait for a
    connection, because others were slow, waited too."""

    def __init__(self, url: str, per_second: int) -> None:
        self._every = 1 / per_second
        self._free: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            self._free.put_nowait(Connection(url))
        self.seconds: list[float] = []
        """How long each answered write took, in the order of their answers."""
        self.failed: list[str] = []
        self._stopping = False
        self._running = asyncio.create_task(self._run())

    async def finish(self) -> None:
        """Let every write that was begun be answered."""
        self._stopping = True
        await self._running
        while not self._free.empty():
            self._free.get_nowait().close()

    async def _run(self) -> None:
        await self._onboard()
        begun, number, writes = time.monotonic(), 0, set[asyncio.Task[None]]()
        while not self._stopping:
            due = begun + number * self._every
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            write = asyncio.create_task(self._write(number, due))
            writes.add(write)
            write.add_done_callback(writes.discard)
            number += 1
        await asyncio.gather(*writes)

    async def _onboard(self) -> None:
        """Tasks are for clients that are there."""
        connection = await self._free.get()
        for number in range(CLIENTS):
            await connection.post("/clients", _client(number))
        self._free.put_nowait(connection)

    async def _write(self, number: int, due: float) -> None:
        path, body, expected = _command(number)
        connection = await self._free.get()
        try:
            answer = await connection.post(path, body, {"idempotency-key": str(uuid.uuid4())})
        except NoAnswer as error:
            self.failed.append(f"{path}: {error}")
        else:
            self.seconds.append(time.monotonic() - due)
            if answer.status != expected:
                self.failed.append(f"{path}: {answer}")
        finally:
            self._free.put_nowait(connection)


def _client(number: int) -> dict[str, Any]:
    return {"client_id": f"paced-{number % CLIENTS}", "full_name": CLEAR_NAMES[1], "risk_profile": "growth"}


def _command(number: int) -> tuple[str, dict[str, Any], int]:
    client = _client(number)
    if number % 2:
        return "/clients", client, 200
    task = {
        "task_id": str(uuid.uuid4()),
        "client_id": client["client_id"],
        "agent_name": "paced",
        "payload": {"n": number},
    }
    return "/tasks", task, 201


def quantiles(seconds: Sequence[float]) -> str:
    """How long writes took, in words."""
    ordered = sorted(seconds)
    places = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    values = {name: ordered[min(len(ordered) - 1, int(len(ordered) * place))] for name, place in places.items()}
    return ", ".join(f"{name} {value * 1000:,.1f} ms" for name, value in values.items())
