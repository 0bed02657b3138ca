"""What is done to the processes under load: killed, stopped, woken up, started again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import psycopg

from tests.processes.fidelog_process import FidelogProcess, Folders

SESSIONS = "SELECT pid FROM pg_stat_activity WHERE usename = 'fidelog_writer' AND backend_type = 'client backend'"

READY_SECONDS = 120.0
"""Several processes start at once, and PostgreSQL recovers, on a machine that may be busy."""


@dataclass
class Stage:
    """The processes of one data folder, and where they answer."""

    folders: Folders
    servers: list[FidelogProcess] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def start(self, number: int) -> None:
        """Start so many `fidelog serve`, at once."""
        self.servers[:] = [self.folders.serve() for _ in range(number)]
        self.urls[:] = [server.ready(READY_SECONDS).url for server in self.servers]

    def start_again(self, *places: int) -> None:
        """New processes in place of killed ones."""
        for place in places:
            self.servers[place].process.wait()
            self.servers[place] = self.folders.serve()
        for place in places:
            self.urls[place] = self.servers[place].ready(READY_SECONDS).url


@dataclass(frozen=True)
class Blow:
    """`strike` takes no time; `recover` does what an operator would do, and blocks meanwhile."""

    strike: Callable[[], None]
    recover: Callable[[], None]


Aim = Callable[[Stage, Random], Blow]


def _kill(*pids: int) -> Callable[[], None]:
    def strike() -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    return strike


def _nothing() -> None:
    """PostgreSQL is started again by the processes that use it."""


def kill_api(stage: Stage, random: Random) -> Blow:
    """kill -9 of one API process, which is started again."""
    place = random.randrange(len(stage.servers))
    return Blow(_kill(stage.servers[place].process.pid), lambda: stage.start_again(place))


def kill_postgres(stage: Stage, random: Random) -> Blow:
    """kill -9 of the postmaster; its children find out by themselves."""
    return Blow(_kill(stage.folders.postmaster()), _nothing)


def kill_both(stage: Stage, random: Random) -> Blow:
    """kill -9 of the postmaster and of one API process at the same moment."""
    place = random.randrange(len(stage.servers))
    pids = stage.folders.postmaster(), stage.servers[place].process.pid
    return Blow(_kill(*pids), lambda: stage.start_again(place))


def kill_all(stage: Stage, random: Random) -> Blow:
    """kill -9 of the postmaster and of every API process: nobody is left to start it again."""
    pids = stage.folders.postmaster(), *(server.process.pid for server in stage.servers)
    return Blow(_kill(*pids), lambda: stage.start_again(*range(len(stage.servers))))


def stop_api(stage: Stage, random: Random) -> Blow:
    """SIGSTOP of one API process for one to four seconds, then SIGCONT."""
    return _stop(stage.servers[random.randrange(len(stage.servers))].process.pid, random)


def stop_backend(stage: Stage, random: Random) -> Blow:
    """SIGSTOP of a PostgreSQL session of a writer, which may hold the tenant's lock, then SIGCONT."""
    with psycopg.connect(stage.folders.superuser_url(), autocommit=True) as connection:
        pids = [int(pid) for (pid,) in connection.execute(SESSIONS).fetchall()]
    return _stop(random.choice(pids), random)


def _stop(pid: int, random: Random) -> Blow:
    seconds = random.uniform(1, 4)

    def recover() -> None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    return Blow(lambda: os.kill(pid, signal.SIGSTOP), recover)


BLOWS: dict[str, Aim] = {
    "kill -9 of an API process": kill_api,
    "kill -9 of PostgreSQL": kill_postgres,
    "kill -9 of both": kill_both,
    "kill -9 of everything": kill_all,
    "an API process stopped": stop_api,
    "a writer's session stopped": stop_backend,
}


def schedule(rounds: int, random: Random) -> list[str]:
    """Which blow comes in which round: every kind before any comes again, in an order of chance."""
    names: list[str] = []
    while len(names) < rounds:
        names += random.sample(list(BLOWS), len(BLOWS))
    return names[:rounds]
