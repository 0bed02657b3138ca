"""`fidelog` as an operator runs it: processes of their own, in folders of their own, ended by their pids."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]
import psycopg
from psycopg.rows import TupleRow

from eventstore.embedded import EmbeddedServer
from eventstore.embedded.processes import live_postmaster, processes_in, wait_until_gone
from tests.conftest import scratch
from tests.waiting import LIMIT, until

PROJECT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-c", "from api.cli import main; main()")
READY = re.compile(r"Fidelog (?:witness )?is ready at (http://\S+:\d+)")

_numbers = itertools.count(1)


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment without settings of Fidelog and of PostgreSQL, with the changes made."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FIDELOG_", "PG"))}
    kept["PYTHONPATH"] = str(PROJECT)
    return {**kept, **{name: value for name, value in changes.items() if value is not None}}


@dataclass
class Folders:
    """A data folder and a state folder below a short temporary folder, and the processes that use them."""

    outer: Path
    patience: float = LIMIT
    """Seconds a command may take."""
    started: list[FidelogProcess] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.outer / "d"

    @property
    def state(self) -> Path:
        return self.outer / "s"

    @property
    def pg_data(self) -> Path:
        return self.data / "postgres"

    @property
    def master_keys(self) -> Path:
        return self.state / "master-keys"

    def settings(self) -> dict[str, str]:
        """Environment variables: these folders, any port, and callers as busy as they like."""
        folders = {"FIDELOG_DATA_DIR": str(self.data), "FIDELOG_STATE_DIR": str(self.state)}
        return {"FIDELOG_PORT": "0", "FIDELOG_RATE_PER_SECOND": "1000000", "FIDELOG_RATE_BURST": "1000000", **folders}

    def serve(self, *arguments: str, **changes: str | None) -> FidelogProcess:
        """Start `fidelog serve`; it is ended with these folders."""
        self.started.append(FidelogProcess(self.outer, arguments, environment(**{**self.settings(), **changes})))
        return self.started[-1]

    def run(self, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, which comes within `patience`."""
        variables = environment(**{**self.settings(), **changes})
        return subprocess.run(
            [*COMMAND, *arguments], env=variables, cwd=self.outer, capture_output=True, text=True, timeout=self.patience
        )

    def postgres(self) -> list[psutil.Process]:
        """The live PostgreSQL processes of the data folder."""
        return processes_in(self.pg_data)

    def postmaster(self) -> int:
        """The live postmaster's pid."""
        process = live_postmaster(self.pg_data)
        assert process is not None, "PostgreSQL runs"
        return int(process.pid)

    def kill_postgres(self) -> None:
        """kill -9 every PostgreSQL process of the folder."""
        # The postmaster first, or it would begin to recover from the death of its children.
        postmaster = self.postmaster()
        killed = sorted(self.postgres(), key=lambda p: p.pid != postmaster)
        for process in killed:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        assert wait_until_gone(killed[:1], 10) == []

    def superuser_url(self, database: str = "fidelog") -> str:
        """A superuser's URL."""
        return EmbeddedServer(self.data, notice=lambda line: None).conninfo("postgres", database)

    def end(self) -> None:
        """End every process, whatever its state, and remove the folders."""
        for process in self.started:
            process.close()
        postmaster = live_postmaster(self.pg_data)
        if postmaster is not None:
            postmaster.send_signal(signal.SIGQUIT)  # unlike SIGKILL this leaves no shared memory behind
            wait_until_gone([postmaster], 5)
        while left := self.postgres():
            for remnant in left:
                remnant.send_signal(signal.SIGKILL)
            wait_until_gone(left, 5)
        shutil.rmtree(self.outer)


@contextmanager
def new_folders(copied_from: Folders | None = None) -> Iterator[Folders]:
    """Folders that do not exist yet, or copies of stopped ones."""
    outer = Path(tempfile.mkdtemp(prefix="fdl-", dir=scratch() or "/tmp")).resolve()
    outer.chmod(0o711)  # or a server of root's would have to open it for its own user
    folders = Folders(outer)
    try:
        if copied_from is not None:
            # Unlike shutil.copytree this keeps the owner.
            source = [str(copied_from.data), str(copied_from.state)]
            subprocess.run(["cp", "-a", *source, str(outer)], check=True)
        yield folders
    finally:
        folders.end()


class FidelogProcess:
    """One `fidelog serve`, or another command that serves, with captured output."""

    def __init__(
        self, folder: Path, arguments: tuple[str, ...], variables: dict[str, str], command: str = "serve"
    ) -> None:
        name = f"{command}-{next(_numbers)}"
        self._stdout, self._stderr = folder / f"{name}.out", folder / f"{name}.err"
        with self._stdout.open("w") as out, self._stderr.open("w") as err:
            self.process = subprocess.Popen(
                [*COMMAND, command, *arguments], env=variables, cwd=folder,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip
        self._clients: list[httpx.Client] = []

    def stdout(self) -> str:
        """Everything written to standard output."""
        return self._stdout.read_text()

    def stderr(self) -> str:
        """Everything written to standard error."""
        return self._stderr.read_text()

    def tracebacks(self) -> bool:
        """Whether something failed in a way nobody foresaw: in a line of the log, or past it."""
        return "traceback" in self.stderr().lower()

    def ready(self, seconds: float = LIMIT) -> FidelogProcess:
        """Wait for the ready line."""
        until("the ready line", lambda: "\n" in self.stdout() or self.process.poll() is not None, seconds)
        assert READY.fullmatch(self.stdout().removesuffix("\n")), self.stderr()
        return self

    @property
    def url(self) -> str:
        """Where it answers, from the ready line."""
        found = READY.match(self.stdout())
        assert found is not None, "the process is ready"
        return found[1]

    def bound_port(self) -> int:
        """The port it listens on, which need not be ready."""

        def ports() -> list[int]:
            assert self.process.poll() is None, self.stderr()
            connections = psutil.Process(self.process.pid).net_connections(kind="tcp")
            return [connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN]

        return int(until("the bound port", ports)[0])

    def client(self, url: str | None = None) -> httpx.Client:
        """A client of it, closed with it."""
        self._clients.append(httpx.Client(base_url=url or self.url, timeout=LIMIT, verify=False))
        return self._clients[-1]

    def resident_bytes(self) -> int:
        """Memory of the process, as the system counts it."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = LIMIT) -> int:
        """The exit status, within so many seconds."""
        return self.process.wait(seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it as an operator does; the exit status."""
        self.send(number)
        return self.wait()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it whatever its state."""
        for client in self._clients:
            client.close()
        self.kill()


@contextmanager
def tenant_locked(superuser_url: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """Hold the tenant's lock, so that writes are under way but not done; rollback() on the connection gives it back."""
    with psycopg.connect(superuser_url) as connection:
        connection.execute("SELECT 1 FROM fidelog.logs WHERE tenant_id = 'default' FOR UPDATE")
        yield connection


def until_waiting(superuser_url: str, number: int = 1) -> None:
    """Wait until so many writer sessions wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fidelog_writer' AND wait_event_type = 'Lock'"
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        until("writers at the lock", lambda: connection.execute(query).fetchone() == (number,))
