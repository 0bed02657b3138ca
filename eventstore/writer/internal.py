"""Commands that no write request stands behind: what the service records of itself, and of who reads in it."""

from __future__ import annotations

from collections.abc import Callable

from eventstore.records import Command, Envelope, Receipt
from eventstore.vault.vault import Vault
from eventstore.writer.writer import Writer


class InternalCommands:
    """Submits them, each by an actor, `system:<part>` unless a caller is on record, in a tenant's log."""

    def __init__(self, writer: Writer, vault: Vault, ids: Callable[[], str]) -> None:
        self._writer = writer
        self._vault = vault
        self._ids = ids

    async def submit(
        self,
        tenant_id: str,
        actor: str,
        command: Command,
        *,
        correlation_id: str | None = None,
        on_behalf_of: str | None = None,
    ) -> Receipt:
        """What the command appended, durable. `correlation_id`: of the request that caused it, if one did.

        Raises StoreError.
        """
        command_id = self._ids()
        envelope = Envelope(
            tenant_id=tenant_id,
            actor=actor,
            command=command,
            command_id=command_id,
            idempotency_key=self._vault.idempotency_key(tenant_id, actor, "internal", command_id),
            request_hash=None,
            correlation_id=correlation_id or command_id,
            on_behalf_of=on_behalf_of,
        )
        receipt = await self._writer.submit(envelope)
        assert isinstance(receipt, Receipt), "an internal command repeats nothing"
        return receipt
