"""A bundle is checked: one function for the `fidelog` command and for the verifier that a bundle encloses.

What is held in memory does not grow with the number of rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import chain
from typing import IO

from eventstore.proof.errors import MalformedProof, NotProven, ProofError
from eventstore.proof.export.archive import Archive, open_archive
from eventstore.proof.export.comparing import DAMAGED, Tally, compare
from eventstore.proof.export.made import Made
from eventstore.proof.export.manifest import CHECKPOINT, KEYS, LEAF, LEAVES, MANIFEST, NODES, PROOF, ROWS, Manifest
from eventstore.proof.export.rows import Row, read_nodes, read_rows
from eventstore.proof.export.trust import Anchor, Consistency, Held, LogKeys
from eventstore.proof.export.verdict import NotVerifiable, Tampered, Verdict
from eventstore.proof.merkle import leaf_hash, verify_inclusion
from eventstore.proof.multiproof import root_over
from eventstore.proof.note import Note
from eventstore.proof.tlog_proof import TlogProof

Progress = Callable[[int, int], None]
"""Told how many rows of how many were looked at."""

EVERY = 5_000


def verify_export(file: IO[bytes], held: Held, progress: Progress = lambda done, of: None) -> Verdict:
    """The verdict on a bundle. Never raises: whatever cannot be read is not verifiable."""
    check = _Check(held, progress)
    try:
        with open_archive(file) as archive:
            check.run(archive)
    except Tampered as found:
        return Verdict("tampered", found.cause, found.position, check.size)
    except NotVerifiable as error:
        return Verdict("not verifiable", str(error), None, check.size)
    except ProofError as error:
        return Verdict("not verifiable", str(error), None, check.size)
    except Exception as error:  # a damaged archive fails in many ways, and a fault of ours is no proof either
        return Verdict("not verifiable", f"the export cannot be read ({type(error).__name__})", None, check.size)
    return Verdict("verified", None, None, check.size)


class _Check:
    """The steps, each of which relies on those before it."""

    def __init__(self, held: Held, progress: Progress) -> None:
        self._held = held
        self._progress = progress
        self.size: int | None = None

    def run(self, archive: Archive) -> None:
        """Raises Tampered, NotVerifiable, ProofError."""
        self._held.check()
        anchor = self._anchor(archive)
        made, made_hash = self._made(archive, anchor)
        manifest = self._manifest(archive, made, anchor)
        archive.check_names(manifest)
        changed = {name for name, different in archive.changed(manifest) if different}
        tally = Tally(anchor.wants)
        self._rows(archive, made, changed, tally)
        if manifest.members[ROWS][1] != made.rows:
            raise Tampered(f"{MANIFEST} and ExportMade at position {made.position} do not name the same rows")
        self._check_root(archive, anchor, Row(made.position, made_hash))
        if anchor.wants is not None:
            anchor.connect(tally.root)

    def _anchor(self, archive: Archive) -> Anchor:
        """Is the bundle's checkpoint one to believe?"""
        data, enclosed = archive.small(CHECKPOINT), archive.consistency()
        keys = LogKeys.parse(archive.small(KEYS))
        consistency = None if enclosed is None else Consistency.parse(enclosed)
        anchor = Anchor(self._held, Note.parse(data), keys, consistency)
        self.size = anchor.found.size
        return anchor

    def _made(self, archive: Archive, anchor: Anchor) -> tuple[Made, bytes]:
        """Is the enclosed ExportMade in the log? Gives it with its leaf's hash."""
        leaf, proof = archive.small(LEAF), TlogProof.parse(archive.small(PROOF))
        if proof.checkpoint != archive.small(CHECKPOINT):
            raise Tampered(f"{PROOF} has another checkpoint than the export")
        hash_ = leaf_hash(leaf)
        try:
            verify_inclusion(hash_, proof.index, anchor.found.size, proof.hashes, anchor.found.root)
        except NotProven:
            raise Tampered(f"the enclosed event ExportMade is not in the log, or {PROOF} was changed") from None
        made = Made.of_leaf(leaf)
        if made.position != proof.index + 1:
            raise Tampered("the enclosed event ExportMade stands at another place of the log", made.position)
        return made, hash_

    def _manifest(self, archive: Archive, made: Made, anchor: Anchor) -> Manifest:
        """Is the manifest the one that ExportMade vouches for?"""
        data = archive.small(MANIFEST)
        if hashlib.sha256(data).hexdigest() != made.manifest:
            raise Tampered(f"{MANIFEST} is not the one that ExportMade at position {made.position} vouches for")
        manifest = Manifest.parse(data)
        told = manifest.query, manifest.tree_size, manifest.count, manifest.tenant, manifest.origin
        if told != (made.query, made.tree_size, made.count, made.tenant, anchor.found.origin):
            raise Tampered(f"{MANIFEST} and ExportMade at position {made.position} do not say the same")
        return manifest

    def _rows(self, archive: Archive, made: Made, changed: set[str], tally: Tally) -> None:
        """Are the leaves those of the rows, and the rows those that ExportMade counted? Raises Tampered.

        rows.txt has its digest in ExportMade: where it holds, it says which leaf is not the one that was exported; where
        it does not, unchanged leaves say which of its lines is not.
        """
        with archive.open(LEAVES) as leaves, archive.open(ROWS) as rows:
            try:
                for _ in compare(leaves, rows, made, tally):
                    if tally.count % EVERY == 0:
                        self._progress(tally.count, made.count)
            except Tampered as found:
                if ROWS in changed and LEAVES not in changed:
                    raise Tampered(f"{ROWS} was changed after the export was made", found.position) from None
                raise
            except (MalformedProof, *DAMAGED):
                raise Tampered(f"{ROWS} was changed after the export was made") from None
        self._progress(tally.count, made.count)
        tally.check(made)
        if changed:
            raise Tampered(f"{', '.join(sorted(changed))} changed after the export was made")

    def _check_root(self, archive: Archive, anchor: Anchor, made: Row) -> None:
        """Do rows, nodes and ExportMade make the checkpoint's root?"""
        with archive.open(ROWS) as rows, archive.open(NODES) as nodes:
            leaves = ((row.position - 1, row.hash) for row in chain(read_rows(rows), [made]))
            try:
                root = root_over(anchor.found.size, leaves, read_nodes(nodes))
            except (MalformedProof, *DAMAGED) as error:
                raise Tampered(f"{NODES} does not prove the rows ({error})") from None
        if root != anchor.found.root:
            raise Tampered(f"{NODES} and the rows do not make the root of the checkpoint of size {anchor.found.size}")
