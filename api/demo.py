"""`fidelog demo`: the article's story over real HTTP, ended by the write that PostgreSQL refuses.

Every step checks what it shows; the exit status is 0 only if each behaved.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from rich.console import Console

from eventstore.embedded import EmbeddedServer

_SHOWN = 150
"""Characters of an answer that are shown."""

TITLES = {
    "ClientOnboarded": "Client onboarded",
    "TaskCreated": "Task created for the agent",
    "TaskClaimed": "Task claimed by the agent",
    "TaskCompleted": "Task completed with a recommendation",
}

ARTICLES_UPDATE = b"""
    UPDATE agent_tasks
    SET status = 'completed',
        result = %s::jsonb,
        updated_at = now()
    WHERE client_id = %s AND agent_name = 'rebalancing_agent'
      AND status = 'pending'
"""


class StepFailed(Exception):
    """A step of the story did not behave."""


def demo(url: str | None, key: str | None = None) -> int:
    """Play the story against `url`, with an API key if it asks for one, or a server of its own. The exit status: 0 only if
    every step behaved."""
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # unwinds: the server is stopped too
    try:
        if url is not None:
            _Story(console, url, None, key).play()
        else:
            with _own_server(console) as (own_url, reader_url):
                _Story(console, own_url, reader_url).play()
    except (StepFailed, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        console.print(f"[bold red]The demo failed:[/] {error}")
        return 1
    return 0


@contextmanager
def _own_server(console: Console) -> Iterator[tuple[str, str]]:
    """A `fidelog serve` on a free port in a temporary folder: its URL, and a reader's database URL."""
    with tempfile.TemporaryDirectory(prefix="fidelog-demo-") as folder:
        console.print("Starting a temporary server of its own …")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FIDELOG_")}
        environment |= {
            "FIDELOG_PORT": "0",
            "FIDELOG_DATA_DIR": f"{folder}/data",
            "FIDELOG_STATE_DIR": f"{folder}/state",
        }
        command = [sys.executable, "-c", "from api.cli import main; main(['serve'])"]
        # A session of its own: Ctrl-C reaches this program alone, which then stops the server in good order.
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if "ready at" not in line:
                raise StepFailed("the server did not start; see the lines above")
            server = EmbeddedServer(Path(folder) / "data", notice=lambda message: None)
            yield line.rpartition(" ")[2], server.conninfo("fidelog_reader", "fidelog")
        finally:
            process.terminate()
            process.wait(30)


class _Story:
    """The article's client, task and agent, step by step."""

    def __init__(self, console: Console, url: str, reader_url: str | None, key: str | None = None) -> None:
        self._console = console
        self._reader_url = reader_url
        # Everything is done in the name of the key's owner; why it looks at the trail is recorded.
        self._key = {"authorization": f"Bearer {key}", "fidelog-purpose": "demonstration"} if key is not None else {}
        self._http = httpx.Client(base_url=url, timeout=30, headers=self._key)
        self._client_id = f"demo-{uuid4().hex[:8]}"
        self._task_id = str(uuid4())
        # On a server that others use, an agent name of the demo's own: it must not take anybody's work.
        self._agent = "rebalancing_agent" if reader_url is not None else f"rebalancing_agent.{self._client_id}"
        self._steps = 0

    def play(self) -> None:
        """All steps, in order. Raises StepFailed."""
        with self._http:
            self._onboard()
            self._create_task()
            self._work()
            self._retry()
            self._timeline()
            self._refused_update()
        self._console.print(f"\n[green]All {self._steps} steps behaved.[/] The trail: GET /audit/events")

    def _step(self, title: str) -> None:
        self._steps += 1
        self._console.print(f"\n[bold]{self._steps}. {title}[/]")

    def _call(self, expected: int, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._key:
            names.pop("fidelog-actor", None)
        answer = self._http.request(method, path, json=body, headers=names)
        text = answer.text if len(answer.text) <= _SHOWN else answer.text[:_SHOWN] + " …"
        self._say(f"{method} {path} → {answer.status_code} {text}")
        if answer.status_code != expected:
            raise StepFailed(f"{method} {path} answered {answer.status_code} instead of {expected}: {answer.text}")
        return answer

    def _say(self, text: str) -> None:
        self._console.print("   " + text, markup=False, soft_wrap=True)

    def _check(self, what: str, fulfilled: bool) -> None:
        if not fulfilled:
            raise StepFailed(what)

    def _onboard(self) -> None:
        self._step("An advisor records a client")
        client = {"client_id": self._client_id, "full_name": "Amina Patel", "risk_profile": "moderate"}
        answer = self._call(200, "POST", "/clients", client, fidelog_actor="user:advisor-1")
        self._check("the client is answered as it was sent", answer.json() == client)

    def _create_task(self) -> None:
        self._step("A portfolio review is handed to an agent")
        task = {
            "task_id": self._task_id,
            "client_id": self._client_id,
            "agent_name": self._agent,
            "payload": {"objective": "review allocation"},
        }
        answer = self._call(201, "POST", "/tasks", task, fidelog_actor="user:advisor-1")
        self._check("the task is pending", answer.json() == {"task_id": self._task_id, "status": "pending"})

    def _work(self) -> None:
        self._step("The agent reads the client, claims its work, recommends and completes")
        actor = f"agent:{self._agent}@1.0"
        profile = self._call(200, "GET", f"/clients/{self._client_id}").json()
        body = {"agent_name": self._agent, "limit": 1}
        tasks = self._call(200, "POST", "/tasks/claim", body, fidelog_actor=actor).json()["tasks"]
        self._check("the task can be claimed", [task["task_id"] for task in tasks] == [self._task_id])
        recommendation = {
            "action": "rebalance",
            "target_allocation": {"equities": 60, "bonds": 30, "cash": 10},
            "reason": f"Risk profile is {profile['risk_profile']}",
        }
        self._result = {"claim_token": tasks[0]["claim_token"], "result": recommendation}
        self._headers = {"fidelog_actor": actor, "idempotency_key": str(uuid4())}
        self._first = self._call(200, "POST", f"/tasks/{self._task_id}/result", self._result, **self._headers)
        task = self._call(200, "GET", f"/tasks/{self._task_id}").json()
        self._check("the result is kept", task["status"] == "completed" and task["result"] == recommendation)

    def _retry(self) -> None:
        self._step("The agent's network failed, so it sends the result again: nothing changes")
        again = self._call(200, "POST", f"/tasks/{self._task_id}/result", self._result, **self._headers)
        same = again.content == self._first.content
        position = again.headers["fidelog-position"] == self._first.headers["fidelog-position"]
        self._check("the repeat gets the first answer", same and position)
        self._check("the repeat says so", again.headers.get("idempotency-replayed") == "true")

    def _timeline(self) -> None:
        self._step("The audit trail of it all")
        events = [
            event
            for stream in (f"client-{self._client_id}", f"task-{self._task_id}")
            for event in self._http.get("/audit/events", params={"stream": stream}).json()["events"]
        ]
        events.sort(key=lambda event: event["position"])
        for event in events:
            when = event["recorded_at"].replace("T", " ").removesuffix("Z")
            who = f"{event['actor']:<{max(len(e['actor']) for e in events)}}"
            self._say(f"{event['position']:>4}  {when} UTC  {who}  {TITLES[event['type']]}")
        types = [event["type"] for event in events]
        expected = ["ClientOnboarded", "TaskCreated", "TaskClaimed", "TaskCompleted"]
        self._check(f"the trail holds {expected}, found {types}", types == expected)

    def _refused_update(self) -> None:
        self._step("The article's worker writes past the API: PostgreSQL refuses")
        if self._reader_url is None:
            self._steps -= 1
            self._say("(shown only on the demo's own server: this one's database is not ours to try)")
            return
        with psycopg.connect(
            self._reader_url, options="-c search_path=pg_catalog,fidelog", autocommit=True
        ) as connection:
            try:
                connection.execute(ARTICLES_UPDATE, ("{}", self._client_id))
            except psycopg.Error as error:
                self._say(f"UPDATE agent_tasks SET status = 'completed' … → {error}")
            else:
                raise StepFailed("the UPDATE was not refused")
        status = self._call(200, "GET", f"/tasks/{self._task_id}").json()["status"]
        self._check("the task is as it was", status == "completed")
