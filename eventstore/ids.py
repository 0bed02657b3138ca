"""Identifiers: UUID version 7 (RFC 9562, section 5.7) drawn in bulk, and random ids."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

Entropy = Callable[[int], bytes]

SPAN = 100

# Byte → the byte with the version's or the variant's bits set (RFC 9562, sections 4.1 and 4.2).
_VERSION_4 = bytes(0x40 | byte & 0x0F for byte in range(256))
_VARIANT = bytes(0x80 | byte & 0x3F for byte in range(256))


def uuid7s(milliseconds: int, start: int, number: int, entropy: Entropy = os.urandom) -> list[str]:
    """`number` ids of the given Unix time; the 12 bits after the version count up from `start`, so that they ascend."""
    prefix = f"{milliseconds:012x}"
    prefix = f"{prefix[:8]}-{prefix[8:]}-7"
    pool = bytearray(entropy(8 * number))
    pool[0::8] = pool[0::8].translate(_VARIANT)
    tails = pool.hex()
    return [
        f"{prefix}{(start + i) & 0xFFF:03x}-{tails[16 * i : 16 * i + 4]}-{tails[16 * i + 4 : 16 * i + 16]}"
        for i in range(number)
    ]


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
            self._pool = self._drawn()
        return self._pool.pop()

    def _drawn(self) -> list[str]:
        pool = bytearray(self._entropy(16 * self._at_once))
        pool[6::16] = pool[6::16].translate(_VERSION_4)
        pool[8::16] = pool[8::16].translate(_VARIANT)
        h = pool.hex()
        return [
            f"{h[i : i + 8]}-{h[i + 8 : i + 12]}-{h[i + 12 : i + 16]}-{h[i + 16 : i + 20]}-{h[i + 20 : i + 32]}"
            for i in range(0, len(h), 32)
        ]


class TimedIds:
    """Version 7 ids, some drawn at a time: the time in one is at most `SPAN` milliseconds before it is given out.

    An index by such ids is written in one place. By random ones every write changes another page, and on a long log the
    first change of each after a checkpoint puts 8 KiB into the WAL.
    """

    def __init__(self, clock: Callable[[], float] = time.time, at_once: int = 64) -> None:
        self._clock = clock
        self._at_once = at_once
        self._milliseconds = 0
        self._drawn = 0
        self._pool: list[str] = []

    def __call__(self) -> str:
        now = int(self._clock() * 1000)
        if not self._pool or now - self._milliseconds > SPAN:
            self._pool = uuid7s(now, self._drawn, self._at_once)[::-1]
            self._milliseconds, self._drawn = now, self._drawn + self._at_once
        return self._pool.pop()
