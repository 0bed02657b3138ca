"""What is known of keys is never older than what a caller relies on; one tenant's trouble is nobody else's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from api.administer import ACTOR
from api.identity import directory as directories
from api.identity import keys
from api.identity.directory import Directory
from eventstore.provision import create_tenant
from eventstore.vault.keys import MasterKeys
from eventstore.vault.vault import Vault
from tests.api.conftest import problem
from tests.api.identity.conftest import HOME, Door


async def issued_elsewhere(door: Door) -> keys.ApiKey:
    """A key that another process issued: this one was not told."""
    backend = door.api.backend
    key, command = backend.directory.draw(HOME, "user:ada", ["advisor"], 60)
    await backend.internal.submit(HOME, ACTOR, command)
    return key


def test_a_key_holds_from_the_moment_it_was_issued(door: Door) -> None:
    """Over HTTP, each at once, however lately the keys were read."""
    admin = door.somebody("operator")
    for _ in range(10):
        door.api.run(door.api.backend.directory.refresh)
        issued = admin.post("/admin/keys", json={"actor": "user:ada", "roles": ["advisor"]}).json()["key"]
        assert door.caller(issued).get("/tasks").status_code == 200


def test_a_key_issued_by_another_process_holds_too(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is not known waits until the keys may be read again; it is not refused untried."""
    monkeypatch.setattr(directories, "UNKNOWN_SECONDS", 0.3)

    async def story() -> Any:
        directory = door.api.backend.directory
        await directory.refresh()
        return await directory.caller(str(await issued_elsewhere(door)).encode())

    assert door.api.run(story).actor == "user:ada"


def test_a_key_revoked_here_ends_here_at_once(door: Door) -> None:
    """Without the second that other processes may take."""
    admin = door.somebody("operator")
    for _ in range(5):
        key = door.key("user:ada", "advisor")
        caller = door.caller(key)
        assert caller.get("/tasks").status_code == 200
        assert admin.delete(f"/admin/keys/{key.key_id}").status_code == 200
        problem(caller.get("/tasks"), "unauthenticated")


class Slow:
    """The reader, whose rows arrive when they may."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.read = asyncio.Event()
        self.arrive = asyncio.Event()

    async def rows(self, *given: Any) -> Any:
        rows = await self._reader.rows(*given)
        self.read.set()
        await self.arrive.wait()
        return rows

    rows_once = rows


def test_a_reading_that_began_before_the_key_was_issued_does_not_count(door: Door) -> None:
    """Its rows were read before, so the key cannot be among them: one more reading decides."""

    async def story() -> Any:
        directory = door.api.backend.directory
        reader, slow = directory._reader, Slow(directory._reader)
        await directory.refresh()
        directory._reader = slow  # type: ignore[assignment]  # the same reader, slower
        try:
            first = asyncio.create_task(directory.refresh())
            await slow.read.wait()
            key = await issued_elsewhere(door)
            asked = asyncio.create_task(directory.caller(str(key).encode()))
            await asyncio.sleep(0)
            slow.arrive.set()
            await first
            return await asked
        finally:
            slow.arrive.set()
            directory._reader = reader

    assert door.api.run(story).actor == "user:ada"


def test_nobody_waits_for_a_reading_while_what_was_read_holds(door: Door) -> None:
    """It is begun early, and a key comes in meanwhile; what it read counts from when it began, and no longer."""
    token, now = str(door.key("user:ada", "advisor")).encode(), [0.0]

    async def story() -> None:
        slow = Slow(door.api.backend.reader)
        directory = Directory(slow, door.api.backend.vault, HOME, lambda: now[0])  # type: ignore[arg-type]  # slower
        slow.arrive.set()
        assert await directory.caller(token) is not None
        slow.arrive.clear()
        slow.read.clear()
        now[0] = directories.AGAIN_SECONDS + 0.01
        assert await asyncio.wait_for(directory.caller(token), 5) is not None
        await slow.read.wait()
        now[0] = directories.FRESH_SECONDS + 0.01
        asked = asyncio.create_task(directory.caller(token))
        await asyncio.sleep(0)
        assert not asked.done()
        slow.arrive.set()
        assert await asked is not None

    door.api.run(story)


def test_a_tenant_whose_key_cannot_be_had_is_nobody_elses_trouble(door: Door, tmp_path: Path, caplog: Any) -> None:
    """It is not served, the operator is told once, and everybody else comes in."""
    strange = Vault(MasterKeys.open(tmp_path / "elsewhere", create=True))
    caller = door.somebody("advisor")
    asyncio.run(create_tenant(door.api.backend.database, strange, "stranger"))
    for _ in range(2):
        door.api.run(door.api.backend.directory.refresh)
    assert "stranger" not in door.api.backend.directory
    assert caller.get("/tasks").status_code == 200
    assert len([record for record in caplog.records if "stranger" in record.getMessage()]) == 1
