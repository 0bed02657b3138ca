"""Starts that are refused: exit 1 and one line on stderr that says why and what to do."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psycopg
import pytest

from eventstore.vault.keys import KeyUnavailable, MasterKeys
from tests.processes.conftest import Command, refusal
from tests.processes.fidelog_process import Folders


def test_a_port_that_is_taken_is_refused(new: Folders) -> None:
    """Exit 1 and one line that names the setting; no folder is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = new.run("serve", FIDELOG_PORT=port)
    assert (done.returncode, done.stdout) == (1, "")
    assert port in refusal(done.stderr)
    assert "FIDELOG_PORT" in done.stderr
    assert not new.data.exists()
    assert not new.state.exists()


def test_an_address_that_others_reach_asks_for_credentials(new: Folders) -> None:
    """Nobody is the local operator there: serve says how to make the first key, and with it one comes in."""
    served = new.serve(FIDELOG_HOST="0.0.0.0").ready()
    assert "fidelog keys create" in served.stderr()
    url = f"http://127.0.0.1:{served.bound_port()}"
    assert served.client(url).get("/tasks").status_code == 401
    assert served.client(url).get("/metrics").status_code == 401
    assert served.client(url).get("/livez").status_code == 200
    made = new.run("keys", "create", "--actor", "user:olga", "--role", "operator")
    assert (made.returncode, made.stdout.count("\n")) == (0, 1)
    metrics = served.client(url).get("/metrics", headers={"authorization": f"Bearer {made.stdout.strip()}"})
    assert metrics.status_code == 200
    assert served.stop() == 0


BAD_SETTINGS = [
    ("FIDELOG_PORT", "abc"),
    ("FIDELOG_PORT", "-1"),
    ("FIDELOG_PORT", "65536"),
    ("FIDELOG_PORT", "٣"),
    ("FIDELOG_PORT", "9" * 5000),
    ("FIDELOG_STATE_DIR", "{outer}/d"),
    ("FIDELOG_STATE_DIR", "{outer}/d/keys"),
    ("FIDELOG_STATE_DIR", "{outer}/other/../d/keys"),
    ("FIDELOG_STATE_DIR", "{outer}/link/keys"),
    ("FIDELOG_DATA_DIR", "~no-such-user-here/d"),
    ("FIDELOG_ACCESS_LOG", "some"),
    ("FIDELOG_RETENTION", "account=5"),
    ("FIDELOG_RETENTION", "advice=7"),
    ("FIDELOG_RETENTION", "account:7"),
    ("FIDELOG_MASTER_KEY_DAYS", "0"),
    ("FIDELOG_JWT_ISSUER", "https://only.this"),
    ("FIDELOG_JWT_LEEWAY", "-1"),
    ("FIDELOG_JWT_ALGORITHMS", "none"),
    ("FIDELOG_CONNECTIONS", "0"),
    ("FIDELOG_HEADER_BYTES", "16k"),
    ("FIDELOG_BODY_SECONDS", "-1"),
    ("FIDELOG_STATEMENT_SECONDS", "inf"),
    ("FIDELOG_RATE_PER_SECOND", "0.5"),
    ("FIDELOG_REQUEST_LOG", "yes"),
]


@pytest.mark.parametrize(
    ("name", "value"), BAD_SETTINGS, ids=[f"{name}-{value[:24]!a}" for name, value in BAD_SETTINGS]
)
def test_a_bad_setting_is_refused(new: Folders, command: Command, name: str, value: str) -> None:
    """Exit 1 and one line that names the setting; keys never end up inside the data folder, however it is spelled.

    `status` reads the settings as `serve` does, and ends also when one is wrongly accepted.
    """
    (new.outer / "link").symlink_to(new.data)
    status, out, err = command("status", **{**new.settings(), name: value.replace("{outer}", str(new.outer))})
    assert (status, out) == (1, "")
    assert name in refusal(err)


@pytest.mark.parametrize("kind", ["a file", "not writable"])
def test_a_data_folder_that_cannot_be_used_is_refused(new: Folders, kind: str) -> None:
    """Exit 1 and one line that names the folder, no traceback."""
    file = new.outer / "file"
    file.touch()
    folder = file if kind == "a file" else Path("/proc/fidelog")
    if kind == "not writable" and os.geteuid() != 0:
        folder = new.outer / "locked" / "d"
        folder.parent.mkdir(mode=0o500)
    done = new.run("serve", FIDELOG_DATA_DIR=str(folder))
    assert (done.returncode, done.stdout) == (1, "")
    assert str(folder) in refusal(done.stderr)


@pytest.mark.parametrize("damage", ["missing", "wrong"])
def test_a_database_without_its_master_key_is_refused(folders: Folders, damage: str) -> None:
    """Exit 1 and one line that names what to restore; no new key hides the loss, and PostgreSQL is stopped again."""
    key = folders.master_keys / "epoch-1"
    if damage == "missing":
        key.unlink()
    else:
        key.write_text("5" * 64 + "\n")
    before = sorted(folders.state.rglob("*"))
    done = folders.run("serve")
    assert (done.returncode, done.stdout) == (1, "")
    assert "FIDELOG_STATE_DIR" in refusal(done.stderr)
    assert sorted(folders.state.rglob("*")) == before
    assert folders.postgres() == []


def test_a_login_that_may_do_too_much_is_refused(folders: Folders) -> None:
    """Exit 1 and one line with the statement that puts it right; after that statement it starts."""
    served = folders.serve().ready()
    with psycopg.connect(folders.superuser_url(), autocommit=True) as superuser:
        superuser.execute("GRANT UPDATE ON fidelog.events TO fidelog_writer")
        done = folders.run("serve")
        assert (done.returncode, done.stdout) == (1, "")
        assert "REVOKE UPDATE ON TABLE fidelog.events FROM fidelog_writer" in refusal(done.stderr)
        superuser.execute("REVOKE UPDATE ON TABLE fidelog.events FROM fidelog_writer")
    folders.serve().ready()
    assert served.stop() == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [("epoch-2", b""), ("epoch-2", b"no key"), ("epoch-2", b"\xe9" * 64), ("epoch-1.bak", b"6" * 64), ("epoch-", b"")],
    ids=["empty", "text", "not-ascii", "a-copy", "no-number"],
)
def test_a_stray_file_among_the_keys_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    """A file that looks like an epoch's key and is none is refused by its name, whatever it holds."""
    MasterKeys.open(tmp_path, create=True)
    (tmp_path / "master-keys" / name).write_bytes(content)
    with pytest.raises(KeyUnavailable, match=name):
        MasterKeys.open(tmp_path, create=False)
