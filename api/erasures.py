"""Erasures outside the database: entered in the ledger before they are answered, and held against a database that was
restored before anybody is served (docs/adr/0016-erasure.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from api.leases import ACTOR
from domain.erasure import EraseAgain
from eventstore.vault.kept import KeptKeys
from eventstore.vault.key_rows import KeyRows
from eventstore.vault.ledger import Ledger
from eventstore.vault.vault import Vault
from eventstore.writer.internal import InternalCommands

AT_ONCE = 100


class Erasures:
    """Of one deployment; its state folder's."""

    def __init__(self, state_dir: Path, vault: Vault) -> None:
        self._ledger = Ledger(state_dir)
        self._kept = KeptKeys(state_dir)
        self._vault = vault

    async def enter(self, tenant_id: str, erased: Mapping[str, int]) -> None:
        """People were erased: no key of theirs stays outside the database either, and the ledger says so. Raises OSError."""
        for subject in erased:
            self._vault.forget(tenant_id, subject)
        await asyncio.to_thread(self._enter, tenant_id, erased)

    def _enter(self, tenant_id: str, erased: Mapping[str, int]) -> None:
        self._kept.destroy(tenant_id, erased)
        self._ledger.add(tenant_id, erased)

    async def hold(self, internal: InternalCommands, keeper_url: str, tenants: Sequence[str]) -> int:
        """Compare ledger and database, and erase again whom a restore brought back; how many. Raises OSError, StoreError,
        psycopg.Error."""
        again = 0
        for tenant_id in tenants:
            wanted = await asyncio.to_thread(self._alive_again, keeper_url, tenant_id)
            commands = [EraseAgain(subject, position) for subject, position in wanted.items()]
            for start in range(0, len(commands), AT_ONCE):
                batch = commands[start : start + AT_ONCE]
                await asyncio.gather(*(internal.submit(tenant_id, ACTOR, command) for command in batch))
            again += len(commands)
        return again

    def _alive_again(self, keeper_url: str, tenant_id: str) -> dict[str, int]:
        """Also enters what a process that died could not."""
        with KeyRows(keeper_url, tenant_id) as rows:
            known, destroyed = self._ledger.read(tenant_id), rows.tombstones()
            if missing := {subject: at for subject, at in destroyed.items() if known.get(subject) != at}:
                self._enter(tenant_id, missing)
            return {subject: known[subject] for subject in rows.alive_again(list(known))}
