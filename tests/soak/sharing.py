"""Agents that share one queue of tasks over HTTP: created by many callers at once, claimed a few at a time, completed."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.clusters import CLEAR_NAMES
from tests.soak.findings import Findings
from tests.soak.http_client import Answer, Connection
from tests.soak.trail import Trail

AGENT = "sharing_agent"
AGENTS = 16
CREATORS = 32
CLIENTS = 20
MOST_AT_ONCE = 5
HANDED_OVER = 0.02
"""How often an agent gives a task back and tries its old token later."""


async def create_tasks(url: str, number: int) -> list[str]:
    """Create tasks for the agents, by many callers at once; their ids."""
    task_ids = [str(uuid.uuid4()) for _ in range(number)]
    http = Connection(url)
    for client in range(CLIENTS):
        body = {"client_id": f"shared-{client}", "full_name": CLEAR_NAMES[0], "risk_profile": "growth"}
        _expect(200, await http.post("/clients", body))
    http.close()
    upcoming = iter(enumerate(task_ids))
    await asyncio.gather(*(_create(url, upcoming) for _ in range(CREATORS)))
    return task_ids


async def _create(url: str, upcoming: Iterator[tuple[int, str]]) -> None:
    http = Connection(url)
    for number, task_id in upcoming:
        client_id = f"shared-{number % CLIENTS}"
        body = {"task_id": task_id, "client_id": client_id, "agent_name": AGENT, "payload": {"number": number}}
        _expect(201, await http.post("/tasks", body))
    http.close()


def _expect(status: int, answer: Answer) -> None:
    assert answer.status == status, answer


@dataclass
class Drain:
    """Agents at work until so many tasks are completed."""

    url: str
    tasks: int
    random: Random
    handed_over: float = 0.0
    completed: Counter[str] = field(default_factory=Counter)
    """How often an agent's result was accepted, by task."""
    newest: dict[str, str] = field(default_factory=dict)
    stale: list[tuple[str, str]] = field(default_factory=list)
    refused: int = 0
    claims: int = 0
    seconds: float = 0.0

    async def run(self) -> Drain:
        """All agents, until the queue is empty and nobody holds a task."""
        begun = time.monotonic()
        await asyncio.gather(*(self._agent(number) for number in range(AGENTS)))
        self.seconds = time.monotonic() - begun
        return self

    @property
    def rate(self) -> float:
        """Tasks claimed (and completed) a second."""
        return self.tasks / self.seconds

    async def _agent(self, number: int) -> None:
        http, headers = Connection(self.url), {"fidelog-actor": f"agent:{AGENT}@{number}"}
        random = Random(self.random.random())
        while sum(self.completed.values()) < self.tasks or self.stale:
            body = {"agent_name": AGENT, "limit": random.randint(1, MOST_AT_ONCE), "lease_seconds": 600}
            answer = await http.post("/tasks/claim", body, headers)
            _expect(200, answer)
            claimed = [(task["task_id"], task["claim_token"]) for task in answer.json()["tasks"]]
            self.claims += 1
            self.newest.update(claimed)
            for task_id, token in claimed:
                await self._work(http, headers, task_id, token, random)
            await self._try_stale(http, headers)
            if not claimed:
                await asyncio.sleep(0.005)
        http.close()

    async def _work(self, http: Connection, headers: dict[str, str], task_id: str, token: str, random: Random) -> None:
        if random.random() < self.handed_over:
            _expect(200, await http.post(f"/tasks/{task_id}/release", {"claim_token": token}, headers))
            self.stale.append((task_id, token))
            return
        body = {"claim_token": token, "result": {"done": True}}
        _expect(200, await http.post(f"/tasks/{task_id}/result", body, headers))
        self.completed[task_id] += 1

    async def _try_stale(self, http: Connection, headers: dict[str, str]) -> None:
        """P11: once somebody else has claimed the task, the old token is refused, and that is on record."""
        old = next((held for held in self.stale if self.newest[held[0]] != held[1]), None)
        if old is None:
            return
        self.stale.remove(old)
        answer = await http.post(f"/tasks/{old[0]}/result", {"claim_token": old[1], "result": {"late": True}}, headers)
        assert (answer.status, answer.slug) == (409, "stale-claim-token"), answer
        assert answer.position is not None, "the refusal is on record"
        self.refused += 1


async def share(url: str, number: int, seed: int) -> Findings:
    """Agents share `number` tasks: each is completed exactly once, and every stale token is refused and recorded."""
    findings = Findings(f"{AGENTS} agents share {number:,} tasks")
    begun = time.monotonic()
    task_ids = await create_tasks(url, number)
    created = time.monotonic() - begun
    drain = await Drain(url, number, Random(seed), HANDED_OVER).run()
    findings.require(drain.completed == Counter(task_ids), "an agent's result was accepted twice, or never")
    await _check(url, findings, task_ids, drain)
    findings.line(f"created in {created:.1f} s, done in {drain.seconds:.1f} s by {drain.claims:,} claims of 1 to 5")
    findings.line(f"{drain.refused} stale tokens, each refused and recorded")
    return findings.finish()


async def _check(url: str, findings: Findings, task_ids: Sequence[str], drain: Drain) -> None:
    http, trail = Connection(url), Trail()
    await trail.read_on(http)
    http.close()
    found: dict[str, Counter[str]] = {}
    for event in trail.events:
        found.setdefault(event["type"], Counter())[event["data"].get("task_id", "")] += 1
    findings.require(found["TaskCompleted"] == Counter(task_ids), "not each task was completed exactly once")
    rejected = sum(found.get("TaskCompletionRejected", Counter()).values())
    findings.require(rejected == drain.refused, f"{drain.refused} refusals were answered, {rejected} recorded")
    findings.faults += trail.model.faults
