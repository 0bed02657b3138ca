"""Fixtures: a PostgreSQL server a session, a database a test, an API over HTTP."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from eventstore.database import Database
from tests.clusters import CLEAR_NAMES, Cluster, cluster
from tests.running import RunningApi, running_api


@pytest.fixture(scope="session")
def pg() -> Iterator[Cluster]:
    """The session's PostgreSQL server, in a short path."""
    with tempfile.TemporaryDirectory(prefix="fdl-", dir=scratch()) as folder, cluster(Path(folder)) as server:
        yield server


def scratch() -> str | None:
    """In memory where there is room: a killed process loses nothing there either, and a slow disk costs minutes."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 << 30
    return str(memory) if roomy else None


@pytest.fixture(autouse=True)
def _nothing_in_clear(request: pytest.FixtureRequest) -> Iterator[None]:
    """P8: after every test that used the server, no personal name stands in any of its files, WAL included."""
    yield
    if "pg" in request.fixturenames:
        server: Cluster = request.getfixturevalue("pg")
        assert server.files_with(CLEAR_NAMES) == [], "a personal value reached the disk in clear"


@pytest.fixture
def database_name(pg: Cluster) -> Iterator[str]:
    """A migrated database of the test's own."""
    with pg.copy() as name:
        yield name


@pytest.fixture
def database(pg: Cluster, database_name: str) -> Database:
    """The test's database and its logins."""
    return pg.database(database_name)


@pytest.fixture
def api(pg: Cluster, database_name: str) -> Iterator[RunningApi]:
    """The application, served over HTTP on the test's database."""
    with running_api(pg.settings(database_name)) as served:
        yield served


@pytest.fixture
def http(api: RunningApi) -> httpx.Client:
    """A client of the served application."""
    return api.client
