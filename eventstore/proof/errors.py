"""The closed set of ways in which a proof is not accepted."""

from __future__ import annotations

from eventstore.errors import StoreError


class ProofError(StoreError):
    """Every refusal of this package; the message says what was found, never a secret."""


class MalformedProof(ProofError):
    """The bytes do not have the form that the format demands, so that nothing can be said about what they mean."""


class MalformedSignature(MalformedProof):
    """A line with a signature does not have the form of one; the text above it may be read all the same."""


class NotProven(ProofError):
    """The form is right, and what it should prove does not follow from it."""


class BadSignature(ProofError):
    """A signature that names a known key was not made by it."""


class NotSigned(ProofError):
    """No known key signed."""


class QuorumMissed(ProofError):
    """The log signed, and fewer witnesses cosigned than the policy demands."""


class NoLeaf(ProofError):
    """A row has no leaf: it would be longer than an entry of a tiled log, or something is null that never is. Fidelog did
    not write such a row."""


class SigningRefused(ProofError):
    """A checkpoint that may contradict one signed before; nothing was signed or written."""
