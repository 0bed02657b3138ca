"""Part 7: one client's 100,000 events among a million are exported and verified offline; memory stays flat."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]
import psycopg
from psycopg import sql

from tests.processes.fidelog_process import FidelogProcess, Folders
from tests.soak.filling import filled, unguarded
from tests.soak.findings import Findings, Tell
from tests.waiting import until

EVENTS = 1_000_000
SHARE = 10
"""One event in so many is about the one client."""
CLIENT = "c-one"
GROWTH = 150 << 20
"""Bytes by which the serving process may grow while it exports."""
VERIFIER = 100 << 20
"""Bytes that the enclosed verifier may have."""
PATIENCE = 900.0

ABOUT_ONE = """UPDATE {} SET subjects = ARRAY[{client}] WHERE position % {share} = 0"""


async def large_export(folders: Folders, tell: Tell, events: int = EVENTS) -> Findings:
    """On a prepared data folder that is not running."""
    findings = Findings("large export")
    await asyncio.to_thread(_export_and_verify, folders, events, findings, tell)
    return findings.finish()


def _export_and_verify(folders: Folders, events: int, findings: Findings, tell: Tell) -> None:
    _fill(folders, events, tell)
    server = folders.serve().ready()
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
        until("all is sealed and indexed", lambda: _ready(http, events), PATIENCE)
        tell(f"{events:,} events sealed and indexed")
        bundle, checkpoint = folders.outer / "one.zip", folders.outer / "checkpoint"
        memory = Memory(server)
        begun = time.monotonic()
        with http.stream("GET", "/audit/export", params={"client_id": CLIENT}) as answer, bundle.open("wb") as file:
            assert answer.status_code == 200, answer.read()
            for chunk in answer.iter_raw():
                file.write(chunk)
                memory.look()
        seconds = time.monotonic() - begun
        checkpoint.write_bytes(_own_checkpoint(bundle))
    count = events // SHARE
    findings.line(
        f"exported {count:,} of {events:,} events: {seconds:.1f} s, {bundle.stat().st_size / 1e6:.0f} MB, "
        f"{_packed(bundle, 'nodes.txt') / 1e6:.1f} MB of them nodes; the server grew by {memory.growth / 2**20:.0f} MiB"
    )
    findings.require(memory.growth <= GROWTH, f"the server grew by {memory.growth / 2**20:.0f} MiB")
    tell(findings.lines[-1])
    _judge(findings, tell, bundle, checkpoint, "verified", None)
    for what, change, position in (
        ("one byte of a leaf changed", _changed, 5_000 * SHARE),
        ("one row removed", _removed, 5_000 * SHARE),
        ("the tail removed", _cut, (count - 9) * SHARE),
    ):
        _rewrite(bundle, folders.outer / "worse.zip", change)
        findings.line(what)
        _judge(findings, tell, folders.outer / "worse.zip", checkpoint, "tampered", position)
    findings.require(server.stop() == 0, "the server did not stop as it should")
    findings.require(not server.tracebacks(), f"the server failed: {server.stderr()[-2000:]}")


def _fill(folders: Folders, events: int, tell: Tell) -> None:
    with filled(folders, events) as url:
        with psycopg.connect(url) as connection:
            with unguarded(connection, "events") as name:  # nothing is sealed yet
                about = sql.SQL(ABOUT_ONE).format(name, client=sql.Literal(CLIENT), share=sql.Literal(SHARE))
                connection.execute(about)
            connection.execute("DELETE FROM fidelog.audit_index")
            connection.execute("UPDATE fidelog.tail_checkpoints SET position = 0 WHERE name = 'audit_index'")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE) fidelog.events")
    tell(f"{events:,} events filled in, one in {SHARE} about one client")


def _ready(http: httpx.Client, events: int) -> bool:
    if http.get(f"/audit/events/{events}/proof").status_code != 200:
        return False
    tails = http.get("/readyz").json()["tails"]
    return all(tail["lag"] == 0 for tail in tails)


class Memory:
    """How much a process grew since it was first looked at."""

    def __init__(self, process: FidelogProcess) -> None:
        self._process = process
        self._first = process.resident_bytes()
        self.growth = 0

    def look(self) -> None:
        """Now."""
        self.growth = max(self.growth, self._process.resident_bytes() - self._first)


@dataclass(frozen=True)
class Verified:
    """What the enclosed verifier said, how long it took, and the most memory it had."""

    status: int
    said: str
    seconds: float
    peak: int


def verify(bundle: Path, checkpoint: Path) -> Verified:
    """Run the enclosed verifier on bare Python."""
    program = bundle.with_suffix(".pyz")
    with zipfile.ZipFile(bundle) as archive:
        program.write_bytes(archive.read("verify.pyz"))
    command = [sys.executable, "-I", "-S", str(program), str(bundle), "--checkpoint", str(checkpoint)]
    begun, peak = time.monotonic(), 0
    with subprocess.Popen(command, env={}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.05)
        said = process.stdout.read() if process.stdout is not None else ""
    return Verified(process.wait(), said, time.monotonic() - begun, peak)


def _judge(findings: Findings, tell: Tell, bundle: Path, checkpoint: Path, word: str, position: int | None) -> None:
    done = verify(bundle, checkpoint)
    findings.line(f"verifier: {done.seconds:.1f} s, {done.peak / 2**20:.0f} MiB at most: {done.said.strip()}")
    tell(findings.lines[-1])
    findings.require(f'"verdict":"{word}"' in done.said, f"not {word}: {done.said}")
    findings.require(
        f'"position":{"null" if position is None else position}' in done.said, f"not {position}: {done.said}"
    )
    findings.require(done.peak <= VERIFIER, f"the verifier had {done.peak / 2**20:.0f} MiB")


def _own_checkpoint(bundle: Path) -> bytes:
    with zipfile.ZipFile(bundle) as archive:
        return archive.read("checkpoint")


def _packed(bundle: Path, name: str) -> int:
    with zipfile.ZipFile(bundle) as archive:
        return archive.getinfo(name).compress_size


def _rewrite(bundle: Path, to: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """The same members, the leaves changed."""
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, b"".join(change(data.splitlines(keepends=True))) if name == "leaves.ndjson" else data)


def _changed(lines: list[bytes]) -> list[bytes]:
    """A byte of the 5,000th."""
    line = lines[4_999]
    return [*lines[:4_999], line.replace(b'"version":', b'"version":9', 1), *lines[5_000:]]


def _removed(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4_999], *lines[5_000:]]


def _cut(lines: list[bytes]) -> list[bytes]:
    return lines[:-10]
