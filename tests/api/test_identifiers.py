"""Identifiers, UUIDs, names and risk profiles: what is taken, and how it is answered."""

from __future__ import annotations

import unicodedata
import uuid
from typing import Any

import pytest

from tests.api.conftest import FULL_NAME, Caller, client_body, fresh_agent, fresh_client, places, task_body
from tests.clusters import CLEAR_NAMES

GOOD_IDENTIFIERS = ("a", "Z", "0", "a.b_c:d-e", "x" * 128, "a..", "A:")
BAD_IDENTIFIERS = (
    "", "x" * 129, ".a", "_a", "-a", ":a", "a b", " a", "a ", "a\n", "a\r\n", "a\t", "a/b", "a\\b", "a\x00", "é", "٣", "a٣",
    "１", "a,b", "a;b", "a'b", 'a"b', "a%20", "\u212a", "a\u200b", "🙂",
)  # fmt: skip
BAD_UUIDS = (
    "", "x", "{550e8400-e29b-41d4-a716-446655440000}", "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
    "550e8400e29b41d4a716446655440000", "550e8400-e29b-41d4-a716-44665544000", "550e8400-e29b-41d4-a716-4466554400000",
    "550e8400-e29b-41d4-a716-44665544000g", "550e8400-e29b-41d4-a716-446655440000\n", " 550e8400-e29b-41d4-a716-446655440000",
    "550e8400_e29b_41d4_a716_446655440000", "550e-8400-e29b-41d4-a716446655440000", "55٠e8400-e29b-41d4-a716-446655440000",
    "５50e8400-e29b-41d4-a716-446655440000",
)  # fmt: skip
RISK_PROFILES = ("conservative", "moderately_conservative", "moderate", "growth", "aggressive")


@pytest.mark.parametrize("identifier", GOOD_IDENTIFIERS)
def test_identifiers_at_the_edges_of_the_pattern_are_taken(caller: Caller, identifier: str) -> None:
    """1 to 128 characters of the pattern work as client id, agent name and path."""
    assert caller.post("/clients", client_body(identifier)).json()["client_id"] == identifier
    assert caller.http.get(f"/clients/{identifier}").json()["client_id"] == identifier
    assert caller.post("/tasks", task_body(identifier, identifier)).status_code == 201
    assert caller.claim(identifier)[0]["agent_name"] == identifier


@pytest.mark.parametrize("identifier", BAD_IDENTIFIERS)
def test_identifiers_beyond_the_pattern_are_refused_everywhere(caller: Caller, identifier: str) -> None:
    """Trailing newlines, other scripts' digits and 129 characters are 422, never trimmed, folded or cut."""
    content = caller.refused("invalid-request", "POST", "/clients", json=client_body(identifier))
    assert places(content) == {"/client_id"}
    content = caller.refused("invalid-request", "POST", "/tasks", json=task_body(identifier, identifier))
    assert places(content) == {"/client_id", "/agent_name"}
    content = caller.refused("invalid-request", "POST", "/tasks/claim", json={"agent_name": identifier})
    assert places(content) == {"/agent_name"}


@pytest.mark.parametrize("segment", ["x" * 129, "%00", "a%0A", "%C3%A9", "%D9%A3", "a%20b", ".a", "%ff"])
def test_a_path_that_can_be_no_client_id_is_refused(caller: Caller, segment: str) -> None:
    """The path's id is held to the same pattern; a fault names the parameter."""
    assert places(caller.refused("invalid-request", "GET", f"/clients/{segment}")) == {"client_id"}


@pytest.mark.parametrize("text", BAD_UUIDS)
def test_malformed_uuids_are_refused(caller: Caller, text: str) -> None:
    """Braces, urn:, missing hyphens and foreign digits are no UUID here, in bodies and for claim tokens."""
    body = task_body(fresh_client(), "a", task_id=text)
    assert places(caller.refused("invalid-request", "POST", "/tasks", json=body)) == {"/task_id"}
    result = {"claim_token": text, "result": {}}
    path = f"/tasks/{uuid.uuid4()}/result"
    assert places(caller.refused("invalid-request", "POST", path, json=result)) == {"/claim_token"}


@pytest.mark.parametrize(
    "segment", ["x", "%7B550e8400-e29b-41d4-a716-446655440000%7D", "550e8400e29b41d4a716446655440000"]
)
def test_a_path_that_can_be_no_task_id_is_refused(caller: Caller, segment: str) -> None:
    """Reads and results refuse a malformed task id as 422 that names the parameter."""
    assert places(caller.refused("invalid-request", "GET", f"/tasks/{segment}")) == {"task_id"}
    path = f"/tasks/{segment}/result"
    assert places(caller.refused("invalid-request", "POST", path, json={"result": {}})) == {"task_id"}


def test_uuids_in_upper_case_are_answered_in_lower_case(caller: Caller) -> None:
    """One task whatever the letters' case: created, read, claimed and completed under either spelling."""
    agent_name, task_id = fresh_agent(), str(uuid.uuid4())
    created = caller.post("/tasks", task_body(caller.client(), agent_name, task_id=task_id.upper()))
    assert created.json() == {"task_id": task_id, "status": "pending"}
    assert caller.http.get(f"/tasks/{task_id.upper()}").json()["task_id"] == task_id
    (claimed,) = caller.claim(agent_name)
    body = {"claim_token": claimed["claim_token"].upper(), "result": {}}
    completed = caller.post(f"/tasks/{task_id.upper()}/result", body)
    assert completed.json() == {"task_id": task_id, "status": "completed"}
    assert {event["stream"] for event in caller.events(stream=f"task-{task_id}")} == {f"task-{task_id}"}


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (f"  {FULL_NAME}\u3000", FULL_NAME),
        (unicodedata.normalize("NFD", CLEAR_NAMES[1]), CLEAR_NAMES[1]),
        (FULL_NAME + "x" * (140 - len(FULL_NAME)), FULL_NAME + "x" * (140 - len(FULL_NAME))),
        (FULL_NAME + "e\u0301" * (140 - len(FULL_NAME)), FULL_NAME + "é" * (140 - len(FULL_NAME))),
        (f"{FULL_NAME} 🙂\u200d", f"{FULL_NAME} 🙂\u200d"),
        (FULL_NAME[0], FULL_NAME[0]),
    ],
)  # fmt: skip
def test_full_names_are_normalised_and_answered_so(caller: Caller, sent: str, answered: str) -> None:
    """NFC and trimmed, 1 to 140 characters after that: in the write's answer, the read and the event."""
    client_id = fresh_client()
    assert caller.post("/clients", client_body(client_id, full_name=sent)).json()["full_name"] == answered
    assert caller.http.get(f"/clients/{client_id}").json()["full_name"] == answered
    (event,) = caller.events(stream=f"client-{client_id}")
    assert event["data"]["full_name"] == answered


BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    "name",
    [
        "", "   ", "\u3000", FULL_NAME + "x" * (141 - len(FULL_NAME)), FULL_NAME + "\u0958" * 71,
        *(f"{FULL_NAME[:5]}{control}{FULL_NAME[5:]}" for control in "\x00\x01\t\n\r\x1b\x7f\x85\x9f\u2028\u2029"),
        *(f"{FULL_NAME}{character}x" for character in BIDI),
    ],
)  # fmt: skip
def test_names_that_are_empty_too_long_or_hide_text_are_refused(caller: Caller, name: str) -> None:
    """Control and bidirectional override characters, and lengths that NFC takes beyond 140, are 422."""
    content = caller.refused("invalid-request", "POST", "/clients", json=client_body(fresh_client(), full_name=name))
    assert places(content) == {"/full_name"}


@pytest.mark.parametrize("profile", RISK_PROFILES)
def test_every_risk_profile_is_taken(caller: Caller, profile: str) -> None:
    """The five profiles are taken and answered as sent."""
    assert caller.post("/clients", client_body(fresh_client(), risk_profile=profile)).json()["risk_profile"] == profile


@pytest.mark.parametrize("profile", ["", "Moderate", "moderate ", "high", "moderate\n", None, 1, ["moderate"]])
def test_another_risk_profile_is_refused_with_the_list(caller: Caller, profile: Any) -> None:
    """The 422 names each profile there is, so that the caller can choose."""
    body = client_body(fresh_client(), risk_profile=profile)
    (fault,) = caller.refused("invalid-request", "POST", "/clients", json=body)["errors"]
    assert fault["pointer"] == "/risk_profile"
    assert all(known in fault["message"] for known in RISK_PROFILES)
