"""What the logins of the service cannot do to the log and its proof, whatever SQL they run."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from eventstore.database import Database, Login
from eventstore.proof.note import Note
from eventstore.verifying.verdicts import Outcome
from tests.attacks.sealed import TENANT, attack, verify
from tests.clusters import Cluster
from tests.eventstore.proof.vectors import shared_json

SERVICE: tuple[Login, ...] = ("writer", "reader", "keeper", "sealer", "auditor")
TABLES = {
    "events": ("actor = 'user:x'", "tenant_id, position"),
    "tiles": ("hashes = NULL", "tenant_id, level, index"),
    "checkpoints": ("note = 'x'", "tenant_id, origin, size"),
    "cosignatures": ("line = 'x'", "tenant_id, origin, size, witness"),
    "logs": ("created_at = now()", "tenant_id"),
}


def attempts() -> Iterator[str]:
    """Statements that change what must not change, or loosen a guard."""
    for table, (change, key) in TABLES.items():
        yield f"UPDATE fidelog.{table} SET {change}"
        yield f"DELETE FROM fidelog.{table}"
        yield f"TRUNCATE fidelog.{table}"
        yield f"INSERT INTO fidelog.{table} SELECT * FROM fidelog.{table} ON CONFLICT ({key}) DO UPDATE SET {change}"
        yield f"ALTER TABLE fidelog.{table} DISABLE TRIGGER ALL"
        yield f"ALTER TABLE fidelog.{table} DISABLE ROW LEVEL SECURITY"
        yield f"CREATE POLICY mine ON fidelog.{table} USING (true)"
        yield f"CREATE RULE mine AS ON INSERT TO fidelog.{table} DO INSTEAD NOTHING"
        yield f"CREATE TRIGGER mine BEFORE INSERT ON fidelog.{table} EXECUTE FUNCTION fidelog.refuse_change()"
        yield f"ALTER TABLE fidelog.{table} RENAME TO mine"
    yield "SET session_replication_role = replica"
    yield "CREATE OR REPLACE FUNCTION fidelog.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    yield "CREATE FUNCTION fidelog.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL'"
    yield "CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"


@pytest.mark.parametrize("login", SERVICE)
def test_no_login_of_the_service_changes_the_log(log: Database, login: Login) -> None:
    """Every attempt ends in an error, and the log is verified afterwards."""
    if log.kind == "server":
        pytest.skip("logins that share a superuser's URL keep its rights to some of these")
    with psycopg.connect(log.url(login), autocommit=True) as connection:
        connection.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (TENANT,))
        for attempt in attempts():
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(attempt.encode())
            assert caught.value.sqlstate in {"42501", "FL001"}, attempt
    assert verify(log).words()["verdict"] == "verified"


def test_a_name_in_front_of_ours_takes_nothing(log: Database) -> None:
    """Statements name their schema: a table or function that a session puts before ours in its path is not used."""
    with psycopg.connect(log.url("sealer"), autocommit=True) as connection:
        connection.execute("SELECT set_config('fidelog.tenant_id', %s, false)", (TENANT,))
        for table in TABLES:
            connection.execute(f"CREATE TEMPORARY TABLE {table} (tenant_id text)".encode())
        connection.execute("SET search_path = pg_temp, fidelog")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO fidelog.tiles SELECT * FROM fidelog.tiles")
    assert verify(log).words()["verdict"] == "verified"


def test_a_dump_and_its_restore_raise_no_alarm(pg: Cluster, log: Database, sealed_name: str, kept: list[Note]) -> None:
    """The restored log is the log, schema and rights included."""
    if pg.server is None:
        pytest.skip("pg_dump is the embedded server's")
    from api.database import shape_differences

    bin_dir, restored = pg.server.bin_dir, f"{sealed_name}_restored"
    pg.create(restored)
    try:
        dumped = subprocess.run([bin_dir / "pg_dump", "-Fc", pg.url(sealed_name)], capture_output=True, check=True)
        subprocess.run(
            [bin_dir / "pg_restore", "--exit-on-error", "-d", pg.url(restored)], input=dumped.stdout, check=True
        )
        database = pg.database(restored)
        assert verify(database, *kept).words() == verify(log, *kept).words()
        assert shape_differences(database) == []
    finally:
        pg.drop(restored)


def test_public_vectors_of_malformed_checkpoints(log: Database, kept: list[Note]) -> None:
    """Each of them in the place of a checkpoint is `tampered`, and none is an error of the verifier."""
    bodies = [one["m"] for one in shared_json("transparency-dev-formats/checkpoint_body.json")["invalid"]]
    notes = [
        base64.b64decode(one["note_b64"]).decode(errors="replace")
        for one in shared_json("golang-sumdb-note/notes.json")["malformed_b64"]
        if "note_b64" in one
    ]
    whole = [*notes, *(f"{body}\n{kept[2].data.decode().rpartition(chr(10) * 2)[2]}" for body in bodies)]
    assert len(whole) > 10
    for note in whole:
        if "\0" in note:
            continue  # no text of PostgreSQL's can hold it
        attack(log, sql.SQL("UPDATE fidelog.checkpoints SET note = {} WHERE size = 290").format(note).as_string())
        verdict = verify(log)
        assert (verdict.outcome, verdict.position) == (Outcome.TAMPERED, None), note
        assert "the checkpoint of size 290" in (verdict.cause or "")
