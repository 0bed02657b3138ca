"""P5 where an answer holds a secret: a request for a key sent again makes no second key, and shows the first no second time."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.settings import Settings
from eventstore.database import Database
from eventstore.writer.queues import Limits
from tests.api.conftest import Caller, fresh_agent, problem
from tests.api.identity.conftest import Door
from tests.api.test_idempotency import CALLERS, at_once
from tests.clusters import Cluster
from tests.eventstore.writer.cutting_proxy import CuttingProxy, cutting
from tests.running import running_api


def body_of(agent_name: str) -> dict[str, Any]:
    """Of a request for an agent's key."""
    return {"actor": f"agent:{agent_name}", "roles": ["agent"]}


def issued(http: httpx.Client, agent_name: str) -> list[dict[str, Any]]:
    """The agent's keys, as they are listed."""
    return [key for key in http.get("/admin/keys").json()["keys"] if key["actor"] == f"agent:{agent_name}"]


def test_64_callers_with_one_new_key_issue_one_api_key(door: Door) -> None:
    """One of 64 equal requests at once is shown the secret, and it holds; to the others the answer is the same without."""
    admin, agent_name = door.somebody("operator"), fresh_agent()
    answers = at_once(Caller(admin), "/admin/keys", body_of(agent_name), idempotency_key=agent_name)
    assert Counter(answer.status_code for answer in answers) == {201: CALLERS}
    (first,) = (answer for answer in answers if answer.json()["key"] is not None)
    for answer in answers:
        assert ("idempotency-replayed" in answer.headers) is (answer is not first)
        assert {**answer.json(), "key": None} == {**first.json(), "key": None}
        assert answer.headers["fidelog-position"] == first.headers["fidelog-position"]
    assert [key["key_id"] for key in issued(admin, agent_name)] == [first.json()["key_id"]]
    assert door.caller(first.json()["key"]).get("/tasks").status_code == 200


@pytest.mark.skipif(bool(os.environ.get("FIDELOG_TEST_DATABASE_URL")), reason="needs the embedded server's socket")
def test_a_commit_that_was_not_answered_issues_one_api_key(pg: Cluster, database_name: str, database: Database) -> None:
    """P6: the connection is lost between the commit and its answer. Whoever still waits is shown the secret; who was
    told 503 finds the key issued when it asks again, of another process too, and never learns the secret."""
    settings = pg.settings(database_name)

    async def cut() -> None:
        async with cutting(database, "after") as (url, proxy):
            behind = replace(settings, login_urls={**settings.login_urls, "writer": url})
            await asyncio.to_thread(still_waiting, behind)
            proxy.cuts = 1
            return await asyncio.to_thread(told_503, behind, settings, proxy)

    asyncio.run(cut())


def still_waiting(behind: Settings) -> None:
    """The outcome is found out while the caller waits."""
    with running_api(behind) as api:
        answer = api.client.post("/admin/keys", json=body_of("waits"), headers={"idempotency-key": "1"})
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (201, False)
        shown = {"authorization": f"Bearer {answer.json()['key']}"}
        assert api.client.get("/tasks", headers=shown).status_code == 200
        assert len(issued(api.client, "waits")) == 1


def told_503(behind: Settings, settings: Settings, proxy: CuttingProxy) -> None:
    """It is not, and the caller asks again, twice."""
    request: dict[str, Any] = {"json": body_of("gone"), "headers": {"idempotency-key": "2"}}
    with running_api(behind, Limits(resolve_seconds=0.0)) as api:
        problem(api.client.post("/admin/keys", **request), "database-unavailable")
        assert proxy.cuts == 0, "the commit was carried out, its answer lost"
    with running_api(settings) as other:
        again, once_more = (other.client.post("/admin/keys", **request) for _ in range(2))
        (key,) = issued(other.client, "gone")
        event = other.client.get(f"/audit/events/{again.headers['fidelog-position']}").json()
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert (again.content, again.headers["fidelog-position"]) == (
        once_more.content,
        once_more.headers["fidelog-position"],
    )
    named = ("key_id", "actor", "roles", "expires_at", "replaces")
    assert again.json() == {
        **{name: event["data"][name] for name in named}, "issued_at": event["recorded_at"], "key": None
    }  # fmt: skip
    assert (key["key_id"], key["status"]) == (again.json()["key_id"], "active")
