"""The witness: what it answers to each request, and what a log makes of that."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import BadSignature, MalformedProof, NotSigned
from eventstore.proof.keys import Kind, VerifierKey
from eventstore.proof.merkle import EMPTY_ROOT, leaf_hash
from eventstore.proof.merkle_paths import MemoryTree, consistency_proof
from eventstore.proof.note import Note, SignatureLine, sign
from eventstore.proof.signing_keys import SigningKey
from eventstore.proof.witness_exchange import PLAIN, SIZE, AddCheckpoint, Answer, answer, with_cosignatures
from tests.eventstore.proof.vectors import shared_json

ORIGIN = "log.example/a"
LOG = SigningKey(ORIGIN, Kind.LOG, bytes(range(32)))
STRANGER = SigningKey(ORIGIN, Kind.LOG, b"s" * 32)
WITNESS = SigningKey("example.com/witness", Kind.COSIGNER, bytes(range(1, 33)))
TREE = MemoryTree(leaf_hash(bytes([number])) for number in range(20))
OTHER = MemoryTree(leaf_hash(bytes([number, 1])) for number in range(20))
TIME = 1_800_000_000


class Store:
    """A witness and what it keeps: the latest checkpoint of each log."""

    def __init__(self, logs: dict[str, list[VerifierKey]]) -> None:
        self._logs = logs
        self._kept: dict[str, Checkpoint] = {}

    def ask(self, body: bytes) -> Answer:
        """One request."""
        answered = answer(body, self._logs, self._kept.get, [WITNESS], TIME)
        assert (answered.status == 200) == (answered.store is not None)
        if answered.store is not None:
            checkpoint = Checkpoint.parse(answered.store.text)
            assert checkpoint.size >= self.size(checkpoint.origin)
            self._kept[checkpoint.origin] = checkpoint
        return answered

    def size(self, origin: str = ORIGIN) -> int:
        """The size of the latest checkpoint."""
        return self._kept[origin].size if origin in self._kept else 0


def store() -> Store:
    """A witness that has seen nothing."""
    return Store({ORIGIN: [LOG.verifier]})


def request(
    old: int, new: int, tree: MemoryTree = TREE, key: SigningKey = LOG, proof: Iterable[bytes] | None = None
) -> bytes:
    """A request for the tree of `new` leaves."""
    note = sign(Checkpoint(ORIGIN, new, tree.root(new)).text, [key])
    if proof is None:
        proof = consistency_proof(old, new, tree.node) if 0 < old <= new else []
    return AddCheckpoint(old, tuple(proof), note).body


def test_the_public_exchange() -> None:
    """Nine requests in a row get the stated answers; a log that is unknown is not found, as the text has it since."""
    vectors = shared_json("torchwood-witness/add_checkpoint.json")
    origin = vectors["cases"][0]["request"].split("\n")[2]
    key = VerifierKey(origin, Kind.LOG, bytes.fromhex(vectors["log_ed25519_public_key_hex"]))
    witness = Store({origin: [key]})
    for case in vectors["cases"]:
        unknown = case.get("body_contains") == "unknown log"
        answered = witness.ask(case["request"].encode())
        assert answered.status == (404 if unknown else case["status"])
        assert case.get("body_contains", "") in answered.body.decode()
        assert case.get("body_equals", answered.body.decode()) == answered.body.decode()
        if answered.status == 200:
            note = AddCheckpoint.parse(case["request"].encode()).note
            cosigned = with_cosignatures(note, answered.body, [WITNESS.verifier])
            assert [one.time for one in cosigned.signers([WITNESS.verifier])] == [TIME]


def test_a_log_that_grows_is_cosigned_each_time() -> None:
    """From nothing, by one, by many, and not at all."""
    witness = store()
    for old, new in [(0, 0), (0, 1), (1, 2), (2, 9), (9, 9), (9, 20)]:
        answered = witness.ask(request(old, new))
        assert (answered.status, answered.content_type) == (200, PLAIN)
        assert witness.size() == new


def test_the_size_that_was_cosigned_is_told() -> None:
    """Another old size is a conflict, whose body is the size to begin from; with it the same checkpoint passes."""
    witness = store()
    witness.ask(request(0, 5))
    for old in (0, 3, 7):
        answered = witness.ask(request(old, 9))
        assert (answered.status, answered.content_type, answered.body) == (409, SIZE, b"5\n")
    assert witness.ask(request(5, 9)).status == 200
    assert store().ask(request(3, 9)).body == b"0\n"


def test_two_histories_are_not_cosigned() -> None:
    """A split view, the same size with another root, and a shrunken log are all refused; the state stays."""
    witness = store()
    witness.ask(request(0, 5))
    forged = consistency_proof(5, 9, OTHER.node)
    for bad in (request(5, 9, OTHER, proof=forged), request(5, 5, OTHER), request(5, 9, OTHER, proof=[])):
        answered = witness.ask(bad)
        assert (answered.status, answered.body.startswith(b"consistency proof")) == (422, True)
    assert witness.ask(request(5, 3)).status == 400
    assert witness.size() == 5


def test_nothing_is_proven_of_an_empty_tree() -> None:
    """A proof from size 0, an empty tree with a root, and a proof between equal sizes are not processed."""
    assert store().ask(request(0, 5, proof=[bytes(32)])).status == 422
    empty = sign(Checkpoint(ORIGIN, 0, leaf_hash(b"")).text, [LOG])
    assert store().ask(AddCheckpoint(0, (), empty).body).status == 422
    assert Checkpoint(ORIGIN, 0, EMPTY_ROOT).text.encode() in request(0, 0)
    witness = store()
    witness.ask(request(0, 5))
    assert witness.ask(request(5, 5, proof=[bytes(32)])).status == 422


def test_who_may_ask() -> None:
    """An unknown origin is not found; a known one that somebody else signed is forbidden."""
    assert Store({}).ask(request(0, 5)).status == 404
    answered = store().ask(request(0, 5, key=STRANGER))
    assert (answered.status, answered.body.startswith(b"invalid signature")) == (403, True)
    (line,) = sign("x\n", [LOG]).lines
    forged = Note(Checkpoint(ORIGIN, 5, TREE.root(5)).text, (line,))
    assert store().ask(AddCheckpoint(0, (), forged).body).status == 403


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"old 0", b"old 00"), lambda body: body.replace(b"old 0", b"old -1"),
        lambda body: body.replace(b"old 0", b"0"), lambda body: body.replace(b"old 0\n", b"old 0\r\n"),
        lambda body: body.replace(b"old 0\n", b"old 0\nAAAA\n"), lambda body: body[:-1], lambda _body: b"",
        lambda body: body.replace(b"old 0\n", b"old 0\n" + b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n" * 64),
        lambda body: body.replace(b"\n5\n", b"\n05\n"), lambda body: body + b"x" * (1 << 17), lambda body: b"\xff" + body,
    ],
)  # fmt: skip
def test_what_is_no_request(change: object) -> None:
    """A request that is not of the form is bad, and nothing is stored."""
    assert callable(change)
    answered = store().ask(change(request(0, 5)))
    assert (answered.status, answered.store) == (400, None)


def test_a_new_cosignature_takes_the_old_ones_place() -> None:
    """The checkpoint keeps the log's line and one line of each witness, the newest; strangers' lines are left out."""
    note = sign(Checkpoint(ORIGIN, 5, TREE.root(5)).text, [LOG])
    stranger = SigningKey("stranger.example", Kind.COSIGNER, b"x" * 32)
    for time in (7, 9):
        body = "".join(SignatureLine.made_by(key, note.text, time).text for key in (stranger, WITNESS))
        note = with_cosignatures(note, body.encode(), [WITNESS.verifier])
    assert [line.name for line in note.lines] == [ORIGIN, WITNESS.verifier.name]
    assert [one.time for one in note.signers([WITNESS.verifier])] == [9]


def test_an_answer_that_does_not_cosign_changes_nothing() -> None:
    """Another text's cosignature, a stranger's, and no line at all are told apart."""
    note = sign(Checkpoint(ORIGIN, 5, TREE.root(5)).text, [LOG])
    other = SignatureLine.made_by(WITNESS, "other\n", 7).text.encode()
    with pytest.raises(BadSignature):
        with_cosignatures(note, other, [WITNESS.verifier])
    with pytest.raises(NotSigned):
        with_cosignatures(note, other, [])
    with pytest.raises(NotSigned):  # a log's key does not cosign
        with_cosignatures(note, note.lines[0].text.encode(), [LOG.verifier])
    for body in (b"", b"\n", b"\xff\n", other[:-1], other + b"\n", b"x" * (1 << 18)):
        with pytest.raises(MalformedProof):
            with_cosignatures(note, body, [WITNESS.verifier])


@settings(deadline=None)
@given(st.data())
def test_a_changed_request_gets_an_answer_and_never_a_cosignature_of_something_else(data: st.DataObject) -> None:
    """Whatever byte is changed, the answer is one of the protocol's; a cosignature is only of the log's own text."""
    witness = store()
    witness.ask(request(0, 5))
    body = bytearray(request(5, 9))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    answered = witness.ask(bytes(body))
    assert answered.status in {200, 400, 403, 404, 409, 422}
    if answered.store is not None:
        assert answered.store.text == Checkpoint(ORIGIN, 9, TREE.root(9)).text
