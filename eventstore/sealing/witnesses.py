"""A witness as the log has it: what it was asked, where it stands, and when it may be asked again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from eventstore.proof.errors import BadSignature, MalformedProof, NotSigned
from eventstore.proof.keys import VerifierKey
from eventstore.proof.note import Note
from eventstore.proof.strict import decimal, utf8
from eventstore.proof.witness_exchange import with_cosignatures
from eventstore.sealing.cosigned import Sealed

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0


class Unreachable(Exception):
    """A witness gave no answer; the message says why in a few words."""


class NoCosignature(Exception):
    """A witness's answer is no cosignature; the message says what it is."""


Post = Callable[[bytes], Awaitable[tuple[int, bytes]]]
"""Sends a request to a witness; gives status and body. Raises Unreachable, within a bounded time."""


@dataclass
class Witness:
    """One tenant's log and one witness. `post` is the witness's own, so that none waits for another."""

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

    def begin(self) -> None:
        """Another log begins, of which it has cosigned nothing yet."""
        self.size = self.cosigned = 0

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


def cosignature(key: VerifierKey, note: Note, body: bytes) -> str:
    """The witness's line in its answer, verified. Raises NoCosignature."""
    try:
        (line,) = with_cosignatures(Note(note.text, ()), body, [key]).lines
    except (MalformedProof, BadSignature, NotSigned) as error:
        raise NoCosignature(f"its answer is no cosignature of its key: {error}") from None
    return line.text


def told_size(body: bytes) -> int:
    """The size in a conflict's body. Raises NoCosignature."""
    try:
        return decimal(utf8(body[:64], "the size").removesuffix("\n"), "the size")
    except MalformedProof:
        raise NoCosignature("it answered 409 without the size that it cosigned") from None
