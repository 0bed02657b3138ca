"""A bundle is verified as it was made; whatever is changed in it is told, with the position where there is one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from eventstore.exporting.bundle import ExportFailed, Told
from eventstore.proof.export.made import Made as ExportMade
from eventstore.proof.export.recounting import Lie, check_exports, exports_in
from eventstore.proof.export.rows import Row
from eventstore.proof.export.selection import Selection
from eventstore.proof.export.trust import Consistency
from eventstore.proof.export.verdict import Verdict
from eventstore.proof.keys import Kind
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof
from eventstore.proof.note import Note
from eventstore.proof.policy import Policy, Witness
from eventstore.proof.signing_keys import SigningKey
from eventstore.proof.tlog_proof import TlogProof
from tests.eventstore.proof.export.bundles import (
    EVENTS,
    KEYS,
    OLD_KEY,
    ORIGIN,
    WITNESS,
    Made,
    Members,
    checkpoint_of,
    make,
    packed,
    small_log,
    verdict,
)

OTHER = SigningKey(ORIGIN, Kind.LOG, bytes(range(9, 41)))
POLICY = Policy((OLD_KEY.verifier,), {b"w": Witness(WITNESS.verifier)}, b"w")


@cache
def client() -> Made:
    """One client's events: 14 of 40."""
    return make()


@cache
def everything() -> Made:
    """All events."""
    return make(None)


def lines(members: Members, name: str) -> list[bytes]:
    """With their ends."""
    return members[name].splitlines(keepends=True)


def resealed(members: Members) -> Members:
    """The manifest made anew, as one would who hides a change: only ExportMade cannot be."""
    manifest = json.loads(members["manifest.json"])
    for name, told in manifest["members"].items():
        told["bytes"], told["sha256"] = len(members[name]), hashlib.sha256(members[name]).hexdigest()
    return {**members, "manifest.json": json.dumps(manifest).encode()}


def without_row(members: Members, number: int) -> Members:
    """A row removed wherever it stands."""
    changed = dict(members)
    for name in ("leaves.ndjson", "rows.txt"):
        kept = lines(members, name)
        del kept[number]
        changed[name] = b"".join(kept)
    return changed


def edited(name: str, change: Callable[[bytes], bytes]) -> Callable[[Members], Members]:
    """A change of one member."""
    return lambda members: {**members, name: change(members[name])}


def cut_line(name: str, number: int) -> Callable[[Members], Members]:
    """A line removed."""
    return lambda members: {**members, name: b"".join(one for n, one in enumerate(lines(members, name)) if n != number)}


CHANGES: dict[str, tuple[Callable[[Members], Members], str, int | None, str]] = {
    "a byte of a leaf": (edited("leaves.ndjson", lambda d: d.replace(b'"n":4', b'"n":5')), "tampered", 4, "not as it was"),
    "a row removed": (cut_line("leaves.ndjson", 3), "tampered", 10, "event 10 is missing"),
    "a tail removed": (
        edited("leaves.ndjson", lambda d: b"".join(d.splitlines(keepends=True)[:-3])), "tampered", 34, "event 34 is missing",
    ),
    "a row twice": (
        edited("leaves.ndjson", lambda d: d + d.splitlines(keepends=True)[-1]), "tampered", 40, "was not exported",
    ),
    "rows swapped": (
        edited("leaves.ndjson", lambda d: b"".join(d.splitlines(keepends=True)[::-1])), "tampered", 1, "not as it was",
    ),
    "no last line end": (edited("leaves.ndjson", lambda d: d[:-1]), "tampered", 40, "not as it was"),
    "a row's hash": (edited("rows.txt", lambda d: d.replace(b"5 ", b"6 ", 1)), "tampered", 26, "rows.txt"),
    "a row gone everywhere": (lambda m: without_row(m, 3), "tampered", None, "has 13 rows"),
    "a tail gone everywhere": (lambda m: without_row(m, 13), "tampered", None, "stream task-1 ends at version 13"),
    "the table": (edited("events.csv", lambda d: d.replace(b"Event 4", b"Event 6")), "tampered", None, "events.csv"),
    "the page": (edited("events.html", lambda d: d.replace(b"Event 4", b"Event 6")), "tampered", None, "events.html"),
    "the page, and the manifest": (
        lambda m: resealed({**m, "events.html": b"nothing"}), "tampered", None, "manifest.json is not the one",
    ),
    "the manifest": (edited("manifest.json", lambda d: d.replace(b"client-1", b"client-2")), "tampered", None, "vouches for"),
    "the verifier": (edited("verify.pyz", lambda d: d + b"\0"), "tampered", None, "verify.pyz"),
    "a node": (edited("nodes.txt", lambda d: d.split(b"\n", 1)[1] + d.split(b"\n", 1)[0] + b"\n"), "tampered", None, "root"),
    "a node gone": (edited("nodes.txt", lambda d: d.split(b"\n", 1)[1]), "tampered", None, "nodes.txt does not prove"),
    "ExportMade": (
        edited("export-made.json", lambda d: d.replace(b'"count":14', b'"count":13')), "tampered", None, "not in the log",
    ),
    "its proof": (
        edited("export-made.tlog-proof", lambda d: d.replace(b"index 42", b"index 41")), "tampered", None, "not in the log",
    ),
    "the checkpoint": (edited("checkpoint", lambda d: d.replace(b"\n44\n", b"\n45\n")), "not verifiable", None, "signature"),
    "no nodes": (lambda m: {k: v for k, v in m.items() if k != "nodes.txt"}, "not verifiable", None, "nodes.txt is missing"),
    "no table": (lambda m: {k: v for k, v in m.items() if k != "events.csv"}, "not verifiable", None, "events.csv"),
    "a page more": (lambda m: {**m, "events-2.html": b""}, "not verifiable", None, "events-2.html"),
    "keys that do not follow": (
        edited("log-keys.json", lambda d: json.dumps({**json.loads(d), "rotations": []}).encode()),
        "not verifiable", None, "do not follow",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_is_told(what: str) -> None:
    """Each with its verdict, the first bad position where there is one, and the cause."""
    change, word, position, cause = CHANGES[what]
    found = verdict(packed(change(client().members)), client().checkpoint())
    assert (found.verdict, found.position) == (word, position), found
    assert found.cause is not None
    assert cause in found.cause


def test_as_it_was_made_it_is_verified() -> None:
    """Against its own checkpoint, from a copy that was packed again, and against an earlier one where all rows are
    there or the proof was enclosed or given."""
    verified = Verdict("verified", None, None, client().size)
    assert verdict(client().data, client().checkpoint()) == verified
    assert verdict(packed(client().members), client().checkpoint()) == verified
    assert verdict(everything().data, everything().checkpoint(17)) == verified
    enclosed = make(old=17)
    assert verdict(enclosed.data, enclosed.checkpoint(17)) == verified
    given = consistency(client(), 17, client().size)
    assert verdict(client().data, client().checkpoint(17), consistency=given) == verified


def consistency(made: Made, old: int, new: int) -> bytes:
    """The proof between two sizes."""
    return Consistency(old, new, tuple(consistency_proof(old, new, made.source.tree_of.node))).data


def test_sizes_that_nothing_connects_are_not_verifiable() -> None:
    """And the program says where to get what connects them; with it, the larger checkpoint does as well."""
    found = verdict(client().data, client().checkpoint(17))
    assert found.verdict == "not verifiable"
    assert "GET /audit/consistency?old=17&new=44" in str(found.cause)
    newer = MemoryTree(client().source.tree_of.node(0, index) for index in range(44))
    newer.append(leaf_hash(b"later"))
    later = checkpoint_of(newer, 45).data
    assert "old=44&new=45" in str(verdict(client().data, later).cause)
    proof = Consistency(44, 45, tuple(consistency_proof(44, 45, newer.node))).data
    assert verdict(client().data, later, consistency=proof).verdict == "verified"


def test_two_histories_are_told_apart() -> None:
    """A signed checkpoint of the same log with another root: of the same size, of an earlier one with all rows there,
    with a proof, and of a later one."""
    other = MemoryTree(leaf_hash(bytes([number])) for number in range(60))
    same = verdict(client().data, checkpoint_of(other, client().size).data)
    assert (same.verdict, "two histories" in str(same.cause)) == ("tampered", True)
    assert verdict(everything().data, checkpoint_of(other, 17).data).verdict == "tampered"
    given = consistency(client(), 17, 44)
    assert verdict(client().data, checkpoint_of(other, 17).data, consistency=given).verdict == "tampered"
    later = Consistency(44, 60, tuple(consistency_proof(44, 60, other.node))).data
    assert verdict(client().data, checkpoint_of(other, 60).data, consistency=later).verdict == "tampered"


def test_what_another_log_or_nobody_known_signed_proves_nothing() -> None:
    """Another origin, another key, no policy's key: not verifiable, and why."""
    tree, size = client().source.tree_of, client().size
    other = checkpoint_of(tree, size, "other.example/x", SigningKey("other.example/x", Kind.LOG, bytes(32)))
    assert "is of the log other.example/x" in str(verdict(client().data, other.data).cause)
    foreign = verdict(client().data, checkpoint_of(tree, size, key=OTHER).data)
    assert (foreign.verdict, "known key" in str(foreign.cause)) == ("not verifiable", True)
    strange = Policy((OTHER.verifier,), {}, None)
    assert verdict(client().data, None, policy=strange).verdict == "not verifiable"
    assert verdict(client().data, None).verdict == "not verifiable"


def test_a_policy_does_in_place_of_a_checkpoint() -> None:
    """It names an older key of the log, which the newer one follows; and its quorum must have witnessed this checkpoint,
    or one as large."""
    assert verdict(client().data, None, policy=POLICY).verdict == "verified"
    alone = dict(client().members)
    note = Note.parse(alone["checkpoint"])
    alone["checkpoint"] = Note(note.text, note.lines[:1]).data
    alone["export-made.tlog-proof"] = replace(
        TlogProof.parse(alone["export-made.tlog-proof"]), checkpoint=alone["checkpoint"]
    ).data
    missed = verdict(packed(alone), None, policy=POLICY)
    assert (missed.verdict, "quorum" in str(missed.cause)) == ("not verifiable", True)
    assert verdict(packed(alone), client().checkpoint(), policy=POLICY).verdict == "verified"


def test_a_part_is_never_taken_for_the_whole() -> None:
    """A stream that was interrupted anywhere is no archive."""
    data = client().data
    for end in range(0, len(data), 997):
        assert verdict(data[:end], client().checkpoint()).verdict == "not verifiable"


def test_an_exporter_who_lies_is_found_in_the_whole_log() -> None:
    """Offline, a bundle that leaves a row out and says so in ExportMade holds together; counted again from the whole log
    it does not. Honest ones do, whatever they ask for, and so does one with too many streams to name."""
    lying = make(leave_out=frozenset({10}))
    assert verdict(lying.data, lying.checkpoint()).verdict == "verified"
    honest = [ExportMade.of_leaf(one.members["export-made.json"]) for one in (client(), everything())]
    rows = list(of_leaf_rows())
    assert list(check_exports(honest, rows)) == []
    unnamed = replace(honest[0], streams=None)
    assert list(check_exports([unnamed], rows)) == []
    told = ExportMade.of_leaf(lying.members["export-made.json"])
    (found,) = check_exports([*honest, told], rows)
    assert (found.position, "counted 13 events, and the log has 14" in found.cause) == (43, True)
    (found,) = check_exports([replace(honest[0], rows="0" * 64)], rows)
    assert "of other events" in found.cause
    (found,) = check_exports([replace(honest[0], streams=(("task-1", 13),))], rows)
    assert "ended stream task-1 at version 13, and the log has it up to 14" in found.cause


def test_an_export_that_says_nothing_is_told() -> None:
    """An ExportMade with other data than Fidelog writes is not passed over."""
    row: list[object] = list(json.loads(client().members["export-made.json"]).values())
    (found,) = exports_in([[json.dumps(value) if isinstance(value, dict) else value for value in row]])
    assert found == ExportMade.of_leaf(client().members["export-made.json"])
    (lie,) = exports_in([["{}" if isinstance(value, dict) else value for value in row]])
    assert isinstance(lie, Lie)
    assert (lie.position, "does not say what it holds" in lie.cause) == (43, True)
    assert list(exports_in([[value if value != "ExportMade" else "Other" for value in row]])) == []


def of_leaf_rows() -> list[tuple[list[object], bytes]]:
    """The log's rows with the members of their leaves, in order."""
    made = everything().members
    leaves = [json.loads(line) for line in made["leaves.ndjson"].splitlines()]
    hashes = [leaf_hash(line) for line in made["leaves.ndjson"].splitlines()]
    return [(list(leaf.values()), hash_) for leaf, hash_ in zip(leaves, hashes, strict=True)]


def test_one_digest_stands_for_all_rows() -> None:
    """That of rows.txt, which anybody can make from the leaves alone."""
    rows = b"".join(Row(row[10], hash_).line for row, hash_ in of_leaf_rows() if isinstance(row[10], int))
    assert everything().members["rows.txt"] == rows
    assert ExportMade.of_leaf(everything().members["export-made.json"]).rows == hashlib.sha256(rows).hexdigest()


def test_many_streams_are_not_named() -> None:
    """ExportMade must fit a leaf, so where the names are too long there are none; the bundle is verified all the same."""
    made = make(change=lambda told: Told(**{name: getattr(told, name) for name in Told.__slots__} | {"streams": None}))
    assert verdict(made.data, made.checkpoint()).verdict == "verified"
    gone = verdict(packed(without_row(made.members, 5)), made.checkpoint())
    assert "has 13 rows, and ExportMade at position 43 says 14" in str(gone.cause)


def test_an_index_that_names_other_events_fails_the_export() -> None:
    """What is not asked for is not exported."""
    with pytest.raises(ExportFailed, match="the query does not"):
        make(selected=Selection(subject="client-2", actor="agent:b"))


def test_all_keys_are_enclosed() -> None:
    """With the statements by which they followed each other."""
    assert json.loads(client().members["log-keys.json"])["keys"] == [key.text for key in KEYS.keys]
    assert len(small_log()) == EVENTS
