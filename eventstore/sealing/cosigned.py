"""What witnesses have cosigned, as the database has it: which checkpoint they are asked about, and the last one witnessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from eventstore.proof.errors import MalformedProof
from eventstore.proof.keys import VerifierKey
from eventstore.proof.note import parse_lines
from eventstore.proof.policy import Policy
from eventstore.sealing.store import Connection
from eventstore.statements import Statement, statement

LOOK = statement("eventstore", "witness_look")
RECENT = statement("eventstore", "witness_recent")
COSIGNED = statement("eventstore", "witness_sizes")

MOST_RECENT = 16
"""Checkpoints that are looked at: at most one a second is signed, so these reach further back than PATIENCE."""
PATIENCE = 10.0
"""Seconds for which witnesses go on with a checkpoint that some have cosigned, though newer ones are there."""
PAGE = 500
LARGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Sealed:
    """A published checkpoint, the witnesses that cosigned it, when the last did, and for how many seconds it has been
    cosigned by some."""

    size: int
    note: str
    keys: frozenset[VerifierKey]
    received_at: datetime | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Witnessed:
    """The newest checkpoint that was cosigned as the policy asks, and when it came to that."""

    origin: str
    size: int
    at: datetime


async def rows(connection: Connection, wanted: Statement, *parameters: Any) -> list[tuple[Any, ...]]:
    """All rows of a statement. Raises psycopg.Error."""
    cursor = await connection.execute(wanted.sql.encode(), parameters)
    return await cursor.fetchall()


async def execute(connection: Connection, wanted: Statement, *parameters: Any) -> None:
    """A statement that gives no rows. Raises psycopg.Error."""
    await connection.execute(wanted.sql.encode(), parameters)


class Look(NamedTuple):
    """How far the log goes; its newest checkpoint's origin, size and time, None and 0 before the first."""

    head: int
    origin: str | None
    size: int
    signed_at: datetime | None


async def look(connection: Connection, tenant_id: str) -> Look:
    """Read it. Raises psycopg.Error."""
    ((head, origin, size, signed_at),) = await rows(connection, LOOK, tenant_id)
    return Look(head, origin, size or 0, signed_at)


async def recent(connection: Connection, tenant_id: str, origin: str, policy: Policy) -> list[Sealed]:
    """The newest checkpoints of the origin, the newest first."""
    found = await rows(connection, RECENT, tenant_id, origin, MOST_RECENT)
    return [Sealed(size, note, keys_of(lines, policy), last, seconds) for size, note, lines, last, seconds in found]


def keys_of(lines: Iterable[str], policy: Policy) -> frozenset[VerifierKey]:
    """The policy's witnesses whose lines these are. They were verified when they came; here they are only read."""
    named: set[tuple[str, bytes]] = set()
    for line in lines:
        try:
            named.update((one.name, one.key_id) for one in parse_lines(line))
        except MalformedProof:  # whoever wrote it, it is nobody's cosignature
            continue
    return frozenset(one.key for one in policy.witnesses.values() if (one.key.name, one.key.id) in named)


def target(checkpoints: Sequence[Sealed], policy: Policy) -> Sealed:
    """The one that all witnesses are asked about; `checkpoints` are the newest first, and there is one at least.

    A quorum is one checkpoint's: witnesses of different speed that each took the newest there is would never meet. So the
    newest that some have cosigned is gone on with until the quorum has, or for a while. Every process finds the same one.
    """
    for one in checkpoints:
        if one.keys and policy.reached(one.keys):
            break
        if one.keys and one.seconds is not None and one.seconds < PATIENCE:
            return one
    return checkpoints[0]


async def witnessed(connection: Connection, tenant_id: str, origin: str, policy: Policy | None) -> Witnessed | None:
    """The newest checkpoint of the origin that was witnessed; without a policy, by anybody. None when there is none."""
    below = LARGEST
    while page := await rows(connection, COSIGNED, tenant_id, origin, below, PAGE):
        for size, lines, at in page:
            if policy is None or counts(keys_of(lines, policy), policy):
                return Witnessed(origin, size, at)
        below = page[-1][0]
    return None


def counts(keys: frozenset[VerifierKey], policy: Policy) -> bool:
    """Whether a checkpoint with these cosignatures is witnessed. Where the policy asks for nobody, anybody's counts."""
    return bool(keys) and policy.reached(keys)
