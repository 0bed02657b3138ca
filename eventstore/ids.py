"""Identifiers: UUID version 7 (RFC 9562, section 5.7) drawn in bulk, and random ids."""

from __future__ import annotations

import os
from collections.abc import Callable

Entropy = Callable[[int], bytes]


def uuid7s(milliseconds: int, start: int, number: int, entropy: Entropy = os.urandom) -> list[str]:
    """`number` ids of the given Unix time; the 12 bits after the version count up from `start`, so that they ascend."""
    prefix = f"{milliseconds:012x}"
    pool = entropy(8 * number).hex()
    ids = []
    for i in range(number):
        tail = pool[16 * i : 16 * i + 16]
        variant = "89ab"[int(tail[0], 16) & 3]
        ids.append(f"{prefix[:8]}-{prefix[8:]}-7{(start + i) & 0xFFF:03x}-{variant}{tail[1:4]}-{tail[4:16]}")
    return ids


class Randomness:
    """Random bytes from the operating system, drawn many at a time: a system call each would cost more than their use."""

    def __init__(self, entropy: Entropy = os.urandom, at_once: int = 4096) -> None:
        self._entropy = entropy
        self._at_once = at_once
        self._pool = b""
        self._used = 0

    def __call__(self, number: int) -> bytes:
        end = self._used + number
        if end > len(self._pool):
            self._pool, self._used, end = self._entropy(max(self._at_once, number)), 0, number
        taken = self._pool[self._used : end]
        self._used = end
        return taken


class RandomIds:
    """Version 4 ids, their randomness drawn for many at a time (a system call each would cost more than the id)."""

    def __init__(self, entropy: Entropy = os.urandom, at_once: int = 256) -> None:
        self._entropy = entropy
        self._at_once = at_once
        self._pool: list[str] = []

    def __call__(self) -> str:
        if not self._pool:
            text = self._entropy(16 * self._at_once).hex()
            self._pool = [text[i : i + 32] for i in range(0, len(text), 32)]
        h = self._pool.pop()
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"
