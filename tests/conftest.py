"""Fixtures: a PostgreSQL server a session, a database a test, an API over HTTP."""

from __future__ import annotations

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
    with tempfile.TemporaryDirectory(prefix="fdl-") as folder, cluster(Path(folder)) as server:
        yield server


@pytest.fixture
def database_name(pg: Cluster) -> Iterator[str]:
    """A migrated database of the test's own; after the test no personal name stands in any file of the server."""
    with pg.copy() as name:
        yield name
        for clear in CLEAR_NAMES:
            assert pg.files_with(clear) == [], f"a personal value reached the disk in clear: {clear}"


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
