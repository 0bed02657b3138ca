"""One range of a log: its rows against its tiles, and how far towards each checkpoint's root its leaves lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eventstore.proof.growth import GrowingTree
from eventstore.proof.keys import VerifierKey
from eventstore.proof.tiles import WIDTH, hashes_of
from eventstore.statements import statement
from eventstore.verifying import findings
from eventstore.verifying.derived import agreed
from eventstore.verifying.diagnosis import diagnose
from eventstore.verifying.places import Places
from eventstore.verifying.rows import Row, Session, ask, auditing, batches, hashed
from eventstore.verifying.signed import Ending, check
from eventstore.verifying.verdicts import Finding

TILES = statement("eventstore", "verify_tiles")
CHECKPOINTS = statement("eventstore", "verify_checkpoints")

LEAVES = WIDTH * WIDTH
"""Of a range: the leaves below one tile of level 1, whose own hashes are then complete."""

Keys = Mapping[str, Sequence[VerifierKey]]
"""The keys of each origin of the log, in the order in which they followed each other."""


@dataclass(frozen=True, slots=True)
class Range:
    """The leaves after a position, a multiple of LEAVES, up to another, and what is known of the log around them."""

    tenant_id: str
    after: int
    last: int
    sealed: int
    """The size of the newest checkpoint: full tiles below it must be there."""
    keys: Keys
    marks: tuple[int, ...] = ()
    """Sizes in the range, of checkpoints that others hold."""


@dataclass(frozen=True, slots=True)
class Unlike:
    """A stored tile that is not that of the rows: `first` to `last` are the events of the first hash that differs."""

    level: int
    index: int
    first: int
    last: int
    cause: str | None
    """What happened to the event, where the tile tells."""


@dataclass(slots=True)
class Ranged:
    """What a range gave."""

    range: Range
    root: bytes = b""
    """Over its leaves, as if there were no others."""
    endings: list[Ending] = field(default_factory=list)
    marked: dict[int, bytes] = field(default_factory=dict)
    """The root over its leaves up to each mark."""
    findings: list[Finding] = field(default_factory=list)
    unlike: list[Unlike] = field(default_factory=list)
    first_at: str = ""
    last_at: str = ""
    """When its first and last event say they were recorded."""


def verify_range(auditor_url: str, part: Range) -> Ranged:
    """Read the range and compare. Raises psycopg.Error."""
    with auditing(auditor_url) as session:
        found = Ranged(part)
        first, end = part.after // WIDTH, part.last // WIDTH
        stored: dict[int, bytes] = dict(ask(session, TILES, tenant=part.tenant_id, level=0, first=first, end=end))
        places = _places(session, part, stored, found)
        checkpoints = ask(
            session, CHECKPOINTS, tenant=part.tenant_id, after=part.after if part.after else -1, last=part.last
        )
        upper = _grow(places, checkpoints, found)
        _compare_leaves(session, places.leaves, stored, found)
        if upper is not None:
            _compare_roots(session, upper, found)
        return found


def _places(session: Session, part: Range, stored: Mapping[int, bytes], found: Ranged) -> Places:
    """The hash of every leaf in its place: of tiles that agree with what the database derives, and of rows between them."""
    places, tiles = Places(part.after), dict(agreed(session, part.tenant_id, stored))
    for index, tile in tiles.items():
        _read(session, part.tenant_id, places, index * WIDTH)
        places.tile(tile)
    _read(session, part.tenant_id, places, part.last)
    found.findings.extend(places.findings)
    found.first_at, found.last_at = places.first_at, places.last_at
    return places


def _read(session: Session, tenant_id: str, places: Places, last: int) -> None:
    """The rows up to a position, one by one."""
    after = places.due - 1
    if after < last:
        for batch in batches(session, tenant_id, after, last):
            places.rows(hashed(batch))
        places.end(last)


def _grow(places: Places, checkpoints: list[Row], found: Ranged) -> bytes | None:
    """The roots within the range; gives its tile of level 1 if that is full."""
    part, upper = found.range, None
    tree, roots = GrowingTree(places.root_of), dict[int, bytes]()
    ends = sorted({size for _, size, _, _ in checkpoints} | set(part.marks) | {part.last})
    for size in ends:
        for full in tree.extend(places.leaves[tree.size : size - part.after]):
            if full.tile.level == 1:
                upper = full.hashes
        roots[size] = tree.root
    found.root = roots[part.last]
    found.marked = {size: roots[size] for size in part.marks}
    for origin, size, root, note in checkpoints:
        checked = check(origin, size, root, note, part.keys)
        if isinstance(checked, Finding):
            found.findings.append(checked)
        else:
            found.endings.append(Ending(origin, size, root, roots[size], checked))
    return upper


def _compare_leaves(session: Session, leaves: list[bytes], stored: Mapping[int, bytes], found: Ranged) -> None:
    """Level 0: each full tile is there and has the hashes of the rows."""
    part = found.range
    for index in range(part.after // WIDTH, part.last // WIDTH):
        place = index * WIDTH - part.after
        hashes = stored.get(index)
        if hashes is None:
            if (index + 1) * WIDTH <= part.sealed:
                found.findings.append(findings.tile_missing(0, index, index * WIDTH + 1))
        elif hashes != b"".join(leaves[place : place + WIDTH]):
            found.unlike.append(_unlike_leaves(session, part, index, hashes, leaves[place : place + WIDTH]))
            return


def _unlike_leaves(session: Session, part: Range, index: int, hashes: bytes, leaves: Sequence[bytes]) -> Unlike:
    """The first leaf that differs, and what happened to its event."""
    sealed = hashes_of(hashes, WIDTH)
    before = index * WIDTH
    bad = before + 1 + next(n for n, hash_ in enumerate(sealed) if hash_ != leaves[n])
    rows = [row for batch in batches(session, part.tenant_id, before, before + 2 * WIDTH) for row in batch]
    cause = diagnose(rows, sealed, before + 1, bad)
    return Unlike(0, index, bad, bad, cause)


def _compare_roots(session: Session, upper: bytes, found: Ranged) -> None:
    """Level 1: the range's one tile has the roots of those below it."""
    part = found.range
    index = part.after // LEAVES
    stored = ask(session, TILES, tenant=part.tenant_id, level=1, first=index, end=index + 1)
    if not stored:
        if part.last <= part.sealed:
            found.findings.append(findings.tile_missing(1, index, part.after + 1))
        return
    bad = differing(stored[0][1], upper)
    if bad is not None:
        first = part.after + bad * WIDTH
        found.unlike.append(Unlike(1, index, first + 1, first + WIDTH, None))


def differing(one: bytes, other: bytes) -> int | None:
    """The number of the first hash in which two tiles differ."""
    pairs = zip(hashes_of(one, WIDTH), hashes_of(other, WIDTH), strict=True)
    return None if one == other else next(n for n, (left, right) in enumerate(pairs) if left != right)
