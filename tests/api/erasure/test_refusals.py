"""Erasure refused: holds, retention, and attacks on the rule of two."""

from __future__ import annotations

import httpx
import pytest

from tests.api.conftest import problem
from tests.api.erasure.conftest import BASIS, House
from tests.api.identity.conftest import OTHER


def refusal(house: House, client_id: str) -> dict[str, object]:
    """The one refusal on record, its data."""
    (event,) = house.events(client_id, "ErasureRefused")
    data: dict[str, object] = event["data"]
    return data


def test_a_hold_stands_against_it_and_the_refusal_is_recorded(house: House) -> None:
    """409 names the holds; with the last one lifted the erasure goes on. The reason is personal, and opened for readers."""
    client_id = house.client()
    path = f"/clients/{client_id}"
    placed = house.officer.post(f"{path}/holds", json={"hold_id": "m-1", "reason": "litigation"})
    assert (placed.status_code, placed.json()) == (201, {"client_id": client_id, "hold_id": "m-1", "status": "placed"})
    (event,) = house.events(client_id, "LegalHoldPlaced")
    assert event["data"]["reason"] == "litigation"
    again = problem(house.officer.post(f"{path}/holds", json={"hold_id": "m-1", "reason": "?"}), "wrong-state")
    assert again["hold_status"] == "placed"
    key = {"idempotency-key": f"erase-{client_id}"}
    first, repeated = (house.officer.post(f"{path}/erasure", json=BASIS, headers=key) for _ in range(2))
    for answer in (first, repeated):
        assert problem(answer, "legal-hold")["hold_ids"] == ["m-1"]
    assert first.headers["fidelog-position"] == repeated.headers["fidelog-position"]
    assert repeated.headers["idempotency-replayed"] == "true"
    assert refusal(house, client_id)["cause"] == "legal-hold"
    problem(house.officer.post(f"{path}/holds/m-2/lift", json={"reason": "?"}), "not-found")
    assert house.officer.get(f"{path}/erasure").json()["holds"][0]["hold_id"] == "m-1"
    lifted = house.officer.post(f"{path}/holds/m-1/lift", json={"reason": "settled"})
    assert lifted.json()["status"] == "lifted"
    house.erased(client_id)


def test_a_hold_after_the_request_stops_the_approval(house: House) -> None:
    """What stands is looked at under the lock when the key would be destroyed; the request stays."""
    client_id = house.client()
    house.requested(client_id)
    hold = house.officer.post(f"/clients/{client_id}/holds", json={"reason": "audit"}).json()["hold_id"]
    approval = f"/clients/{client_id}/erasure/approval"
    assert problem(house.approver.post(approval, json={}), "legal-hold")["hold_ids"] == [hold]
    assert house.advisor.get(f"/clients/{client_id}").status_code == 200
    house.officer.post(f"/clients/{client_id}/holds/{hold}/lift", json={"reason": "over"})
    assert house.approver.post(approval, json={}).status_code == 200


def test_retention_stands_against_it(house: House) -> None:
    """A class of records must be kept for its years; the answer says until when, and is recorded."""
    client_id = house.client()
    body = {"record_class": "account", "counts_from": "2025-06-30"}
    assert house.officer.post(f"/clients/{client_id}/retention", json=body).status_code == 201
    found = problem(house.officer.post(f"/clients/{client_id}/erasure", json=BASIS), "retention-running")
    assert (found["record_class"], found["kept_until"]) == ("account", "2031-06-30")
    assert refusal(house, client_id)["until"] == "2031-06-30"
    told = house.officer.get(f"/clients/{client_id}/erasure").json()
    assert told["records"] == [{**body, "kept_until": "2031-06-30"}]
    for wrong in (
        {**body, "record_class": "advice"},
        {**body, "counts_from": "2025-02-30"},
        {"record_class": "account"},
    ):
        problem(house.officer.post(f"/clients/{client_id}/retention", json=wrong), "invalid-request")


@pytest.mark.parametrize("how", ["same key", "second key", "for another", "for the requester", "an agent"])
def test_nobody_is_their_own_second_person(house: House, how: str) -> None:
    """One person with two keys or two roles, acting for another, through another, or by an agent: refused and recorded."""
    client_id, door = house.client(), house.door
    house.requested(client_id)
    someone: dict[str, httpx.Client] = {
        "same key": house.officer,
        "second key": door.somebody("approver", actor="user:olga"),
        "for another": door.somebody("approver", actor="user:olga", fidelog_on_behalf_of="user:ben"),
        "for the requester": door.somebody("approver", actor="user:eve", fidelog_on_behalf_of="user:olga"),
        "an agent": door.somebody("approver", actor="agent:helper", fidelog_on_behalf_of="user:ben"),
    }
    answer = someone[how].post(f"/clients/{client_id}/erasure/approval", json={})
    cause = "algorithm" if how == "an agent" else "same-person"
    assert problem(answer, "second-person-required")["cause"] == cause
    assert refusal(house, client_id)["cause"] == cause
    assert house.advisor.get(f"/clients/{client_id}").status_code == 200, "nothing was erased"


def test_roles_and_tenants_keep_others_out(house: House) -> None:
    """Only compliance asks and holds, only compliance and approvers approve; another tenant's people find no such client."""
    client_id, door = house.client(), house.door
    path = f"/clients/{client_id}"
    house.requested(client_id)
    for who in (house.advisor, house.agent, door.somebody("operator"), door.somebody("auditor")):
        for what, body in (("erasure", BASIS), ("erasure/approval", {}), ("holds", {"reason": "x"})):
            problem(who.post(f"{path}/{what}", json=body), "forbidden")
    problem(house.approver.post(f"{path}/erasure", json=BASIS), "forbidden")
    theirs = door.somebody("compliance", actor="user:ben", tenant=OTHER)
    problem(theirs.post(f"{path}/erasure/approval", json={}), "client-not-found")
    problem(theirs.get(f"{path}/erasure"), "client-not-found")


def test_a_request_can_be_withdrawn(house: House) -> None:
    """Afterwards there is nothing to approve, and it can be asked for again."""
    client_id = house.client()
    path = f"/clients/{client_id}/erasure"
    house.requested(client_id)
    assert problem(house.officer.post(path, json=BASIS), "wrong-state")["erasure_status"] == "requested"
    assert house.officer.post(f"{path}/withdrawal", json={}).json() == {"client_id": client_id, "status": "none"}
    assert problem(house.approver.post(f"{path}/approval", json={}), "wrong-state")["erasure_status"] == "none"
    house.erased(client_id)
