"""The log's side of witnessing: each new checkpoint is shown to the witnesses, and what they answer is kept."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

import psycopg

from eventstore.errors import StoreError
from eventstore.following import Following
from eventstore.proof.note import Note
from eventstore.proof.policy import Policy
from eventstore.proof.witness_exchange import AddCheckpoint
from eventstore.sealing import cosigned
from eventstore.sealing.cosigned import Sealed, Witnessed
from eventstore.sealing.store import Connection, connect
from eventstore.sealing.witnesses import NoCosignature, Unreachable, Witness, cosignature, told_size
from eventstore.statements import statement

INSERT = statement("eventstore", "insert_cosignature")

log = logging.getLogger(__name__)

NAME = "witness"
CONFLICT = 409

Prove = Callable[[Connection, int, int], Awaitable[Sequence[bytes]]]
"""The consistency proof of the tenant's tree from the first size to the second, 0 < first <= second. Raises StoreError."""


class Cosigning(Following):
    """One tenant's checkpoints and the witnesses that are asked for cosignatures. `position` is the size of the newest
    checkpoint that was cosigned as the policy asks."""

    def __init__(
        self,
        tenant_id: str,
        policy: Policy,
        witnesses: Sequence[Witness],
        prove: Prove,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(NAME, tenant_id, every=0.5, rest=0.05)
        self.witnesses = witnesses
        self.witnessed: Witnessed | None = None
        """The newest checkpoint that was cosigned as the policy asks."""
        self.newest = 0
        """The size of the newest checkpoint."""
        self._policy = policy
        self._prove = prove
        self._clock = clock
        self._origin: str | None = None
        self._done = 0
        """The size of the newest checkpoint that all witnesses have cosigned."""

    async def run(self, sealer_url: str) -> None:
        """Go on for ever; connects again when the connection is lost."""
        while True:
            try:
                async with await connect(sealer_url, self.tenant_id) as connection:
                    try:
                        while True:
                            await self.turn(connection)
                            self._tell()
                            await self._pause()
                    finally:
                        await self._end_asking()
            except Exception as error:
                self._stand(error, "without a connection", trace=not isinstance(error, psycopg.OperationalError))
            self._tell()
            await self._pause()

    async def turn(self, connection: Connection) -> None:
        """Look, and ask every witness that may be asked. Raises psycopg.Error."""
        self.head, origin, self.newest, _ = await cosigned.look(connection, self.tenant_id)
        if origin is not None and origin != self._origin:
            await self._begin(connection, origin)
        if origin is not None and self.newest > self._done:
            checkpoints = await cosigned.recent(connection, self.tenant_id, origin, self._policy)
            self._take(origin, checkpoints)
            wanted, now = cosigned.target(checkpoints, self._policy), self._clock()
            for witness in self.witnesses:
                if witness.may_be_asked(wanted, now):
                    name = f"witness-{witness.key.name}-{self.tenant_id}"
                    witness.asking = asyncio.create_task(self._ask(connection, witness, origin, wanted), name=name)
        self.position = 0 if self.witnessed is None else self.witnessed.size
        self.fault = self._missing()

    async def _begin(self, connection: Connection, origin: str) -> None:
        """Another log begins: witnesses know nothing of it yet, or this process nothing of them."""
        await self._end_asking()
        for witness in self.witnesses:
            witness.begin()
        self.witnessed = await cosigned.witnessed(connection, self.tenant_id, origin, self._policy)
        self._origin, self._done = origin, 0

    def _take(self, origin: str, checkpoints: Sequence[Sealed]) -> None:
        """What the table says, whichever process wrote it."""
        keys = {witness.key for witness in self.witnesses}
        for one in reversed(checkpoints):
            for witness in self.witnesses:
                if witness.key in one.keys:
                    witness.cosigned = max(witness.cosigned, one.size)
            if one.received_at is not None and cosigned.counts(one.keys, self._policy):
                self.witnessed = Witnessed(origin, one.size, one.received_at)
            if keys <= one.keys:
                self._done = one.size

    def _missing(self) -> str | None:
        """Why no quorum can be had, as long as it is so."""
        at_fault = [witness for witness in self.witnesses if witness.fault is not None]
        if self._policy.reached({witness.key for witness in self.witnesses if witness.fault is None}):
            return None
        return "no quorum: " + "; ".join(f"{witness.key.name}: {witness.fault}" for witness in at_fault)

    async def _ask(self, connection: Connection, witness: Witness, origin: str, wanted: Sealed) -> None:
        """Ask one witness about one checkpoint, and keep its line. Whatever it answers, or does not, harms nobody else."""
        try:
            note = Note.parse(wanted.note.encode())
            status, body = await self._exchange(connection, witness, note, wanted.size)
            if status == CONFLICT:  # it stands further on: a newer checkpoint will do
                return
            line = cosignature(witness.key, note, body)
            await cosigned.execute(connection, INSERT, self.tenant_id, origin, wanted.size, witness.key.name, line)
            witness.did(wanted.size)
        except (Unreachable, NoCosignature) as error:
            witness.failed(str(error), self._clock())
        except Exception as error:  # the database, or what nobody foresaw: asked again, after a while
            if not isinstance(error, (StoreError, psycopg.OperationalError)):
                log.error("the answer of witness %s could not be taken", witness.key.name, exc_info=error)
            witness.failed(f"not the witness: {type(error).__name__} here", self._clock())
        finally:
            witness.asking = None
            self.wake()

    async def _exchange(self, connection: Connection, witness: Witness, note: Note, size: int) -> tuple[int, bytes]:
        """The answer: 200 with its body, or a conflict with a size that is past this one. When the witness stands elsewhere
        than was thought, it says where, and is asked once more."""
        for _ in range(2):
            proof = await self._prove(connection, witness.size, size) if witness.size else ()
            status, body = await witness.post(AddCheckpoint(witness.size, tuple(proof), note).body)
            if status != CONFLICT:
                break
            witness.size = told_size(body)
            if witness.size > self.newest:
                told, witness.size = witness.size, 0
                # It has seen events that are gone, or it does not tell the truth.
                raise NoCosignature(f"it says it cosigned size {told}, and the log is sealed up to {self.newest} only")
            if witness.size > size:
                return status, body
        if status != 200:
            raise NoCosignature(f"it answered {status} to the checkpoint of size {size}")
        return status, body

    async def _end_asking(self) -> None:
        asking = [witness.asking for witness in self.witnesses if witness.asking is not None]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
