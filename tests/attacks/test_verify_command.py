"""`fidelog verify`: three verdicts, three exit statuses, one last line; whatever is in the way is `not verifiable`."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.settings import Settings
from api.verification import Options
from api.verifying import verify_command
from eventstore.database import Database
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.note import Note, sign
from tests.attacks.sealed import EVENTS, KEY, ORIGIN, SEALED, TENANT, attack, seal
from tests.clusters import Cluster
from tests.waiting import until

VERIFIED = {"verdict": "verified", "position": None, "cause": None, "checkpoint_size": SEALED}


@pytest.fixture
def settings(pg: Cluster, sealed_name: str, tmp_path: Path) -> Settings:
    """Of a machine without the log's state folder: an auditor's."""
    return replace(pg.settings(sealed_name), state_dir=tmp_path / "state")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """Trusts the log's key, asks for no witness."""
    path = tmp_path / "policy"
    path.write_text(f"log {KEY.verifier.text}\nquorum none\n", encoding="ascii")
    return path


def verdict(capsys: pytest.CaptureFixture[str], settings: Settings, **options: Any) -> tuple[int, dict[str, Any], str]:
    """The exit status, the last line, and all before it."""
    status = verify_command(settings, Options(**options))
    *before, last = capsys.readouterr().out.strip().split("\n")
    return status, json.loads(last), "\n".join(before)


def test_verified_tampered_not_verifiable(
    capsys: pytest.CaptureFixture[str],
    log: Database,
    settings: Settings,
    policy: Path,
    kept: list[Note],
    tmp_path: Path,
) -> None:
    """0, 1 and 2; the last line has the four members and no other; a line a tenant before it, in words or as JSON."""
    status, last, before = verdict(capsys, settings, policy=policy)
    assert (status, last) == (0, VERIFIED)
    assert (
        before
        == f"default  verified: {EVENTS} events read, checkpoint of size 290, 2 events after it are not sealed yet"
    )
    status, last, before = verdict(capsys, settings, policy=policy, as_json=True, tenant_id=TENANT)
    assert json.loads(before) == {"tenant_id": "default", **last, "events": EVENTS, "unsealed": 2}

    status, last, _ = verdict(capsys, settings)
    assert (status, last["verdict"]) == (2, "not verifiable")
    assert "no key of the log" in last["cause"]

    file = tmp_path / "checkpoint"
    file.write_bytes(kept[2].data)
    assert verdict(capsys, settings, policy=policy, checkpoints=(file,))[0] == 0
    attack(log, "UPDATE fidelog.events SET actor = 'user:eve' WHERE position = 270", "DELETE FROM fidelog.checkpoints")
    seal(log)
    assert verdict(capsys, settings, policy=policy)[0] == 0, "signed again with the stolen key"
    status, last, before = verdict(capsys, settings, policy=policy, checkpoints=(file,))
    assert (status, last["verdict"], last["checkpoint_size"]) == (1, "tampered", 290)
    assert f"the checkpoint in {file} of size 290" in last["cause"]
    assert before.startswith("default  tampered at position 270: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no checkpoint\n", "proves nothing"),
        (b"", "proves nothing"),
        (sign(Checkpoint("other.example/default", 3, bytes(32)).text, [KEY]).data, "proves nothing"),
        (
            sign(Checkpoint(ORIGIN, 3, bytes(32)).text, [KEY]).data.replace(b"\n3\n", b"\n4\n"),
            "was not made by its key",
        ),
    ],
)
def test_a_checkpoint_that_the_log_did_not_sign(
    capsys: pytest.CaptureFixture[str], settings: Settings, policy: Path, tmp_path: Path, content: bytes, words: str
) -> None:
    """It says nothing about the log: neither of the other verdicts."""
    file = tmp_path / "checkpoint"
    file.write_bytes(content)
    status, last, _ = verdict(capsys, settings, policy=policy, checkpoints=(file,))
    assert (status, last["verdict"]) == (2, "not verifiable")
    assert words in last["cause"]


def test_what_is_in_the_way(
    capsys: pytest.CaptureFixture[str], log: Database, settings: Settings, policy: Path, tmp_path: Path
) -> None:
    """A file that is not there, a database that is not there, an older version's database, an unknown tenant."""
    for wrong in ({"policy": tmp_path / "none"}, {"policy": policy, "checkpoints": (tmp_path / "none",)}):
        assert verdict(capsys, settings, **wrong)[0] == 2
    nowhere = replace(settings, login_urls={"auditor": "postgresql://x@127.0.0.1:1/x"}, database_url=None)
    assert verdict(capsys, nowhere, policy=policy)[0] == 2
    empty = replace(settings, login_urls={}, database_url=None, data_dir=tmp_path / "data")
    status, last, _ = verdict(capsys, empty, policy=policy)
    assert (status, last["cause"]) == (
        2,
        f"there is no database in {tmp_path / 'data'}; give its folder with --data-dir",
    )
    attack(log, "DELETE FROM fidelog.migrations WHERE name = 'eventstore/0003_proof.sql'")
    status, last, _ = verdict(capsys, settings, policy=policy)
    assert status == 2
    assert "is not migrated" in last["cause"]


def test_since_the_last_verification(
    capsys: pytest.CaptureFixture[str], log: Database, settings: Settings, policy: Path
) -> None:
    """What a verification reached is kept; the next goes on from there, and a full one does not believe it."""
    assert verdict(capsys, settings, policy=policy)[0] == 0
    file = settings.state_dir / "verified" / TENANT
    assert file.stat().st_mode & 0o077 == 0
    reached = json.loads(file.read_text(encoding="ascii"))
    assert reached["size"] == SEALED
    seal(log, (EVENTS,))
    status, last, _ = verdict(capsys, settings, policy=policy, since_last=True)
    assert (status, last["checkpoint_size"]) == (0, EVENTS)
    file.write_text(json.dumps({**reached, "root": "00" * 32}), encoding="ascii")
    assert verdict(capsys, settings, policy=policy, since_last=True)[0] == 1
    assert verdict(capsys, settings, policy=policy)[0] == 0
    file.write_text("{", encoding="ascii")
    assert verdict(capsys, settings, policy=policy, since_last=True)[0] == 0


SCHEMA = {
    "ALTER TABLE fidelog.events DISABLE TRIGGER events_never_change": "trigger events_never_change",
    "CREATE POLICY hidden ON fidelog.events AS RESTRICTIVE FOR SELECT TO fidelog_auditor USING (position <> 7)":
        "event 7 is missing; the schema was changed: policy hidden",
    "ALTER TABLE fidelog.events RENAME TO real; CREATE VIEW fidelog.events AS SELECT * FROM fidelog.real WHERE position <> 7;"
    "GRANT SELECT ON fidelog.events TO fidelog_auditor": "event 7 is missing; the schema was changed",
    "ALTER TABLE fidelog.events RENAME TO real": "so it cannot be read",
    "ALTER TABLE fidelog.events DROP COLUMN on_behalf_of": "so it cannot be read",
    "ALTER TABLE fidelog.events DROP COLUMN on_behalf_of; ALTER TABLE fidelog.events ADD on_behalf_of text COLLATE \"C\"":
        "event 1 was changed; the schema was changed: column",
    "ALTER TABLE fidelog.events ALTER COLUMN data TYPE jsonb USING data::jsonb": "event 1 was changed; the schema was changed",
    "ALTER TABLE fidelog.events ALTER COLUMN effective_at TYPE timestamptz(0)": "event 1 was changed; the schema was changed",
    "CREATE OR REPLACE FUNCTION fidelog.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'":
        "function fidelog.refuse_change()",
    "REVOKE SELECT ON fidelog.events FROM fidelog_auditor": "GRANT SELECT ON TABLE fidelog.events TO fidelog_auditor",
    "GRANT UPDATE ON fidelog.events TO fidelog_writer": "REVOKE UPDATE ON TABLE fidelog.events FROM fidelog_writer",
}  # fmt: skip


@pytest.mark.parametrize("change", SCHEMA)
def test_a_changed_schema_is_tampering(
    capsys: pytest.CaptureFixture[str], pg: Cluster, sealed_name: str, settings: Settings, policy: Path, change: str
) -> None:
    """With the first bad position where rows changed with it, and the change in words."""
    if "TYPE" in change or "DROP COLUMN" in change:
        pg.execute("ALTER TABLE fidelog.events DISABLE TRIGGER USER", sealed_name)
    pg.execute(change, sealed_name)
    status, last, _ = verdict(capsys, settings, policy=policy)
    assert (status, last["verdict"]) == (1, "tampered")
    assert SCHEMA[change] in last["cause"], last["cause"]


NEUTRAL = (
    "VACUUM FULL fidelog.events",
    "REINDEX TABLE fidelog.events",
    "CLUSTER fidelog.events USING events_stream_version",
    "CREATE INDEX more ON fidelog.agent_tasks (agent_name)",
    "ALTER TABLE fidelog.client_profiles ADD COLUMN segment text",
)


def test_housekeeping_raises_no_alarm(
    capsys: pytest.CaptureFixture[str], pg: Cluster, sealed_name: str, settings: Settings, policy: Path
) -> None:
    """What moves rows, and what is added to a read model."""
    for statement in NEUTRAL:
        pg.execute(statement, sealed_name)
    assert verdict(capsys, settings, policy=policy)[:2] == (0, VERIFIED)


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C interrupts, also where the tests run in the background of a shell, which has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_verification_that_is_interrupted_says_nothing(
    capsys: pytest.CaptureFixture[str],
    log: Database,
    settings: Settings,
    policy: Path,
    number: int,
    heard: None,
) -> None:
    """Ctrl-C and SIGTERM while it reads: `not verifiable`, exit status 2. A lock holds it where it reads the events."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'fidelog.events'::regclass"
    with (
        psycopg.connect(log.url("superuser")) as holding,
        psycopg.connect(log.url("superuser"), autocommit=True) as seeing,
    ):
        holding.execute("LOCK TABLE fidelog.events IN ACCESS EXCLUSIVE MODE")

        def interrupt() -> None:
            try:
                until("it waits", lambda: seeing.execute(waiting).fetchone() != (0,))
            except AssertionError:
                holding.rollback()  # else both would wait for ever
                raise
            signal.pthread_kill(threading.main_thread().ident or 0, number)

        thread = threading.Thread(target=interrupt)
        thread.start()
        status, last, _ = verdict(capsys, settings, policy=policy)
        thread.join()
    assert (status, last["verdict"], last["cause"]) == (2, "not verifiable", "it was interrupted; verify again")
