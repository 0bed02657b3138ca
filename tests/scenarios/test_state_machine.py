"""Commands, retries and reads in any order give what a plain in-memory model says, and the log holds just its events."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.clusters import CLEAR_NAMES, Cluster
from tests.running import RunningApi, running_api
from tests.scenarios.model import Model

_runs = itertools.count(1)

NUMBERS = st.integers(0, 3)
RISKS = st.sampled_from(["conservative", "moderate", "aggressive"])
VALUES = st.dictionaries(st.sampled_from(["a", "ü", "~/"]), st.none() | st.booleans() | st.integers(-9, 9), max_size=2)


class Service(RuleBasedStateMachine):
    """The service over HTTP beside the model."""

    api: RunningApi

    def __init__(self) -> None:
        super().__init__()
        self.run = next(_runs)
        self.model = Model()
        self.http: httpx.Client = self.api.client
        self.keys = itertools.count()
        self.sent: list[tuple[str, str, Any, httpx.Response]] = []
        self.start = self._head()

    # names of this run's own, so that runs share a database

    def _client(self, number: int) -> str:
        return f"run{self.run}-c{number}"

    def _task(self, number: int) -> str:
        return str(UUID(int=self.run << 64 | 4 << 76 | number))

    def _agent(self, number: int) -> str:
        return f"run{self.run}-agent{number % 2}"

    def _head(self) -> int:
        events = self.http.get("/audit/events", params={"order": "desc", "limit": 1}).json()["events"]
        return events[0]["position"] if events else 0

    def _post(self, path: str, body: Any, actor: str | None = None) -> httpx.Response:
        key = f"run{self.run}-{next(self.keys)}"
        headers = {"idempotency-key": key} | ({"fidelog-actor": actor} if actor else {})
        before = len(self.model.types)
        answer = self.http.post(path, json=body, headers=headers)
        self.sent.append((key, path, (body, actor, before), answer))
        return answer

    def _matches(self, answer: httpx.Response, expected: tuple[int, Any]) -> None:
        status, content = expected
        assert answer.status_code == status, answer.text
        if status < 400:
            assert answer.json() == content
        else:
            assert answer.json()["type"] == f"urn:fidelog:problem:{content}"

    # commands

    @rule(number=NUMBERS, name=st.sampled_from(CLEAR_NAMES), risk=RISKS)
    def upsert(self, number: int, name: str, risk: str) -> None:
        body = {"client_id": self._client(number), "full_name": name, "risk_profile": risk}
        self._matches(self._post("/clients", body), self.model.upsert(body))

    @rule(number=NUMBERS, client=NUMBERS, agent=NUMBERS, payload=VALUES, priority=st.integers(1, 2))
    def create(self, number: int, client: int, agent: int, payload: Any, priority: int) -> None:
        body = {
            "task_id": self._task(number),
            "client_id": self._client(client),
            "agent_name": self._agent(agent),
            "payload": payload,
            "priority": priority,
        }
        self._matches(self._post("/tasks", body), self.model.create(body))

    @rule(agent=NUMBERS, limit=st.integers(1, 3))
    def claim(self, agent: int, limit: int) -> None:
        name = self._agent(agent)
        expected = self.model.claimable(name, limit)
        answer = self._post("/tasks/claim", {"agent_name": name, "limit": limit}, f"agent:{name}")
        assert answer.status_code == 200
        tasks = answer.json()["tasks"]
        assert [task["task_id"] for task in tasks] == [task.task_id for task in expected]
        for given, task in zip(tasks, expected, strict=True):
            self.model.claimed(task, given["claim_token"], f"agent:{name}")
            assert (given["status"], given["attempt"], given["payload"]) == ("claimed", task.attempt, task.payload)

    @rule(number=NUMBERS, token=st.sampled_from(["newest", "stale", "none"]), result=VALUES)
    def complete(self, number: int, token: str, result: Any) -> None:
        task = self.model.tasks.get(self._task(number))
        tokens = [t for t in task.tokens if t != "at once"] if task else []
        newest = task.tokens[-1] if task and task.tokens else None
        sent = {
            "newest": newest if newest != "at once" else None,
            "stale": next((t for t in tokens if t != newest), str(UUID(int=7))),
            "none": None,
        }[token]
        body = {"result": result} | ({"claim_token": sent} if sent else {})
        answer = self._post(f"/tasks/{self._task(number)}/result", body)
        self._matches(answer, self.model.complete(self._task(number), sent, result, "user:local"))

    # retries

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """The same request with the same key: the first answer, if it appended events."""
        key, path, (body, actor, _), first = data.draw(st.sampled_from(self.sent))
        if first.headers.get("fidelog-position") is None:
            return  # a refusal or an empty claim binds nothing: it would be evaluated anew
        headers = {"idempotency-key": f'"{key}"'} | ({"fidelog-actor": actor} if actor else {})
        again = self.http.post(path, json=body, headers=headers)
        assert again.headers["idempotency-replayed"] == "true"
        volatile = {"instance", "correlation_id"}
        assert {k: v for k, v in again.json().items() if k not in volatile} == {
            k: v for k, v in first.json().items() if k not in volatile
        }
        for header in ("fidelog-position", "etag"):
            assert again.headers.get(header) == first.headers.get(header)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def misuse_a_key(self, data: st.DataObject) -> None:
        """Another request with a key that was bound."""
        key, path, (_, actor, _), first = data.draw(st.sampled_from(self.sent))
        natural_repeat = first.headers.get("idempotency-replayed") is not None
        if first.headers.get("fidelog-position") is None or natural_repeat or path != "/clients":
            return
        body = {"client_id": self._client(9), "full_name": CLEAR_NAMES[0], "risk_profile": "growth"}
        headers = {"idempotency-key": key} | ({"fidelog-actor": actor} if actor else {})
        answer = self.http.post(path, json=body, headers=headers)
        self._matches(answer, (422, "idempotency-key-reused"))

    # reads

    @rule(number=NUMBERS)
    def read_client(self, number: int) -> None:
        answer = self.http.get(f"/clients/{self._client(number)}")
        known = self.model.clients.get(self._client(number))
        self._matches(answer, (200, known) if known else (404, "client-not-found"))
        if known:
            assert answer.headers["etag"].startswith(f'"{self.model.client_versions[self._client(number)]}.')

    @rule(number=NUMBERS)
    def read_task(self, number: int) -> None:
        answer = self.http.get(f"/tasks/{self._task(number)}")
        task = self.model.tasks.get(self._task(number))
        if task is None:
            self._matches(answer, (404, "task-not-found"))
            return
        found = answer.json()
        for name in ("task_id", "client_id", "agent_name", "status", "priority", "attempt", "payload", "result"):
            assert found[name] == getattr(task, name), name
        assert found["claimed_by"] == task.claimed_by
        assert answer.headers["etag"].startswith(f'"{task.version}.')

    @invariant()
    def the_log_holds_just_the_models_events(self) -> None:
        params: dict[str, str | int] = {"limit": 500} | ({"cursor": _cursor(self.start)} if self.start else {})
        events = self.http.get("/audit/events", params=params).json()["events"]
        assert [event["type"] for event in events] == self.model.types
        assert [event["position"] for event in events] == list(range(self.start + 1, self.start + 1 + len(events)))


def _cursor(position: int) -> str:
    import base64

    return base64.urlsafe_b64encode(f"{position}:asc:".encode()).decode().rstrip("=")


@pytest.fixture(scope="module")
def shared(pg: Cluster) -> Iterator[RunningApi]:
    """One API for all runs."""
    with pg.copy() as name, running_api(pg.settings(name)) as api:
        yield api


def test_the_service_does_what_the_model_says(pg: Cluster, shared: RunningApi) -> None:
    """Any order of commands, retries and reads."""
    Service.api = shared
    run_state_machine_as_test(
        Service,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
        ),
    )
