"""Writes docs/schema.sql, api/rights.txt and api/shape.ndjson from the migrations (`make schema`)."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from api.database import migrate
from tests.clusters import cluster
from tests.eventstore.test_migrations import SCHEMA, dump
from tests.eventstore.test_rights import TABLE, granted
from tests.eventstore.test_shape import SHAPE, made_shape


def main() -> None:
    """Migrate an empty database, dump it, and list what was granted."""
    with tempfile.TemporaryDirectory(prefix="fdl-") as folder, cluster(Path(folder)) as pg:
        pg.create("schema")
        asyncio.run(migrate(pg.database("schema"), pg.settings("schema"), pg.url("schema")))
        SCHEMA.write_text(dump(pg, "schema"), encoding="utf-8")
        SHAPE.write_text(made_shape(pg.database("schema")), encoding="utf-8")
        TABLE.write_text(asyncio.run(granted(pg.database("schema"))), encoding="utf-8")


if __name__ == "__main__":
    main()
