"""Contenders that serve HTTP: each a process of its own on a free loopback port, ended by its pid."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from api.settings import Settings
from bench import credentials
from bench.one_write import OneWrite
from bench.rounds import MeasurementError

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
UNLIMITED = {"FIDELOG_RATE_PER_SECOND": "1000000000", "FIDELOG_RATE_BURST": "1000000000"}
"""One caller makes the whole load here."""

START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.02

# What `fidelog serve` gives uvicorn, as options: a peer is not slowed by an access log or a slower parser.
UVICORN = (
    "--loop", "uvloop", "--http", "httptools", "--ws", "none", "--interface", "asgi3", "--no-access-log",
    "--log-level", "warning", "--no-server-header", "--no-proxy-headers", "--timeout-keep-alive", "75",
    "--backlog", "2048", "--workers", "1",
)  # fmt: skip


@contextmanager
def fidelog(
    folder: Path, data_dir: Path, state_dir: Path, more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """`fidelog serve` as users run it, with `more` settings; its URL."""
    settings = {"FIDELOG_DATA_DIR": str(data_dir), "FIDELOG_STATE_DIR": str(state_dir), **more}
    with _process("fidelog serve", ("fidelog", "serve"), settings, folder) as url:
        yield url


@contextmanager
def fidelog_on(name: str, folder: Path, settings: Settings) -> Iterator[str]:
    """`fidelog serve` on a database of which every login's URL is given; its URL."""
    urls = {f"FIDELOG_{login.upper()}_URL": url for login, url in settings.login_urls.items()}
    folders = {"FIDELOG_DATA_DIR": str(settings.data_dir), "FIDELOG_STATE_DIR": str(settings.state_dir)}
    given = {**folders, **urls}
    key = _key(name, given)
    with _process(name, ("fidelog", "serve"), given, folder, key=key) as url:
        yield url


@contextmanager
def peer(module: str, folder: Path, database_url: str = "") -> Iterator[str]:
    """The application of `bench.peers.<module>` under uvicorn; its URL."""
    command = ("uvicorn", f"bench.peers.{module}:app", "--app-dir", str(ROOT), *UVICORN)
    with _process(module, command, {"PEER_DATABASE_URL": database_url}, folder) as url:
        yield url


@contextmanager
def fidelog_of(name: str, programs: Path, settings: Mapping[str, str], folder: Path, key: str | None) -> Iterator[str]:
    """`fidelog serve` of the virtual environment whose programs lie in that folder; its URL."""
    with _process(name, ("fidelog", "serve"), settings, folder, programs, key) as url:
        yield url


def key_for(name: str, data_dir: Path, state_dir: Path) -> str | None:
    """A key of the embedded server's database. Raises MeasurementError."""
    return _key(name, {"FIDELOG_DATA_DIR": str(data_dir), "FIDELOG_STATE_DIR": str(state_dir)})


def _key(name: str, settings: Mapping[str, str]) -> str | None:
    try:
        return credentials.issue(PROGRAMS, surroundings(settings))
    except subprocess.SubprocessError as error:
        raise MeasurementError(f"{name}: no API key could be made ({error})") from error


def surroundings(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process with these settings and none of the caller's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FIDELOG_", "PG"))}
    return {**kept, **UNLIMITED, **settings}


@contextmanager
def _process(
    name: str,
    command: Sequence[str],
    settings: Mapping[str, str],
    folder: Path,
    programs: Path = PROGRAMS,
    key: str | None = None,
) -> Iterator[str]:
    port = _free_port()
    program = programs / command[0]
    if not program.exists():
        raise MeasurementError(f"{program} is missing; install the project first: make test")
    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches this program alone, which then ends its servers in order.
        process = subprocess.Popen(
            [program, *command[1:], "--port", str(port)], cwd=folder, env=surroundings(settings), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        url = credentials.with_key(f"http://127.0.0.1:{port}", key)
        _await_answer(name, process, url, log)
        yield url
        if process.poll() is not None:
            raise MeasurementError(f"{name} ended during the measurement: {_last_line(log)}")
    finally:
        _end(process)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _await_answer(name: str, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait until a POST /clients is answered with 200."""
    started = time.monotonic()
    while time.monotonic() - started < START_SECONDS:
        if process.poll() is not None:
            raise MeasurementError(f"{name} did not start (exit {process.returncode}): {_last_line(log)}")
        try:
            with OneWrite(name, url) as client:
                client.write()
        except (OSError, MeasurementError):
            time.sleep(POLL_SECONDS)
        else:
            return
    raise MeasurementError(f"{name} does not answer POST /clients: {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
