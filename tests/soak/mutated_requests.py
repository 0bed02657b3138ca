"""Part 3: many requests that are nearly right. The server refuses what is wrong, as documented, and stores nothing of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httptools

from api.problems import PROBLEMS, type_uri
from tests.clusters import CLEAR_NAMES, Cluster
from tests.processes.fidelog_process import Folders
from tests.soak.findings import Findings, Tell
from tests.soak.header_mutations import mutate
from tests.soak.http_client import Answer, Connection, read_answer
from tests.soak.model import SWEEPER
from tests.soak.replay_check import replay_check
from tests.soak.requests import Ground
from tests.soak.trail import Trail, reads_that_differ

SECONDS = 10.0
"""As long as an answer may take."""
STEP = 500
MIB = 1 << 20
ENOUGH_FOR_MEMORY = 10_000
"""Fewer requests do not fill what a process keeps: caches, pools."""
GROWTH = 1.05
LEAKS = (
    "traceback", 'file "', "psycopg", "sqlstate", "pydantic", "postgres", "relation \"", "duplicate key value", "fidelog.",
    "orjson", "jiter", "exception", "errno", "0x7f",
)  # fmt: skip
NAMED_BY_THE_CALLER = {"instance", "correlation_id"}
"""Members that repeat what the caller called something: the path, and a correlation id that was valid."""


class Framing:
    """What the server's own parser makes of a request's bytes: how many messages, and whether it gave up."""

    def __init__(self, sent: bytes) -> None:
        self.methods: list[bytes] = []
        self.complete = 0
        self.broken = False
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(sent)
        except httptools.HttpParserUpgrade:
            pass  # nothing is upgraded here: the message counts
        except httptools.HttpParserError:
            self.broken = True

    def on_headers_complete(self) -> None:
        self.methods.append(self._parser.get_method())

    def on_message_complete(self) -> None:
        self.complete += 1


WAITING = (b"at_least", b"/proof", b"/audit/consistency", b"/audit/export")
"""What a request has that may be about a position that is not there or not sealed yet."""
EXPORT = "ExportMade"


@dataclass
class Sent:
    """A mutated request, and the answers to it."""

    raw: bytes
    canary: str
    framing: Framing
    answers: list[Answer] = field(default_factory=list)


async def mutated_requests(folders: Folders, seed: int, tell: Tell, number: int = 10_000) -> Findings:
    """On a prepared data folder that is not running."""
    server = await asyncio.to_thread(lambda: folders.serve().ready())
    run = _Run(server.url, Random(seed))
    half = number // 2
    await run.all(half, tell)
    first = server.resident_bytes()
    await run.all(number - half, tell)
    grown = server.resident_bytes() / first
    run.findings.line(f"memory: {first / MIB:.0f} MiB after the first half, {grown:.3f} of it after the second")
    if number >= ENOUGH_FOR_MEMORY:
        run.findings.require(grown <= GROWTH, f"memory grew to {grown:.3f} of what the first half took")
    await run.check_log()
    findings = run.findings
    findings.faults += await asyncio.to_thread(replay_check, folders)
    findings.require(server.process.poll() is None, "the server has ended")
    findings.require(await asyncio.to_thread(server.stop) == 0, "the server did not stop as it should")
    findings.require(not server.stderr(), f"the server complained: {server.stderr()[-3000:]}")
    files = Cluster("", Path(), folders.data).files_with(CLEAR_NAMES)
    findings.require(not files, f"a name stands in clear in {files}")
    return findings.finish()


class _Run:
    def __init__(self, url: str, random: Random) -> None:
        self.findings = Findings("mutated requests")
        self._url = url
        self._random = random
        self._http = Connection(url, SECONDS)
        self._ground = Ground(self._http, urlsplit(url).netloc, random)
        self._answered: Counter[str] = Counter()
        self._positions: set[int] = set()
        self._unread: list[bytes] = []
        """Requests that hold a message whose answer was cut off by what came after it."""

    async def all(self, number: int, tell: Tell) -> None:
        """Send so many, and a valid one now and then."""
        await self._ground.refill()
        for done in range(1, number + 1):
            self._judge(await self._send())
            if done % STEP == 0 or done == number:
                await self._ground.refill()
                tell(f"{done:,} of {number:,} mutated requests, {len(self.findings.faults)} faults")
        self.findings.line(f"{number:,} requests of {len(self._ground.routes)} routes")
        text = ", ".join(f"{name} {count:,}" for name, count in self._answered.most_common())
        self.findings.line(f"answers: {text}")

    async def _send(self) -> Sent:
        canary = f"zq{self._random.getrandbits(48):012x}"
        raw = mutate(self._ground.request(), self._random, canary)
        sent = Sent(raw, canary, Framing(raw))
        http = Connection(self._url, SECONDS)
        try:
            async with asyncio.timeout(SECONDS):
                reader, writer = await http.open()
                writer.write(raw)
                for place in range(sent.framing.complete + sent.framing.broken):
                    is_head = sent.framing.methods[place : place + 1] == [b"HEAD"]
                    sent.answers.append(await read_answer(reader, with_body=not is_head))
        except TimeoutError:
            self._fault(sent, f"no answer within {SECONDS:g} s")
        except (OSError, asyncio.IncompleteReadError):
            pass  # closed; whether that may be is judged
        finally:
            http.close()
        return sent

    def _fault(self, sent: Sent, what: str) -> None:
        shown = sent.raw if len(sent.raw) < 3000 else sent.raw[:2000] + b" ... " + sent.raw[-500:]
        self.findings.fault(f"{what}; the request: {shown!r}")

    def _judge(self, sent: Sent) -> None:
        if sent.framing.complete and not sent.framing.broken and not sent.answers:
            self._fault(sent, "no answer")
        if len(sent.answers) < sent.framing.complete:
            self._unread.append(sent.raw)
        if not sent.framing.complete and not sent.framing.broken:
            self._answered["not whole"] += 1
        for place, answer in enumerate(sent.answers):
            if sent.framing.broken and place == len(sent.answers) - 1 and _of_the_framework(answer):
                self._answered["400 not HTTP"] += 1
                continue
            self._judge_answer(sent, answer, sent.framing.methods[place] if place < len(sent.framing.methods) else b"")

    def _judge_answer(self, sent: Sent, answer: Answer, method: bytes) -> None:
        if method == b"POST" and answer.position is not None and not answer.replayed:
            self._positions.add(answer.position)
        if answer.status < 400:
            self._answered[str(answer.status)] += 1
            return
        if method == b"HEAD":
            self._answered[f"{answer.status} to HEAD"] += 1
            return
        slug = answer.slug
        self._answered[f"{answer.status} {slug}"] += 1
        if slug == "position-not-reached" and any(word in sent.raw for word in WAITING):
            return  # asked for what nobody has written, or for the proof of what was written just now
        if slug not in PROBLEMS or PROBLEMS[slug][0] != answer.status or answer.status >= 500:
            self._fault(sent, f"an answer that may not be: {answer}")
            return
        content = answer.json()
        if content["type"] != type_uri(slug) or content["status"] != answer.status:
            self._fault(sent, f"a problem that contradicts itself: {answer}")
        said = " ".join(_said(content)).lower()
        if sent.canary in said:
            self._fault(sent, f"a value is echoed: {answer}")
        if leaks := [leak for leak in LEAKS if leak in said]:
            self._fault(sent, f"{leaks} leaked: {answer}")

    async def check_log(self) -> None:
        """The log grew by exactly what was answered as stored, and reads are the fold of it."""
        trail = Trail()
        await trail.read_on(self._http)
        stored = {a.position for a in self._ground.answers} | self._positions
        last = {event["command_id"]: event for event in trail.events}
        found = {event["position"]: event for event in last.values()}
        for position in sorted(found.keys() - stored):
            event = found[position]
            if event["type"] == EXPORT:
                continue  # the export itself tells of it
            if event["actor"] != SWEEPER and not any(event["correlation_id"].encode() in raw for raw in self._unread):
                self.findings.fault(f"nobody was told of {event}")
        for position in sorted(position for position in stored - found.keys() if position is not None):
            self.findings.fault(f"an answer told of position {position}, where no command ends")
        self.findings.faults += await reads_that_differ(self._http, trail)
        self.findings.faults += trail.model.faults
        self.findings.line(f"{len(trail.events):,} events, of {len(last):,} commands answered as stored")
        self._http.close()


def _of_the_framework(answer: Answer) -> bool:
    """The server's HTTP layer refuses what is not HTTP before any route sees it."""
    return answer.status == 400 and answer.body == b"Invalid HTTP request received."


def _said(content: dict[str, Any]) -> list[str]:
    """Everything a problem says, names that the caller gave aside: paths, and what a fault points to."""
    said = [str(value) for name, value in content.items() if name not in {*NAMED_BY_THE_CALLER, "type", "errors"}]
    return said + [str(fault["message"]) for fault in content.get("errors", [])]
