"""What a running server writes: a line for each request if asked to, and no personal value whatever happens. (P8)"""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
from starlette.routing import Route

from api.app import Fidelog
from api.backend import Backend
from api.settings import read
from tests.processes.fidelog_process import Folders
from tests.waiting import until

MARK = "Zq-Marked-Value"
"""Stands in for names, payloads, results, reasons, and whatever somebody sends in the wrong place."""
NAMED = f"Bartholomew Nightjar {MARK}"
TASK = "550e8400-e29b-41d4-a716-446655440000"
PARAMETERS = {
    "client_id": "marked", "task_id": TASK, "position": "1", "key_id": "zzzzzzzz", "tenant": "default", "tile": "0/999",
    "bundle": "999", "hold_id": "held",
}  # fmt: skip

VALID: dict[str, dict[str, Any]] = {
    "/clients": {"client_id": "marked", "full_name": NAMED, "risk_profile": "moderate"},
    "/clients/{client_id}/holds": {"hold_id": "held", "reason": MARK},
    "/clients/{client_id}/holds/{hold_id}/lift": {"reason": MARK},
    "/clients/{client_id}/retention": {"record_class": "account", "counts_from": "2026-01-31"},
    "/clients/{client_id}/erasure": {"legal_basis": "GDPR 17"},
    "/clients/{client_id}/erasure/approval": {},
    "/clients/{client_id}/erasure/withdrawal": {},
    "/tasks": {"task_id": TASK, "client_id": "marked", "agent_name": "a", "payload": {"note": MARK}},
    "/tasks/claim": {"agent_name": "a"},
    "/tasks/{task_id}/result": {"result": {"note": MARK}},
    "/tasks/{task_id}/failure": {"claim_token": TASK, "error": MARK},
    "/tasks/{task_id}/release": {"claim_token": TASK, "reason": MARK},
    "/tasks/{task_id}/cancel": {"reason": MARK},
    "/admin/keys": {"actor": "agent:a", "roles": ["agent"]},
}
EVERYTHING = {"full_name": MARK, "payload": MARK, "result": [MARK], "error": {MARK: MARK}, "reason": 1, MARK: MARK}


def routes() -> list[tuple[str, str]]:
    """Every method and path the application answers, those that make something first."""
    app = Fidelog(Backend(read(environment={})))
    found = [route for route in app.routes if isinstance(route, Route)]
    pairs = [(method, route.path) for route in found for method in (route.methods or set()) - {"HEAD"}]
    return sorted(pairs, key=lambda pair: (pair[0] != "POST", pair))


def test_no_value_reaches_the_log_and_every_request_does(folders: Folders) -> None:
    """Marked values are sent through every route, rightly and wrongly, then through a database that lost its tables: no line
    of the server's or of PostgreSQL's holds one; each request is one line, errors nobody foresaw are one more."""
    server = folders.serve(FIDELOG_REQUEST_LOG="on").ready()
    http, asked = server.client(), 0

    def ask(method: str, path: str, **request: Any) -> int:
        nonlocal asked
        asked += 1
        return http.request(method, path, **request).status_code

    def through_every_route(*, wrongly: bool) -> list[int]:
        statuses = []
        for method, template in routes():
            path = template.format(**PARAMETERS)
            body: dict[str, Any] = {"json": VALID[template]} if method == "POST" else {}
            status = ask(method, path, **body)
            nothing = method == "DELETE" or "/tile/" in path  # there is no such key, and no such tile
            unasked = path == "/audit/consistency"  # it wants a size
            statuses.append(200 if (nothing and status == 404) or (unasked and status == 422) else status)
            if not wrongly:
                continue
            ask(method, template.format(**dict.fromkeys(PARAMETERS, MARK)), **body)
            ask(method, path, params={"note": MARK, "include": MARK, "as_of": MARK}, **body)
            for name in ("fidelog-actor", "idempotency-key", "if-match", "traceparent", "x-note"):
                ask(method, path, headers={name: f'"{MARK}'}, **body)
            if method == "POST":
                ask(method, path, json={**VALID[template], **EVERYTHING})
                ask(
                    method,
                    path,
                    content=f'{{"full_name": "{MARK}'.encode(),
                    headers={"content-type": "application/json"},
                )
                ask(method, path, content=MARK.encode())
        return statuses

    assert set(through_every_route(wrongly=True)) <= {200, 201, 202, 409}
    ask("GET", f"/nowhere/{MARK}")
    with psycopg.connect(folders.superuser_url(), autocommit=True) as connection:
        for table in ("agent_tasks", "client_profiles", "audit_index"):
            connection.execute(f"ALTER TABLE fidelog.{table} RENAME TO hidden_{table}".encode())
    failed = sum(status == 500 for status in through_every_route(wrongly=False))
    assert failed >= 3
    written = until("all requests are logged", lambda: whole(server.stderr(), asked))
    assert MARK not in server.stdout() + written + (folders.data / "postgres.log").read_text()
    lines = [json.loads(line) for line in written.splitlines() if not line.startswith("fidelog: ")]
    requests = [line for line in lines if line["logger"] == "requests"]
    assert len(requests) == asked
    templates = {template for _, template in routes()}
    assert {line["route"] for line in requests} == {*templates, None}
    unforeseen = {line["correlation_id"] for line in lines if line["logger"] == "api.lean"}
    assert unforeseen == {line["correlation_id"] for line in requests if line["status"] == 500}
    assert server.stop() == 0


def whole(written: str, requests: int) -> str:
    """What was written once that many requests are in it."""
    return written if len(re.findall(r'"logger":"requests"', written)) >= requests else ""
