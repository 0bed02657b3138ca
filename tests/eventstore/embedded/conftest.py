"""Short temporary data folders, servers and joining processes that never outlive their test."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped, unused-ignore]
import psycopg
import pytest

from eventstore.embedded import EmbeddedServer
from eventstore.embedded.processes import wait_until_gone
from tests.conftest import scratch

PROJECT = Path(__file__).resolve().parents[3]


def short_folder() -> Path:
    """A new folder with a short path."""
    return Path(tempfile.mkdtemp(prefix="fe-", dir=scratch() or "/tmp")).resolve()


def postmaster_pid(data_dir: Path) -> int:
    """Return the pid in the postmaster's pid file."""
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split("\n")[0])


def query(server: EmbeddedServer, statement: str) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows."""
    with psycopg.connect(server.conninfo("postgres", "postgres"), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def postgres_processes(folder: Path) -> list[psutil.Process]:
    """Return all postgres and initdb processes working in or below the folder, in any state."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name().startswith(("postgres", "initdb")) and Path(process.cwd()).is_relative_to(folder):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


class JoiningProcess:
    """Another process with its own EmbeddedServer object on the same data folder."""

    def __init__(self, data_dir: Path, uid: int | None = None, environment: dict[str, str] | None = None) -> None:
        program = Path(__file__).with_name("joining_process.py")
        self.notices = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        self.process = subprocess.Popen(
            [sys.executable, str(program), str(data_dir), "-" if uid is None else str(uid)],
            env={**os.environ, "PYTHONPATH": str(PROJECT), **(environment or {})},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.notices, text=True, cwd="/",
        )  # fmt: skip

    def begin(self, *call: object) -> None:
        """Have a method called; return when the process is about to call it."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "begun\n", self.read_notices()

    def outcome(self) -> dict[str, Any]:
        """Return what the begun call returned or raised."""
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def call(self, *call: object) -> Any:
        """Call a method that must succeed and return its value."""
        self.begin(*call)
        answer = self.outcome()
        assert "value" in answer, answer
        return answer["value"]

    def read_notices(self) -> str:
        """Return everything the process has written to its standard error."""
        self.notices.seek(0)
        return self.notices.read()

    def kill(self) -> None:
        """Kill the process with SIGKILL and wait for its end."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the process whatever its state."""
        self.kill()
        for stream in (self.process.stdin, self.process.stdout, self.notices):
            if stream is not None:
                stream.close()


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder that does not exist yet, inside a temporary folder with a short path."""
    outer = short_folder()
    yield outer / "d"
    while processes := postgres_processes(outer):
        for process in processes:
            process.send_signal(signal.SIGKILL)
        wait_until_gone(processes, 5)
    shutil.rmtree(outer)


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """A cluster folder to copy, because initdb is what takes longest."""
    outer = short_folder()
    server = EmbeddedServer(outer / "d", notice=lambda line: None)
    server.join()
    server.leave()
    yield server.pg_data
    shutil.rmtree(outer)


@pytest.fixture
def existing_cluster(data_dir: Path, template: Path) -> None:
    """Make the data folder contain a cluster."""
    data_dir.mkdir(mode=0o700)
    # Unlike shutil.copytree this keeps the owner.
    subprocess.run(["cp", "-a", str(template), str(data_dir / "postgres")], check=True)


@pytest.fixture
def make_server(data_dir: Path) -> Iterator[Callable[..., EmbeddedServer]]:
    """Make EmbeddedServer objects that have left when the test is over."""
    servers: list[EmbeddedServer] = []

    def make(folder: Path = data_dir, **options: Any) -> EmbeddedServer:
        servers.append(EmbeddedServer(folder, **{"notice": lambda line: None, **options}))
        return servers[-1]

    yield make
    for server in servers:
        server.leave()


@pytest.fixture
def make_process(data_dir: Path) -> Iterator[Callable[..., JoiningProcess]]:
    """Make processes that are ended when the test is over."""
    processes: list[JoiningProcess] = []

    def make(folder: Path = data_dir, **options: Any) -> JoiningProcess:
        processes.append(JoiningProcess(folder, **options))
        return processes[-1]

    yield make
    for process in processes:
        process.close()
