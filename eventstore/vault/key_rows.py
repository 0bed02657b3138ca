"""Key rows of one tenant as the keeper sees and wraps them: by one connection, in small transactions of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import RawCursor

from eventstore.session import SET_TENANT
from eventstore.statements import Statement, statement
from eventstore.vault.kept import KeptKey
from eventstore.writer.frame import LOCK

AT_ONCE = 200
"""Keys wrapped under the tenant's lock at a time: some milliseconds."""

TO_WRAP = statement("eventstore", "keys_to_wrap")
WRAP = statement("eventstore", "wrap_keys")
WRAP_TENANT = statement("eventstore", "wrap_tenant_key")
TENANT_KEY = statement("eventstore", "tenant_key")
LIVING = statement("eventstore", "living_keys")
TOMBSTONES = statement("eventstore", "tombstones")
ALIVE_AGAIN = statement("eventstore", "alive_again")
STATEMENTS = (TO_WRAP, WRAP, WRAP_TENANT, TENANT_KEY, LIVING, TOMBSTONES, ALIVE_AGAIN)


class KeyRows:
    """One tenant's. Every method raises psycopg.Error."""

    def __init__(self, keeper_url: str, tenant_id: str) -> None:
        self.tenant_id = tenant_id
        self._connection = psycopg.connect(keeper_url, autocommit=True, cursor_factory=RawCursor)
        self._rows(SET_TENANT, ())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def _rows(self, wanted: Statement, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(wanted.sql.encode(), (self.tenant_id, *parameters))
        return [] if cursor.description is None else cursor.fetchall()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """P8: under the tenant's lock no command adds a key, nor destroys one."""
        with self._connection.transaction():
            self._rows(LOCK, ())
            yield

    def wrapped_before(self, epoch: int) -> Iterator[list[KeptKey]]:
        """Living keys under an epoch before this one, some at a time."""
        yield from self._pages(TO_WRAP, epoch)

    def living(self) -> Iterator[KeptKey]:
        """All living keys, in order of their subjects."""
        for page in self._pages(LIVING):
            yield from page

    def _pages(self, wanted: Statement, *parameters: Any) -> Iterator[list[KeptKey]]:
        after = ""
        while page := [KeptKey(*row) for row in self._rows(wanted, (after, *parameters, AT_ONCE))]:
            yield page
            after = page[-1].subject

    def wrap(self, keys: Sequence[KeptKey]) -> int:
        """Store keys as they are wrapped now, all under one epoch; how many were neither destroyed nor wrapped already."""
        if not keys:
            return 0
        columns = [key.subject for key in keys], [key.key_id for key in keys], [key.wrapped for key in keys]
        with self.locked():
            return int(self._rows(WRAP, (*columns, keys[0].epoch))[0][0])

    def tenant_key(self) -> tuple[int, bytes] | None:
        """The epoch and the wrapped key of the tenant."""
        rows = self._rows(TENANT_KEY, ())
        return (rows[0][0], rows[0][1]) if rows else None

    def wrap_tenant_key(self, epoch: int, wrapped: bytes) -> None:
        """Store it. From now on nothing is wrapped under an earlier epoch."""
        with self.locked():
            self._rows(WRAP_TENANT, (epoch, wrapped))

    def tombstones(self) -> dict[str, int]:
        """Whose keys were destroyed, with the positions of the events that say so."""
        return dict(self._rows(TOMBSTONES, ()))

    def alive_again(self, subjects: Sequence[str]) -> list[str]:
        """Of subjects that were erased those whose keys are not destroyed."""
        return [row[0] for row in self._rows(ALIVE_AGAIN, (list(subjects),))]
