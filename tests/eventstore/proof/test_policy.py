"""Trust policies: what the file says is what must have signed."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import BadSignature, MalformedProof, NotSigned, ProofError, QuorumMissed
from eventstore.proof.keys import Kind
from eventstore.proof.merkle import leaf_hash
from eventstore.proof.note import Note, SignatureLine, sign
from eventstore.proof.policy import Group, Witness
from eventstore.proof.policy_file import parse_policy
from eventstore.proof.signing_keys import SigningKey

LOG = SigningKey("log.example/a", Kind.LOG, bytes(32))
OTHER_LOG = SigningKey("log.example/b", Kind.LOG, b"b" * 32)
WITNESSES = {
    name: SigningKey(f"{name}.example", Kind.COSIGNER, name.encode() * 16) for name in ("x1", "x2", "x3", "y1", "y2")
}
X1 = WITNESSES["x1"].verifier.text
CHECKPOINT = Checkpoint("log.example/a", 3, leaf_hash(b""))
LOG_LINE = f"log {LOG.verifier.text}\n"
WITNESS_LINES = "".join(f"witness {name} {key.verifier.text}\n" for name, key in WITNESSES.items())
TWO_LEVELS = (
    "# two of ours, and one of theirs\n\n \t \n"
    + LOG_LINE
    + f"log\t{OTHER_LOG.verifier.text}   https://b.example/ \n"
    + WITNESS_LINES
    + "group xs 2 x1 x2 x3\n  group ys any y1 y2\ngroup both all xs ys\n   # the end\nquorum both\n"
)


def signed_by(*names: str) -> Note:
    """A checkpoint of the log, cosigned."""
    return sign(CHECKPOINT.text, [LOG, *(WITNESSES[name] for name in names)], 5)


def test_groups_within_groups() -> None:
    """Every subset of the witnesses is a quorum just when two of three and one of two are in it."""
    policy = parse_policy(TWO_LEVELS.encode())
    assert policy.logs == (LOG.verifier, OTHER_LOG.verifier)
    assert policy.members[b"xs"] == Group(2, (b"x1", b"x2", b"x3"))
    assert policy.members[b"y1"] == Witness(WITNESSES["y1"].verifier)
    for count in range(6):
        for names in itertools.combinations(WITNESSES, count):
            enough = sum(name[0] == "x" for name in names) >= 2 and any(name[0] == "y" for name in names)
            if enough:
                accepted = policy.accept(signed_by(*names))
                assert (accepted.checkpoint, accepted.log) == (CHECKPOINT, LOG.verifier)
                assert {one.key for one in accepted.witnesses} == {WITNESSES[name].verifier for name in names}
            else:
                with pytest.raises(QuorumMissed):
                    policy.accept(signed_by(*names))


def test_a_quorum_may_be_one_witness_or_none() -> None:
    """A witness by name must cosign; `none` asks for nobody."""
    one = parse_policy(f"{LOG_LINE}{WITNESS_LINES}quorum x1\n".encode())
    assert [signed.time for signed in one.accept(signed_by("x1")).witnesses] == [5]
    with pytest.raises(QuorumMissed):
        one.accept(signed_by("x2"))
    nobody = parse_policy(f"{LOG_LINE}quorum none\n".encode())
    assert nobody.accept(signed_by()).witnesses == ()
    assert nobody.quorum is None


def test_a_witness_counts_once_however_often_it_signs() -> None:
    """Two lines of one witness are not two witnesses."""
    policy = parse_policy(f"{LOG_LINE}{WITNESS_LINES}group g 2 x1 x2\nquorum g\n".encode())
    twice = (*signed_by("x1").lines, *sign(CHECKPOINT.text, [WITNESSES["x1"]], 9).lines)
    with pytest.raises(QuorumMissed):
        policy.accept(Note(CHECKPOINT.text, twice))


def test_a_key_of_one_log_does_not_sign_for_another() -> None:
    """The name of the key that counts is the checkpoint's origin."""
    policy = parse_policy(TWO_LEVELS.encode())
    text = Checkpoint("log.example/b", 3, leaf_hash(b"")).text
    with pytest.raises(NotSigned):
        policy.accept(sign(text, [LOG, *WITNESSES.values()], 5))
    assert policy.accept(sign(text, [OTHER_LOG, *WITNESSES.values()], 5)).log == OTHER_LOG.verifier


def test_a_false_cosignature_is_not_overlooked() -> None:
    """A known witness's line that is not its signature rejects the checkpoint, even where a quorum is there without it."""
    policy = parse_policy(TWO_LEVELS.encode())
    key = WITNESSES["x3"].verifier
    lines = (*signed_by("x1", "x2", "y1").lines, SignatureLine(key.name, key.id, bytes(72)))
    with pytest.raises(BadSignature):
        policy.accept(Note(CHECKPOINT.text, lines))


@pytest.mark.parametrize(
    "text",
    [
        "", "quorum none", "\n", LOG_LINE, "quorum x\n", "quorum none\nquorum none\n", "quorum\n", "quorum none none\n",
        "Quorum none\n", "quorum none\r\n", "quorum none\x0b\n", "quorum none\x7f\n", "log\u00a0x\nquorum none\n",
        "log x\nquorum none\n", "log\nquorum none\n", f"{LOG_LINE}{LOG_LINE}quorum none\n",
        f"{LOG_LINE.strip()} a b\nquorum none\n", f"log {X1}\nquorum none\n", f"witness w {LOG.verifier.text}\nquorum w\n",
        f"quorum x1\n{WITNESS_LINES}", f"witness none {X1}\nquorum none\n",
        *(
            f"{WITNESS_LINES}{lines}\n"
            for lines in (
                f"witness z {X1}\nquorum x1", "group x1 any x2\nquorum x1", "group g any\nquorum g",
                "group g any g\nquorum g", "group g any none\nquorum g", "group g 0 x1\nquorum g", "group g 2 x1\nquorum g",
                "group g 01 x1\nquorum g", "group g -1 x1\nquorum g", "group g most x1\nquorum g",
                "group g any x1 x1\nquorum g", "group g any x1\ngroup h any x1\nquorum h",
                "group g any h\ngroup h any x1\nquorum g",
            )
        ),
    ],
)  # fmt: skip
def test_what_is_no_policy(text: str) -> None:
    """Undefined, repeated and misspelt things are refused, never guessed."""
    with pytest.raises(MalformedProof):
        parse_policy(text.encode())


def test_names_are_bytes() -> None:
    """A name need not be text; two that look alike are two."""
    key, other = WITNESSES["x1"].verifier.text.encode(), WITNESSES["x2"].verifier.text.encode()
    policy = parse_policy(
        b"witness \xff\xfe " + key + b"\nwitness \xe2\x84\xaa " + other + b" u\xff\nquorum \xff\xfe\n"
    )
    assert set(policy.members) == {b"\xff\xfe", b"\xe2\x84\xaa"}
    assert policy.witnesses[b"\xe2\x84\xaa"].url == b"u\xff"


def test_the_line_of_a_mistake_is_named() -> None:
    """Who wrote the file finds the place."""
    with pytest.raises(MalformedProof, match=r"^line 3 of the policy: not a definition$"):
        parse_policy(b"# \n\nlogs x\nquorum none\n")


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_changed_policy_is_refused_or_is_another_policy(data: st.DataObject) -> None:
    """No change of a byte brings anything but the errors of the closed set."""
    whole = bytearray(TWO_LEVELS.encode())
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ProofError):
        parse_policy(bytes(whole)).accept(signed_by("x1", "x2", "y1"))
