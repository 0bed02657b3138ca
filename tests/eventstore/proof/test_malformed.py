"""Whatever bytes come in, a reader gives its thing or an error of the closed set."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.proof import errors
from eventstore.proof.checkpoint import Checkpoint
from eventstore.proof.errors import MalformedProof, ProofError
from eventstore.proof.keys import VerifierKey
from eventstore.proof.merkle import verify_consistency, verify_inclusion
from eventstore.proof.note import Note, SignatureLine
from eventstore.proof.policy_file import parse_policy
from eventstore.proof.signing_keys import SigningKey
from eventstore.proof.strict import binary, decimal, hash_value, utf8
from eventstore.proof.tiles import Tile, entries_of, hashes_of
from eventstore.proof.tlog_proof import TlogProof
from eventstore.proof.witness_exchange import AddCheckpoint
from tests.eventstore.proof.vectors import own_json

SEEDS = own_json("proofs.json")
OF_TEXT: dict[str, tuple[Callable[[str], Any], list[str]]] = {
    "checkpoint": (Checkpoint.parse, ["a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"]),
    "line": (SignatureLine.parse, ["\u2014 name AAAAAAAA"]),
    "verifier key": (VerifierKey.parse, list(SEEDS["verifier_keys"].values())),
    "signing key": (SigningKey.parse, list(SEEDS["keys"].values())),
    "tile": (Tile.parse, ["tile/0/x001/000.p/7", "tile/entries/000"]),
    "decimal": (lambda text: decimal(text, "x"), ["120"]),
    "base64": (lambda text: binary(text, "x"), ["AAAA"]),
    "hash": (lambda text: hash_value(text, "x"), ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]),
}
OF_BYTES: dict[str, tuple[Callable[[bytes], Any], list[str]]] = {
    "note": (Note.parse, [SEEDS["checkpoint"]]),
    "proof": (TlogProof.parse, [SEEDS["proof"]]),
    "policy": (parse_policy, [SEEDS["policy"]]),
    "request": (AddCheckpoint.parse, [f"old 0\n\n{SEEDS['checkpoint']}"]),
    "bundle": (lambda data: entries_of(data, 2), ["\0\1x\0\2yz"]),
    "tile": (lambda data: hashes_of(data, 2), ["x" * 64]),
    "utf-8": (lambda data: utf8(data, "x"), ["ü"]),
}
PIECES = st.sampled_from(
    ["\n", "\n\n", " ", "+", "=", "\u2014 ", "old ", "index ", "extra ", "\0", "٣", "\ud800", "\u2028", "-1"]
)


@st.composite
def spoiled(draw: st.DrawFn, seeds: list[str]) -> str:
    """A good text of which a part was taken out, doubled or replaced; or any text."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
        part = draw(PIECES | st.text(max_size=3) | st.just(text[start:end] * 2) | st.just(""))
        text = text[:start] + part + text[end:]
    return text


@pytest.mark.parametrize("name", OF_TEXT)
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_readers_of_text_know_no_other_error(name: str, data: st.DataObject) -> None:
    """A spoiled text is refused as malformed."""
    reader, seeds = OF_TEXT[name]
    text = data.draw(spoiled(seeds) | st.text(max_size=20))
    with suppress(MalformedProof):
        reader(text)


@pytest.mark.parametrize("name", OF_BYTES)
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_readers_of_bytes_know_no_other_error(name: str, data: st.DataObject) -> None:
    """Spoiled bytes, text or not, are refused as malformed."""
    reader, seeds = OF_BYTES[name]
    text = spoiled(seeds).map(lambda one: one.encode(errors="surrogatepass"))
    with suppress(MalformedProof):
        reader(data.draw(text | st.binary(max_size=80)))


@settings(deadline=None)
@given(
    st.integers(-(2**65), 2**65),
    st.integers(-(2**65), 2**65),
    st.binary(max_size=33),
    st.binary(max_size=33),
    st.lists(st.binary(min_size=31, max_size=33), max_size=70),
)
def test_merkle_proofs_of_any_size_are_decided(
    one: int, two: int, first: bytes, second: bytes, proof: list[bytes]
) -> None:
    """Numbers beyond 64 bits, negative ones and hashes of any length end in an error of the closed set."""
    with pytest.raises(ProofError):
        verify_inclusion(first, one, two, proof, second)
    if one != two or first != second:
        with pytest.raises(ProofError):
            verify_consistency(one, two, first, second, proof)


def test_the_set_of_errors_is_closed() -> None:
    """Every error of the package is a ProofError, and each is told of in the module that has them all."""
    found = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, ProofError)}
    assert found == {
        "ProofError", "MalformedProof", "MalformedSignature", "NotProven", "BadSignature", "NotSigned", "QuorumMissed",
        "NoLeaf", "SigningRefused",
    }  # fmt: skip
