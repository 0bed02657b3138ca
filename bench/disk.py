"""Disk per event: the log, the officer's index and the read models, each with its indexes."""

from __future__ import annotations

from importlib import resources

import psycopg

from bench.report import Fact

WORK = "disk per event"
DISK = resources.files("bench").joinpath("sql", "disk.sql").read_bytes()


def disk(url: str, log: str) -> list[Fact]:
    """Bytes per event of each table and index of the database, `log` being what it is called; largest table first."""
    with psycopg.connect(url) as connection:
        found = connection.execute(DISK).fetchall()
    return [Fact(WORK, f"{relation}, {log}", size / events, "bytes") for relation, size, events in found]
