"""Signed notes (c2sp.org/signed-note): a text, and lines that say who signed it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from eventstore.proof.errors import MalformedProof, MalformedSignature, NotSigned
from eventstore.proof.keys import Signer, VerifierKey, check_name
from eventstore.proof.strict import base64_text, binary, utf8

MOST_BYTES = 1_000_000
MOST_SIGNATURES = 100
_ID_BYTES = 4
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DASH = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """Who signed, and the signature; whether it is true is not known yet."""

    name: str
    key_id: bytes
    signature: bytes

    @classmethod
    def parse(cls, line: str) -> SignatureLine:
        """From a line without its end. Raises MalformedSignature."""
        if not line.startswith(_DASH):
            raise MalformedSignature("not a line with a signature")
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            check_name(name)
            blob = binary(encoded, "a signature")
        except MalformedProof as error:
            raise MalformedSignature(str(error)) from None
        if len(blob) <= _ID_BYTES:
            raise MalformedSignature("a signature is too short")
        return cls(name, blob[:_ID_BYTES], blob[_ID_BYTES:])

    @classmethod
    def made_by(cls, signer: Signer, text: str, time: int) -> SignatureLine:
        """Sign a note's text; `time` stands in cosignatures only."""
        return cls(signer.verifier.name, signer.verifier.id, signer.sign(text, time))

    @property
    def text(self) -> str:
        """The line with its end."""
        return f"{_DASH}{self.name} {base64_text(self.key_id + self.signature)}\n"


class Signed(NamedTuple):
    """A key that did sign; the time of a cosignature in seconds since 1970, else None."""

    key: VerifierKey
    time: int | None


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a line feed, and its signatures."""

    text: str
    lines: tuple[SignatureLine, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """A note as it is served or stored. Nothing of it is to be believed before `signers`. Raises MalformedProof."""
        if len(data) > MOST_BYTES:
            raise MalformedProof(f"the note has {len(data)} bytes, {MOST_BYTES} at most")
        whole = utf8(data, "the note")
        if _CONTROL.search(whole):
            raise MalformedProof("the note has a control character")
        before, separator, after = whole.rpartition("\n\n")
        if not separator or not after.endswith("\n"):
            raise MalformedProof("the note has no lines with signatures")
        return cls(before + "\n", tuple(parse_lines(after)))

    @property
    def data(self) -> bytes:
        """The note's bytes."""
        return (self.text + "\n" + "".join(line.text for line in self.lines)).encode()

    def signers(self, known: Iterable[VerifierKey]) -> list[Signed]:
        """Which of the known keys signed, each once. Lines of other keys count for nothing.

        Raises BadSignature when a known key's line is not its signature, NotSigned when there is no known key's.
        """
        keys = {(key.name, key.id): key for key in known}
        found: dict[VerifierKey, Signed] = {}
        for line in self.lines:
            key = keys.get((line.name, line.key_id))
            if key is not None:
                found.setdefault(key, Signed(key, key.verify(self.text, line.signature)))
        if not found:
            raise NotSigned("the note has no signature of a known key")
        return list(found.values())


def parse_lines(text: str) -> list[SignatureLine]:
    """Lines with signatures, each ended by a line feed; at least one. Raises MalformedProof."""
    if not text.endswith("\n"):
        raise MalformedProof("the last line with a signature has no end")
    lines = text[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise MalformedProof(f"the note has {len(lines)} signatures, {MOST_SIGNATURES} at most")
    return [SignatureLine.parse(line) for line in lines]


def sign(text: str, signers: Sequence[Signer], time: int = 0) -> Note:
    """A note signed by each of the signers in turn. ValueError when the text cannot be a note's."""
    if not text.endswith("\n") or _CONTROL.search(text):
        raise ValueError("a note's text ends in a line feed and has no other control character")
    return Note(text, tuple(SignatureLine.made_by(signer, text, time) for signer in signers))
