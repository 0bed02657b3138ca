"""An erased client over HTTP: every route, every repeat, every reading."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.api.conftest import client_body, problem, task_body
from tests.api.erasure.conftest import BASIS, House
from tests.projections.replay.harness import check
from tests.waiting import until

ERASED = {"erased": True}
NAME = "Zoë Quartzfeld"
SECRET = {"note": "owns a lighthouse"}


class Story:
    """A client with a task in each state that matters, erased; what was sent before is remembered."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.client_id = house.client(full_name=NAME)
        self.body = client_body(self.client_id, full_name=NAME)
        self.key = {"idempotency-key": f"profile-{self.client_id}"}
        assert house.advisor.post("/clients", json=self.body, headers=self.key).status_code == 200
        self.done, self.claimed, self.pending = (self._task() for _ in range(3))
        self.claim_key = {"idempotency-key": f"claim-{self.client_id}"}
        claim = {"agent_name": "reb", "limit": 2}
        tasks = house.agent.post("/tasks/claim", json=claim, headers=self.claim_key).json()["tasks"]
        self.tokens = {task["task_id"]: task["claim_token"] for task in tasks}
        assert set(self.tokens) == {self.done, self.claimed}
        self.result = {"claim_token": self.tokens[self.done], "result": SECRET}
        assert house.agent.post(f"/tasks/{self.done}/result", json=self.result).status_code == 200
        self.tag = house.advisor.get(f"/tasks/{self.done}").headers["etag"]
        self.erasure = house.erased(self.client_id)

    def _task(self) -> str:
        body = task_body(self.client_id, "reb", payload=SECRET)
        assert self.house.advisor.post("/tasks", json=body).status_code == 201
        return str(body["task_id"])


@pytest.fixture(scope="module")
def story(house: House) -> Story:
    """One for the module."""
    return Story(house)


def test_the_answer_says_so_and_a_repeat_is_gone(story: Story) -> None:
    """200 with the state; P5: a repeat of anything about an erased person is 410, the approval itself too."""
    assert story.erasure.json() == {"client_id": story.client_id, "status": "erased"}
    path = f"/clients/{story.client_id}/erasure/approval"
    problem(story.house.approver.post(path, json={}), "client-erased")


def test_the_client_is_gone_for_reads_writes_and_repeats(story: Story) -> None:
    """410 for everything that is about the client itself, as it was earlier too, and whatever ETag is sent."""
    house, path = story.house, f"/clients/{story.client_id}"
    for query in ({}, {"include": "open_tasks"}, {"as_of": str(int(story.erasure.headers["fidelog-position"]) - 1)}):
        problem(house.advisor.get(path, params=query), "client-erased")
    problem(house.advisor.get(path, headers={"if-none-match": "*"}), "client-erased")
    for headers in ({}, story.key, {"if-match": "*"}):
        problem(house.advisor.post("/clients", json=story.body, headers=headers), "client-erased")
    problem(house.advisor.post("/tasks", json=task_body(story.client_id, "reb")), "client-erased")
    writes: list[tuple[Any, str, dict[str, Any]]] = [
        (house.officer, "holds", {"reason": "late"}),
        (house.officer, "holds/m-1/lift", {"reason": "late"}),
        (house.officer, "retention", {"record_class": "account", "counts_from": "2026-01-01"}),
        (house.officer, "erasure", BASIS),
        (house.officer, "erasure/withdrawal", {}),
    ]
    for who, what, body in writes:
        problem(who.post(f"{path}/{what}", json=body), "client-erased")


def test_tasks_and_lists_stay_with_every_value_erased(story: Story) -> None:
    """200, and {"erased": true} in place of each personal value; a copy kept by its ETag is not current any more."""
    house = story.house
    task = house.advisor.get(f"/tasks/{story.done}", headers={"if-none-match": story.tag})
    assert task.status_code == 200, "what the caller kept shows more"
    assert (task.json()["payload"], task.json()["result"]) == (ERASED, ERASED)
    assert house.advisor.get(f"/tasks/{story.done}", headers={"if-none-match": task.headers["etag"]}).status_code == 304
    for path in ("/tasks", f"/clients/{story.client_id}/tasks"):
        page = house.advisor.get(path, params={"limit": 500}).json()["tasks"]
        assert {task["task_id"] for task in page} >= {story.done, story.claimed, story.pending}
        assert all(task["payload"] == ERASED for task in page if task["client_id"] == story.client_id)
    past = house.advisor.get(f"/tasks/{story.done}", params={"as_of": story.erasure.headers["fidelog-position"]}).json()
    assert past["result"] == ERASED
    again = house.agent.post("/tasks/claim", json={"agent_name": "reb", "limit": 2}, headers=story.claim_key)
    assert again.headers["idempotency-replayed"] == "true"
    assert [task["payload"] for task in again.json()["tasks"]] == [ERASED, ERASED]


def test_the_trail_stays_with_every_value_erased(story: Story) -> None:
    """Every event is there, readable but for its personal values; nothing of them is in any answer."""
    officer = story.house.officer
    timeline = officer.get(f"/clients/{story.client_id}/timeline", params={"limit": 500})
    events = timeline.json()["events"]
    assert [event["type"] for event in events if event["stream"] == f"client-{story.client_id}"][-2:] == [
        "ErasureRequested", "ClientErased",
    ]  # fmt: skip
    values = [event["data"].get(name) for event in events for name in ("full_name", "payload", "result")]
    assert [value for value in values if value is not None and value != ERASED] == []
    erased = next(event for event in events if event["type"] == "ClientErased")
    assert erased["title"] == "Client erased: requested by user:olga, approved by user:ben"
    assert erased["data"]["legal_basis"] == BASIS["legal_basis"]
    single = officer.get(f"/audit/events/{events[0]['position']}").json()
    assert single["data"]["full_name"] == ERASED
    by_client = officer.get("/audit/events", params={"client_id": story.client_id, "limit": 500})
    for text in (timeline.text, by_client.text, officer.get("/audit/events", params={"limit": 500}).text):
        assert "lighthouse" not in text
        assert NAME not in text


def test_the_erasure_itself_can_be_read(story: Story) -> None:
    """Who asked, who approved, by what law and when: without personal data, and as it was earlier."""
    path = f"/clients/{story.client_id}/erasure"
    told = story.house.officer.get(path).json()
    assert (told["status"], told["requested_by"], told["approved_by"]) == ("erased", "user:olga", "user:ben")
    assert (told["legal_basis"], told["holds"], told["records"]) == (BASIS["legal_basis"], [], [])
    before = int(story.erasure.headers["fidelog-position"]) - 1
    assert story.house.officer.get(path, params={"as_of": before}).json()["status"] == "requested"


def test_work_under_way_ends(story: Story) -> None:
    """A result for an erased client cannot be stored: 410. The server cancels what is open, so no agent is given it for
    ever; on record, and without anybody's help."""
    house = story.house
    late = {"claim_token": story.tokens[story.claimed], "result": SECRET}
    problem(house.agent.post(f"/tasks/{story.claimed}/result", json=late), "client-erased")
    problem(house.agent.post(f"/tasks/{story.done}/result", json=story.result), "client-erased")

    def states() -> list[str]:
        return [
            house.advisor.get(f"/tasks/{task}").json()["status"] for task in (story.done, story.claimed, story.pending)
        ]

    until("the open tasks are cancelled", lambda: states() == ["completed", "cancelled", "cancelled"])
    assert house.agent.post("/tasks/claim", json={"agent_name": "reb"}).json() == {"tasks": []}
    cancelled = house.events(story.client_id, "TaskCancelled")
    assert {(event["actor"], event["data"]["reason"]) for event in cancelled} == {("system:fidelog", None)}


def test_another_client_is_untouched(story: Story) -> None:
    """One key, one person."""
    other = story.house.client(full_name="Bartholomew Nightjar")
    assert story.house.advisor.get(f"/clients/{other}").json()["full_name"] == "Bartholomew Nightjar"


def test_a_replay_finds_the_rows_as_they_are(story: Story) -> None:
    """P7: requests, on whose behalf they were made, holds and erasures fold alike in the writer and in replay."""
    client_id = story.house.client()
    path = f"/clients/{client_id}"
    assert story.house.officer.post(f"{path}/holds", json={"reason": "litigation"}).status_code == 201
    on_behalf = {"fidelog-on-behalf-of": "user:zoe"}
    other = story.house.client()
    asked = story.house.officer.post(f"/clients/{other}/erasure", json=BASIS, headers=on_behalf)
    assert asked.status_code == 202, asked.text
    database = story.house.door.api.backend.database
    assert check(database) == []
    with psycopg.connect(story.house.door.superuser_url) as connection:
        row = connection.execute(
            "SELECT standing FROM fidelog.client_profiles WHERE client_id = %s", (other,)
        ).fetchone()
    assert row is not None
    assert row[0]["erasure"]["requested_for"] == "user:zoe"
