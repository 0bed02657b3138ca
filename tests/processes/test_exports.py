"""`fidelog export` and `fidelog verify --export`, as an operator and an auditor run them."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters import CLEAR_NAMES
from tests.processes.conftest import Command, refusal
from tests.processes.fidelog_process import FidelogProcess, Folders, new_folders

BODY = {"client_id": "client-001", "full_name": CLEAR_NAMES[0], "risk_profile": "moderate"}


@pytest.fixture(scope="module")
def served(prepared: Folders) -> Iterator[tuple[Folders, FidelogProcess]]:
    """A running server with two clients."""
    with new_folders(copied_from=prepared) as folders:
        process = folders.serve().ready()
        for client_id in ("client-001", "client-002"):
            assert process.client().post("/clients", json={**BODY, "client_id": client_id}).status_code == 200
        yield folders, process


def said(out: str) -> dict[str, object]:
    """The verdict: the last line on stdout, of these members."""
    verdict: dict[str, object] = json.loads(out.splitlines()[-1])
    assert list(verdict) == ["verdict", "position", "cause", "checkpoint_size"]
    return verdict


def test_an_export_is_written_and_verified(served: tuple[Folders, FidelogProcess], command: Command) -> None:
    """Beside a running server and after it has ended: a file that only its owner reads, verified under the checkpoint that
    the log serves; changed it is tampered, cut it is not verifiable; what was exported, why and by whom is on record."""
    folders, process = served
    http, out = process.client(), folders.outer / "one.zip"
    done = folders.run("export", "--client", "client-001", "--purpose", "case 7", "--out", str(out))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith(f"exported to {out}")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with zipfile.ZipFile(out) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert CLEAR_NAMES[0].encode() in members["events.html"]
    checkpoint = folders.outer / "checkpoint"
    checkpoint.write_bytes(members["checkpoint"])
    verify = ("verify", "--export", str(out), "--checkpoint", str(checkpoint))
    status, told, err = command(*verify)
    assert (status, err, said(told)["verdict"]) == (0, "", "verified")
    events = http.get("/audit/events", params={"stream": "log-exports"}).json()["events"]
    assert [(event["actor"], event["data"]["purpose"], event["subjects"]) for event in events] == [
        ("system:cli", "case 7", ["client-001"])
    ]
    reads = http.get("/audit/events", params={"stream": "log-access"}).json()["events"]
    assert (reads[-1]["data"]["route"], reads[-1]["data"]["clients"]) == ("fidelog export", ["client-001"])
    changed = members["leaves.ndjson"].replace(b"moderate", b"growth")
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, changed if name == "leaves.ndjson" else content)
    status, told, _ = command(*verify)
    assert (status, said(told)["verdict"], said(told)["position"]) == (1, "tampered", 1)
    out.write_bytes(out.read_bytes()[:-100])
    status, told, _ = command(*verify)
    assert (status, said(told)["verdict"]) == (2, "not verifiable")
    assert process.stop() == 0
    done = folders.run("export", "--from", "2026-01-01T00:00:00Z", "--old", "2")
    assert done.returncode == 0, done.stderr
    (found,) = Path(folders.outer).glob("fidelog-default-*.zip")
    status, told, _ = command("verify", "--export", str(found), "--checkpoint", str(checkpoint))
    assert said(told)["verdict"] == "verified", "all rows are there, so an earlier checkpoint is connected by them"


def test_what_cannot_be_exported_or_verified_is_said(served: tuple[Folders, FidelogProcess], command: Command) -> None:
    """An unknown tenant, a time that is none, a folder that is not there: one line, and no file. A file that is not
    there, or nothing to hold it against: not verifiable. What goes with an export alone is a usage error."""
    folders, _ = served
    before = set(folders.outer.iterdir())
    for arguments in (("--tenant", "nobody"), ("--from", "yesterday"), ("--out", "/nowhere/x.zip")):
        status, _, err = command("export", *arguments, **folders.settings())
        assert status == 1
        assert refusal(err)
    assert {path for path in folders.outer.iterdir() if path.suffix == ".zip"} <= before
    status, told, _ = command("verify", "--export", "/nowhere/x.zip", "--checkpoint", "/nowhere/c")
    assert (status, said(told)["verdict"]) == (2, "not verifiable")
    status, _, err = command("verify", "--consistency", "/nowhere/p")
    assert (status, "--export" in err) == (64, True)
