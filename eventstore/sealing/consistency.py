"""Consistency proofs between sizes of a sealed log, over a session of the sealer's."""

from __future__ import annotations

from eventstore.proof.stored_tree import RememberedRoots, StoredTree
from eventstore.sealing.store import Connection, SealStore

MOST_ROOTS = 2_048


class ConsistencyProofs:
    """Of one tenant's log."""

    def __init__(self, tenant_id: str) -> None:
        self._tenant_id = tenant_id
        self._roots = RememberedRoots(MOST_ROOTS)

    async def __call__(self, connection: Connection, old: int, new: int) -> list[bytes]:
        """From the first size to the second, both sealed, 0 < old <= new. Raises MalformedProof and SigningRefused when
        tiles or rows are missing, NoLeaf, psycopg.Error."""
        return await StoredTree(SealStore(connection, self._tenant_id), new, self._roots).consistency(old)
