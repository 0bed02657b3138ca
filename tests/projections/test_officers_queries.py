"""What S5 asks is answered, and finds what it is meant to find; a disk too full for long logs is refused first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from bench.disk import disk
from bench.fill import fill
from bench.fill_rows import fill_index, fill_read_models
from bench.grown import Grown, named
from bench.officers_queries import QUERIES, Officer, drawn_from, names
from bench.rounds import MeasurementError
from eventstore.database import Database
from tests.clusters import Cluster
from tests.eventstore.writer.harness import vault_of
from tests.running import running_api

EVENTS = 3_000


class Usage(NamedTuple):
    """As shutil gives it."""

    total: int
    used: int
    free: int


def test_every_officers_query_is_answered_on_a_filled_log(pg: Cluster, database: Database, database_name: str) -> None:
    """Each of them, next pages too: an answer that finds nothing of what was drawn from the log would raise."""
    fill(database, asyncio.run(vault_of(pg, database)), EVENTS)
    fill_index(database)
    fill_read_models(database, workers=1)
    drawn = drawn_from(pg.url(database_name), EVENTS)
    assert len({each.client_id for each in drawn}) > 3
    with running_api(pg.settings(database_name)) as api:
        officer = Officer(api.url, drawn, Random(1))
        asked = {name for query in QUERIES for _ in range(20) for name, _ in officer.ask(query)}
        officer.close()
    assert asked == set(names())
    of = {fact.figure: fact.value or 0 for fact in disk(pg.url(database_name), named(EVENTS))}
    assert of["events with indexes, 3k"] > of["events, rows, 3k"] > of["index fidelog.events_pkey, 3k"] > 0


def test_logs_that_the_disk_has_no_room_for_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made, and the message says how much is needed."""
    monkeypatch.setattr("bench.grown.shutil.disk_usage", lambda folder: Usage(2**40, 2**40 - 2**34, 2**34))
    with pytest.raises(MeasurementError, match=r"10k, 1M, 10M events need \d+ GiB in .* 16 GiB are free"):
        Grown(tmp_path).build((10_000, 1_000_000, 10_000_000), lambda message: None)
    assert list(tmp_path.iterdir()) == []
