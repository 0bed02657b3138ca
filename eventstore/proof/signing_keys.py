"""Private keys of logs and witnesses in memory, and their text form (that of Go's signed notes)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from eventstore.proof.errors import MalformedProof
from eventstore.proof.keys import KEY_BYTES, TIME_BYTES, Kind, VerifierKey, cosigned, key_parts
from eventstore.proof.strict import base64_text

_FIRST = "PRIVATE+KEY+"


class SigningKey:
    """A private key in memory."""

    def __init__(self, name: str, kind: Kind, seed: bytes) -> None:
        """`seed` is 32 random bytes. Raises MalformedProof."""
        if len(seed) != KEY_BYTES:
            raise MalformedProof(f"an Ed25519 key has {KEY_BYTES} bytes, not {len(seed)}")
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, kind, self._private.public_key().public_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """A key from `PRIVATE+KEY+<name>+<id>+<base64>`. Raises MalformedProof, whose message holds none of it."""
        if not text.startswith(_FIRST):
            raise MalformedProof("not a signing key")
        name, id_, kind, seed = key_parts(text.removeprefix(_FIRST))
        key = cls(name, kind, seed)
        if key.verifier.id != id_:
            raise MalformedProof("the id in the signing key is another key's")
        return key

    @property
    def secret_text(self) -> str:
        """The key as one word, to be kept in a file that nobody else can read."""
        verifier = self.verifier
        return f"{_FIRST}{verifier.name}+{verifier.id.hex()}+{base64_text(bytes([verifier.kind]) + self._seed)}"

    def sign(self, text: str, time: int = 0) -> bytes:
        """The signature over a note's text, for a cosigner with the time before it."""
        if self.verifier.kind is Kind.COSIGNER:
            return time.to_bytes(TIME_BYTES, "big") + self._private.sign(cosigned(text, time))
        return self._private.sign(text.encode())
