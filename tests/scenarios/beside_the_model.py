"""The service beside the model: each command is sent over HTTP and done in the model, and the two must agree."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from domain.task import ExpireLeases
from eventstore.records import RecordedEvent
from tests.clocks import PassingClock
from tests.eventstore.writer.worklist import plain
from tests.running import RunningApi
from tests.scenarios.model import AT_ONCE, Model

_runs = itertools.count(1)

Sent = tuple[str, str, Any, str | None, httpx.Response]
"""Key, path, body, actor, answer."""


class Service:
    """A served application, a clock and the model; ids are of the run's own, so that runs share a database."""

    def __init__(self, api: RunningApi, clock: PassingClock) -> None:
        self.api = api
        self.clock = clock
        self.http = api.client
        self.run = next(_runs)
        self.keys = itertools.count()
        self.sent: list[Sent] = []
        backend = api.backend
        start = int(api.run(lambda: backend.log.head(backend.tenant_id)))
        self.model = Model(start)
        self.times: dict[int, datetime] = {}
        """Of recording, by position."""

    def client_id(self, number: int) -> str:
        return f"run{self.run}-c{number}"

    def task_id(self, number: int) -> str:
        return str(UUID(int=self.run << 64 | 4 << 76 | number))

    def agent(self, number: int) -> str:
        return f"run{self.run}-agent{number}"

    def post(self, path: str, body: Any, actor: str | None = None) -> httpx.Response:
        """A write with a key of its own."""
        key = f"run{self.run}-{next(self.keys)}"
        headers = {"idempotency-key": key} | ({"fidelog-actor": actor} if actor else {})
        answer = self.http.post(path, json=body, headers=headers)
        self.sent.append((key, path, body, actor, answer))
        return answer

    # commands

    def upsert(self, number: int, name: str, risk: str) -> None:
        body = {"client_id": self.client_id(number), "full_name": name, "risk_profile": risk}
        matches(self.post("/clients", body), self.model.upsert(body))

    def create(self, number: int, client: int, agent: int, payload: Any, priority: int) -> None:
        body = {
            "task_id": self.task_id(number), "client_id": self.client_id(client), "agent_name": self.agent(agent),
            "payload": payload, "priority": priority,
        }  # fmt: skip
        matches(self.post("/tasks", body), self.model.create(body))

    def claim(self, agent: int, limit: int, seconds: int) -> None:
        """P11: just the tasks the model says, in its order, each under a new token."""
        name = self.agent(agent)
        expected = self.model.claimable(name, limit)
        body = {"agent_name": name, "limit": limit, "lease_seconds": seconds}
        answer = self.post("/tasks/claim", body, f"agent:{name}")
        assert answer.status_code == 200, answer.text
        tasks = answer.json()["tasks"]
        assert [task["task_id"] for task in tasks] == [task.task_id for task in expected]
        self.model.claim(expected, [task["claim_token"] for task in tasks], f"agent:{name}", seconds)
        times = self._times()
        assert tasks == [{**task.body(times), "claim_token": task.tokens[-1]} for task in expected]

    def end(self, action: str, number: int, token: str, value: Any) -> None:
        """Result, failure, release or cancel; `token` says which: the newest, a stale one, or none (result only)."""
        task_id = self.task_id(number)
        chosen = self._token(task_id, token)
        if chosen is None and action in ("failure", "release"):
            chosen = str(UUID(int=8))
        body: dict[str, Any] = {"result": {"result": value}, "failure": {"error": str(value)}}.get(action, {})
        if chosen is not None and action != "cancel":
            body = {**body, "claim_token": chosen}
        expected = self.model.end(action, task_id, chosen, body.get("result", body.get("error")), "user:local")
        matches(self.post(f"/tasks/{task_id}/{action}", body), expected)

    def _token(self, task_id: str, token: str) -> str | None:
        task = self.model.tasks.get(task_id)
        tokens = task.tokens if task is not None else []
        if token == "newest":
            return tokens[-1] if tokens and tokens[-1] != AT_ONCE else None
        if token == "stale":
            return next((old for old in tokens[:-1] if old != AT_ONCE), str(UUID(int=7)))
        return None

    def pass_seconds(self, seconds: float) -> None:
        """Time passes, here and in the model."""
        self.clock.pass_seconds(seconds)
        self.model.now += seconds

    def expire(self, *numbers: int) -> None:
        """What the server's sweep does: take back those of the tasks whose lease is over."""
        task_ids = [self.task_id(number) for number in numbers]
        backend = self.api.backend
        self.api.run(lambda: backend.writer.submit(plain(backend.vault, ExpireLeases(tuple(task_ids)))))
        self.model.expire(task_ids)

    # reads

    def catch_up(self) -> Mapping[int, datetime]:
        """Every position's time of recording; the log holds just the model's events, in its order."""
        model = self.model
        after = model.start + len(self.times)
        while events := self._log_after(after):
            for event in events:
                assert event.position == after + 1
                assert event.type == model.types[event.position - model.start - 1]
                after = event.position
                self.times[after] = event.recorded_at
        assert after == model.head
        return self.times

    def _times(self) -> Mapping[int, datetime]:
        return self.times if len(self.times) == len(self.model.types) else self.catch_up()

    def _log_after(self, position: int) -> Sequence[RecordedEvent]:
        backend = self.api.backend
        events: Sequence[RecordedEvent] = self.api.run(lambda: backend.log.forward(backend.tenant_id, after=position))
        return events

    def get(self, path: str, as_of: int | str | None = None, **params: Any) -> httpx.Response:
        return self.http.get(path, params=params if as_of is None else {**params, "as_of": as_of})

    def check_client(self, client_id: str, position: int | None = None, as_of: int | str | None = None) -> None:
        """GET of the client, with its open tasks and without, is what the model says: now, or at `position` asked for
        as `as_of`."""
        past, times = self._then(position), self._times()
        asked = position if as_of is None else as_of
        client, open_tasks = past.clients.get(client_id), past.open_tasks(client_id)
        for include in ({}, {"include": "open_tasks"}):
            answer = self.get(f"/clients/{client_id}", asked, **include)
            if client is None:
                matches(answer, (404, "client-not-found"))
                continue
            more = {"open_tasks": [task.body(times) for task in open_tasks]} if include else {}
            matches(answer, (200, {**client.body, **more}))
            newest = max([client.position, *(task.position for task in open_tasks if include)])
            assert int(answer.headers["fidelog-position"]) == newest
            assert answer.headers["etag"].startswith(f'"{client.version}.client{"." if include else chr(34)}')

    def check_task(self, task_id: str, position: int | None = None, as_of: int | str | None = None) -> None:
        """GET of the task likewise."""
        task, times = self._then(position).tasks.get(task_id), self._times()
        answer = self.get(f"/tasks/{task_id}", position if as_of is None else as_of)
        if task is None:
            matches(answer, (404, "task-not-found"))
            return
        matches(answer, (200, task.body(times)))
        assert int(answer.headers["fidelog-position"]) == task.position
        assert answer.headers["etag"] == f'"{task.version}.task"'

    def _then(self, position: int | None) -> Model:
        return self.model if position is None else self.model.as_of(position)

    def check_list(self, path: str, limit: int, **filters: str) -> None:
        """A list, page by page along its links, is the model's tasks filtered, oldest first."""
        wanted = dict(filters)
        if path != "/tasks":
            wanted["client_id"] = path.split("/")[2]
        times, found = self._times(), list[Any]()
        answer = self.get(path, limit=limit, **filters)
        while True:
            assert answer.status_code == 200, answer.text
            found += answer.json()["tasks"]
            if "next" not in answer.links:
                break
            answer = self.http.get(answer.links["next"]["url"])
        chosen = self.model.listed(lambda task: all(getattr(task, name) == wanted[name] for name in wanted))
        assert found == [task.body(times) for task in chosen]


def matches(answer: httpx.Response, expected: tuple[int, Any]) -> None:
    """The answer has the model's status, and its body or its problem's slug."""
    status, content = expected
    assert answer.status_code == status, answer.text
    if status < 400:
        assert answer.json() == content
    else:
        assert answer.json()["type"] == f"urn:fidelog:problem:{content}"
