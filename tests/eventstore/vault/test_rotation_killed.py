"""`fidelog keys rotate-master` dies by kill -9, at one point after another. (P8)"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psycopg
import pytest

from api.master_keys import MonthlyRotation
from api.rotating import rotate_command
from api.settings import Settings
from eventstore import durable
from eventstore.vault import key_rows, rotation
from tests.clusters import CLEAR_NAMES, Cluster
from tests.eventstore.vault.test_rotation import House
from tests.eventstore.writer.harness import envelope, rows, writing
from tests.killing import die_at

POINTS = ((os, "link"), (Path, "replace"), (Path, "unlink"), (psycopg.Transaction, "__exit__"), (durable, "_overwrite"),
          (rotation, "append_durably"))  # fmt: skip
"""Before each of these a process may die: whatever changes what others find, commits and files."""
CLIENTS = 22


@pytest.fixture
def house(pg: Cluster, database_name: str, monkeypatch: pytest.MonkeyPatch) -> House:
    """A database whose clients are two batches of keys, with master keys of its own."""
    monkeypatch.setattr(key_rows, "AT_ONCE", 20)
    state = pg.state_of(database_name)
    keys = (state / "master-keys").readlink()
    (state / "master-keys").unlink()
    (state / "master-keys").mkdir(mode=0o700)
    (state / "master-keys" / "epoch-1").write_bytes((keys / "epoch-1").read_bytes())
    one = House(pg.database(database_name), state)

    asyncio.run(write(one, *(f"c-{n}" for n in range(CLIENTS))))
    return one


async def write(house: House, *clients: str) -> None:
    """New clients, written by a process that has seen nothing before."""
    vault = await house.vault()
    async with writing(house.database, vault) as writer:
        await asyncio.gather(*(writer.submit(envelope(vault, client)) for client in clients))


def killed(settings: Settings, number: int) -> bool:
    """Rotate in a process that is killed before the call of that number, of all calls of POINTS; whether it came so far."""
    child = os.fork()
    if child == 0:
        try:
            die_at(POINTS, number)
            os._exit(rotate_command(settings))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0, "it was killed, or all went well"
    return os.WIFSIGNALED(status)


def test_a_rotation_killed_at_any_point_loses_nothing_and_is_gone_on_with(
    house: House, pg: Cluster, database_name: str
) -> None:
    """After each kill every name opens, and writes go on. A service that looks whether it is time goes on with what was begun,
    however young: then there is one master key, nothing is wrapped under another or kept from before, and the old one is not on the disk
    under any name."""
    settings, number = pg.settings(database_name), 0
    service = MonthlyRotation(settings, house.database, lambda: 0.0)
    while True:
        number += 1
        before = {path.read_bytes().strip() for path in (house.state / "master-keys").glob("epoch-*")}
        came_so_far = killed(settings, number)
        assert house.names() == [CLEAR_NAMES[0]] * (CLIENTS + number - 1)
        asyncio.run(write(house, f"meanwhile-{number}"))
        ended = asyncio.run(service.turn())
        (epoch,) = house.epochs
        assert house.names() == [CLEAR_NAMES[0]] * (CLIENTS + number)
        wrapped = rows(
            house.database, "SELECT epoch FROM fidelog.client_keys UNION SELECT epoch FROM fidelog.tenant_keys"
        )
        assert wrapped == [(int(epoch.removeprefix("epoch-")),)]
        left = {path.name: path.read_bytes().strip() for path in house.state.rglob("*") if path.is_file()}
        assert not any(key in content for key in before - {left[epoch]} for content in left.values())
        assert not [name for name in left if name.startswith(".destroyed-") or (ended and name.startswith(".draft-"))]
        told = (house.state / "master-keys" / "ended").read_text().splitlines() if epoch != "epoch-1" else ["0 "]
        assert int(told[-1].split(" ")[0]) + 1 == int(epoch.removeprefix("epoch-")), "when the last one ended is known"
        if not came_so_far:
            break
    assert number > 10, "it was killed at many points"
