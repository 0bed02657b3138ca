"""Part 1: rounds of a load of mixed commands, one blow each, and the log checked against every answer. (P1 to P7, P11)"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from tests.clusters import CLEAR_NAMES, Cluster
from tests.processes.fidelog_process import Folders
from tests.soak.blows import BLOWS, Stage, schedule
from tests.soak.commands import Command, Mix
from tests.soak.findings import Findings, Tell
from tests.soak.http_client import SECONDS, Connection, NoAnswer
from tests.soak.load import Load, until
from tests.soak.replay_check import replay_check
from tests.soak.trail import Trail, reads_that_differ
from tests.soak.verifying import claims_given_twice, faults_of, repeats_that_differ, resolve, strangers

SAMPLE = 150
"""So many of a round's commands are sent again after it; at the end all of them are."""


@dataclass(frozen=True)
class Size:
    """How much is done."""

    rounds: int = 20
    servers: int = 3
    writers: int = 100
    in_flight: int = 50
    """At least so many commands are under way at the moment of the blow."""
    before: int = 500
    after: int = 400
    replay_each_round: bool = True
    """Whether `fidelog replay --check` runs after every round, or only at the end."""


async def kill_rounds(folders: Folders, seed: int, tell: Tell, size: Size, blows: Sequence[str] = ()) -> Findings:
    """Run the rounds on a prepared data folder that is not running."""
    rounds = _Rounds(Stage(folders), Random(seed), size)
    await rounds.run(list(blows) or schedule(size.rounds, rounds.random), tell)
    return rounds.findings.finish()


class _Rounds:
    def __init__(self, stage: Stage, random: Random, size: Size) -> None:
        self.stage = stage
        self.random = random
        self.size = size
        self.findings = Findings("kill rounds")
        self._trail = Trail()
        self._mix = Mix(random)
        self._commands: list[Command] = []
        self._statuses: Counter[int | str] = Counter()
        self._unknown = 0
        self._in_flight: list[int] = []

    async def run(self, blows: Sequence[str], tell: Tell) -> None:
        await asyncio.to_thread(self.stage.start, self.size.servers)
        for number, name in enumerate(blows, 1):
            tell(f"round {number}/{len(blows)}: {await self._round(name)}")
            if self.findings.faults:
                break  # what comes after a fault tells nothing new
        await self._end()
        self.findings.line(f"{len(self._in_flight)} rounds: {_counts(Counter(blows[: len(self._in_flight)]))}")
        self._report()

    async def _round(self, name: str) -> str:
        since, size, begun = len(self._trail.events), self.size, time.monotonic()
        load = Load(self.stage.urls, size.writers, self._mix, self.random)
        await load.until_settled(size.before)
        blow = await asyncio.to_thread(BLOWS[name], self.stage, self.random)
        await until("enough commands in flight", lambda: load.in_flight >= size.in_flight)
        blow.strike()
        in_flight = load.in_flight
        await asyncio.to_thread(blow.recover)
        await load.until_settled(size.after)
        await load.finish()
        await self._all_ready()
        loaded = time.monotonic() - begun
        unknown = await self._verify(load, since)
        self._in_flight.append(in_flight)
        self._unknown += unknown
        self._statuses += load.statuses
        self.findings.lines += [f"no answer within {SECONDS:g} s, {name}: {slow}" for slow in load.slow]
        return (
            f"{name}: {in_flight} in flight, {len(load.commands)} commands, {unknown} of unknown end, "
            f"{len(self._trail.events)} events, {len(self.findings.faults)} faults, "
            f"{loaded:.0f} s of load, {time.monotonic() - begun - loaded:.0f} s of checks"
        )

    async def _all_ready(self) -> None:
        """Every process answers again."""
        for url in self.stage.urls:
            http, waiting = Connection(url), True
            while waiting:
                with suppress(NoAnswer):
                    waiting = (await http.get("/readyz")).status != 200
                await asyncio.sleep(0.01 if waiting else 0)
            http.close()

    async def _verify(self, load: Load, since: int) -> int:
        """Check the round; the number of commands whose end was unknown."""
        faults, trail, urls = self.findings.faults, self._trail, self.stage.urls
        faults += load.faults
        http = Connection(urls[0])
        await trail.read_on(http)
        unknown = [command for command in load.commands if command.answer is None]
        faults += await resolve(urls, unknown, trail)
        faults += await repeats_that_differ(urls, unknown)
        faults += await repeats_that_differ(urls, self.random.sample(load.commands, min(SAMPLE, len(load.commands))))
        self._commands += load.commands
        faults += await reads_that_differ(http, trail, since)
        faults += [fault for command in load.commands for fault in faults_of(command, trail)]
        faults += strangers(trail, self._commands, since)
        self._take_over_model_faults()
        http.close()
        if self.size.replay_each_round:
            faults += await asyncio.to_thread(replay_check, self.stage.folders)
        return len(unknown)

    def _take_over_model_faults(self) -> None:
        self.findings.faults += self._trail.model.faults
        self._trail.model.faults = []

    async def _end(self) -> None:
        """Everything once more, over the whole log."""
        faults, trail = self.findings.faults, self._trail
        http = Connection(self.stage.urls[0])
        faults += await repeats_that_differ(self.stage.urls, self._commands)
        faults += await reads_that_differ(http, trail)
        faults += [fault for command in self._commands for fault in faults_of(command, trail)]
        faults += strangers(trail, self._commands, 0)
        faults += claims_given_twice(self._commands)
        self._take_over_model_faults()
        http.close()
        faults += await asyncio.to_thread(replay_check, self.stage.folders)
        for server in self.stage.servers:
            if server.process.poll() is not None or await asyncio.to_thread(server.stop) != 0:
                faults.append("a process did not stop as it should")
        for server in self.stage.folders.started:
            if server.tracebacks():
                faults.append(f"a process failed in a way nobody foresaw: {server.stderr()[-2000:]}")
        faults += [f"a name in clear in {file}" for file in _files_with_names(self.stage.folders)]

    def _report(self) -> None:
        line = self.findings.line
        line(
            f"{self.size.servers} processes, {self.size.writers} writers, at least {min(self._in_flight, default=0)} in flight"
        )
        line(
            f"{len(self._commands):,} commands, {len(self._trail.events):,} events, {self._unknown} ends unknown at first"
        )
        line(f"answers: {_counts(self._statuses)}")
        line(f"commands: {_counts(self._mix.kinds)}")
        line(f"events: {_counts(Counter(event['type'] for event in self._trail.events))}")


def _files_with_names(folders: Folders) -> list[str]:
    return Cluster("", folders.state, folders.data).files_with(CLEAR_NAMES)


def _counts(counter: Counter[str] | Counter[int | str]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counter.items(), key=lambda item: -item[1]))
