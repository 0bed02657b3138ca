"""The log's side of witnessing: each new checkpoint is shown to the witnesses, and what they answer is kept."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psycopg

from eventstore.errors import StoreError
from eventstore.proof.errors import BadSignature, MalformedProof, NotSigned
from eventstore.proof.keys import VerifierKey
from eventstore.proof.note import Note
from eventstore.proof.policy import Policy
from eventstore.proof.strict import decimal, utf8
from eventstore.proof.witness_exchange import AddCheckpoint, with_cosignatures
from eventstore.sealing import cosigned
from eventstore.sealing.cosigned import Connection, Sealed, Witnessed
from eventstore.statements import statement

INSERT = statement("eventstore", "insert_cosignature")

log = logging.getLogger(__name__)

EVERY = 0.5
"""Seconds from one look at the checkpoints to the next, at most."""
REST = 0.05
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
CONFLICT = 409


class Unreachable(Exception):
    """A witness gave no answer; the message says why in a few words."""


Post = Callable[[bytes], Awaitable[tuple[int, bytes]]]
"""Sends a request to a witness; gives status and body. Raises Unreachable, within a bounded time."""

Prove = Callable[[str, int, int], Awaitable[Sequence[bytes]]]
"""The consistency proof of a tenant's tree from the first size to the second, 0 < first <= second. Raises StoreError."""


class _Refused(Exception):
    """A witness's answer is no cosignature; the message says what it is."""


@dataclass
class Witness:
    """A witness as one tenant's log has it. `post` is its own, so that none waits for another."""

    key: VerifierKey
    post: Post
    size: int = 0
    """What it cosigned last, as far as this process knows: a request begins there."""
    cosigned: int = 0
    """The largest checkpoint of this log with its cosignature."""
    fault: str | None = None
    """Why it did not cosign when it was asked last."""
    asking: asyncio.Task[None] | None = None
    _failures: int = 0
    _not_before: float = 0.0

    def may_be_asked(self, wanted: Sealed, now: float) -> bool:
        """Whether it is free, not to be left alone for a while, and has not got there by itself."""
        free = self.asking is None and now >= self._not_before
        return free and self.size <= wanted.size > self.cosigned and self.key not in wanted.keys

    def did(self, size: int) -> None:
        """It cosigned."""
        self.size = self.cosigned = size
        self.fault = None
        self._failures = 0

    def failed(self, fault: str, now: float) -> None:
        """Leave it alone, twice as long after each failure."""
        if fault != self.fault:
            log.warning("witness %s did not cosign: %s", self.key.name, fault)
        self.fault = fault
        self._not_before = now + min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 20)


class Cosigning:
    """One tenant's checkpoints and the witnesses that are asked for cosignatures."""

    def __init__(
        self,
        tenant_id: str,
        policy: Policy,
        witnesses: Sequence[Witness],
        prove: Prove,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tenant_id = tenant_id
        self.witnesses = witnesses
        self.witnessed: Witnessed | None = None
        """The newest checkpoint that was cosigned as the policy asks."""
        self.newest = 0
        """The size of the newest checkpoint."""
        self._policy = policy
        self._prove = prove
        self._clock = clock
        self._origin: str | None = None
        self._wake = asyncio.Event()
        self._fault: str | None = None

    def wake(self) -> None:
        """Shorten the wait: there is a new checkpoint, or a witness answered."""
        self._wake.set()

    async def run(self, sealer_url: str) -> None:
        """Go on for ever; connects again when the connection is lost."""
        while True:
            try:
                async with await cosigned.connect(sealer_url, self.tenant_id) as connection:
                    try:
                        while True:
                            await self.turn(connection)
                            self._fault = None
                            await self._pause()
                    finally:
                        await self._end_asking()
            except Exception as error:
                self._stand(error)
            await self._pause()

    async def turn(self, connection: Connection) -> None:
        """Look, and ask every witness that may be asked. Raises psycopg.Error."""
        found = await cosigned.newest_origin(connection, self.tenant_id)
        if found is None:
            return
        origin, self.newest, _ = found
        if origin != self._origin:
            await self._begin(connection, origin)
        checkpoints = await cosigned.recent(connection, self.tenant_id, origin, self._policy)
        self._look(origin, checkpoints)
        wanted, now = cosigned.target(checkpoints, self._policy), self._clock()
        for witness in self.witnesses:
            if witness.may_be_asked(wanted, now):
                name = f"witness-{witness.key.name}-{self.tenant_id}"
                witness.asking = asyncio.create_task(self._ask(connection, witness, origin, wanted), name=name)

    async def _begin(self, connection: Connection, origin: str) -> None:
        """Another log begins: witnesses know nothing of it yet, or this process nothing of them."""
        await self._end_asking()
        for witness in self.witnesses:
            witness.size = witness.cosigned = 0
        self.witnessed = await cosigned.witnessed(connection, self.tenant_id, origin, self._policy)
        self._origin = origin

    def _look(self, origin: str, checkpoints: Sequence[Sealed]) -> None:
        """What the table says, whichever process wrote it."""
        for one in reversed(checkpoints):
            for witness in self.witnesses:
                if witness.key in one.keys:
                    witness.cosigned = max(witness.cosigned, one.size)
            if one.received_at is not None and cosigned.counts(one.keys, self._policy):
                self.witnessed = Witnessed(origin, one.size, one.received_at)

    async def _ask(self, connection: Connection, witness: Witness, origin: str, wanted: Sealed) -> None:
        """Ask one witness about one checkpoint, and keep its line. Whatever it answers, or does not, harms nobody else."""
        try:
            note = Note.parse(wanted.note.encode())
            status, body = await self._exchange(witness, note, wanted.size)
            if status == CONFLICT:  # it stands further on: a newer checkpoint will do
                return
            line = _line(witness.key, note, body)
            await cosigned.execute(connection, INSERT, self.tenant_id, origin, wanted.size, witness.key.name, line)
            witness.did(wanted.size)
        except (Unreachable, _Refused) as error:
            witness.failed(str(error), self._clock())
        except Exception as error:  # the database, or what nobody foresaw: asked again, after a while
            if not isinstance(error, (StoreError, psycopg.OperationalError)):
                log.error("the answer of witness %s could not be taken", witness.key.name, exc_info=error)
            witness.failed(f"not the witness: {type(error).__name__} here", self._clock())
        finally:
            witness.asking = None
            self.wake()

    async def _exchange(self, witness: Witness, note: Note, size: int) -> tuple[int, bytes]:
        """The answer: 200 with its body, or a conflict with a size that is past this one. When the witness stands elsewhere
        than was thought, it says where, and is asked once more."""
        for _ in range(2):
            proof = await self._prove(self.tenant_id, witness.size, size) if witness.size else ()
            status, body = await witness.post(AddCheckpoint(witness.size, tuple(proof), note).body)
            if status != CONFLICT:
                break
            witness.size = _told(body)
            if witness.size > size:
                if witness.size > self.newest:
                    told, witness.size = witness.size, 0
                    # It has seen events that are gone, or it does not tell the truth.
                    raise _Refused(f"it says it cosigned size {told}, and the log is sealed up to {self.newest} only")
                return status, body
        if status != 200:
            raise _Refused(f"it answered {status} to the checkpoint of size {size}")
        return status, body

    def _stand(self, error: Exception) -> None:
        """Say once why nothing is collected; where it is not a lost connection, with all that is known."""
        fault = type(error).__name__
        if fault != self._fault:
            trace = None if isinstance(error, psycopg.OperationalError) else error
            log.error("cosignatures of %s are not collected: %s", self.tenant_id, error, exc_info=trace)
        self._fault = fault

    async def _pause(self) -> None:
        await asyncio.sleep(REST)
        try:
            async with asyncio.timeout(EVERY - REST):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _end_asking(self) -> None:
        asking = [witness.asking for witness in self.witnesses if witness.asking is not None]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


def _line(key: VerifierKey, note: Note, body: bytes) -> str:
    """The witness's line in its answer, verified. Raises _Refused."""
    try:
        (line,) = with_cosignatures(Note(note.text, ()), body, [key]).lines
    except (MalformedProof, BadSignature, NotSigned) as error:
        raise _Refused(f"its answer is no cosignature of its key: {error}") from None
    return line.text


def _told(body: bytes) -> int:
    """The size in a conflict's body. Raises _Refused."""
    try:
        return decimal(utf8(body[:64], "the size").removesuffix("\n"), "the size")
    except MalformedProof:
        raise _Refused("it answered 409 without the size that it cosigned") from None
