"""Which witnesses are asked for cosignatures, and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eventstore.proof.errors import MalformedProof
from eventstore.proof.keys import VerifierKey
from eventstore.proof.policy import Policy
from eventstore.proof.policy_file import MOST_BYTES, parse_policy


class WitnessingError(Exception):
    """The policy or an address cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Witnessing:
    """A trust policy, and the submission prefix of each witness that can be asked."""

    policy: Policy
    addresses: Mapping[VerifierKey, str]


def witnessing(path: Path, addresses: str) -> Witnessing:
    """From the policy's file and `name=URL` pairs, which go before the policy's own addresses. Raises WitnessingError."""
    policy = _policy(path)
    known = {name: witness.url.decode(errors="replace") for name, witness in policy.witnesses.items() if witness.url}
    for pair in addresses.split():
        given, sign, url = pair.partition("=")
        if not sign or given.encode() not in policy.witnesses:
            raise WitnessingError(f"FIDELOG_WITNESSES: {given} is no witness of the policy; write name=URL name=URL")
        known[given.encode()] = url
    for name, url in known.items():
        _check(name, url)
    reachable = {policy.witnesses[name].key: url.rstrip("/") for name, url in known.items()}
    if not policy.reached(reachable.keys()):
        without = ", ".join(name.decode(errors="replace") for name in policy.witnesses if name not in known)
        raise WitnessingError(
            f"FIDELOG_WITNESS_POLICY: the quorum cannot be reached, for {without} has no address; give it in "
            "FIDELOG_WITNESSES or in the policy"
        )
    return Witnessing(policy, reachable)


def _policy(path: Path) -> Policy:
    try:
        with path.open("rb") as file:
            return parse_policy(file.read(MOST_BYTES + 1))
    except OSError as error:
        raise WitnessingError(f"FIDELOG_WITNESS_POLICY: {path} cannot be read: {error.strerror}") from error
    except MalformedProof as error:
        raise WitnessingError(f"FIDELOG_WITNESS_POLICY: {path}: {error}") from None


def _check(name: bytes, url: str) -> None:
    import httpx  # takes longer than all of psycopg, and few are cosigned

    try:
        parsed = httpx.URL(url)
        sound = parsed.scheme in {"http", "https"} and parsed.host and not (parsed.query or parsed.fragment)
    except httpx.InvalidURL:
        sound = False
    if not sound:
        raise WitnessingError(f"the address of witness {name.decode(errors='replace')} is not an http or https URL")
