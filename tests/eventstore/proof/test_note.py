"""Signed notes: public vectors, and what makes a note no note."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.errors import BadSignature, MalformedProof, NotSigned, ProofError
from eventstore.proof.keys import Kind, VerifierKey
from eventstore.proof.note import MOST_SIGNATURES, Note, SignatureLine, sign
from eventstore.proof.signing_keys import SigningKey
from tests.eventstore.proof.vectors import shared_json

LOG = SigningKey("log.example/a", Kind.LOG, bytes(range(32)))
WITNESS = SigningKey("witness.example/b", Kind.COSIGNER, bytes(range(1, 33)))
TEXT = "log.example/a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"


def vectors() -> Any:
    """The vectors of Go's notes and of the C2SP text."""
    return shared_json("golang-sumdb-note/notes.json")


def test_signing_gives_the_bytes_of_the_vector() -> None:
    """Ed25519 is deterministic: the note is byte for byte the public one, and the keys are read and written alike."""
    case = vectors()["signing"]
    key = SigningKey.parse(case["skey"])
    assert key.verifier == VerifierKey.parse(case["vkey"])
    assert (key.secret_text, key.verifier.text) == (case["skey"], case["vkey"])
    assert sign(case["text"], [key]).data == case["want_note"].encode()


def test_the_valid_notes() -> None:
    """Each known key's signature counts once, each other line for nothing."""
    for case in vectors()["valid"]:
        data = case["note"].encode()
        note = Note.parse(data)
        assert note.data == data, case["desc"]
        signed = note.signers(map(VerifierKey.parse, case["vkeys"]))
        assert [one.key.name for one in signed] == case["verified"], case["desc"]


def test_notes_that_nobody_known_signed() -> None:
    """A note is worth nothing without a known key's signature."""
    for case in vectors()["unverifiable"]:
        with pytest.raises(NotSigned):
            Note.parse(case["note"].encode()).signers(map(VerifierKey.parse, case["vkeys"]))


def test_a_known_key_that_did_not_sign_spoils_the_note() -> None:
    """A false line in a known name rejects the note."""
    for case in vectors()["invalid_signature"]:
        with pytest.raises((BadSignature, MalformedProof)):
            Note.parse(case["note"].encode()).signers(map(VerifierKey.parse, case["vkeys"]))


def test_the_malformed_notes() -> None:
    """None of the broken forms is read."""
    line = vectors()["valid"][0]["note"].partition("\n\n")[2]
    for case in vectors()["malformed_b64"]:
        data = base64.b64decode(case["note_b64"]) if "note_b64" in case else f"text\n\n{line * 101}".encode()
        with pytest.raises(MalformedProof):
            Note.parse(data)


def test_bad_verifier_keys() -> None:
    """No part of a key is a key, nor is it with one byte changed."""
    good = vectors()["signing"]["vkey"]
    bad = {good[start:end] for start in range(len(good)) for end in range(start, len(good) + 1)} - {good}
    bad |= {good[:place] + chr(ord(good[place]) + 1) + good[place + 1 :] for place in range(len(good))}
    for text in [*bad, *vectors()["bad_vkeys"]]:
        with pytest.raises(MalformedProof):
            VerifierKey.parse(text)


def test_edge_cases_of_ed25519_are_decided_as_before() -> None:
    """Of 914 unusual signatures the library accepts 208: a change of that number is to be looked at, not an error."""
    accepted = 0
    for case in shared_json("c2sp-cctv-ed25519/ed25519vectors.json"):
        try:
            VerifierKey("x", Kind.LOG, bytes.fromhex(case["key"])).verify(case["msg"], bytes.fromhex(case["sig"]))
            accepted += 1
        except BadSignature:
            pass
    assert accepted == 208


def test_the_text_ends_at_the_last_empty_line() -> None:
    """A text may have empty lines, and lines that look like signatures."""
    forged = SignatureLine.made_by(LOG, "other\n", 0).text
    text = f"first\n\n{forged}\n\nlast\n"
    note = Note.parse(sign(text, [LOG]).data)
    assert note.text == text
    assert [one.key for one in note.signers([LOG.verifier])] == [LOG.verifier]


def test_name_and_id_must_both_be_known() -> None:
    """A line with a known name and another id, or the reverse, is another key's."""
    note = sign(TEXT, [LOG])
    (line,) = note.lines
    for other in (SignatureLine("log.example/b", line.key_id, b"x"), SignatureLine(line.name, b"none", b"x")):
        with pytest.raises(NotSigned):
            Note(TEXT, (other,)).signers([LOG.verifier])
        assert len(Note(TEXT, (other, line)).signers([LOG.verifier])) == 1
    with pytest.raises(BadSignature):
        Note(TEXT, (SignatureLine(line.name, line.key_id, b"x"),)).signers([LOG.verifier])


def test_a_second_false_line_of_a_known_key_is_not_overlooked() -> None:
    """Every line that names a known key must be true, also after one that is."""
    (line,) = sign(TEXT, [LOG]).lines
    with pytest.raises(BadSignature):
        Note(TEXT, (line, SignatureLine(line.name, line.key_id, bytes(64)))).signers([LOG.verifier])


def test_a_cosignature_binds_its_time() -> None:
    """The time is signed; another time, or the log's way of signing, is not accepted of a cosigner."""
    note = sign(TEXT, [WITNESS], 1_800_000_000)
    assert [one.time for one in note.signers([WITNESS.verifier])] == [1_800_000_000]
    (line,) = note.lines
    later = SignatureLine(line.name, line.key_id, (1_800_000_001).to_bytes(8, "big") + line.signature[8:])
    beyond = SignatureLine(line.name, line.key_id, b"\xff" * 8 + line.signature[8:])
    for changed in (later, beyond, SignatureLine(line.name, line.key_id, line.signature[8:])):
        with pytest.raises(BadSignature):
            Note(TEXT, (changed,)).signers([WITNESS.verifier])
    as_log = SigningKey(WITNESS.verifier.name, Kind.LOG, bytes(range(1, 33)))
    assert as_log.verifier.public == WITNESS.verifier.public
    assert as_log.verifier.id != WITNESS.verifier.id


@pytest.mark.parametrize("count", [16, MOST_SIGNATURES])
def test_many_signatures_are_accepted(count: int) -> None:
    """At least the 16 that the text demands, and no more than the limit."""
    (line,) = sign(TEXT, [LOG]).lines
    others = [SignatureLine(f"other{number}", b"1234", b"x") for number in range(count - 1)]
    assert len(Note.parse(Note(TEXT, (*others, line)).data).signers([LOG.verifier])) == 1


@pytest.mark.parametrize(
    "bad",
    [
        "\u2014 a b\n", "\u2014 a\n", "\u2014  AAAAAAA=\n", "- a AAAAAAA=\n", "\u2014 a+b AAAAAAA=\n", "\u2014 a AAAAAA==\n",
        "\u2014 a AAAAAAA\n", "\u2014 a AAAAAAB=\n", "\u2014 a AAAAAAA= \n", "\u2014 a AAAA AAA=\n", "\u2014\u00a0a AAAAAAA=\n",
        "\u2014 a\u2003b AAAAAAA=\n", "\u2014 a\u2028b AAAAAAA=\n", "\u2014 a\u0085b AAAAAAA=\n", "\u2014 a AAAAAAA=\r\n",
        "\u2014 a AAAAAAA=\n\n", "\u2014 a AAAA\x0bAAA=\n", "\u2014 a AA-_AAA=\n", "", "\n",
    ],
)  # fmt: skip
def test_lines_that_are_no_signatures(bad: str) -> None:
    """One line that is not of the form, and the note is none."""
    with pytest.raises(MalformedProof):
        Note.parse((TEXT + "\n" + bad).encode())


def test_what_splits_lines_elsewhere_does_not_split_them_here() -> None:
    """A text may hold U+2028 and U+0085, which many programs take for line ends."""
    text = "one\u2028two\u0085three\n"
    assert Note.parse(sign(text, [LOG]).data).text == text


@pytest.mark.parametrize("text", ["", "no end", "tab\t\n", "carriage\r\n"])
def test_only_a_text_of_a_note_is_signed(text: str) -> None:
    """What could not be read back is not signed."""
    with pytest.raises(ValueError, match="line feed"):
        sign(text, [LOG])


def test_a_note_has_a_largest_size() -> None:
    """A megabyte and more is not looked at."""
    with pytest.raises(MalformedProof, match="1000000 at most"):
        Note.parse(b"x" * 1_000_001)


@settings(deadline=None)
@given(st.data())
def test_no_change_of_a_signed_text_is_overlooked(data: st.DataObject) -> None:
    """One bit changed anywhere in a note is refused, or in a line of nobody known."""
    whole = bytearray(sign(TEXT, [LOG, WITNESS], 1_800_000_000).data)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    try:
        note = Note.parse(bytes(whole))
        signed = note.signers([LOG.verifier, WITNESS.verifier])
    except ProofError:
        return
    assert len(signed) == 1  # the other's line has become a stranger's
    assert note.text == TEXT


@settings(deadline=None)
@given(st.text(max_size=30))
def test_every_name_is_a_keys_name_or_is_refused(name: str) -> None:
    """A name that is taken can be written into a note and read back."""
    try:
        key = SigningKey(name, Kind.LOG, bytes(32))
    except MalformedProof:
        return
    assert VerifierKey.parse(key.verifier.text) == key.verifier
    assert SigningKey.parse(key.secret_text).verifier == key.verifier
    assert Note.parse(sign(TEXT, [key]).data).signers([key.verifier])
