"""What stands beside a filled log: the officer's index from the view it is made of, the read models by the service's fold."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from functools import partial

from psycopg import sql

from api.database import DEFAULT_TENANT
from bench.set_aside import WORKERS, connect, indexes_set_aside, parts, side_by_side, sql_text
from eventstore.database import Database
from eventstore.writer.engine import Folded
from projections.audit_index import NAME
from projections.codec import Codec
from projections.engine import engine, read_models
from projections.read_model import ReadModel
from projections.replay.chunks import StreamRange, stream_ranges
from projections.replay.folding import Folder
from projections.replay.replayable import EVENTS, Tally
from projections.replay.sessions import Session, snapshot, text
from projections.tail import LOOK, OPEN, SAVE_CHECKPOINT

FILL_INDEX = sql_text("fill_index")
AT_ONCE = 100_000


def fill_index(database: Database) -> None:
    """Bring the officer's index level with the log, and its tail's checkpoint."""
    with connect(database.url("owner")) as connection:
        connection.execute(OPEN.sql.encode(), (DEFAULT_TENANT, NAME))
        row = connection.execute(LOOK.sql.encode(), (DEFAULT_TENANT, NAME)).fetchone()
        assert row is not None, "the checkpoint was just made"
        reached, head, _ = row
        with indexes_set_aside(connection, "fidelog.audit_index"):
            side_by_side(database.url("owner"), FILL_INDEX, parts(reached, head, AT_ONCE))
        connection.execute(SAVE_CHECKPOINT.sql.encode(), (DEFAULT_TENANT, NAME, head))


def fill_read_models(database: Database, workers: int = WORKERS) -> dict[str, Tally]:
    """Make the rows of all read models from the log, by so many processes; whatever rows there are go first."""
    context = multiprocessing.get_context("spawn")
    owner, keeper = database.url("owner"), database.url("keeper")
    tallies = {}
    with connect(owner) as connection, context.Pool(workers) as pool:
        for model in read_models(engine()).values():
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("fidelog", model.table)))
            tally = tallies[model.table] = Tally()
            with indexes_set_aside(connection, f"fidelog.{model.table}"):
                for done in pool.imap_unordered(partial(_fold, owner, keeper, model.category), _ranges(keeper, model)):
                    tally.add(done)
    return tallies


def _ranges(keeper_url: str, model: ReadModel) -> Iterator[StreamRange]:
    session = Session(keeper_url)
    try:
        yield from stream_ranges(session, DEFAULT_TENANT, model.category, AT_ONCE)
    finally:
        session.close()


def _fold(owner_url: str, keeper_url: str, category: str, part: StreamRange) -> Tally:
    """Fold the streams of a range and write their rows. In a process of its own."""
    model = read_models(engine())[category]
    folder, session, rows = Folder(DEFAULT_TENANT, model.fold, Codec()), Session(keeper_url), 0
    try:
        with snapshot(session, DEFAULT_TENANT):
            events = session.open("events", EVENTS, (text(DEFAULT_TENANT), text(part.first), text(part.end)))
            rows = _copy(owner_url, model, (state for _, state in folder.streams(events)))
    finally:
        session.close()
    return Tally(folder.events, rows, rows)


def _copy(owner_url: str, model: ReadModel, states: Iterable[Folded]) -> int:
    """The rows of these states; how many."""
    columns = [sql.Identifier(name) for name in ("tenant_id", *model.names)]
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier("fidelog", model.table), sql.SQL(", ").join(columns)
    )
    rows = 0
    with connect(owner_url) as connection, connection.cursor() as cursor, cursor.copy(command) as copy:
        for state in states:
            stored = (value.decode() if type(value) is bytes else value for value in model.stored(state))
            copy.write_row((DEFAULT_TENANT, *stored))
            rows += 1
    return rows
