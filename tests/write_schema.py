"""Writes docs/schema.sql from the migrations (`make schema`)."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from api.database import migrate
from tests.clusters import cluster
from tests.eventstore.test_migrations import SCHEMA, dump


def main() -> None:
    """Migrate an empty database and dump it."""
    with tempfile.TemporaryDirectory(prefix="fdl-") as folder, cluster(Path(folder)) as pg:
        pg.create("schema")
        asyncio.run(migrate(pg.database("schema"), pg.settings("schema"), pg.url("schema")))
        SCHEMA.write_text(dump(pg, "schema"), encoding="utf-8")


if __name__ == "__main__":
    main()
