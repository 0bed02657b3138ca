"""The file that a trust policy is written in (c2sp.org/tlog-policy): one definition a line."""

from __future__ import annotations

import re

from eventstore.proof.errors import MalformedProof
from eventstore.proof.keys import Kind, VerifierKey
from eventstore.proof.policy import Group, Policy, Witness
from eventstore.proof.strict import utf8

MOST_BYTES = 1_000_000
MOST_MEMBERS = 1_000
"""Logs, witnesses and groups together."""
_FORBIDDEN = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
_THRESHOLD = re.compile(rb"[1-9][0-9]{0,3}")


def parse_policy(data: bytes) -> Policy:
    """The policy of a file. Raises MalformedProof, which names the line."""
    if len(data) > MOST_BYTES:
        raise MalformedProof(f"the policy has {len(data)} bytes, {MOST_BYTES} at most")
    if _FORBIDDEN.search(data):
        raise MalformedProof("the policy has a control character")
    if not data.endswith(b"\n"):
        raise MalformedProof("the policy's last line has no end")
    reader = _Reader()
    for number, line in enumerate(data[:-1].split(b"\n"), 1):
        words = line.replace(b"\t", b" ").split(b" ")
        words = [word for word in words if word]
        if words and not words[0].startswith(b"#"):
            try:
                reader.line(words)
            except MalformedProof as error:
                raise MalformedProof(f"line {number} of the policy: {error}") from None
    return reader.policy()


class _Reader:
    """What the lines so far have defined."""

    def __init__(self) -> None:
        self._logs: list[VerifierKey] = []
        self._members: dict[bytes, Witness | Group] = {}
        self._grouped: set[bytes] = set()
        self._quorums: list[bytes] = []

    def line(self, words: list[bytes]) -> None:
        """One line with something on it."""
        match words:
            case [b"log", key] | [b"log", key, _]:
                self._log(_key(key, Kind.LOG))
            case [b"witness", name, key]:
                self._witness(name, Witness(_key(key, Kind.COSIGNER)))
            case [b"witness", name, key, url]:
                self._witness(name, Witness(_key(key, Kind.COSIGNER), url))
            case [b"group", name, threshold, *members] if members:
                self._group(name, threshold, members)
            case [b"quorum", name]:
                if name != b"none" and name not in self._members:
                    raise MalformedProof("the quorum is not defined before")
                self._quorums.append(name)
            case _:
                raise MalformedProof("not a definition")
        if len(self._logs) + len(self._members) > MOST_MEMBERS:
            raise MalformedProof(f"more than {MOST_MEMBERS} definitions")

    def _log(self, key: VerifierKey) -> None:
        if any(key.public == known.public for known in self._logs):
            raise MalformedProof("the log's key was given before")
        self._logs.append(key)

    def _witness(self, name: bytes, witness: Witness) -> None:
        for known in self._members.values():
            if isinstance(known, Witness) and known.key.public == witness.key.public:
                raise MalformedProof("the witness's key was given before")
        self._define(name, witness)

    def _group(self, name: bytes, threshold: bytes, members: list[bytes]) -> None:
        """Each name is in one group at most, once, so that no witness counts twice."""
        if not all(member in self._members for member in members):
            raise MalformedProof("a member is not defined before")
        if len(set(members)) != len(members) or self._grouped & set(members):
            raise MalformedProof("a member is in a group already")
        number = {b"all": len(members), b"any": 1}.get(threshold)
        if number is None:
            if not _THRESHOLD.fullmatch(threshold) or int(threshold) > len(members):
                raise MalformedProof("the threshold is not a number from 1 to that of the members")
            number = int(threshold)
        self._define(name, Group(number, tuple(members)))
        self._grouped.update(members)

    def _define(self, name: bytes, member: Witness | Group) -> None:
        if name == b"none" or name in self._members:
            raise MalformedProof("the name is taken")
        self._members[name] = member

    def policy(self) -> Policy:
        """The whole."""
        if len(self._quorums) != 1:
            raise MalformedProof(f"the policy has {len(self._quorums)} quorum lines, not one")
        quorum = self._quorums[0]
        return Policy(tuple(self._logs), self._members, None if quorum == b"none" else quorum)


def _key(word: bytes, kind: Kind) -> VerifierKey:
    key = VerifierKey.parse(utf8(word, "the key"))
    if key.kind is not kind:
        raise MalformedProof("the key is of a kind that is not for this")
    return key
