"""Task lifecycles through the routes' own handlers, in process: answers as bytes, sealed values and keyed hashes included."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
import uvloop
from pydantic import BaseModel

from api.answer import Answer
from api.backend import Backend
from api.call import Call
from api.database import DEFAULT_TENANT
from api.identity.caller import local
from api.models.clients import ClientIn
from api.models.tasks import ClaimIn, ResultIn, TaskIn
from api.problems import Problem
from api.routes.clients import ClientRoutes
from api.routes.task_ends import TaskEndRoutes
from api.routes.tasks import TaskRoutes
from api.settings import Settings
from api.task_facts import TaskFacts
from api.writes import Writes
from bench.rounds import MeasurementError, Reading, reading
from eventstore.errors import StoreError

AGENTS = 16
CLIENTS = 100
IN_FLIGHT = 128
OPEN = 1024
LIMIT = 32
POLL_SECONDS = 0.002

WARM_UP_SECONDS = 1.0
"""As of the queues (bench/peers): the measured time begins under full load, with as much under way as it ends with."""

PAYLOAD = {"objective": "review allocation", "note": "x" * 120}
"""Of every contender's jobs."""
RESULT = {"proposal": "keep"}

_numbers = itertools.count(1)


class TaskLoad:
    """A contender: callers create tasks while fewer than `OPEN` are open, and 16 agents claim and complete them.

    An agent claims up to `LIMIT` of its tasks at once and completes what it got side by side, then claims again: what
    README.md shows, with `limit`. Every request has an idempotency key. A reading counts the lifecycles that ended within
    the round; its times are those of creating, as its peers' are of enqueuing.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self.completed = 0
        """Lifecycles since the start."""
        self.claim_p99: list[float] = []
        """Of each round, in seconds."""

    def measure(self, seconds: float) -> Reading:
        """Load it for `seconds` in an event loop of its own, after `WARM_UP_SECONDS` of the same load."""
        try:
            return uvloop.run(self._measure(seconds))
        except* (StoreError, Problem) as errors:
            raise MeasurementError(f"{self.name}: {errors.exceptions[0]!r}") from errors

    async def _measure(self, seconds: float) -> Reading:
        backend = Backend(self._settings)
        await backend.start(lambda _: None)
        try:
            desk = _Desk(backend)
            await desk.meet_clients()
            await desk.claim("nobody")  # a process just started reads all open tasks first
            round_ = await _Round(desk, seconds).run()
        finally:
            await backend.stop()
        self.completed += round_.created
        self.claim_p99.append(reading(round_.claims, seconds).p99)
        spread = reading(round_.creates, seconds)
        return Reading(round_.within, seconds, spread.p50, spread.p99)


class _Round:
    """A stretch of load, and what became of it: it goes on until every task that was created is completed. Its figures
    are those of its last `seconds`, after the warm-up."""

    def __init__(self, desk: _Desk, seconds: float) -> None:
        self._desk = desk
        self._seconds = seconds
        self._start = self._end = 0.0
        self._room = asyncio.Semaphore(OPEN)
        self._creating = IN_FLIGHT
        self._finished = 0
        self.created = 0
        """Tasks created, the warm-up's included."""
        self.within = 0
        """Lifecycles that ended in time."""
        self.creates: list[float] = []
        self.claims: list[float] = []

    async def run(self) -> _Round:
        """Callers and agents, side by side."""
        self._start = time.perf_counter() + WARM_UP_SECONDS
        self._end = self._start + self._seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(self._create())
            for number in range(AGENTS):
                group.create_task(self._work(f"agent{number}"))
        return self

    async def _create(self) -> None:
        clock, desk = time.perf_counter, self._desk
        while clock() < self._end:
            await self._room.acquire()
            began = clock()
            await desk.create(next(_numbers))
            self.created += 1
            self._time(began, self.creates)
        self._creating -= 1

    async def _work(self, agent: str) -> None:
        clock, desk = time.perf_counter, self._desk
        while self._creating or self._finished < self.created:
            began = clock()
            tasks = await desk.claim(agent)
            if not tasks:
                await asyncio.sleep(POLL_SECONDS)
                continue
            self._time(began, self.claims)
            await asyncio.gather(*(self._complete(agent, task) for task in tasks))

    async def _complete(self, agent: str, task: Mapping[str, Any]) -> None:
        await self._desk.complete(agent, task)
        self._finished += 1
        self._room.release()
        self.within += self._start <= time.perf_counter() <= self._end

    def _time(self, began: float, times: list[float]) -> None:
        """Keep a request's time if it was answered within the measured time."""
        now = time.perf_counter()
        if self._start <= now <= self._end:
            times.append(now - began)


class _Desk:
    """Requests as they come in."""

    def __init__(self, backend: Backend) -> None:
        writes, facts = Writes(backend), TaskFacts(backend)
        self._clients = ClientRoutes(backend, writes)
        self._tasks = TaskRoutes(backend, writes, facts)
        self._ends = TaskEndRoutes(backend, writes, facts)
        self._keys = itertools.count(time.time_ns())

    async def meet_clients(self) -> None:
        """Make the clients that tasks are about."""
        bodies = [
            {"client_id": f"c{number}", "full_name": "Amina Patel", "risk_profile": "moderate"}
            for number in range(CLIENTS)
        ]
        posts = [self._clients.post(self._call("/clients", body, ClientIn, "user:desk")) for body in bodies]
        await asyncio.gather(*posts)

    async def create(self, number: int) -> None:
        body = {
            "task_id": str(UUID(int=time.time_ns() << 64 | number)), "client_id": f"c{number % CLIENTS}",
            "agent_name": f"agent{number % AGENTS}", "payload": PAYLOAD,
        }  # fmt: skip
        await self._tasks.create(self._call("/tasks", body, TaskIn, "user:desk"))

    async def claim(self, agent: str) -> list[dict[str, Any]]:
        """The tasks the agent got."""
        body = {"agent_name": agent, "limit": LIMIT}
        answer: Answer = await self._tasks.claim(self._call("/tasks/claim", body, ClaimIn, f"agent:{agent}"))
        tasks: list[dict[str, Any]] = orjson.loads(answer.body)["tasks"]
        return tasks

    async def complete(self, agent: str, task: Mapping[str, Any]) -> None:
        body = {"claim_token": task["claim_token"], "result": RESULT}
        path = f"/tasks/{task['task_id']}/result"
        await self._ends.result(self._call(path, body, ResultIn, f"agent:{agent}", task["task_id"]))

    def _call(self, path: str, body: dict[str, Any], model: type[BaseModel], actor: str, task_id: str = "") -> Call:
        key = f"k-{next(self._keys)}"
        headers = ((b"idempotency-key", key.encode()), (b"fidelog-actor", actor.encode()))
        call = Call({"method": "POST", "path": path, "headers": headers, "path_params": {"task_id": task_id}})
        call.admit(local(DEFAULT_TENANT, actor))
        call.body, call.input, call.idempotency_key = body, model.model_validate(body), key
        return call
