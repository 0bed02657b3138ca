"""Backup and restore with PostgreSQL's own tools, as docs/operate.md says: a base backup and the WAL since."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from eventstore.embedded.binaries import find_bin_dir
from tests.processes.conftest import Command
from tests.processes.fidelog_process import Folders
from tests.sealed import sealed_size
from tests.waiting import until

PROGRAMS = find_bin_dir(18)


def profile(client_id: str) -> dict[str, str]:
    """The body of a POST /clients."""
    return {"client_id": client_id, "full_name": "Amina Patel", "risk_profile": "moderate"}


def superuser(folders: Folders) -> list[str]:
    """The options by which PostgreSQL's programs reach the server as its superuser."""
    at = conninfo_to_dict(folders.superuser_url("postgres"))
    return ["-h", str(at["host"]), "-p", str(at.get("port", "5432")), "-U", "postgres"]


@contextmanager
def receiving(folders: Folders, archive: Path) -> Iterator[subprocess.Popen[bytes]]:
    """pg_receivewal keeps the WAL as it comes, until the server is gone. A slot keeps on the server what is not received."""
    program = [PROGRAMS / "pg_receivewal", "-D", archive, "--slot", "archive", *superuser(folders)]
    subprocess.run([*map(str, program), "--create-slot"], check=True, capture_output=True)
    receiver = subprocess.Popen([*map(str, program), "--no-loop"], stderr=subprocess.PIPE)
    try:
        with psycopg.connect(folders.superuser_url("postgres"), autocommit=True) as connection:
            streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
            until("the WAL is received", lambda: connection.execute(streaming).fetchone() == (1,))
        yield receiver
    finally:
        receiver.terminate()
        receiver.communicate()


def base_backup(folders: Folders, into: Path) -> None:
    """pg_basebackup without the WAL: that is received beside it."""
    program = [PROGRAMS / "pg_basebackup", "-D", into, *superuser(folders)]
    subprocess.run([*map(str, program), "-X", "none", "--checkpoint=fast"], check=True, capture_output=True)


def restore(folders: Folders, base: Path, archive: Path) -> None:
    """Put the base backup in the cluster's place, and let PostgreSQL read the WAL to its end before it serves anybody."""
    for partial in archive.glob("*.partial"):
        partial.rename(partial.with_suffix(""))
    owner = folders.pg_data.stat()
    shutil.rmtree(folders.pg_data)
    shutil.copytree(base, folders.pg_data)
    with (folders.pg_data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f'restore_command = \'cp "{archive}/%f" "%p"\'\nhot_standby = off\n')
    (folders.pg_data / "recovery.signal").touch()
    for path in (folders.pg_data, *folders.pg_data.rglob("*"), archive, *archive.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid)
    folders.pg_data.chmod(0o700)
    archive.chmod(0o755)


def test_a_base_backup_and_the_wal_restore_every_event(folders: Folders, command: Command) -> None:
    """What was written after the base backup is in the WAL. The restored log is the one that was signed: a checkpoint
    kept from before proves it, its sealer goes on by itself, and personal values open with the state folder."""
    archive, base, kept = folders.outer / "archive", folders.outer / "base", folders.outer / "checkpoint"
    archive.mkdir()
    served = folders.serve().ready()
    http = served.client()
    assert http.post("/clients", json=profile("before")).status_code == 200
    with receiving(folders, archive) as receiver:
        base_backup(folders, base)
        last = http.post("/clients", json=profile("after"))
        sealed_size(http, int(last.headers["fidelog-position"]))
        kept.write_bytes(http.get("/log/default/checkpoint").content)
        assert served.stop() == 0
        receiver.wait(30)
    restore(folders, base, archive)

    restored = folders.serve().ready()
    http = restored.client()
    for client_id in ("before", "after"):
        assert http.get(f"/clients/{client_id}").json() == profile(client_id)
    status, told, err = command("verify", "--checkpoint", str(kept), **folders.settings())
    assert (status, json.loads(told.splitlines()[-1])["verdict"]) == (0, "verified"), err
    on = http.post("/clients", json=profile("later"))
    assert sealed_size(http, int(on.headers["fidelog-position"])) == 3, "the sealer goes on"
    assert command("replay", "--check", **folders.settings())[0] == 0
    assert restored.stop() == 0
