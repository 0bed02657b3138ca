"""kill -9 while people are shown to somebody: what the access log misses afterwards. (P8)"""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import psycopg

from api.identity.accesses import LATE_LISTS, LATE_SECONDS
from tests.processes.fidelog_process import Folders, tenant_locked
from tests.waiting import until

LISTERS, READERS = 10, 2
WRITING = "SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'fidelog_writer'"
PURPOSES = "SELECT data::json ->> 'purpose' FROM fidelog.events WHERE type = 'PersonalDataRead'"


class Reading:
    """Threads that ask for lists of two people and for one person, each request with a purpose of its own, until the service
    is gone; and when each answer came."""

    def __init__(self, url: str) -> None:
        self.lists: dict[str, float] = {}
        self.single: dict[str, float] = {}
        self._http = httpx.Client(base_url=url, timeout=60, limits=httpx.Limits(), verify=False)
        self._numbers = itertools.count(1)
        self._pool = ThreadPoolExecutor(LISTERS + READERS)
        for number in range(LISTERS + READERS):
            asked = ("/tasks", self.lists) if number < LISTERS else (f"/clients/c{number % 2}", self.single)
            self._pool.submit(self._read, *asked)

    def _read(self, path: str, answered: dict[str, float]) -> None:
        with suppress(httpx.TransportError):
            while True:
                purpose = f"case {next(self._numbers)}"
                answer = self._http.get(path, headers={"fidelog-purpose": purpose})
                assert answer.status_code == 200, answer.text
                answered[purpose] = time.monotonic()

    def end(self) -> None:
        """Every thread has seen that the service is gone."""
        self._pool.shutdown()
        self._http.close()


def test_a_killed_service_misses_at_most_the_lists_of_a_second(folders: Folders) -> None:
    """While the database takes records, and then while it holds them up: some lists are answered without theirs. Once the service
    is killed, the log has every read of one person that was answered; the lists it misses are no more than the bound, and
    were shown within its time."""
    served = folders.serve(FIDELOG_ACCESS_LOG="all").ready()
    http = served.client()
    for number in range(2):
        body = {"client_id": f"c{number}", "full_name": "Amina Patel", "risk_profile": "growth"}
        assert http.post("/clients", json=body).status_code == 200
        task = {"task_id": f"550e8400-e29b-41d4-a716-44665544000{number}", "client_id": f"c{number}", "agent_name": "a"}
        assert http.post("/tasks", json={**task, "payload": {}}).status_code == 201
    reading = Reading(served.url)
    until("both are read", lambda: len(reading.lists) > 10 and len(reading.single) > 2)
    with tenant_locked(folders.superuser_url()):
        held = time.monotonic()
        until("more were answered, and then none", lambda: time.monotonic() > held + 1.2 * LATE_SECONDS)
        served.kill()
    reading.end()
    with psycopg.connect(folders.superuser_url(), autocommit=True) as database:
        until("what it had sent has ended", lambda: database.execute(WRITING).fetchone() == (0,))
        recorded = {purpose for (purpose,) in database.execute(PURPOSES)}
    assert reading.single.keys() <= recorded
    missing = sorted(reading.lists[purpose] for purpose in reading.lists.keys() - recorded)
    assert 0 < len(missing) <= LATE_LISTS
    assert missing[-1] - missing[0] < LATE_SECONDS + 0.5, "and the time a request takes"
