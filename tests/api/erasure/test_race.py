"""An erasure in the middle of everything else: it is before or after each of them, never between."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import orjson

from tests.api.conftest import client_body, task_body
from tests.api.erasure.conftest import House
from tests.eventstore.writer.harness import rows

NAME = "Bartholomew Nightjar"
ERASED = {"erased": True}


def test_an_erasure_races_sixty_four_writers_claims_and_reads(house: House) -> None:
    """Whatever was answered with a value was answered before the erasure; what comes after is 410, or erased; no event
    after it holds a value of the client's; the rows are the fold of the log, and only a tombstone is left of the key."""
    client_id = house.client(full_name=NAME)
    tasks = [task_body(client_id, "reb", payload={"for": NAME}) for _ in range(40)]
    for task in tasks[:20]:
        assert house.advisor.post("/tasks", json=task).status_code == 201
    house.requested(client_id)
    answers: list[tuple[str, httpx.Response]] = []

    async def story() -> None:
        async with httpx.AsyncClient(base_url=house.door.api.url, timeout=30) as http:
            erased = asyncio.Event()

            async def busy(number: int) -> None:
                turn = number
                while not erased.is_set():
                    await one(turn)
                    turn += 64
                await one(turn)

            async def one(turn: int) -> None:
                kind = ("write", "read", "task", "claim", "list", "result")[turn % 6]
                answers.append((kind, await send(kind, turn)))

            async def send(kind: str, turn: int) -> httpx.Response:
                advisor, agent = house.advisor.headers, house.agent.headers
                if kind == "write":
                    return await http.post("/clients", json=client_body(client_id, full_name=NAME), headers=advisor)
                if kind == "read":
                    return await http.get(f"/clients/{client_id}", headers=advisor)
                if kind == "task":
                    return await http.post("/tasks", json=tasks[turn % 40], headers=advisor)
                if kind == "claim":
                    return await http.post("/tasks/claim", json={"agent_name": "reb"}, headers=agent)
                if kind == "list":
                    return await http.get(f"/clients/{client_id}/tasks", headers=advisor)
                task_id = tasks[turn % 40]["task_id"]
                return await http.post(f"/tasks/{task_id}/result", json={"result": {"for": NAME}}, headers=agent)

            load = [asyncio.create_task(busy(number)) for number in range(64)]
            while len(answers) < 64:
                await asyncio.sleep(0.01)
            path = f"/clients/{client_id}/erasure/approval"
            approved = await http.post(path, json={}, headers=house.approver.headers)
            assert approved.status_code == 200, approved.text
            at.append(int(approved.headers["fidelog-position"]))
            erased.set()
            await asyncio.gather(*load)

    at: list[int] = []
    asyncio.run(story())
    (position,) = at
    assert {answer.status_code for _, answer in answers} <= {200, 201, 404, 409, 410}
    for kind, answer in answers:
        if kind in ("write", "task") and answer.status_code < 300:
            assert int(answer.headers["fidelog-position"]) < position
    database = house.door.api.backend.database
    query = (
        "SELECT type, data::text, position FROM fidelog.events WHERE subjects = ARRAY['{}'] AND position >= {}"
        " ORDER BY position"
    )
    after = rows(database, query.format(client_id, position), login="writer")
    assert after[0][0] == "ClientErased"
    sealed = [data for _, data, _ in after if any(isinstance(v, dict) for v in orjson.loads(data).values())]
    assert sealed == [], "an event after the erasure holds a value"
    key = f"SELECT wrapped, destroyed_position FROM fidelog.client_keys WHERE subject = '{client_id}'"
    assert rows(database, key, login="writer") == [(None, position)]
    late: list[dict[str, Any]] = house.advisor.get(f"/clients/{client_id}/tasks", params={"limit": 500}).json()["tasks"]
    assert all(task["payload"] == ERASED and task["result"] in (None, ERASED) for task in late)
