"""Fixtures of the API's tests: one served application a module, and a caller that knows how answers must look."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from api.leases import ACTOR
from api.problems import PROBLEMS
from tests.clusters import CLEAR_NAMES, Cluster
from tests.running import RunningApi, running_api

FULL_NAME = CLEAR_NAMES[0]
JSON = {"content-type": "application/json"}
MEMBERS = {
    "forbidden": {"missing_scope"},
    "legal-hold": {"hold_ids"},
    "retention-running": {"record_class", "kept_until"},
    "second-person-required": {"cause"},
    "version-mismatch": {"current_version"},
    "body-too-large": {"limit", "size"},
    "payload-too-large": {"limit", "size"},
}
"""What a problem carries besides the members every problem has."""

_numbers = itertools.count(1)


def problem(response: httpx.Response, slug: str) -> dict[str, Any]:
    """The answer's problem details, checked: the slug's status and title, the media type, no member unforeseen."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    content: dict[str, Any] = response.json()
    status, title = PROBLEMS[slug]
    assert (content["type"], response.status_code) == (f"urn:fidelog:problem:{slug}", status), response.text
    assert (content["title"], content["status"]) == (title, status)
    assert isinstance(content["detail"], str)
    assert content["detail"]
    assert isinstance(content["instance"], str)
    members = MEMBERS.get(slug, set())
    if slug == "wrong-state":
        members = {name for name in ("task_status", "key_status", "hold_status", "erasure_status") if name in content}
        assert len(members) == 1, response.text
    required = {"type", "title", "status", "detail", "instance"} | members
    assert required <= set(content) <= required | {"errors", "correlation_id"}, response.text
    for fault in content.get("errors", []):
        assert set(fault) in ({"pointer", "message"}, {"parameter", "message"}, {"offset", "message"}), fault
    return content


def places(content: dict[str, Any]) -> set[str]:
    """Where a problem's faults are: pointers and parameters."""
    return {str(fault.get("pointer", fault.get("parameter", fault.get("offset")))) for fault in content["errors"]}


class Caller:
    """Asks a served application, with fresh ids."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """POST JSON; header names with underscores."""
        return self.http.post(path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def head(self) -> int:
        """The position of the newest event that somebody caused, 0 when there is none.

        What the server does by itself (it takes back tasks whose lease ran out) may come between at any time.
        """
        events = self.http.get("/audit/events", params={"order": "desc", "limit": 100}).json()["events"]
        return next((int(event["position"]) for event in events if event["actor"] != ACTOR), 0)

    def events(self, **query: Any) -> list[dict[str, Any]]:
        """All events of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.http.get("/audit/events", params={**query, **({"cursor": cursor} if cursor else {})}).json()
            found += page["events"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Nothing is stored meanwhile."""
        before = self.head()
        yield
        assert self.head() == before, "a refused request appended an event"

    def refused(self, slug: str, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The problem a request is refused with; nothing is stored."""
        with self.unchanged():
            return problem(self.http.request(method, path, **request), slug)

    def client(self) -> str:
        """A new client's id."""
        client_id = fresh_client()
        assert self.post("/clients", client_body(client_id)).status_code == 200
        return client_id

    def task(self, agent_name: str | None = None, client_id: str | None = None, **fields: Any) -> str:
        """A new task's id."""
        body = task_body(client_id or self.client(), agent_name or fresh_agent(), **fields)
        assert self.post("/tasks", body).status_code == 201
        return str(body["task_id"])

    def claim(self, agent_name: str, **fields: Any) -> list[dict[str, Any]]:
        """The tasks a claim gives."""
        answer = self.post("/tasks/claim", {"agent_name": agent_name, **fields})
        assert answer.status_code == 200, answer.text
        tasks: list[dict[str, Any]] = answer.json()["tasks"]
        return tasks

    def claimed(self) -> tuple[str, str]:
        """A new task that was claimed, and its token."""
        agent_name = fresh_agent()
        self.task(agent_name)
        (task,) = self.claim(agent_name)
        return task["task_id"], task["claim_token"]


def fresh_client() -> str:
    """A client id no test has used."""
    return f"client-{next(_numbers)}"


def fresh_agent() -> str:
    """An agent name no test has used."""
    return f"agent_{next(_numbers)}"


def client_body(client_id: str, /, **fields: Any) -> dict[str, Any]:
    """A valid body of POST /clients, with `fields` in place of its own."""
    return {"client_id": client_id, "full_name": FULL_NAME, "risk_profile": "moderate", **fields}


def task_body(client_id: str, agent_name: str, /, **fields: Any) -> dict[str, Any]:
    """A valid body of POST /tasks, with `fields` in place of its own."""
    task_id = str(uuid.uuid4())
    return {"task_id": task_id, "client_id": client_id, "agent_name": agent_name, "payload": {"ask": 1}, **fields}


@pytest.fixture(scope="module")
def shared_api(pg: Cluster) -> Iterator[RunningApi]:
    """A served application for a module, on a database of its own."""
    with pg.copy() as name, running_api(pg.settings(name)) as served:
        yield served


@pytest.fixture(scope="module")
def caller(shared_api: RunningApi) -> Caller:
    """A caller of the module's application."""
    return Caller(shared_api.client)


@pytest.fixture
def fresh(api: RunningApi) -> Caller:
    """A caller of an application with an empty log."""
    return Caller(api.client)
