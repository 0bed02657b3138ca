"""Lists of tasks, and a client read with its open tasks: complete, in order, and each cursor good for its own list."""

from __future__ import annotations

import base64
import random
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from api import cursors
from tests.api.conftest import Caller, client_body, fresh_agent, fresh_client, places, problem
from tests.api.test_task_ends import ACTIONS, act
from tests.api.test_tasks import KEYS, read

STATUSES = ("pending", "claimed", "completed", "failed", "cancelled")
LINK = re.compile(r'<(?P<target>/[^<>]*)>; rel="next"')

Tasks = list[dict[str, Any]]


class World:
    """Tasks of several clients and agents in every status."""

    def __init__(self, caller: Caller, number: int) -> None:
        self.caller = caller
        order = random.Random(3)
        self.clients = [caller.client() for _ in range(3)]
        self.agents = [fresh_agent() for _ in range(3)]
        for _ in range(number):
            agent_name = order.choice(self.agents)
            task_id = caller.task(agent_name, order.choice(self.clients), priority=order.randint(1, 5))
            end = order.choice(["none", "claim", "result", *ACTIONS])
            if end == "cancel":
                caller.post(f"/tasks/{task_id}/cancel", {})
            elif end != "none":
                (given,) = caller.claim(agent_name)
                if end != "claim":
                    assert act(caller, given["task_id"], end, given["claim_token"]).status_code == 200

    def all(self) -> Tasks:
        """Every task there is, in the order of creation, read one by one."""
        events = self.caller.events()
        return [read(self.caller, event["data"]["task_id"]) for event in events if event["type"] == "TaskCreated"]


@pytest.fixture(scope="module")
def world(caller: Caller) -> World:
    return World(caller, 60)


def page_of(answer: httpx.Response) -> tuple[Tasks, str | None, str | None]:
    """A page's tasks, cursor and link, which say the same."""
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert list(content) == ["tasks", "next_cursor"]
    link = LINK.fullmatch(answer.headers["link"]) if "link" in answer.headers else None
    assert (link is None) == (content["next_cursor"] is None)
    if link is not None:
        assert parse_qs(urlsplit(link["target"]).query)["cursor"] == [content["next_cursor"]]
    return content["tasks"], content["next_cursor"], link["target"] if link else None


def by_links(http: httpx.Client, path: str, params: dict[str, Any]) -> Iterator[Tasks]:
    """Pages, each at the Link of the one before, verbatim."""
    tasks, _, target = page_of(http.get(path, params=params))
    yield tasks
    while target is not None:
        tasks, _, target = page_of(http.get(target))
        yield tasks


def by_cursors(http: httpx.Client, path: str, params: dict[str, Any], order: random.Random) -> Iterator[Tasks]:
    """Pages of other lengths, each from the cursor of the one before."""
    cursor: str | None = ""
    while cursor is not None:
        limit = order.choice([1, 2, 3, 7, 20, 100])
        more = {"cursor": cursor} if cursor else {}
        tasks, cursor, _ = page_of(http.get(path, params={**params, **more, "limit": limit}))
        assert len(tasks) == limit or cursor is None
        yield tasks


def test_every_combination_of_filters_is_the_brute_force_filter(world: World) -> None:
    """Status, agent and client, each or none: just those tasks, oldest first, whole, in pages of any length."""
    everything, order, http = world.all(), random.Random(5), world.caller.http
    assert {task["status"] for task in everything} == set(STATUSES)
    agents, clients = [None, *world.agents, "nobody"], [None, *world.clients, "nobody"]
    for filters in product([None, *STATUSES], agents, clients):
        wanted = {k: v for k, v in zip(("status", "agent_name", "client_id"), filters, strict=True) if v is not None}
        expected = [task for task in everything if all(task[name] == value for name, value in wanted.items())]
        limit = order.choice([5, 6, len(expected) or 1])
        pages = list(by_links(http, "/tasks", {**wanted, "limit": limit}))
        assert [task for page in pages for task in page] == expected, wanted
        assert len(pages) == max(1, -(-len(expected) // limit)), "no page is empty but of an empty list"
        client_id = wanted.pop("client_id", None)
        if client_id in world.clients:
            pages = list(by_cursors(http, f"/clients/{client_id}/tasks", wanted, order))
            assert [task for page in pages for task in page] == expected, wanted
        if client_id is None:
            assert [task for page in by_cursors(http, "/tasks", wanted, order) for task in page] == expected
    assert [list(task) for task in page_of(http.get("/tasks"))[0]] == [KEYS] * min(100, len(everything))


def test_pages_are_complete_and_without_repeats_while_tasks_are_created(world: World) -> None:
    """A reader who follows the links meanwhile gets every task once, in order, those that were there first of all."""
    before, writing = [task["task_id"] for task in world.all()], threading.Event()

    def create() -> list[str]:
        created = []
        for number in range(40):
            created.append(world.caller.task(world.agents[number % 3], world.clients[0]))
            writing.set()
        return created

    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(create)
        writing.wait(30)
        found = [task["task_id"] for page in by_links(world.caller.http, "/tasks", {"limit": 3}) for task in page]
        everything = before + pending.result(60)
    assert found == everything[: len(found)]
    assert len(found) > len(before)


def test_an_unknown_client_has_no_list(caller: Caller) -> None:
    """404 at the client's list; as a filter an unknown client, or agent, finds nothing; a known one may have none."""
    problem(caller.http.get(f"/clients/{fresh_client()}/tasks"), "client-not-found")
    for filters in ({"client_id": fresh_client()}, {"agent_name": fresh_agent()}):
        assert caller.http.get("/tasks", params=filters).json() == {"tasks": [], "next_cursor": None}
    answer = caller.http.get(f"/clients/{caller.client()}/tasks")
    assert (answer.json(), "link" in answer.headers) == ({"tasks": [], "next_cursor": None}, False)


@pytest.mark.parametrize("path", ["/tasks", "/clients/{0}/tasks"])
def test_parameters_are_checked(world: World, path: str) -> None:
    """Limits from 1 to 500, the five statuses, identifiers; what is unknown, empty or twice is 422 at its name."""
    http, path = world.caller.http, path.format(world.clients[0])
    for limit in (1, 500):
        assert http.get(path, params={"limit": limit}).status_code == 200
    wrong: dict[str, list[str]] = {
        "limit": ["0", "501", "-1", "+1", "1.0", "", "x", "٣", "1" * 30, " 1"],
        "status": ["", "PENDING", "retrying", "pending,claimed", "none"],
        "agent_name": ["", "a b", "é", "-a", "a" * 129, "a\x00"],
        "as_of": ["1"],
        "order": ["desc"],
        "Limit": ["1"],
        "cursor": ["", "x", "=", "!!!!", "é", "MQ", "a" * 5000, "\x00"],
        **({"client_id": ["", "a/b", "*"]} if path == "/tasks" else {"client_id": [world.clients[0]]}),
    }
    for name, values in wrong.items():
        for value in values:
            assert places(problem(http.get(path, params={name: value}), "invalid-request")) == {name}, (name, value)
    for name in ("limit", "status"):
        value = "1" if name == "limit" else "pending"
        assert places(problem(http.get(f"{path}?{name}={value}&{name}={value}"), "invalid-request")) == {name}


def test_a_cursor_is_good_for_its_own_list_only(world: World) -> None:
    """Of other filters, of another path, of the audit list, changed by a character: 422; another limit is no matter."""
    http, (one, other, _) = world.caller.http, world.clients
    lists: list[tuple[str, dict[str, str]]] = [
        ("/tasks", {}),
        ("/tasks", {"status": "pending"}),
        ("/tasks", {"client_id": one}),
        ("/tasks", {"client_id": other}),
        ("/tasks", {"client_id": one, "agent_name": world.agents[0]}),
        (f"/clients/{one}/tasks", {}),
        (f"/clients/{other}/tasks", {}),
        (f"/clients/{one}/tasks", {"agent_name": world.agents[0]}),
    ]
    given = [page_of(http.get(path, params={**filters, "limit": 1}))[1] for path, filters in lists]
    assert None not in given
    given.append(http.get("/audit/events", params={"limit": 1}).json()["next_cursor"])
    for at, (path, filters) in enumerate(lists):
        for of, cursor in enumerate(given):
            answer = http.get(path, params={**filters, "cursor": cursor, "limit": 2})
            if of == at:
                assert answer.status_code == 200
            else:
                assert places(problem(answer, "invalid-request")) == {"cursor"}, (lists[at], of)
    assert given[0] is not None
    for cursor in (given[0][:-1], given[0][::-1], given[0].swapcase(), " " + given[0]):
        problem(http.get("/tasks", params={"cursor": cursor}), "invalid-request")


@pytest.mark.parametrize("place", [0, 2**63 - 1, 2**63, 10**19 - 1])
def test_a_cursor_that_somebody_made_up_is_never_a_fault_of_the_server(world: World, place: int) -> None:
    """A place of any size with the right digest: a page from there, or 422."""
    answer = world.caller.http.get("/tasks", params={"cursor": cursors.write(place, "/tasks", [])})
    assert answer.status_code == (422 if place > 2**63 - 1 else 200), answer.text
    digest = base64.urlsafe_b64decode(cursors.write(1, "/tasks", []) + "==").split(b".")[1]
    for text in (b"-1.", b"1..", b"\xff.", b"1e3.", "٣.".encode(), b"+1."):
        cursor = base64.urlsafe_b64encode(text + digest).decode().rstrip("=")
        problem(world.caller.http.get("/tasks", params={"cursor": cursor}), "invalid-request")


# A client with its open tasks


def test_open_tasks_are_a_fourth_key_when_asked_for(world: World) -> None:
    """The client's pending and claimed tasks as they are read one by one, oldest first; else three keys as ever."""
    http, everything = world.caller.http, world.all()
    for client_id in (*world.clients, world.caller.client()):
        plain, more = http.get(f"/clients/{client_id}"), http.get(f"/clients/{client_id}?include=open_tasks")
        assert list(plain.json()) == ["client_id", "full_name", "risk_profile"]
        assert list(more.json()) == [*plain.json(), "open_tasks"]
        expected = [t for t in everything if t["client_id"] == client_id and t["status"] in ("pending", "claimed")]
        assert more.json() == {**plain.json(), "open_tasks": expected}
        assert plain.headers["etag"] != more.headers["etag"]
        events = [world.caller.events(stream=f"task-{task['task_id']}")[-1]["position"] for task in expected]
        newest = max([int(plain.headers["fidelog-position"]), *events])
        assert int(more.headers["fidelog-position"]) == newest
    for query in ("include=", "include=tasks", "include=open_tasks,x", "include=open_tasks&include=open_tasks"):
        answer = http.get(f"/clients/{world.clients[0]}?{query}")
        assert places(problem(answer, "invalid-request")) == {"include"}
    problem(http.get(f"/clients/{fresh_client()}?include=open_tasks"), "client-not-found")


def test_the_tag_changes_whenever_an_open_task_does(caller: Caller) -> None:
    """Created, claimed, a rejection on record, given back, ended, the profile itself: another tag each time, and 304
    exactly while nothing changed."""
    client_id, agent_name = caller.client(), fresh_agent()
    path, tags = f"/clients/{client_id}?include=open_tasks", list[str]()

    def changed(by: httpx.Response | Tasks | str) -> None:
        assert not isinstance(by, httpx.Response) or by.status_code in (200, 409)
        answer = caller.http.get(path, headers={"if-none-match": ", ".join(tags)})
        assert answer.status_code == 200
        assert answer.headers["etag"] not in tags
        tags.append(answer.headers["etag"])
        again = caller.http.get(path, headers={"if-none-match": f"W/{tags[-1]}"})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tags[-1])

    changed("nothing yet")
    changed(task_id := caller.task(agent_name, client_id))
    changed(caller.task(agent_name, client_id))
    (task,) = caller.claim(agent_name)
    changed([task])
    changed(act(caller, task_id, "failure", "550e8400-e29b-41d4-a716-446655440000"))
    changed(act(caller, task_id, "release", task["claim_token"]))
    changed(caller.post(f"/tasks/{task_id}/cancel", {}))
    changed(caller.post("/clients", client_body(client_id, risk_profile="growth")))
    caller.task(agent_name)
    assert caller.http.get(path, headers={"if-none-match": tags[-1]}).status_code == 304, "another client's task"
    assert caller.http.get(f"/clients/{client_id}", headers={"if-none-match": tags[-1]}).status_code == 200


def test_if_match_with_that_tag_compares_the_clients_version(caller: Caller) -> None:
    """A task that changed meanwhile does not refuse a write of the profile; a profile that changed does."""
    client_id, agent_name = caller.client(), fresh_agent()
    etag = caller.http.get(f"/clients/{client_id}?include=open_tasks").headers["etag"]
    caller.task(agent_name, client_id)
    body = client_body(client_id, risk_profile="growth")
    assert caller.post("/clients", body, if_match=etag).headers["etag"] == '"2.client"'
    content = caller.refused("version-mismatch", "POST", "/clients", json=body, headers={"if-match": etag})
    assert content["current_version"] == 2
