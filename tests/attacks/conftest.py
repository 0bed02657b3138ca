"""One sealed log as a template database; each attack has a copy of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import pytest

from eventstore.database import Database
from eventstore.proof.note import Note
from tests.attacks.sealed import EVENTS, fill, seal
from tests.clusters import Cluster

_numbers = count(1)


@pytest.fixture(scope="session")
def sealed_log(pg: Cluster) -> Iterator[tuple[str, list[Note]]]:
    """The template's name, and the checkpoints that somebody kept."""
    with pg.copy() as name:
        fill(pg.database(name), EVENTS)
        yield name, seal(pg.database(name))


@pytest.fixture(scope="session")
def kept(sealed_log: tuple[str, list[Note]]) -> list[Note]:
    """The checkpoints of the log, as an outsider kept them."""
    return sealed_log[1]


@pytest.fixture
def sealed_name(pg: Cluster, sealed_log: tuple[str, list[Note]]) -> Iterator[str]:
    """A copy of the sealed log."""
    name = f"fidelog_attack_{os.getpid()}_{next(_numbers)}"
    pg.create(name, sealed_log[0])
    yield name
    pg.drop(name)


@pytest.fixture
def log(pg: Cluster, sealed_name: str) -> Database:
    """Its logins."""
    return pg.database(sealed_name)
