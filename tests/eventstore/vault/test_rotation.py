"""Master keys change under load, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.database import DEFAULT_TENANT, migrate, tenant_names
from api.master_keys import MonthlyRotation, begun_at
from api.settings import Settings
from eventstore import provision
from eventstore.database import Database
from eventstore.errors import SubjectErased
from eventstore.vault import rotation
from eventstore.vault.kept import KeptKeys
from eventstore.vault.keys import FORGOTTEN_AFTER_SECONDS, KeyUnavailable, MasterKeys
from eventstore.vault.rotation import RotationRunning, bring_back, rotate
from eventstore.vault.vault import KeyRow, Vault, unseal
from tests.clusters import CLEAR_NAMES, Cluster
from tests.eventstore.writer.harness import envelope, erasing, rows, writing

NAME = CLEAR_NAMES[0]
CLIENTS = [f"c-{n}" for n in range(450)]
"""More than two batches."""


class House:
    """A database with a state folder of its own, and 450 clients."""

    def __init__(self, database: Database, state: Path) -> None:
        self.database = database
        self.state = state

    def rotate(self, told: Callable[[int], None] = lambda keys: None) -> rotation.Rotated:
        return rotate(self.database.url("keeper"), self.state, lambda: tenant_names(self.database), told)

    async def vault(self) -> Vault:
        vault = Vault(MasterKeys.open(self.state, create=False))
        await provision.open_tenant(self.database, vault, DEFAULT_TENANT)
        return vault

    @property
    def epochs(self) -> list[str]:
        return sorted(path.name for path in (self.state / "master-keys").glob("epoch-*"))

    def names(self) -> list[str]:
        """Every client's name, opened by a process that has seen nothing before."""
        vault = asyncio.run(self.vault())
        query = (
            "SELECT c.full_name, k.subject, k.key_id::text, k.epoch, k.wrapped FROM fidelog.client_profiles AS c"
            " JOIN fidelog.client_keys AS k ON k.subject = c.client_id WHERE k.wrapped IS NOT NULL ORDER BY 2"
        )
        found = []
        for full_name, *row in rows(self.database, query):
            key = vault.key_of(DEFAULT_TENANT, KeyRow(*row))
            assert key is not None
            found.append(unseal(key, DEFAULT_TENANT, "client.full_name", full_name).decode())
        return found


@pytest.fixture(scope="module")
def filled(pg: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The name of a database to copy, and its state folder."""
    name, state = "fidelog_rotation", tmp_path_factory.mktemp("state")
    pg.drop(name)
    pg.create(name)
    database = pg.database(name)
    settings = Settings("127.0.0.1", 0, Path("unused"), state, database.fallback, keyless=True)
    asyncio.run(migrate(database, settings, pg.url(name)))

    async def fill() -> None:
        vault = await House(database, state).vault()
        async with writing(database, vault) as writer:
            await asyncio.gather(*(writer.submit(envelope(vault, client)) for client in CLIENTS))

    asyncio.run(fill())
    yield name, state
    pg.drop(name)


@pytest.fixture
def house(pg: Cluster, filled: tuple[str, Path], tmp_path: Path) -> Iterator[House]:
    """A copy of it."""
    template, state = filled
    name = f"{template}_copy"
    pg.drop(name)
    pg.create(name, template)
    shutil.copytree(state, tmp_path / "state")
    yield House(pg.database(name), tmp_path / "state")
    pg.drop(name)


def test_every_key_opens_under_the_new_epoch_and_the_old_master_key_is_gone(house: House) -> None:
    """A backup's keys from before open nothing any more; those kept aside make the backup usable."""
    query = "SELECT subject, key_id::text, epoch, wrapped FROM fidelog.client_keys ORDER BY subject"
    before, tenant = rows(house.database, query), rows(house.database, "SELECT epoch, wrapped FROM fidelog.tenant_keys")
    told: list[int] = []
    done = house.rotate(told.append)
    assert (done.epoch, done.keys, done.ended, sum(told)) == (2, 450, (1,), 450)
    assert house.epochs == ["epoch-2"]
    assert house.names() == [NAME] * 450
    masters = MasterKeys.open(house.state, create=False)
    vault = Vault(masters)
    for row in (before[0], before[-1]):
        with pytest.raises(KeyUnavailable, match="epoch 1 is not in"):
            vault.key_of(DEFAULT_TENANT, KeyRow(*row))
        with pytest.raises(KeyUnavailable, match="not this database's"):
            vault.key_of(DEFAULT_TENANT, KeyRow(*row)._replace(epoch=2))
    _as_in_the_backup(house.database, before, tenant)
    assert bring_back(house.database.url("keeper"), house.state, masters, [DEFAULT_TENANT]) == 0
    assert house.names() == [NAME] * 450
    assert house.rotate().epoch == 3


def _as_in_the_backup(database: Database, keys: list[Any], tenant: list[Any]) -> None:
    """Key rows as an older backup would bring them back (the guards, which a restore does not meet, are off)."""
    with psycopg.connect(database.url("superuser")) as connection:
        connection.execute("ALTER TABLE fidelog.client_keys DISABLE TRIGGER USER")
        connection.execute("ALTER TABLE fidelog.tenant_keys DISABLE TRIGGER USER")
        for subject, _, epoch, wrapped in keys:
            connection.execute(
                "UPDATE fidelog.client_keys SET epoch = %s, wrapped = %s WHERE subject = %s", (epoch, wrapped, subject)
            )
        connection.execute("UPDATE fidelog.tenant_keys SET epoch = %s, wrapped = %s", tenant[0])
        connection.execute("ALTER TABLE fidelog.client_keys ENABLE TRIGGER USER")
        connection.execute("ALTER TABLE fidelog.tenant_keys ENABLE TRIGGER USER")
        for table, trigger in (("client_keys", "change"), ("client_keys", "epoch"), ("client_keys", "destroyed"),
                               ("client_keys", "never_removed"), ("tenant_keys", "epoch"), ("tenant_keys", "change"),
                               ("tenant_keys", "never_removed")):  # fmt: skip
            connection.execute(f"ALTER TABLE fidelog.{table} ENABLE ALWAYS TRIGGER {table}_{trigger}".encode())


def test_services_go_on_writing_and_reading_through_rotations(house: House) -> None:
    """Two processes that were started before write new clients all the while: none is refused, none is lost, both take up
    each epoch without being told; a second rotation at the same time is refused."""

    async def check() -> int:
        vaults = await house.vault(), await house.vault()
        done, written = asyncio.Event(), 0

        async def load(vault: Vault, name: str) -> None:
            nonlocal written
            async with writing(house.database, vault) as writer:
                number = 0
                while not done.is_set():
                    number += 1
                    await asyncio.gather(*(writer.submit(envelope(vault, f"{name}-{number}-{n}")) for n in range(8)))
                    written += 8

        loads = [asyncio.create_task(load(vault, name)) for vault, name in zip(vaults, "ab", strict=True)]
        for _ in range(3):
            rotating = asyncio.create_task(asyncio.to_thread(house.rotate))
            other = await asyncio.gather(asyncio.to_thread(house.rotate), return_exceptions=True)
            ended = await asyncio.gather(rotating, return_exceptions=True)
            assert [type(result) for result in (*other, *ended)].count(rotation.Rotated) >= 1
            assert all(isinstance(r, rotation.Rotated | RotationRunning) for r in (*other, *ended))
        done.set()
        await asyncio.gather(*loads)
        return written

    written = asyncio.run(check())
    assert written > 0
    house.rotate()
    assert len(house.epochs) == 1
    assert house.names() == [NAME] * (450 + written)


def test_a_key_destroyed_while_its_batch_is_wrapped_stays_destroyed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrapping anew never brings a key back, and what is kept aside does not hold it."""
    inner = rotation._under

    def erasing(masters: MasterKeys, tenant_id: str, key: Any) -> Any:
        if key.subject == "c-7":
            asyncio.run(_erase(house, "c-7"))
        return inner(masters, tenant_id, key)

    monkeypatch.setattr(rotation, "_under", erasing)
    assert house.rotate().keys == 449
    assert rows(house.database, "SELECT wrapped FROM fidelog.client_keys WHERE subject = 'c-7'") == [(None,)]
    assert KeptKeys(house.state).find(DEFAULT_TENANT, "c-7") is None
    assert house.names() == [NAME] * 449


async def _erase(house: House, client_id: str) -> None:
    """Erase without asking anybody, as after a restore."""
    vault = await house.vault()
    async with writing(house.database, vault) as writer:
        await writer.submit(erasing(vault, client_id))
        with pytest.raises(SubjectErased):
            await writer.submit(envelope(vault, client_id))


def test_the_master_key_is_rotated_when_it_is_old_enough(house: House) -> None:
    """By the settings' days, and not before; `off` never."""
    begun = begun_at(house.state)
    now = begun
    settings = Settings("127.0.0.1", 0, Path("unused"), house.state)
    monthly = MonthlyRotation(settings, house.database, lambda: now)
    assert asyncio.run(monthly.turn()) is None
    now = begun + 29.9 * 86_400
    assert asyncio.run(monthly.turn()) is None
    now = begun + 30.1 * 86_400
    done = asyncio.run(monthly.turn())
    assert done is not None
    assert done.epoch == 2
    off = MonthlyRotation(
        Settings("", 0, Path("unused"), house.state, master_key_days=None), house.database, lambda: 1e12
    )
    assert asyncio.run(off.turn()) is None


def test_an_ended_epoch_is_forgotten_by_a_running_process(house: House) -> None:
    """Some seconds after its end, when no reading can need it any more."""
    now = 0.0
    masters = MasterKeys.open(house.state, create=False)
    masters._clock = lambda: now
    house.rotate()
    masters.refresh()
    assert (masters.current, masters.epochs) == (2, frozenset({1, 2}))
    now = FORGOTTEN_AFTER_SECONDS + 1
    masters.refresh()
    assert masters.epochs == frozenset({2})


def test_what_was_wrapped_under_an_ended_epoch_is_not_stored(house: House) -> None:
    """FL006: neither a client's key nor a tenant's, whoever inserts it; and a row never goes back an epoch."""
    house.rotate()
    one = "INSERT INTO fidelog.client_keys (tenant_id, subject, key_id, epoch, wrapped) VALUES ('default', 'x', gen_random_uuid(), 1, 'x')"
    for statement in (one, "INSERT INTO fidelog.tenant_keys VALUES ('late', 1, 'x')"):
        with pytest.raises(psycopg.Error) as caught:
            rows(house.database, statement)
        assert caught.value.sqlstate == "FL006"
    for change in (
        "epoch = 1",
        "wrapped = NULL",
        "wrapped = NULL, destroyed_at = now(), destroyed_position = 1",
        "subject = 'y'",
    ):
        with pytest.raises(psycopg.Error) as caught:
            rows(house.database, f"UPDATE fidelog.client_keys SET {change} WHERE subject = 'c-1'")
        assert caught.value.sqlstate == "FL004"
