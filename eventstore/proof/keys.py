"""Keys of logs and witnesses: Ed25519, named, in the text forms of signed notes (c2sp.org/signed-note)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Protocol

from eventstore.proof import ed25519
from eventstore.proof.errors import BadSignature, MalformedProof
from eventstore.proof.strict import LARGEST, base64_text, binary

KEY_BYTES = 32
SIGNATURE_BYTES = 64
TIME_BYTES = 8
_KEY = re.compile(r"(?P<name>[^+]+)\+(?P<id>[0-9a-f]{8})\+(?P<key>.+)", re.DOTALL)


class Kind(IntEnum):
    """What a key signs, which is the byte that says so in its id. Others exist and are not read here."""

    LOG = 0x01
    """Ed25519 over the text."""
    COSIGNER = 0x04
    """Ed25519 over the time and the text (c2sp.org/tlog-cosignature, `cosignature/v1`)."""


def check_name(name: str) -> None:
    """A key's name is not empty and has no white space, `+` or control character. Raises MalformedProof."""
    if not name or "+" in name or any(sign.isspace() or sign < " " for sign in name):
        raise MalformedProof("not the name of a key")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise MalformedProof("the name of a key is not Unicode text") from None


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The four bytes that name a key in a signature."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


@dataclass(frozen=True)
class VerifierKey:
    """The public half: who is trusted under which name."""

    name: str
    kind: Kind
    public: bytes

    def __post_init__(self) -> None:
        """Raises MalformedProof."""
        check_name(self.name)
        if len(self.public) != KEY_BYTES:
            raise MalformedProof(f"an Ed25519 key has {KEY_BYTES} bytes, not {len(self.public)}")

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """A key from `<name>+<id>+<base64>`. Raises MalformedProof, also when the id is not the key's."""
        name, id_, kind, public = key_parts(text)
        key = cls(name, kind, public)
        if key.id != id_:
            raise MalformedProof("the id in the verifier key is another key's")
        return key

    @cached_property
    def id(self) -> bytes:
        """Four bytes; they name the key together with its name."""
        return key_id(self.name, self.kind, self.public)

    @property
    def text(self) -> str:
        """The key as one word."""
        return f"{self.name}+{self.id.hex()}+{base64_text(bytes([self.kind]) + self.public)}"

    def verify(self, text: str, signature: bytes) -> int | None:
        """The signature is this key's over the note's text. Gives a cosignature's time in seconds since 1970, else
        None. Raises BadSignature."""
        time = None
        signed = text.encode()
        if self.kind is Kind.COSIGNER:
            time = int.from_bytes(signature[:TIME_BYTES], "big")
            signature = signature[TIME_BYTES:]
            signed = cosigned(text, time)
        if len(signature) != SIGNATURE_BYTES or (time or 0) > LARGEST:
            raise BadSignature(f"the signature of {self.name} has not the form of its kind")
        if not ed25519.verified(self.public, signed, signature):
            raise BadSignature(f"the signature in the name of {self.name} was not made by its key")
        return time


class Signer(Protocol):
    """A key that signs, wherever it is kept: a file, or a service that never gives it away."""

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""

    def sign(self, text: str, time: int) -> bytes:
        """The signature over a note's text; `time` is in seconds since 1970 and stands in cosignatures only."""


def cosigned(text: str, time: int) -> bytes:
    """What a cosigner signs for a checkpoint's text."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def key_parts(text: str) -> tuple[str, bytes, Kind, bytes]:
    """Name, id, kind and the 32 bytes of a key in the form `<name>+<id>+<base64>`. Raises MalformedProof."""
    found = _KEY.fullmatch(text)
    if found is None:
        raise MalformedProof("not a key in its text form")
    check_name(found["name"])
    data = binary(found["key"], "the key")
    if len(data) != 1 + KEY_BYTES or data[0] not in set(Kind):
        raise MalformedProof("the key is not of a kind that is known here (Ed25519, as a log's or a cosigner's)")
    return found["name"], bytes.fromhex(found["id"]), Kind(data[0]), data[1:]
