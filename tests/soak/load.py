"""Many writers over HTTP who send again what broke off, until each command is answered or given up."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.soak.commands import Command, Mix
from tests.soak.http_client import Answer, Connection, NoAnswer, NotSent

PATIENCE = 90.0
"""No command may take longer to be answered, whatever is killed meanwhile."""
PAUSE = 0.02
GIVES_UP = 0.4
"""How often a writer whose connection broke does not ask again: that command's end stays unknown for now."""
UNAVAILABLE = {"database-unavailable", "overloaded"}


class Load:
    """So many writers on `urls`, which may change while they write. They share one mix of commands."""

    def __init__(self, urls: list[str], writers: int, mix: Mix, random: Random) -> None:
        self.urls = urls
        self.mix = mix
        self.commands: list[Command] = []
        self.in_flight = 0
        self.settled = 0
        self.statuses: Counter[int | str] = Counter()
        self.faults: list[str] = []
        self._stopping = False
        self._tasks = [asyncio.create_task(self._write(Random(random.random()))) for _ in range(writers)]

    async def until_settled(self, number: int) -> None:
        """Wait for so many more answers."""
        wanted = self.settled + number
        await until(f"{number} more answers", lambda: self.settled >= wanted)

    async def finish(self) -> None:
        """Let every writer finish what it began."""
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def _write(self, random: Random) -> None:
        writer = Writer(self.urls, random)
        try:
            while not self._stopping:
                command = self.mix.next()
                self.commands.append(command)
                await self._carry_out(writer, command, random)
        finally:
            writer.close()

    async def _carry_out(self, writer: Writer, command: Command, random: Random) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.in_flight += 1
            try:
                answer = await writer.send(command)
            except NoAnswer as error:
                self.statuses[str(error)] += 1
                writer.move()
                if not isinstance(error, NotSent) and random.random() < GIVES_UP:
                    return
            else:
                self.statuses[answer.status] += 1
                if answer.status != 503:
                    command.answer = answer
                    self.settled += 1
                    self.mix.learn(command, answer)
                    return
                self._check_unavailable(command, answer)
                writer.move()
            finally:
                self.in_flight -= 1
            await asyncio.sleep(PAUSE)
        self.faults.append(f"{command}: no answer within {PATIENCE:g} s")

    def _check_unavailable(self, command: Command, answer: Answer) -> None:
        if answer.slug not in UNAVAILABLE or int(answer.headers.get("retry-after", "0")) < 1:
            self.faults.append(f"{command}: a 503 not as documented: {answer}")


class Writer:
    """One connection a server, and a server it prefers until that one fails."""

    def __init__(self, urls: list[str], random: Random) -> None:
        self._urls = urls
        self._random = random
        self._home = random.randrange(len(urls))
        self._connections: dict[str, Connection] = {}

    async def send(self, command: Command) -> Answer:
        """Send it to the preferred server. Raises NoAnswer."""
        url = self._urls[self._home]
        connection = self._connections.setdefault(url, Connection(url))
        return await connection.post(command.path, command.body, command.headers)

    def move(self) -> None:
        """Prefer another server, or the same."""
        self._home = self._random.randrange(len(self._urls))

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


async def until(what: str, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Poll until the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        await asyncio.sleep(0.002)
