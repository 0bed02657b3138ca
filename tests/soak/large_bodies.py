"""Part 5: many clients send bodies of a mebibyte at once. Each is answered, a small client among them too, and the process
stays small."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from tests.processes.fidelog_process import FidelogProcess, Folders
from tests.soak.findings import Findings, Tell
from tests.soak.http_client import Answer, Connection, NoAnswer

CLIENTS = 500
ROUNDS = 2
MIB = 1 << 20
MOST_BYTES = 400 * MIB
SECONDS = 60.0
EXPECTED = {"", "payload-too-large", "overloaded"}
"""Answers there may be: done, a payload that is too large, and no room."""


def padded(content: object) -> bytes:
    """A body of exactly a mebibyte, white space at its end."""
    body = orjson.dumps(content)
    return body + b" " * (MIB - len(body))


def request(url: str, path: str, body: bytes) -> bytes:
    """A request to send it."""
    head = f"POST {path} HTTP/1.1\r\nhost: {url.removeprefix('http://')}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def bodies(number: int) -> tuple[str, bytes]:
    """Path and body: by turns mostly white space, one long string, and as many small values as there is room for."""
    client_id = f"large-{number}"
    if number % 3 == 0:
        return "/clients", padded({"client_id": client_id, "full_name": "Amina Patel", "risk_profile": "moderate"})
    payload: dict[str, Any] = {"text": "x" * (MIB - 400)} if number % 3 == 1 else {"many": [{}] * (MIB // 3 - 200)}
    task_id = f"550e8400-e29b-41d4-a716-{number:012x}"
    task = {"task_id": task_id, "client_id": client_id, "agent_name": "a", "payload": payload}
    return "/tasks", padded(task)


def peak_bytes(server: FidelogProcess) -> int:
    """The most memory the process has ever had resident."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


async def large_bodies(folders: Folders, tell: Tell, clients: int = CLIENTS, rounds: int = ROUNDS) -> Findings:
    """On a prepared data folder that is not running."""
    findings = Findings("large bodies")
    server = await asyncio.to_thread(lambda: folders.serve().ready())
    before = peak_bytes(server)
    requests = [request(server.url, *bodies(number)) for number in range(3)]
    connections = [Connection(server.url, SECONDS) for _ in range(clients)]
    answered: Counter[str] = Counter()
    slowest = 0.0

    async def send(number: int) -> None:
        for _ in range(rounds):
            try:
                judge(await connections[number].exchange(requests[number % 3]))
            except NoAnswer as error:
                findings.fault(f"no answer: {error}")

    def judge(answer: Answer) -> None:
        answered[answer.slug or str(answer.status)] += 1
        findings.require(answer.slug in EXPECTED, f"an answer that may not be: {answer.status} {answer.body[:300]!r}")
        findings.require(answer.status != 503 or "retry-after" in answer.headers, "503 without Retry-After")

    async def look_in() -> None:
        """A small client among the large ones."""
        nonlocal slowest
        small = Connection(server.url, SECONDS)
        content = {"client_id": "small", "full_name": "Amina Patel", "risk_profile": "moderate"}
        try:
            while True:
                begun = time.monotonic()
                answer = await small.post("/clients", content)
                slowest = max(slowest, time.monotonic() - begun)
                findings.require(answer.status == 200, f"the small client got {answer.status}")
                await asyncio.sleep(0.01)
        finally:
            small.close()

    looking = asyncio.create_task(look_in())
    await asyncio.gather(*(send(number) for number in range(clients)))
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    for connection in connections:
        connection.close()
    peak = peak_bytes(server)
    tell(f"{clients} clients, peak {peak / MIB:.0f} MiB")
    findings.line(f"{clients} clients, {clients * rounds} bodies of a mebibyte: {dict(answered)}")
    findings.line(f"resident: {before / MIB:.0f} MiB before, {peak / MIB:.0f} MiB at most")
    findings.line(f"the slowest answer to a small client among them took {slowest:.2f} s")
    findings.require(answered["200"] > 0, "no large body was taken")
    findings.require(peak <= MOST_BYTES, f"{peak / MIB:.0f} MiB resident, more than {MOST_BYTES // MIB}")
    findings.require(not server.stderr(), f"the server complained: {server.stderr()[-3000:]}")
    findings.require(await asyncio.to_thread(server.stop) == 0, "the server did not stop as it should")
    return findings.finish()
