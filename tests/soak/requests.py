"""Valid requests of every route, about clients and tasks that exist: what mutations begin with."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlencode

import orjson

from tests.clusters import CLEAR_NAMES
from tests.soak.http_client import Answer, Connection

AGENT = "mutant_agent"


@dataclass
class Request:
    """A request in parts; `raw` puts them together."""

    method: str
    path: str
    body: Any = None
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        """The body's bytes, none without a body."""
        return b"" if self.body is None else orjson.dumps(self.body)

    def raw(self, content: bytes | None = None, target: bytes | None = None) -> bytes:
        """As bytes, with other content or another target than its own where given."""
        content = self.content if content is None else content
        if target is None:
            target = (self.path + ("?" + urlencode(self.query) if self.query else "")).encode()
        headers = list(self.headers)
        if self.body is not None and not any(name in {"content-length", "transfer-encoding"} for name, _ in headers):
            headers.append(("content-length", b"%d" % len(content)))
        lines = [self.method.encode() + b" " + target + b" HTTP/1.1"]
        lines += [name.encode() + b": " + value for name, value in headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + content


class Ground:
    """Clients, tasks and tokens that requests are about, made over HTTP; keeps the answers to what it wrote itself."""

    def __init__(self, http: Connection, host: str, random: Random) -> None:
        self._http = http
        self._host = host.encode()
        self._random = random
        self._clients: list[str] = []
        self._tasks: list[str] = []
        self._claimed: list[tuple[str, str]] = []
        self.answers: list[Answer] = []
        self.routes: dict[str, Callable[[], Request]] = {
            "POST /clients": lambda: self._request("POST", "/clients", self._client_body()),
            "GET /clients/{client_id}": self._get_client,
            "GET /clients/{client_id}/tasks": self._client_tasks,
            "POST /clients/{client_id}/holds": lambda: self._of_client("holds", {"reason": self._name()}),
            "POST /clients/{client_id}/holds/{hold_id}/lift": lambda: self._of_client(
                "holds/nowhere/lift", {"reason": self._name()}
            ),
            "POST /clients/{client_id}/retention": lambda: self._of_client(
                "retention", {"record_class": "account", "counts_from": "2026-01-31"}
            ),
            "POST /clients/{client_id}/erasure": lambda: self._of_client("erasure", {"legal_basis": "GDPR 17(1)(b)"}),
            "POST /clients/{client_id}/erasure/approval": lambda: self._of_client("erasure/approval", {}),
            "POST /clients/{client_id}/erasure/withdrawal": lambda: self._of_client("erasure/withdrawal", {}),
            "GET /clients/{client_id}/erasure": lambda: self._request(
                "GET", f"/clients/{self._random.choice(self._clients)}/erasure"
            ),
            "POST /tasks": lambda: self._request("POST", "/tasks", self._task_body()),
            "POST /tasks/claim": self._claim,
            "GET /tasks": self._list_tasks,
            "GET /tasks/{task_id}": self._get_task,
            "POST /tasks/{task_id}/result": lambda: self._end(
                "result", {"result": {"by": self._name(), "n": [1, 2.5]}}
            ),
            "POST /tasks/{task_id}/failure": lambda: self._end("failure", {"error": self._name(), "retryable": False}),
            "POST /tasks/{task_id}/release": lambda: self._end("release", {"reason": self._name()}),
            "POST /tasks/{task_id}/cancel": self._cancel,
            "GET /audit/events": self._list_events,
            "GET /audit/events/{position}/proof": lambda: self._request(
                "GET", f"/audit/events/{random.randint(1, 50)}/proof"
            ),
            "GET /audit/consistency": lambda: self._request(
                "GET", "/audit/consistency", old=str(random.randint(1, 30))
            ),
            "GET /audit/export": lambda: self._request("GET", "/audit/export", client_id=self._clients[-1], old="3"),
            "GET /audit/events/{position}": lambda: self._request("GET", f"/audit/events/{random.randint(1, 50)}"),
            "GET /clients/{client_id}/timeline": self._timeline,
            "GET /log/{tenant}/checkpoint": lambda: self._request("GET", "/log/default/checkpoint"),
            "GET /log/{tenant}/tile/{tile}": lambda: self._request(
                "GET", f"/log/default/tile/0/000.p/{random.randint(1, 255)}"
            ),
            "GET /log/{tenant}/tile/entries/{bundle}": lambda: self._request(
                "GET", f"/log/default/tile/entries/000.p/{random.randint(1, 255)}"
            ),
            "POST /admin/keys": lambda: self._request(
                "POST", "/admin/keys", {"actor": "agent:soak", "roles": ["agent"]}
            ),
            "GET /admin/keys": lambda: self._request("GET", "/admin/keys"),
            "DELETE /admin/keys/{key_id}": lambda: self._request("DELETE", "/admin/keys/zzzzzzzz"),
            "GET /metrics": lambda: self._request("GET", "/metrics"),
            "GET /readyz": lambda: self._request("GET", "/readyz"),
            "GET /livez": lambda: self._request("GET", "/livez"),
            "GET /openapi.json": lambda: self._request("GET", "/openapi.json"),
        }

    async def refill(self, number: int = 12) -> None:
        """More clients, tasks and tokens."""
        for _ in range(3):
            body = self._client_body()
            await self._post("/clients", body)
            self._clients.append(body["client_id"])
        for _ in range(2 * number):
            body = self._task_body()
            await self._post("/tasks", body)
            self._tasks.append(body["task_id"])
        claim = {"agent_name": AGENT, "limit": number, "lease_seconds": 3600}
        tasks = (await self._post("/tasks/claim", claim)).json()["tasks"]
        self._claimed += [(task["task_id"], task["claim_token"]) for task in tasks]
        for pool in (self._clients, self._tasks, self._claimed):
            del pool[:-100]  # older ones have ended by now

    def request(self) -> Request:
        """A valid request of a route of chance."""
        return self.routes[self._random.choice(list(self.routes))]()

    async def _post(self, path: str, body: Any) -> Answer:
        answer = await self._http.post(path, body)
        assert answer.status in {200, 201}, answer
        self.answers.append(answer)
        return answer

    def _request(self, method: str, path: str, body: Any = None, **query: str) -> Request:
        key = self._uuid()
        headers = [("host", self._host), ("fidelog-correlation-id", key.encode())]
        if method == "POST":
            headers += [("content-type", b"application/json"), ("idempotency-key", key.encode())]
        return Request(method, path, body, list(query.items()), headers)

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _name(self) -> str:
        return self._random.choice(CLEAR_NAMES)

    def _client_body(self) -> dict[str, Any]:
        return {"client_id": f"c-{self._uuid()}", "full_name": self._name(), "risk_profile": "moderate"}

    def _task_body(self) -> dict[str, Any]:
        return {
            "task_id": self._uuid(), "client_id": self._random.choice(self._clients), "agent_name": AGENT,
            "payload": {"for": self._name(), "deep": {"list": [1, "two", None, {"three": 3.5}]}}, "priority": 2,
        }  # fmt: skip

    def _get_client(self) -> Request:
        query = self._random.choice(({}, {"include": "open_tasks"}, {"as_of": str(self._random.randint(1, 30))}))
        return self._request("GET", f"/clients/{self._random.choice(self._clients)}", **query)

    def _of_client(self, what: str, body: dict[str, Any]) -> Request:
        return self._request("POST", f"/clients/{self._random.choice(self._clients)}/{what}", body)

    def _client_tasks(self) -> Request:
        return self._request("GET", f"/clients/{self._random.choice(self._clients)}/tasks", limit="5", status="pending")

    def _list_tasks(self) -> Request:
        return self._request("GET", "/tasks", limit="5", agent_name=AGENT, status="claimed")

    def _get_task(self) -> Request:
        query = self._random.choice(({}, {"as_of": "2026-01-01T00:00:00Z"}))
        return self._request("GET", f"/tasks/{self._random.choice(self._tasks)}", **query)

    def _claim(self) -> Request:
        return self._request("POST", "/tasks/claim", {"agent_name": AGENT, "limit": 1, "lease_seconds": 3600})

    def _end(self, action: str, body: dict[str, Any]) -> Request:
        task_id, token = self._random.choice(self._claimed)
        return self._request("POST", f"/tasks/{task_id}/{action}", {"claim_token": token, **body})

    def _cancel(self) -> Request:
        return self._request("POST", f"/tasks/{self._random.choice(self._tasks)}/cancel", {"reason": self._name()})

    def _list_events(self) -> Request:
        client_id = self._clients[-1]
        query: dict[str, str] = self._random.choice((
            {"order": "desc", "stream": f"client-{client_id}"}, {"client_id": client_id, "at_least": "1"},
            {"type": "TaskClaimed", "from": "2026-01-01T00:00:00Z", "to": "2999-01-01T00:00:00+01:00"},
            {"actor": "user:local", "correlation_id": self._uuid()}, {"decision_id": self._uuid(), "at_least": "0"},
        ))  # fmt: skip
        return self._request("GET", "/audit/events", limit="5", **query)

    def _timeline(self) -> Request:
        query = {"type": "TaskCreated", "order": "asc", "limit": "3"}
        return self._request("GET", f"/clients/{self._random.choice(self._clients)}/timeline", **query)
