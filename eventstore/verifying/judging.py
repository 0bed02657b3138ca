"""From what was found to the first bad position and its cause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from eventstore.proof.tiles import WIDTH
from eventstore.statements import statement
from eventstore.verifying import findings
from eventstore.verifying.joining import Joining
from eventstore.verifying.known import Earlier
from eventstore.verifying.ranges import Unlike
from eventstore.verifying.rows import Session, ask
from eventstore.verifying.verdicts import Finding, Kind

WRITTEN = statement("eventstore", "verify_written")


def first(found: Sequence[Finding]) -> Finding | None:
    """The first bad position, and of what is found there what says most."""
    return min(found, key=lambda one: (one.position is None, one.position or 0, one.kind), default=None)


def judged(
    session: Session, tenant_id: str, joined: Joining, earlier: Sequence[Earlier], events: int, origin: str | None
) -> list[Finding]:
    """Everything that does not fit, with the events that are meant as narrow as can be told. `origin` is the log's now."""
    proven = max(joined.before, _proven(joined, earlier), joined.good.size if joined.good is not None else 0)
    bad = joined.bad
    tiles = (_tile(one, proven, None if bad is None else bad.size) for one in _narrowest(joined))
    found = [
        *joined.findings,
        *(_suspected(session, tenant_id, one) for one in (*tiles, *_of_earlier(joined, earlier, events, origin))),
    ]
    if bad is not None and not _explained(found, proven, bad.size, Kind.ROOT):
        root = _suspected(session, tenant_id, findings.other_root(proven + 1, bad.size, bad.size))
        if root.last is None or not _explained(found, proven, bad.size, Kind.TIME):
            found.append(root)
    return found


def _narrowest(joined: Joining) -> list[Unlike]:
    """The tiles that differ, without those that only do because of what something else tells more exactly."""
    exact = [(0, one.position) for one in joined.findings if one.kind is Kind.ROWS and one.position is not None]
    exact += [(one.level, one.first) for one in joined.unlike]
    return [
        one
        for one in joined.unlike
        if not any(level < one.level and one.first <= place <= one.last for level, place in exact)
    ]


def _tile(unlike: Unlike, proven: int, bad: int | None) -> Finding:
    """A tile and the rows differ. A root that proves the rows condemns the tile; one that does not, the rows."""
    if unlike.cause is not None and unlike.first > proven:
        return Finding(Kind.TILE, unlike.first, unlike.cause)
    if bad is None or unlike.last <= proven:
        return findings.tile_changed(unlike.level, unlike.index, unlike.first)
    return findings.other_root(max(unlike.first, proven + 1), max(min(unlike.last, bad), proven + 1), bad)


def _explained(found: Sequence[Finding], proven: int, bad: int, kind: Kind) -> bool:
    """Whether something of this kind, or one that says more, is wrong among the events that a root does not prove."""
    return any(one.position is not None and proven < one.position <= bad and one.kind <= kind for one in found)


def _proven(joined: Joining, earlier: Sequence[Earlier]) -> int:
    """The size of the largest earlier checkpoint that the rows lead to."""
    roots = dict(joined.marked)
    sizes = (one.checkpoint.size for one in earlier if roots.get(one.checkpoint.size) == one.checkpoint.root)
    return max(sizes, default=0)


def _of_earlier(joined: Joining, earlier: Sequence[Earlier], events: int, origin: str | None) -> Iterator[Finding]:
    """Checkpoints that others hold: each is of these rows, or the rows are not those of its time."""
    roots, good = dict(joined.marked), joined.before
    for one in sorted(earlier, key=lambda one: one.checkpoint.size):
        checkpoint = one.checkpoint
        other = origin is not None and checkpoint.origin != origin
        if other and (checkpoint.size > events or (checkpoint.size and roots[checkpoint.size] != checkpoint.root)):
            yield findings.other_incarnation(good + 1, checkpoint.size, one.who, checkpoint.origin, origin or "")
            return
        if checkpoint.size > events:
            yield findings.cut(events + 1, checkpoint.size, one.who)
        elif checkpoint.size and roots[checkpoint.size] != checkpoint.root:
            if joined.bad is not None and joined.bad.size <= checkpoint.size:
                return  # the database's own checkpoints say it, and more exactly
            yield findings.rewritten(good + 1, checkpoint.size, checkpoint.size, one.who)
            return
        else:
            good = checkpoint.size


def _suspected(session: Session, tenant_id: str, finding: Finding) -> Finding:
    """Rows are written once, in their order. One that was written after the row behind it is the one that was changed:
    no proof, which an interval does not have, but it says where to look first."""
    if finding.last is None or finding.position is None:
        return finding
    last = min(finding.last, finding.position + WIDTH * WIDTH)
    for position, age, age_behind in ask(session, WRITTEN, tenant=tenant_id, first=finding.position, last=last + 1):
        if age_behind is not None and age < age_behind and position <= last:
            cause = f"{finding.cause}; the row of event {position} was written after those behind it"
            return replace(finding, position=position, last=None, cause=cause)
    return finding
