"""manifest.json: what a bundle is, and the digests of the members that ExportMade vouches for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eventstore.proof.errors import MalformedProof
from eventstore.proof.export.made import digest, json_object, whole
from eventstore.proof.export.selection import Selection

FORMAT = "fidelog-export/1"
LEAVES, ROWS, CSV, HTML, README, VERIFIER = (
    "leaves.ndjson", "rows.txt", "events.csv", "events.html", "README.txt", "verify.pyz",
)  # fmt: skip
MANIFEST, LEAF, PROOF, NODES, CHECKPOINT, KEYS, CONSISTENCY = (
    "manifest.json", "export-made.json", "export-made.tlog-proof", "nodes.txt", "checkpoint", "log-keys.json",
    "consistency.json",
)  # fmt: skip

BEFORE = frozenset({LEAVES, ROWS, CSV, HTML, README, VERIFIER})
"""Written before ExportMade and named in the manifest; further pages for reading may be too."""
AFTER = frozenset({MANIFEST, LEAF, PROOF, NODES, CHECKPOINT, KEYS})
"""Written after it; each proves itself. CONSISTENCY is there when it was asked for."""

_PAGE = re.compile(r"events-[1-9][0-9]{0,5}\.html", re.ASCII)
SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was exported from which log, and the members."""

    origin: str
    tenant: str
    query: Selection
    tree_size: int
    count: int
    salt: str
    """32 random bytes in hex. The log holds this text's digest for ever, and nobody shall guess content by it."""
    members: Mapping[str, tuple[int, str]]
    """Bytes and SHA-256 of each, by name."""

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Raises MalformedProof."""
        found = json_object(data, MANIFEST)
        if found.get("format") != FORMAT:
            raise MalformedProof(f"{MANIFEST} is not of the format {FORMAT}")
        origin, tenant = found.get("origin"), found.get("tenant")
        if not isinstance(origin, str) or not isinstance(tenant, str):
            raise MalformedProof(f"{MANIFEST} names no log")
        return cls(
            origin,
            tenant,
            Selection.parse(found.get("query")),
            whole(found.get("tree_size"), "the tree size"),
            whole(found.get("count"), "the count"),
            digest(found.get("salt"), "the salt"),
            _members(found.get("members")),
        )

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "origin": self.origin,
            "tenant": self.tenant,
            "query": self.query.members,
            "tree_size": self.tree_size,
            "count": self.count,
            "salt": self.salt,
            "members": {name: {"bytes": size, "sha256": sha} for name, (size, sha) in self.members.items()},
        }
        return json.dumps(content, indent=1).encode() + b"\n"


def _members(value: Any) -> dict[str, tuple[int, str]]:
    if not isinstance(value, dict):
        raise MalformedProof(f"{MANIFEST} names no members")
    found: dict[str, tuple[int, str]] = {}
    for name, one in value.items():
        if not isinstance(one, dict) or one.keys() != {"bytes", "sha256"}:
            raise MalformedProof(f"{MANIFEST} does not say what {name!r} is")
        if name not in BEFORE and not _PAGE.fullmatch(name):
            raise MalformedProof(f"{MANIFEST} names a member that no export has")
        found[name] = whole(one["bytes"], "a size"), digest(one["sha256"], "a digest")
    if not found.keys() >= BEFORE:
        raise MalformedProof(f"{MANIFEST} leaves out {', '.join(sorted(BEFORE - found.keys()))}")
    return found


def page_name(number: int) -> str:
    """The name of the page for reading, from 1."""
    return HTML if number == 1 else f"events-{number}.html"
