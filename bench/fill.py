"""A log of many mixed events, made by PostgreSQL itself, guards on: python -m bench.fill --events 1000000."""

from __future__ import annotations

import argparse
from importlib import resources

import psycopg
from psycopg import RawCursor

from eventstore.database import Database
from projections.replay.replayable import Tally
from projections.replay.running import Replay, Unwatched

AT_ONCE = 50_000
NAMES = ("agent_tasks", "client_profiles")

FILL = resources.files("bench").joinpath("sql", "fill.sql").read_text(encoding="utf-8")


def fill(database: Database, events: int) -> None:
    """Append `events` events to the empty log of the tenant `default`, of the types and shapes the service writes.

    One in four records a client, the others are tasks created, claimed and completed. The read models stay as they
    are: `fill_read_models` makes them. About 40 microseconds an event on one core.
    """
    with psycopg.connect(database.url("owner"), autocommit=True, cursor_factory=RawCursor) as connection:
        for first in range(1, events + 1, AT_ONCE):
            last = min(events, first + AT_ONCE - 1)
            connection.execute(FILL.encode(), (first, last, events))


def fill_read_models(database: Database, workers: int = 2) -> dict[str, Tally]:
    """Make the rows of all read models from the log, by replay."""
    return Replay(database, NAMES, heal=True, workers=workers).run(Unwatched())


def main() -> None:
    """Fill a database that is migrated and empty; its owner's, keeper's and auditor's rights are needed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("url", help="a URL that may take the roles of Fidelog's logins")
    options = parser.parse_args()
    database = Database("server", {}, fallback=options.url)
    fill(database, options.events)
    fill_read_models(database)


if __name__ == "__main__":
    main()
