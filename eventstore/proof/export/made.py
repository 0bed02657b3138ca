"""ExportMade: the event that says what was exported, before the export is closed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from eventstore.proof.errors import MalformedProof
from eventstore.proof.export.selection import Selection
from eventstore.proof.strict import LARGEST

TYPE = "ExportMade"
STREAM = "log-exports"
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Made:
    """What it says. Digests are SHA-256 in lower-case hex."""

    position: int
    """Its own."""
    tenant: str
    query: Selection
    tree_size: int
    """Events at positions up to it were looked at."""
    count: int
    rows: str
    """Of rows.txt: which positions are in the export, with which leaves."""
    streams: tuple[tuple[str, int], ...] | None
    """The last version of each stream in the export; None when there are too many to name."""
    manifest: str
    """Of manifest.json, which names the other members and holds a salt, so that it tells nothing of their content."""

    @classmethod
    def of_leaf(cls, leaf: bytes) -> Made:
        """From the event's leaf. Raises MalformedProof."""
        members = json_object(leaf, "the leaf of ExportMade")
        if members.get("type") != TYPE or members.get("stream") != STREAM or members.get("format") != 1:
            raise MalformedProof(f"the enclosed event is not an {TYPE} on {STREAM}")
        tenant = members.get("tenant")
        if not isinstance(tenant, str):
            raise MalformedProof(f"the {TYPE} names no tenant")
        return cls.of_data(whole(members.get("position"), "its position"), tenant, members.get("data"))

    @classmethod
    def of_data(cls, position: int, tenant: str, data: Any) -> Made:
        """From the event's data. Raises MalformedProof."""
        if not isinstance(data, dict):
            raise MalformedProof(f"{TYPE} has no data")
        made = cls(
            position,
            tenant,
            Selection.parse(data.get("query")),
            whole(data.get("tree_size"), "its tree size"),
            whole(data.get("count"), "its count"),
            digest(data.get("rows"), "its digest of the rows"),
            _streams(data.get("streams")),
            digest(data.get("manifest"), "its digest of the manifest"),
        )
        if not made.count <= made.tree_size < made.position:
            raise MalformedProof(f"{TYPE} at position {position} counts events that cannot be")
        return made


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """The members of a JSON object, none twice. Raises MalformedProof."""
    try:
        found = json.loads(data.decode(), object_pairs_hook=_each_once)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise MalformedProof(f"{what} is not JSON") from None
    if not isinstance(found, dict):
        raise MalformedProof(f"{what} is not an object")
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is given twice")
    return found


def whole(value: Any, what: str) -> int:
    """A number from 0 to 2^63 - 1. Raises MalformedProof."""
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise MalformedProof(f"{what} is not a number of the proper form")
    return value


def digest(value: Any, what: str) -> str:
    """64 hex digits. Raises MalformedProof."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise MalformedProof(f"{what} is not 64 lower-case hex digits")
    return value


def _streams(value: Any) -> tuple[tuple[str, int], ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise MalformedProof("its streams are not a list")
    found: list[tuple[str, int]] = []
    for one in value:
        match one:
            case [str(stream), version]:
                found.append((stream, whole(version, "a stream's version")))
            case _:
                raise MalformedProof("a stream is not a name and a version")
    return tuple(found)
