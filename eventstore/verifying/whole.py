"""The verification of one tenant's log: every range, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.tiles import LEVEL_BITS, WIDTH
from eventstore.statements import statement
from eventstore.verifying import findings
from eventstore.verifying.exports import recounted
from eventstore.verifying.joining import Joining, Level
from eventstore.verifying.judging import first, judged
from eventstore.verifying.known import Earlier, Known
from eventstore.verifying.ranges import LEAVES, Range, Unlike, differing
from eventstore.verifying.resuming import Reached
from eventstore.verifying.rows import ask, auditing
from eventstore.verifying.verdicts import Finding, NotVerifiable, Outcome, Verdict
from eventstore.verifying.workers import Run

TENANTS = statement("eventstore", "verify_tenants")
HEADS = statement("eventstore", "verify_heads")
LEVELS = statement("eventstore", "verify_levels")
STREAMS = statement("eventstore", "verify_streams")

WIDEST = WIDTH
"""Of more events than these no position is named: a tile tells which, a root does not."""


class Observer(Protocol):
    """Who is told, and asked."""

    def expect(self, events: int) -> None:
        """So many events there are."""

    def read(self, events: int) -> None:
        """So many more were verified."""


class Heads(NamedTuple):
    """Where a tenant's rows, tiles and checkpoints end."""

    events: int
    below: int | None
    tile_0: int
    tile_1: int
    sealed: int | None
    origin: str | None
    root: bytes | None


@dataclass(frozen=True, slots=True)
class Verified:
    """The verdict, and how far the log is verified now; None unless it was."""

    verdict: Verdict
    reached: Reached | None


def tenants(auditor_url: str) -> list[str]:
    """Every tenant of which the database holds anything. Raises psycopg.Error."""
    with auditing(auditor_url) as session:
        return [tenant_id for (tenant_id,) in ask(session, TENANTS)]


def verify_tenant(
    auditor_url: str, tenant_id: str, known: Known, run: Run, observer: Observer, since: Reached | None = None
) -> Verified:
    """Verify the tenant's log, from the beginning or since an earlier verification. Raises NotVerifiable, psycopg.Error."""
    with auditing(auditor_url) as session:
        heads = Heads(*ask(session, HEADS, tenant=tenant_id)[0])
        if not any(known.keys.values()) and (heads.events or heads.sealed is not None):
            raise NotVerifiable(
                f"no key of the log of tenant {tenant_id} is known here; give the state folder (FIDELOG_STATE_DIR) or a "
                "policy with the log's key (--policy)"
            )
        if since is not None and since.checkpoint.origin != heads.origin:
            since = None  # of another incarnation
        earlier = known.earlier if since is None else (*known.earlier, since.earlier)
        if since is not None and not _enough(since, earlier, heads.events):
            since = None
        joined = Joining() if since is None else Joining(since.roots)
        start = len(joined.roots) * LEAVES
        stored = {(level, index): hashes for level, index, hashes in ask(session, LEVELS, tenant=tenant_id)}
    observer.expect(heads.events - start)  # no snapshot is held meanwhile: it would keep dead rows of others
    for ranged in run(_ranges(tenant_id, start, heads, known, earlier)):
        joined.add(ranged)
        observer.read(ranged.range.last - ranged.range.after)
    with auditing(auditor_url) as session:
        joined.findings.extend(_ends(heads, earlier))
        _compare_levels(stored, joined, heads)
        if since is None:
            joined.findings.extend(findings.version_gap(*row) for row in ask(session, STREAMS, tenant=tenant_id))
        found = first(judged(session, tenant_id, joined, earlier, heads.events, heads.origin))
    if found is None and since is None:
        found = first(list(recounted(auditor_url, tenant_id)))
    return _verified(tenant_id, heads, joined, found)


def _enough(since: Reached, earlier: Sequence[Earlier], events: int) -> bool:
    """Whether what comes after an earlier verification tells all that is asked: about every earlier checkpoint too."""
    before = len(since.roots) * LEAVES
    return before <= since.checkpoint.size <= events and not any(0 < one.checkpoint.size <= before for one in earlier)


def _ranges(tenant_id: str, start: int, heads: Heads, known: Known, earlier: Sequence[Earlier]) -> list[Range]:
    """All ranges from `start` on; an empty one where there is nothing, so that a checkpoint of nothing is looked at."""
    ends = range(start, heads.events, LEAVES) or range(start, start + 1)
    return [
        Range(
            tenant_id, after, last := min(after + LEAVES, heads.events), heads.sealed or 0, known.keys,
            tuple(sorted({one.checkpoint.size for one in earlier if after < one.checkpoint.size <= last})),
        )
        for after in ends
    ]  # fmt: skip


def _ends(heads: Heads, earlier: Sequence[Earlier]) -> Iterator[Finding]:
    """What goes beyond the rows, or lies before them."""
    if heads.below is not None:
        yield findings.too_many(heads.below)
    if (heads.sealed or 0) > heads.events:
        yield findings.cut(heads.events + 1, heads.sealed or 0, "the newest checkpoint")
    for level, index in ((0, heads.tile_0), (1, heads.tile_1)):
        if (index + 1) << LEVEL_BITS * (level + 1) > heads.events:
            yield findings.tile_too_many(level, index, heads.events)
    if heads.sealed is None and heads.events:
        for one in earlier:
            if one.checkpoint.size:
                yield findings.no_checkpoints(one.checkpoint.size, one.who)


def _compare_levels(stored: dict[Level, bytes], joined: Joining, heads: Heads) -> None:
    """Level 2 and above: each tile is that of the rows, and each that was sealed is there."""
    for (level, index), hashes in joined.tiles.items():
        span = LEVEL_BITS * level
        begin = index * WIDTH << span
        there = stored.pop((level, index), None)
        if there is None:
            if begin + (WIDTH << span) <= (heads.sealed or 0):
                joined.findings.append(findings.tile_missing(level, index, begin + 1))
        elif (bad := differing(there, hashes)) is not None:
            one = begin + (bad << span)
            joined.unlike.append(Unlike(level, index, one + 1, one + (1 << span), None))
    joined.findings.extend(findings.tile_too_many(level, index, heads.events) for level, index in stored)


def _verified(tenant_id: str, heads: Heads, joined: Joining, found: Finding | None) -> Verified:
    unsealed = max(heads.events - (heads.sealed or 0), 0)
    if found is not None:
        wide = found.last is not None and found.position is not None and found.last - found.position >= WIDEST
        position = None if wide else found.position
        outcome, cause = Outcome.TAMPERED, found.cause
    elif not heads.sealed and heads.events:
        outcome, position = Outcome.NOT_VERIFIABLE, None
        cause = "nothing was sealed yet: there are events and no checkpoint; fidelog serve seals them"
    else:
        outcome, position, cause = Outcome.VERIFIED, None, None
    verdict = Verdict(tenant_id, outcome, position, cause, heads.sealed, joined.events, unsealed)
    if outcome is not Outcome.VERIFIED or not heads.sealed:
        return Verified(verdict, None)
    assert heads.origin is not None, "of the checkpoint"
    assert heads.root is not None, "of the checkpoint"
    checkpoint = Checkpoint(heads.origin, heads.sealed, heads.root)
    return Verified(verdict, Reached(checkpoint, tuple(joined.roots[: heads.sealed // LEAVES])))
