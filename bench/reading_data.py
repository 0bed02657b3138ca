"""What is read: the same clients and pending tasks for ours, written over HTTP, and for the plain service, copied."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg

from bench import credentials
from bench.rounds import MeasurementError

CLIENTS = 4_000
AGENTS = 40
LEAST_TASKS, MOST_TASKS = 20, 100
WRITERS = 32

CLIENT_PATH = "/clients/read-%05d"
TASKS_PATH = "/tasks?status=pending&agent_name=agent-%02d"

Body = dict[str, Any]


def clients() -> list[Body]:
    """All clients, as they are posted."""
    return [
        {"client_id": f"read-{number:05d}", "full_name": f"Amina Patel {number}", "risk_profile": "moderate"}
        for number in range(1, CLIENTS + 1)
    ]


def tasks() -> list[Body]:
    """Pending tasks of every agent, 20 to 100 each, as they are posted; those of one agent lie scattered."""
    random = Random(11)
    agents = [n for n in range(1, AGENTS + 1) for _ in range(random.randint(LEAST_TASKS, MOST_TASKS))]
    random.shuffle(agents)
    return [_task(random, agent) for agent in agents]


def _task(random: Random, agent: int) -> Body:
    return {
        "task_id": str(UUID(int=random.getrandbits(128), version=4)),
        "client_id": f"read-{random.randint(1, CLIENTS):05d}",
        "agent_name": f"agent-{agent:02d}",
        "payload": {
            "objective": "review allocation",
            "portfolio": f"p-{random.getrandbits(40):010x}",
            "target": {"equities": 60, "bonds": 30, "cash": 10},
            "drift": round(random.random(), 4),
        },
    }


def write_ours(url: str) -> None:
    """Post everything. Raises MeasurementError."""
    _post(url, "/clients", clients())
    _post(url, "/tasks", tasks())


def _post(url: str, path: str, bodies: Sequence[Body]) -> None:
    def write(share: Sequence[Body]) -> None:
        plain, key = credentials.split(url)
        connection = http.client.HTTPConnection(urlsplit(plain).netloc, timeout=30)
        for body in share:
            connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json", **key})
            answer = connection.getresponse()
            answer.read()
            if answer.status // 100 != 2:
                raise MeasurementError(f"POST {path} was answered {answer.status}")
        connection.close()

    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(write, [bodies[n::WRITERS] for n in range(WRITERS)]))


def copy_peers(url: str) -> None:
    """Copy everything into the tables of bench/peers/plain_crud.py."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        with cursor.copy("COPY client_profiles (client_id, full_name, risk_profile) FROM STDIN") as copy:
            for one in clients():
                copy.write_row((one["client_id"], one["full_name"], one["risk_profile"]))
        with cursor.copy("COPY agent_tasks (task_id, client_id, agent_name, payload) FROM STDIN") as copy:
            for one in tasks():
                copy.write_row((one["task_id"], one["client_id"], one["agent_name"], json.dumps(one["payload"])))


def settle(*urls: str) -> None:
    """Rows visible to all and statistics taken, as on any database that has run for a while."""
    for url in urls:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")


def compare(ours: str, peer: str) -> str:
    """Raises MeasurementError unless both answer every client and every agent's page alike, times aside."""
    pages = [TASKS_PATH % agent for agent in range(1, AGENTS + 1)]
    sizes = []
    for path in (*(CLIENT_PATH % number for number in range(1, CLIENTS + 1, 97)), *pages):
        mine, theirs = _get(ours, path), _get(peer, path)
        if "tasks" in mine:
            sizes.append(len(mine["tasks"]))
            mine, theirs = _tasks(mine), _tasks(theirs)
        if mine != theirs or not mine:
            raise MeasurementError(f"{path} is answered differently by {ours} and {peer}")
    return f"S11: a page of tasks has {min(sizes)} to {max(sizes)} tasks, the same in both services"


def _tasks(page: Body) -> dict[str, Body]:
    """By id: those created in one instant have no order in the plain service. Times are each service's own."""
    times = {"created_at": None, "updated_at": None}
    return {task["task_id"]: {**task, **times} for task in page["tasks"]}


def answers(url: str, path: str) -> bool:
    """Whether the path is answered with 200."""
    return _ask(url, path)[0] == 200


def _get(url: str, path: str) -> Body:
    status, body = _ask(url, path)
    if status != 200:
        raise MeasurementError(f"GET {path} was answered {status}")
    found: Body = json.loads(body)
    return found


def _ask(url: str, path: str) -> tuple[int, bytes]:
    plain, key = credentials.split(url)
    connection = http.client.HTTPConnection(urlsplit(plain).netloc, timeout=30)
    connection.request("GET", path, headers=key)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body
