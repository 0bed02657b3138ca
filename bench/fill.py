"""A log of many mixed events, made by PostgreSQL itself: python -m bench.fill --events 1000000 URL."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, LiteralString

import orjson

from api.database import DEFAULT_TENANT, open_vault
from api.settings import Settings
from bench.fill_rows import fill_read_models
from bench.fill_script import BLOCK, CLIENTS, TASKS, script
from bench.holdings import Holdings, holdings
from bench.rounds import MeasurementError
from bench.set_aside import Connection, connect, indexes_set_aside, parts, side_by_side, sql_text
from eventstore.database import Database
from eventstore.reading import HEAD
from eventstore.vault.keys import REQUEST, DataKey
from eventstore.vault.vault import Vault, seal
from projections.queries import CONTEXTS

AT_ONCE = 100_000
VARIANTS = 3
"""How many different tasks a client's are drawn from."""
AGENTS = [f"{work}_agent" for work in (
    "rebalancing", "suitability", "tax_loss", "cash_sweep", "fx_hedging", "corporate_actions", "fee_review", "kyc_refresh",
    "mandate_check", "concentration", "liquidity", "dividend", "bond_ladder", "esg_screen", "reporting", "onboarding_review",
    "price_check", "proxy_voting", "risk_profile", "settlement",
)]  # fmt: skip

FILL, CLIENTS_VERSIONS, GAPS = sql_text("fill"), sql_text("fill_clients"), sql_text("gaps")
GUARD: LiteralString = "ALTER TABLE fidelog.events {} TRIGGER events_follow"


def fill(database: Database, vault: Vault, events: int) -> None:
    """Append to the log of the tenant `default`, which is empty or was filled by this, until it has `events` events of the
    types and shapes the service writes. Personal values are sealed under keys of the vault.

    One event in five is about a client's profile, the others are tasks on all their ways. Nobody may use the log meanwhile:
    its indexes are made at the end, and what its guard refuses is looked for in the whole then. The officer's index and
    the read models stay as they are: `fill_index` and `fill_read_models` make them.
    """
    url = database.url("owner")
    with connect(database.url("superuser")) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS bench AUTHORIZATION fidelog_owner")
    with connect(url) as connection:
        _prepare(connection)
        _add_clients(connection, vault, -(-events // BLOCK) * CLIENTS)
        connection.execute(CLIENTS_VERSIONS, (events, TASKS, CLIENTS))
        connection.execute("ANALYZE bench.fill_versions")
        filled = _number(connection, HEAD.sql.encode(), DEFAULT_TENANT)
        made = ((after + 1, last, TASKS, CLIENTS, VARIANTS, AGENTS) for after, last in parts(filled, events, AT_ONCE))
        connection.execute(GUARD.format("DISABLE"))
        try:
            with indexes_set_aside(connection, "fidelog.events"):
                side_by_side(url, FILL, made)
        finally:
            connection.execute(GUARD.format("ENABLE ALWAYS"))
        connection.execute("ANALYZE fidelog.events")
        _refuse_gaps(connection, events)


def _refuse_gaps(connection: Connection, events: int) -> None:
    found = connection.execute(GAPS).fetchone()
    if found != (events, events, events, False):
        raise MeasurementError(f"a log filled to {events} events has a gap: {found}")


def _number(connection: Connection, query: bytes, *parameters: Any) -> int:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None, "an aggregate gives a row"
    return int(row[0])


def _prepare(connection: Connection) -> None:
    """Make the tables to fill from, unless they are there; in a schema of their own, since that of Fidelog is attested."""
    for name in ("fill_script", "fill_values", "fill_versions", "fill_placed"):
        connection.execute(sql_text(name))
    if not _number(connection, b"SELECT count(*) FROM bench.fill_script"):
        _copy(connection, b"COPY bench.fill_script FROM STDIN", script())


def _add_clients(connection: Connection, vault: Vault, number: int) -> None:
    """See that the first `number` clients have keys, and values sealed under them."""
    known = _number(connection, b"SELECT coalesce(max(client) + 1, 0) FROM bench.fill_values")
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
        _copy(connection, b"COPY bench.fill_values FROM STDIN", values)
        connection.execute("ANALYZE bench.fill_values")


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


def main() -> None:
    """Fill a database that is migrated and empty."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--state-dir", type=Path, required=True, help="the folder of the master keys")
    parser.add_argument("url", help="a superuser's URL")
    options = parser.parse_args()
    database = Database("server", {"superuser": options.url}, fallback=options.url)
    settings = Settings("127.0.0.1", 0, Path(), options.state_dir, options.url)
    fill(database, asyncio.run(open_vault(database, settings)), options.events)
    fill_read_models(database)


if __name__ == "__main__":
    main()
