"""A log of many mixed events, made by PostgreSQL itself, guards on: python -m bench.fill --events 1000000 URL."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
import psycopg
from psycopg import RawCursor

from api.database import DEFAULT_TENANT, open_vault
from api.settings import Settings
from bench.fill_script import BLOCK, CLIENTS, TASKS, script
from bench.holdings import Holdings, holdings
from eventstore.database import Database
from eventstore.reading import HEAD
from eventstore.vault.keys import REQUEST, DataKey
from eventstore.vault.vault import Vault, seal
from projections.audit_index import audit_index
from projections.queries import CONTEXTS
from projections.replay.replayable import Tally
from projections.replay.running import Replay, Unwatched
from projections.tail import OPEN, connect

AT_ONCE = 100_000
NAMES = ("agent_tasks", "client_profiles")
VARIANTS = 3
"""How many different tasks a client's are drawn from."""
AGENTS = [f"{work}_agent" for work in (
    "rebalancing", "suitability", "tax_loss", "cash_sweep", "fx_hedging", "corporate_actions", "fee_review", "kyc_refresh",
    "mandate_check", "concentration", "liquidity", "dividend", "bond_ladder", "esg_screen", "reporting", "onboarding_review",
    "price_check", "proxy_voting", "risk_profile", "settlement",
)]  # fmt: skip

Connection = psycopg.Connection[Any]


def _sql(name: str) -> bytes:
    return resources.files("bench").joinpath("sql", f"{name}.sql").read_bytes()


FILL = _sql("fill")


def fill(database: Database, vault: Vault, events: int) -> None:
    """Append to the log of the tenant `default`, which is empty or was filled by this, until it has `events` events of the
    types and shapes the service writes. Personal values are sealed under keys of the vault.

    One event in five is about a client's profile, the others are tasks on all their ways. The read models stay as they are:
    `fill_read_models` makes them. 30 to 50 microseconds an event on one core.
    """
    with psycopg.connect(database.url("owner"), autocommit=True, cursor_factory=RawCursor) as connection:
        connection.execute("SET work_mem = '256MB'")
        _prepare(connection)
        _add_clients(connection, vault, -(-events // BLOCK) * CLIENTS)
        for first in range(_number(connection, HEAD.sql.encode(), DEFAULT_TENANT) + 1, events + 1, AT_ONCE):
            last = min(events, first + AT_ONCE - 1)
            connection.execute(FILL, (first, last, TASKS, CLIENTS, VARIANTS, AGENTS))


def _number(connection: Connection, query: bytes, *parameters: Any) -> int:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None, "an aggregate gives a row"
    return int(row[0])


def _prepare(connection: Connection) -> None:
    """Make the tables to fill from, unless they are there."""
    for name in ("fill_script", "fill_values"):
        connection.execute(_sql(name))
    if not _number(connection, b"SELECT count(*) FROM fidelog.fill_script"):
        _copy(connection, b"COPY fidelog.fill_script FROM STDIN", script())


def _add_clients(connection: Connection, vault: Vault, number: int) -> None:
    """See that the first `number` clients have keys, and values sealed under them."""
    known = _number(connection, b"SELECT coalesce(max(client) + 1, 0) FROM fidelog.fill_values")
    clients = range(known, number)
    keys = [vault.key_for_sealing(DEFAULT_TENANT, _id(client)) for client in clients]
    named = ((DEFAULT_TENANT, _id(c), key.key_id, key.epoch, key.wrapped) for c, key in zip(clients, keys, strict=True))
    found = holdings()
    values = (
        _values(found, client, variant, key)
        for client, key in zip(clients, keys, strict=True)
        for variant in range(VARIANTS)
    )
    with connection.transaction():
        _copy(connection, b"COPY fidelog.client_keys (tenant_id, subject, key_id, epoch, wrapped) FROM STDIN", named)
        _copy(connection, b"COPY fidelog.fill_values FROM STDIN", values)
        connection.execute("ANALYZE fidelog.fill_values")


def _id(client: int) -> str:
    """Scattered, as identifiers from elsewhere are."""
    return f"c-{client * 2654435761 % 2**32:08x}"


def _values(found: Holdings, client: int, variant: int, key: DataKey) -> tuple[Any, ...]:
    """A row of fill_values."""
    number = client * VARIANTS + variant
    plain = {
        "full_name": found.full_name(client),
        "payload": found.payload(number),
        "result": found.result(number),
        "reason": found.remark(number),
        "error": found.remark(number),
    }
    sealed = (seal(key, DEFAULT_TENANT, CONTEXTS[field], value) for field, value in plain.items())
    return (
        client,
        variant,
        _id(client),
        key.hash(REQUEST, plain["payload"]),
        *(orjson.dumps(value).decode() for value in sealed),
    )


def _copy(connection: Connection, command: bytes, rows: Iterable[Sequence[Any]]) -> None:
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        for row in rows:
            copy.write_row(row)


def fill_index(database: Database) -> None:
    """Bring the officer's index level with the log, by its own tail."""
    asyncio.run(_follow(database))


async def _follow(database: Database) -> None:
    tail = audit_index(DEFAULT_TENANT)
    async with await connect(database.url("keeper"), DEFAULT_TENANT) as connection:
        await connection.execute(OPEN.sql.encode(), (DEFAULT_TENANT, tail.name))
        while await tail.step(connection):
            pass


def fill_read_models(database: Database, workers: int = 2) -> dict[str, Tally]:
    """Make the rows of all read models from the log, by replay."""
    return Replay(database, NAMES, heal=True, workers=workers).run(Unwatched())


def main() -> None:
    """Fill a database that is migrated and empty; its owner's, keeper's and auditor's rights are needed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--state-dir", type=Path, required=True, help="the folder of the master keys")
    parser.add_argument("url", help="a URL that may take the roles of Fidelog's logins")
    options = parser.parse_args()
    database = Database("server", {}, fallback=options.url)
    settings = Settings("127.0.0.1", 0, Path(), options.state_dir, options.url)
    fill(database, asyncio.run(open_vault(database, settings)), options.events)
    fill_read_models(database)


if __name__ == "__main__":
    main()
