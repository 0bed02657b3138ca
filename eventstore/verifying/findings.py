"""Causes in words. Each says what is so and what it follows from, for somebody who has to act on it."""

from __future__ import annotations

from eventstore.proof.tiles import LEVEL_BITS, WIDTH
from eventstore.verifying.verdicts import Finding, Kind


def missing(first: int, last: int) -> Finding:
    """Rows are not there."""
    which = f"event {first} is" if first == last else f"events {first} to {last} are"
    return Finding(Kind.ROWS, first, f"{which} missing")


def too_many(position: int) -> Finding:
    """A second row for a position, or one before the first."""
    if position < 1:
        return Finding(
            Kind.ROWS, position, f"a row stands at position {position}, before the first event: it was inserted"
        )
    return Finding(Kind.ROWS, position, f"event {position} is there twice: a row was duplicated or inserted")


def no_leaf(position: int) -> Finding:
    """A row that the writer cannot have written."""
    return Finding(Kind.ROWS, position, f"event {position} was changed: its row has a form that is never written")


def time_back(position: int) -> Finding:
    """recorded_at is below that of the event before."""
    return Finding(
        Kind.TIME, position, f"event {position} was recorded before the one in front of it: times were changed"
    )


def cut(first: int, size: int, who: str) -> Finding:
    """A checkpoint covers more events than there are."""
    which = f"event {first} is" if first == size else f"events {first} to {size} are"
    cause = f"the tail was cut: {which} missing, which {who} covers"
    return Finding(Kind.ROWS, first, cause, size=size)


def version_gap(stream: str, versions: int, first: int, last: int) -> Finding:
    """A stream's versions are not 1, 2, 3 …"""
    cause = f"stream {stream} has {versions} events with versions from {first} to {last}: some are missing or inserted"
    return Finding(Kind.ROWS, None, cause)


def tile_missing(level: int, index: int, first: int) -> Finding:
    """Sealed rows without their tile."""
    return Finding(Kind.TILE, first, f"tile {index} of level {level} is missing, and its events were sealed")


def tile_too_many(level: int, index: int, events: int) -> Finding:
    """A tile of rows that are not there."""
    first = (index * WIDTH << LEVEL_BITS * level) + 1
    cause = (
        f"tile {index} of level {level} has no rows: it covers event {first} and later, and the log ends at {events}"
    )
    return Finding(Kind.TILE, first, cause)


def tile_changed(level: int, index: int, position: int) -> Finding:
    """A tile that is not that of the rows, which are those that were signed."""
    cause = (
        f"tile {index} of level {level} was changed: the rows are those that were signed, and the tile is not theirs"
    )
    return Finding(Kind.TILE, position, cause)


def between(first: int, last: int) -> str:
    """Positions in words."""
    return f"event {first}" if first == last else f"one of the events {first} to {last}"


def other_root(first: int, last: int, size: int) -> Finding:
    """The rows do not lead to the root that was signed."""
    cause = f"{between(first, last)} was changed, inserted or removed: the rows do not lead to the root signed at size {size}"
    return Finding(Kind.ROOT, first, cause, last, size)


def rewritten(first: int, last: int, size: int, who: str) -> Finding:
    """Rows, tiles and checkpoints of the database agree with each other, and not with an earlier checkpoint."""
    cause = (
        f"the log was rewritten and signed again: {between(first, last)} is not what it was when {who} of size {size} was "
        "signed"
    )
    return Finding(Kind.ROOT, first, cause, last, size)


def two_histories(size: int, first: int, who: str) -> Finding:
    """Two roots were signed for one size."""
    cause = f"two histories: {who} of size {size} has another root than the database's of that size"
    return Finding(Kind.ROOT, first, cause, size, size)


def bad_checkpoint(size: int, why: str) -> Finding:
    """A checkpoint that is not one of this log's."""
    return Finding(Kind.CHECKPOINT, None, f"the checkpoint of size {size} {why}", size=size)


def other_history(size: int) -> Finding:
    """A checkpoint of other rows than those that a later one proves."""
    cause = f"two histories: the checkpoint of size {size} is signed, and is of other events than a later one proves"
    return Finding(Kind.CHECKPOINT, None, cause, size=size)


def no_checkpoints(size: int, who: str) -> Finding:
    """The log signed, and the database does not show it."""
    return Finding(Kind.CHECKPOINT, None, f"the checkpoints are missing: {who} is of size {size}", size=size)


def other_incarnation(first: int, last: int, who: str, old: str, new: str) -> Finding:
    """The log goes on under another origin, and is not what it was."""
    cause = (
        f"another incarnation: the log goes on as {new}, and {between(first, last)} is not what it was when {who} of {old}, "
        f"size {last}, was signed; what a restore lost stands on the stream log-incarnation"
    )
    return Finding(Kind.ROOT, first, cause, last, last)
