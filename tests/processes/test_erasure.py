"""Erasure by processes as an operator runs them: two on one data folder, a rotation under load, and a restored backup."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from eventstore.vault.keys import KeyUnavailable, MasterKeys
from eventstore.vault.vault import KeyRow, Vault
from tests.processes.conftest import Command
from tests.processes.fidelog_process import FidelogProcess, Folders

GONE, STAYS, LATER = "Amina Patel", "Zoë Quartzfeld", "Bartholomew Nightjar"
SECRET = "owns a lighthouse on Skerryvore"
ERASED = {"erased": True}
BEN = {"fidelog-actor": "user:ben"}


def onboard(http: httpx.Client, client_id: str, full_name: str) -> None:
    """A client and a task about the client."""
    body = {"client_id": client_id, "full_name": full_name, "risk_profile": "moderate"}
    assert http.post("/clients", json=body).status_code == 200


def task(http: httpx.Client, task_id: str, client_id: str) -> None:
    """A task with a secret in it."""
    body = {"task_id": task_id, "client_id": client_id, "agent_name": "reb", "payload": {"note": SECRET}}
    assert http.post("/tasks", json=body).status_code == 201


def erase(http: httpx.Client, client_id: str) -> None:
    """One asks, another approves."""
    asked = http.post(
        f"/clients/{client_id}/erasure", json={"legal_basis": "GDPR 17"}, headers={"fidelog-actor": "user:olga"}
    )
    assert asked.status_code == 202, asked.text
    done = http.post(f"/clients/{client_id}/erasure/approval", json={}, headers=BEN)
    assert (done.status_code, done.json()["status"]) == (200, "erased"), done.text


def key_row(folders: Folders, client_id: str) -> KeyRow:
    """The client's row of client_keys."""
    with psycopg.connect(folders.superuser_url()) as connection:
        query = "SELECT subject, key_id::text, epoch, wrapped FROM fidelog.client_keys WHERE subject = %s"
        row = connection.execute(query, (client_id,)).fetchone()
    assert row is not None
    return KeyRow(*row)


def files_with(folder: Path, *texts: str) -> list[str]:
    """Files that hold any of the texts."""
    wanted = [text.encode() for text in texts]
    return [
        str(path) for path in folder.rglob("*") if path.is_file() and any(text in path.read_bytes() for text in wanted)
    ]


class Load:
    """Onboards clients over HTTP until it is stopped; every answer must be 200."""

    def __init__(self, http: httpx.Client, name: str) -> None:
        self.http, self.name, self.number = http, name, 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.number += 1
            body = {"client_id": f"{self.name}-{self.number}", "full_name": STAYS, "risk_profile": "growth"}
            answer = self.http.post("/clients", json=body)
            if answer.status_code != 200:
                self.failures.append(answer.text)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def test_an_erased_client_is_found_nowhere_and_no_backup_brings_it_back(folders: Folders, command: Command) -> None:
    """The whole story: erased in one process, gone in another that had the key in memory; the master key rotated under
    load; nothing left in any file; a backup from before restored with today's state folder: erased again, others readable."""
    first = folders.serve().ready()
    http = first.client()
    onboard(http, "gone", GONE)
    task(http, "550e8400-e29b-41d4-a716-446655440000", "gone")
    onboard(http, "stays", STAYS)
    assert first.stop() == 0
    backup = folders.outer / "backup"
    subprocess.run(["cp", "-a", str(folders.data), str(backup)], check=True)

    first, second = folders.serve().ready(), folders.serve().ready()
    http, other = first.client(), second.client()
    onboard(http, "later", LATER)
    assert other.get("/clients/gone").json()["full_name"] == GONE, "the second process has the key in memory"
    old = key_row(folders, "gone")
    erase(http, "gone")
    erase(http, "later")
    _gone_everywhere(second)

    loads = [Load(http, "a"), Load(other, "b")]
    status, _, err = command("keys", "rotate-master", **folders.settings())
    for load in loads:
        load.stop()
        assert load.failures == []
        assert load.number > 1
    assert status == 0, err
    assert [path.name for path in folders.master_keys.glob("epoch-*")] == ["epoch-2"]
    with pytest.raises(KeyUnavailable):
        Vault(MasterKeys.open(folders.state, create=False)).key_of("default", old)
    _status_tells(folders, command)
    assert other.get("/clients/stays").json()["full_name"] == STAYS
    logged = [process.stdout() + process.stderr() for process in (first, second)]
    assert [first.stop(), second.stop()] == [0, 0]
    assert files_with(folders.data, GONE, LATER, STAYS, SECRET) == []
    assert files_with(folders.state, GONE, LATER, STAYS, SECRET) == []
    assert not any(name in text for text in logged for name in (GONE, LATER, SECRET))

    shutil.rmtree(folders.data)
    subprocess.run(["cp", "-a", str(backup), str(folders.data)], check=True)
    restored = folders.serve().ready()
    assert "restored from before 2 erasures" in restored.stderr()
    _gone_everywhere(restored)
    http = restored.client()
    assert http.get("/clients/stays").json()["full_name"] == STAYS
    body = {"client_id": "later", "full_name": LATER, "risk_profile": "growth"}
    assert http.post("/clients", json=body).status_code == 410, "the restored log never knew the client"
    page: dict[str, Any] = http.get("/audit/events", params={"order": "desc", "limit": 10}).json()
    again = [event for event in page["events"] if event["type"] == "ClientErasedAgain"]
    assert {(event["actor"], event["stream"]) for event in again} == {
        ("system:fidelog", "client-gone"), ("system:fidelog", "client-later"),
    }  # fmt: skip
    assert key_row(folders, "gone").wrapped is None
    assert command("replay", "--check", **folders.settings())[0] == 0
    assert restored.stop() == 0
    once = folders.serve().ready()
    assert "restored" not in once.stderr(), "erased again once, and not at every start"
    assert once.stop() == 0


def _gone_everywhere(process: FidelogProcess) -> None:
    http = process.client()
    assert http.get("/clients/gone").status_code == 410
    body = {"client_id": "gone", "full_name": GONE, "risk_profile": "growth"}
    assert http.post("/clients", json=body).status_code == 410
    assert http.get("/tasks/550e8400-e29b-41d4-a716-446655440000").json()["payload"] == ERASED
    for path in ("/tasks", "/audit/events?limit=500", "/clients/gone/timeline", "/clients/gone/tasks"):
        text = http.get(path).text
        assert GONE not in text
        assert SECRET not in text


def _status_tells(folders: Folders, command: Command) -> None:
    (tenant,) = json.loads(command("status", "--json", **folders.settings())[1])["tenants"]
    erasures = tenant["erasures"]
    assert (erasures["done_here"], erasures["done_in_backups"]) == (2, 2)
    assert erasures["in_backups_from"] is not None
    assert "2 done here, 2 done in backups, from 20" in command("status", **folders.settings())[1]


def test_an_erasure_that_was_answered_outlives_a_kill(folders: Folders) -> None:
    """kill -9 while clients are erased one after the other: after the restart event, tombstone and ledger agree on each, and
    whatever was answered is done."""
    process = folders.serve().ready()
    http = process.client()
    names = [f"c-{n}" for n in range(30)]
    for name in names:
        onboard(http, name, GONE)
    answered: list[str] = []

    def erasing() -> None:
        with httpx.Client(base_url=process.url, timeout=30) as own:
            for name in names:
                try:
                    erase(own, name)
                except httpx.HTTPError:
                    return
                answered.append(name)
                if len(answered) == 5:
                    fifth.set()

    fifth = threading.Event()
    thread = threading.Thread(target=erasing)
    thread.start()
    assert fifth.wait(30)
    process.kill()
    thread.join()
    again = folders.serve().ready()
    assert 5 <= len(answered) < 30
    with psycopg.connect(folders.superuser_url()) as connection:
        erased = connection.execute(
            "SELECT substr(stream, 8), position FROM fidelog.events WHERE type = 'ClientErased' ORDER BY position"
        ).fetchall()
        destroyed = connection.execute(
            "SELECT subject, destroyed_position FROM fidelog.client_keys WHERE wrapped IS NULL ORDER BY 2"
        ).fetchall()
    ledger = (folders.state / "erased" / "default").read_text().splitlines()
    assert erased == destroyed
    assert ledger == [f"{position} {name}" for name, position in erased]
    assert {name for name, _ in erased} >= set(answered)
    http = again.client()
    gone = {name for name, _ in erased}
    assert all((http.get(f"/clients/{name}").status_code == 410) == (name in gone) for name in names)
    assert again.stop() == 0
