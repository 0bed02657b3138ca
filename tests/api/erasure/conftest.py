"""Fixtures: an application that asks everybody for a credential, and the people an erasure takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import client_body, fresh_client
from tests.api.identity.conftest import Door, open_door
from tests.clusters import Cluster

BASIS = {"legal_basis": "GDPR Art. 17(1)(b)"}


class House:
    """Who works here, each by a key of their own."""

    def __init__(self, door: Door) -> None:
        self.door = door
        purpose = {"fidelog_purpose": "erasure request"}
        self.advisor = door.somebody("advisor", actor="user:ada")
        self.agent = door.somebody("agent", actor="agent:reb")
        self.officer = door.somebody("compliance", actor="user:olga", **purpose)
        self.approver = door.somebody("approver", actor="user:ben", **purpose)

    def client(self, **fields: Any) -> str:
        """A new client's id."""
        client_id = fresh_client()
        answer = self.advisor.post("/clients", json=client_body(client_id, **fields))
        assert answer.status_code == 200, answer.text
        return client_id

    def requested(self, client_id: str) -> httpx.Response:
        """Compliance asks."""
        answer = self.officer.post(f"/clients/{client_id}/erasure", json=BASIS)
        assert answer.status_code == 202, answer.text
        return answer

    def erased(self, client_id: str) -> httpx.Response:
        """Compliance asks and somebody else approves."""
        self.requested(client_id)
        answer = self.approver.post(f"/clients/{client_id}/erasure/approval", json={})
        assert answer.status_code == 200, answer.text
        return answer

    def events(self, client_id: str, kind: str) -> list[dict[str, Any]]:
        """The client's events of a type."""
        newest = self.officer.get("/audit/events", params={"order": "desc", "limit": 1}).json()["events"][0]["position"]
        query = {"type": kind, "limit": 500, "at_least": newest}
        page = self.officer.get(f"/clients/{client_id}/timeline", params=query)
        events: list[dict[str, Any]] = page.json()["events"]
        return events


@pytest.fixture(scope="module")
def house(pg: Cluster) -> Iterator[House]:
    """One for a module."""
    with pg.copy() as name:
        for door in open_door(pg, name):
            yield House(door)
