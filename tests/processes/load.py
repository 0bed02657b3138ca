"""Writers over HTTP that remember what they sent and what was acknowledged, and the check of the log against it."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.clusters import CLEAR_NAMES
from tests.waiting import until

WRITERS = 24
PROFILES = ("conservative", "moderate", "growth")


@dataclass
class Load:
    """So many threads write to `urls`, half of them to clients they all share, each command with a key of its own.

    The key is also the correlation id, so that each command's events can be found in the log.
    """

    urls: Sequence[str]
    each: int | None = None
    """Commands of one thread; without it they write until `finish`."""
    sent: dict[str, dict[str, str]] = field(default_factory=dict)
    acknowledged: dict[str, httpx.Response] = field(default_factory=dict)
    statuses: Counter[int | str] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _clients: list[httpx.Client] = field(default_factory=list)

    def start(self) -> Load:
        # One client a server, with a connection a thread: each client loads certificates, which takes time.
        self._clients = [
            httpx.Client(base_url=url, timeout=30, limits=httpx.Limits(), verify=False) for url in self.urls
        ]
        self._threads = [threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(WRITERS)]
        for thread in self._threads:
            thread.start()
        return self

    def until_acknowledged(self, number: int) -> None:
        """Wait for so many more acknowledged commands."""
        wanted = len(self.acknowledged) + number
        until(f"{number} more acknowledged commands", lambda: len(self.acknowledged) >= wanted)

    def finish(self) -> None:
        """Let every thread end after its answer; what was not a plain answer is a failure."""
        if self.each is None:
            self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "every request is answered or cut off"
        for client in self._clients:
            client.close()
        assert self.strange == []

    def _write(self, writer: int) -> None:
        number, http = 0, self._clients[writer // 2 % len(self._clients)]
        while not self._stop.is_set() and number != self.each:
            client_id = f"hot-{number % 3}" if writer % 2 else f"own-{writer}-{number}"
            number += 1
            if not self._send(http, client_id, PROFILES[number % 3]):
                time.sleep(0.01)

    def _send(self, http: httpx.Client, client_id: str, profile: str) -> bool:
        key = str(uuid.uuid4())
        body = {"client_id": client_id, "full_name": CLEAR_NAMES[0], "risk_profile": profile}
        self.sent[key] = body
        try:
            answer = post(http, key, body)
        except httpx.TransportError as error:
            self.statuses[type(error).__name__] += 1
            return False
        self.statuses[answer.status_code] += 1
        if answer.status_code == 200:
            self.acknowledged[key] = answer
        elif not is_unavailable(answer):
            self.strange.append(f"{answer.status_code} {answer.headers} {answer.text}")
        return answer.status_code == 200


def post(http: httpx.Client, key: str, body: dict[str, str]) -> httpx.Response:
    """POST /clients with a key."""
    return http.post("/clients", json=body, headers={"idempotency-key": key, "fidelog-correlation-id": key})


def is_unavailable(answer: httpx.Response) -> bool:
    """Whether it is a 503 as the contract has it: problem details of a known type, and a time to come back."""
    kinds = {"urn:fidelog:problem:database-unavailable", "urn:fidelog:problem:overloaded"}
    return (
        answer.status_code == 503
        and answer.headers["content-type"] == "application/problem+json"
        and int(answer.headers.get("retry-after", "0")) > 0
        and answer.json()["type"] in kinds
    )


def log_of(http: httpx.Client) -> list[dict[str, Any]]:
    """The whole audit trail, page by page; gapless, with gapless versions and times that never go back."""
    events: list[dict[str, Any]] = []
    parameters: dict[str, str | int] = {"limit": 500}
    while True:
        page = http.get("/audit/events", params=parameters).json()
        events += page["events"]
        if page["next_cursor"] is None:
            break
        parameters["cursor"] = page["next_cursor"]
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    versions: Counter[str] = Counter()
    for event in events:
        versions[event["stream"]] += 1
        assert event["version"] == versions[event["stream"]], event
    times = [event["recorded_at"] for event in events]
    assert times == sorted(times)
    return events


def check(http: httpx.Client, load: Load) -> None:
    """Every acknowledged command stands in the log exactly once, and a repeat of any key adds no second event."""
    found = _positions(http)
    assert found.keys() <= load.sent.keys()
    for key, answer in load.acknowledged.items():
        assert found[key] == int(answer.headers["fidelog-position"])
    for key, body in load.sent.items():
        again = post(http, key, body)
        assert (again.status_code, again.json()) == (200, body), again.text
        assert ("idempotency-replayed" in again.headers) == (key in found)
        if key in found:
            assert int(again.headers["fidelog-position"]) == found[key]
        if key in load.acknowledged:
            assert again.headers["etag"] == load.acknowledged[key].headers["etag"]
    after = _positions(http)
    assert after.keys() == load.sent.keys()
    assert {key: after[key] for key in found} == found


def _positions(http: httpx.Client) -> dict[str, int]:
    events = log_of(http)
    positions = {event["correlation_id"]: event["position"] for event in events}
    assert len(positions) == len(events), "a command stands twice in the log"
    return positions
