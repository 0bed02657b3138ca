"""The audit trail's filters: every combination gives exactly the events it says, by pages of any size."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from projections.trail import Filters
from tests.api.conftest import Caller, client_body, places, problem
from tests.api.shapes import ACTORS, CLIENTS, ODD_STREAM, TYPES, Shape, fill, query, random_filters, wanted
from tests.clusters import Cluster
from tests.running import RunningApi, running_api

LENGTH = 400


@pytest.fixture(scope="module")
def trail(pg: Cluster) -> Iterator[tuple[RunningApi, Caller, list[Shape]]]:
    """A served log of every shape, indexed."""
    with pg.copy() as name:
        log = fill(pg.url(name), LENGTH, seed=1)
        with running_api(pg.settings(name)) as served:
            caller = Caller(served.client)
            assert served.client.get(f"/audit/events?actor=x&at_least={LENGTH}").status_code == 200
            yield served, caller, log


def pages(caller: Caller, limit: int, **asked: Any) -> list[list[int]]:
    """The positions of every page, followed by the cursor to the end."""
    found: list[list[int]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = caller.http.get("/audit/events", params={**asked, "limit": limit, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found.append([event["position"] for event in page["events"]])
        assert len(found[-1]) <= limit
        assert int(answer.headers["fidelog-position"]) == LENGTH
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def test_500_random_filter_combinations_equal_a_brute_force_filter(
    trail: tuple[RunningApi, Caller, list[Shape]],
) -> None:
    """Any filters, order and page size; every page but the last is full, and nothing comes twice."""
    _, caller, log = trail
    chance = random.Random(2)
    drivers, sizes = set(), []
    for _ in range(500):
        filters, order = random_filters(chance, log), chance.choice(["asc", "desc"])
        expected = wanted(log, filters, order)
        limit = len(expected) // chance.choice([1, 2, 3]) + chance.choice([0, 1]) or 1
        found = pages(caller, limit, order=order, **query(filters))
        assert [position for page in found for position in page] == expected, (filters, order, limit)
        assert all(len(page) == limit for page in found[:-1])
        given = {
            k: v for k, v in filters.items() if k in {"client_id", "actor", "stream", "correlation_id", "decision_id"}
        }
        drivers.add(Filters(**given, types=tuple(sorted(set(filters.get("type", ()))))).driver)
        sizes.append(len(expected))
    assert drivers == {"client_id", "actor", "stream", "correlation_id", "decision_id", "type", "types", "position"}
    assert sum(size > 0 for size in sizes) > 200


@pytest.mark.parametrize("examined", [2, 10])
def test_short_pages_still_give_everything_once(
    trail: tuple[RunningApi, Caller, list[Shape]], monkeypatch: pytest.MonkeyPatch, examined: int
) -> None:
    """With the bound on candidates lowered, pages end early, even empty, and the cursor goes on where they ended."""
    served, caller, log = trail
    monkeypatch.setattr(served.backend.trail, "max_examined", examined)
    chance = random.Random(examined)
    short = 0
    for _ in range(20):
        filters, order = random_filters(chance, log), chance.choice(["asc", "desc"])
        found = pages(caller, 7, order=order, **query(filters))
        assert [position for page in found for position in page] == wanted(log, filters, order), (filters, order)
        short += sum(len(page) < 7 for page in found[:-1])
    assert short > 10


@pytest.mark.parametrize("filters", [{"actor": ACTORS[0]}, {"stream": "client-c1"}, {}, {"type": TYPES[:2]}])
def test_from_is_inclusive_and_to_exclusive_to_the_microsecond(
    trail: tuple[RunningApi, Caller, list[Shape]], filters: dict[str, Any]
) -> None:
    """At an event's time `from` begins with it and `to` ends before it, ties included; finer fractions round up."""
    _, caller, log = trail
    for shape in log[::40]:
        at = shape.recorded_at
        for parameter in ("from", "to"):
            for step in (-1, 0, 1):
                moment = at + timedelta(microseconds=step)
                (found,) = pages(caller, 500, **query({**filters, parameter: moment}))
                assert found == wanted(log, {**filters, parameter: moment}, "asc"), (parameter, step)
            text = at.isoformat(timespec="microseconds")
            finer = text.replace("+00:00", "0001+00:00")
            (found,) = pages(caller, 500, **{**filters, parameter: finer})
            assert found == wanted(log, {**filters, parameter: at + timedelta(microseconds=1)}, "asc")


def test_times_are_told_by_their_offset_also_with_a_bare_plus(trail: tuple[RunningApi, Caller, list[Shape]]) -> None:
    """One instant, however it is written; a '+' that was not encoded arrives as a space and is meant as a '+'."""
    _, caller, log = trail
    at = log[200].recorded_at
    utc, east = at.strftime("%Y-%m-%dT%H:%M:%S.%f"), (at + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    west = (at - timedelta(hours=3, minutes=30)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    texts = [f"{utc}Z", f"{utc}z", f"{utc}%2B00:00", f"{utc}+00:00", f"{east}+02:00", f"{west}-03:30"]
    found = [caller.http.get(f"/audit/events?limit=500&from={text}").json() for text in texts]
    assert all(page == found[0] for page in found)
    assert [event["position"] for event in found[0]["events"]] == wanted(log, {"from": at}, "asc")


def test_the_link_carries_every_filter(trail: tuple[RunningApi, Caller, list[Shape]]) -> None:
    """Whoever follows rel=next follows the same list to its end; values are percent-encoded."""
    _, caller, log = trail
    filters = {"client_id": "c1", "type": TYPES[:4], "from": log[10].recorded_at, "to": log[390].recorded_at}
    answer = caller.http.get("/audit/events", params={**query(filters), "order": "desc", "limit": 2})
    found: list[int] = []
    while True:
        found += [event["position"] for event in answer.json()["events"]]
        if "link" not in answer.headers:
            break
        url = answer.headers["link"].removeprefix("<").partition(">")[0]
        assert set(parse_qs(urlsplit(url).query)) == {"client_id", "type", "from", "to", "order", "limit", "cursor"}
        answer = caller.http.get(url)
    assert found == wanted(log, filters, "desc")
    first = caller.http.get("/audit/events", params={"stream": ODD_STREAM, "limit": 1})
    second = caller.http.get(first.headers["link"].removeprefix("<").partition(">")[0])
    found = [page.json()["events"][0]["position"] for page in (first, second)]
    assert found == wanted(log, {"stream": ODD_STREAM}, "asc")[:2]


def test_a_cursor_belongs_to_all_filters_of_its_list(trail: tuple[RunningApi, Caller, list[Shape]]) -> None:
    """With any filter changed, added or left out it is refused; with another page size it goes on."""
    _, caller, log = trail
    asked = {"actor": ACTORS[0], "type": TYPES[:2], "from": log[0].recorded_at.isoformat()}
    first = caller.http.get("/audit/events", params={**asked, "limit": 3}).json()
    cursor = {"cursor": first["next_cursor"]}
    assert caller.http.get("/audit/events", params={**asked, "limit": 4, **cursor}).status_code == 200
    assert caller.http.get("/audit/events", params={**asked, "type": TYPES[1::-1], **cursor}).status_code == 200
    for other in (
        {**asked, "actor": ACTORS[1]}, {**asked, "type": TYPES[:3]}, {**asked, "order": "desc"}, {"actor": ACTORS[0]},
        {**asked, "client_id": "c1"}, {**asked, "from": log[1].recorded_at.isoformat() + "x"[:0], "to": "2030-01-01T00:00:00Z"},
    ):  # fmt: skip
        content = problem(caller.http.get("/audit/events", params={**other, **cursor}), "invalid-request")
        assert places(content) == {"cursor"}, other


def test_every_fault_of_a_query_is_listed_and_no_value_echoed(trail: tuple[RunningApi, Caller, list[Shape]]) -> None:
    """All at once, each at its parameter; only `type` may be repeated; nothing unknown is ignored."""
    _, caller, _ = trail
    bad = {
        "client_id": "-zz", "actor": "zz zz", "type": ["Good", "zz-zz"], "stream": "zz", "correlation_id": "z\tz",
        "decision_id": "zz", "from": "2026-13-01T00:00:00Z", "to": "2026-01-01T00:00:00", "order": "zz", "at_least": "-1",
        "limit": "501", "nonsense": "zz",
    }  # fmt: skip
    answer = caller.http.get("/audit/events", params=bad)
    content = problem(answer, "invalid-request")
    assert places(content) == set(bad)
    assert "zz" not in answer.text.replace('"/audit/events"', "")
    for name in ("client_id", "actor", "from", "cursor", "limit", "at_least"):
        twice = caller.http.get(f"/audit/events?{name}=1&{name}=1")
        assert name in places(problem(twice, "invalid-request")), name
    for text in ("9223372036854775808", "1.0", "+1", "", "1" * 30):
        assert places(problem(caller.http.get("/audit/events", params={"at_least": text}), "invalid-request")) == {
            "at_least"
        }


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-01-01", "2026-01-01T00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:61Z",
     "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "0001-01-01T00:00:00+00:01", "2026-01-01T00:00:00+24:00",
     "２026-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n", "2026-01-01T00:00:00.Z", "1767225600"],
)  # fmt: skip
@pytest.mark.parametrize("parameter", ["from", "to"])
def test_what_is_no_time_is_refused(trail: tuple[RunningApi, Caller, list[Shape]], parameter: str, text: str) -> None:
    """A time needs a date that exists, seconds and an offset; anything else is 422 at the parameter."""
    _, caller, _ = trail
    content = problem(caller.http.get("/audit/events", params={parameter: text}), "invalid-request")
    assert places(content) == {parameter}


def test_the_ends_of_time_are_times(trail: tuple[RunningApi, Caller, list[Shape]]) -> None:
    """The first and the last time there is, and a leap second, are no error."""
    _, caller, _ = trail
    everything = {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59.999999Z"}
    assert len(pages(caller, 500, **everything)[0]) == LENGTH
    assert pages(caller, 500, **{"from": "2016-12-31T23:59:60Z", "to": "2016-12-31T23:59:60Z"}) == [[]]


def test_filtered_pages_stay_complete_while_events_are_appended(fresh: Caller) -> None:
    """Forwards, a list read to its end is a gapless beginning of what there is; backwards, exactly what there was;
    both without repeats, from the index as from the log."""
    clients = CLIENTS[:3]
    for client_id in clients:
        fresh.post("/clients", client_body(client_id))

    def append(client_id: str) -> None:
        for _ in range(120):
            fresh.post("/clients", client_body(client_id), fidelog_actor=f"agent:{client_id}")

    writers = [threading.Thread(target=append, args=(client_id,)) for client_id in clients]
    for writer in writers:
        writer.start()
    lists: list[dict[str, Any]] = [
        {"client_id": "c0"}, {"actor": "agent:c1"}, {"type": ["ClientProfileConfirmed", "ClientOnboarded"]},
        {"type": "ClientProfileConfirmed", "client_id": "c2"}, {"stream": "client-c0"},
        {"actor": "agent:c2", "type": "ClientProfileConfirmed"},
    ]  # fmt: skip
    seen: list[tuple[dict[str, Any], str, list[int]]] = []
    heads = []
    while any(writer.is_alive() for writer in writers):
        for asked in lists:
            for order in ("asc", "desc"):
                events = fresh.events(order=order, limit=7, **asked)
                seen.append((asked, order, [event["position"] for event in events]))
        heads.append(fresh.head())
    assert len(seen) >= 12
    assert heads[0] > 3, "events were appended while lists were read"
    for asked, order, positions in seen:
        now = [event["position"] for event in fresh.events(limit=500, at_least=fresh.head(), **asked)]
        assert positions == (now[: len(positions)] if order == "asc" else now[: len(positions)][::-1]), (asked, order)
