"""The sealer: follows one tenant's log, hashes what is new, signs the head of the tree, and publishes it.

What is signed lies durably in the state folder before anybody can see it; then tiles and checkpoint are inserted in one
transaction. Between the two a process may die: the next one publishes what was signed, and goes on from it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psycopg

from eventstore.errors import StoreError
from eventstore.following import Following
from eventstore.proof.errors import SigningRefused
from eventstore.sealing.incarnations import Incarnation, Signers, keys_in_files
from eventstore.sealing.starting import take_up
from eventstore.sealing.store import Look, SealStore, connect
from eventstore.sealing.tree import SealedTree
from eventstore.vault.keys import KeyUnavailable

log = logging.getLogger(__name__)

NAME = "seal"
CHECKPOINT_SECONDS = 0.5
"""The shortest time between two checkpoints, and how long a turn reads and hashes at most before it signs."""
RETRY_SECONDS = 1.0
"""Until a process tries again that found another one sealing, or may not sign."""

Tell = Callable[[str | None], Awaitable[None]]
"""Write down where every process can read it why nothing is sealed; None when that is over."""


async def _nobody(_fault: str | None) -> None:
    pass


class Sealer(Following):
    """Seals one tenant's log while no other process does. `position` is the size of the newest checkpoint.

    `incarnation` gives the log there is now; it is asked again whenever the sealer begins anew.
    """

    def __init__(
        self,
        tenant_id: str,
        incarnation: Callable[[], Incarnation],
        tell: Tell = _nobody,
        signers: Signers = keys_in_files,
        *,
        every: float = 0.5,
    ) -> None:
        super().__init__(NAME, tenant_id, every=every, rest=0.05)
        self._signers = signers
        self._incarnation = incarnation
        self._tell_all = tell
        self._told: str | None = ""
        """The fault last told; the empty text before the first, so that one which an earlier process left is cleared."""
        self.signed_at: float | None = None
        """When the newest checkpoint was signed, in seconds since 1970 by the database's clock."""

    async def run(self, sealer_url: str) -> None:
        """Seal for ever; begins anew when the connection is lost or signing was refused."""
        while True:
            fault = self._told
            try:
                async with await connect(sealer_url, self.tenant_id) as connection:
                    await self._follow(SealStore(connection, self.tenant_id))
            except psycopg.OperationalError as error:
                self._stand(error, "without a connection", trace=False)
            except (StoreError, KeyUnavailable, OSError) as error:
                fault = self._refuse(error)
            except Exception as error:
                fault = self._stand(error, f"after position {self.position}")
            self._tell()
            await self._say(fault)
            await self._pause(RETRY_SECONDS)

    async def _follow(self, store: SealStore) -> None:
        """Wait for the turn to be the one sealer; then seal until something stands in the way."""
        incarnation = self._incarnation()
        self._looked(await store.look(incarnation.origin))
        while not await store.lock():
            self.fault = None
            self._tell()
            await self._pause(RETRY_SECONDS)
            incarnation = self._incarnation()
            self._looked(await store.look(incarnation.origin))
        sealed = await take_up(store, incarnation, self._signers)
        while True:
            signed = await self.turn(store, incarnation, sealed)
            self.fault = None
            self._tell()
            await self._say(None)
            if not (signed and self.lag):  # a log that is far behind is gone on with: nobody need wake for that
                await self._pause(CHECKPOINT_SECONDS if signed else None)

    async def turn(self, store: SealStore, incarnation: Incarnation, sealed: SealedTree) -> bool:
        """Seal what is new, if anything is; whether a checkpoint was published. Raises SigningRefused, NoLeaf,
        KeyUnavailable, OSError, psycopg.Error: then the sealer begins anew."""
        look = await store.look(incarnation.origin)
        self._looked(look)
        if look.sealed != sealed.signed.size:
            raise SigningRefused(f"the newest checkpoint has size {look.sealed}, not {sealed.signed.size}")
        if look.head < sealed.signed.size:
            raise SigningRefused(f"size {sealed.signed.size} was signed and the log ends at {look.head}")
        if look.head == sealed.signed.size:
            return False
        await self._grow(store, sealed, look.head)
        new = await asyncio.to_thread(sealed.sign, incarnation, self._signers, int(time.time()))
        await store.publish(sealed.filled, *new)
        sealed.published(new.checkpoint)
        self.signed_at = time.time()
        self._reached(new.checkpoint.size)
        return True

    async def _grow(self, store: SealStore, sealed: SealedTree, head: int) -> None:
        """Add events for as long as a turn may; a log that is far behind gets a checkpoint meanwhile all the same."""
        end = asyncio.get_running_loop().time() + CHECKPOINT_SECONDS
        while sealed.tree.size < head and asyncio.get_running_loop().time() < end:
            await sealed.extend(store, min(head, sealed.tree.size + 4_096))

    def _looked(self, look: Look) -> None:
        self.head, self.position = look.head, look.sealed or 0
        self.signed_at = None if look.signed_at is None else look.signed_at.timestamp()

    def _refuse(self, error: Exception) -> str:
        """Nothing is signed, and the service goes on: say why, once."""
        fault = f"nothing is sealed: {error}"
        if fault != self.fault:
            log.error("the log of %s is not sealed: %s", self.tenant_id, error)
        self.fault = fault
        return fault

    async def _say(self, fault: str | None) -> None:
        """What cannot be told now is told after the next turn."""
        if fault != self._told:
            with suppress(psycopg.Error):
                await self._tell_all(fault)
                self._told = fault
