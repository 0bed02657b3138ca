"""Ed25519 signatures checked (RFC 8032), also where nothing but Python is installed."""

from __future__ import annotations

import hashlib

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:  # an auditor's machine: an export's own verifier runs on bare Python
    Ed25519PublicKey = None  # type: ignore[assignment, misc]  # the one way to say that it is not there

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int, int, int]
"""Extended coordinates (X, Y, Z, T): x = X / Z, y = Y / Z, x × y = T / Z."""
_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_Y = 4 * pow(5, -1, _P) % _P
_BASE: _Point = (_X, _Y, 1, _X * _Y % _P)


def verified(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature of 64 bytes over the message was made by the key of 32 bytes."""
    if Ed25519PublicKey is None:
        return verified_plainly(public, message, signature)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verified_plainly(public: bytes, message: bytes, signature: bytes) -> bool:
    """The same with the standard library alone, some milliseconds each. It decides every odd case as OpenSSL does."""
    key = _point(public)
    if key is None or len(signature) != 64:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    x, y, z, t = key
    found = _times_and_times(scalar, _BASE, challenge, (-x % _P, y, z, -t % _P))
    return _bytes(found) == signature[:32]


def _point(data: bytes) -> _Point | None:
    """The point of 32 bytes: y, and the lowest bit of x in the highest of the last byte."""
    if len(data) != 32:
        return None
    number = int.from_bytes(data, "little")
    y, odd = number % 2**255 % _P, number >> 255
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if x * x % _P != square:
        return None
    if x & 1 != odd:
        x = -x % _P
    return x, y, 1, x * y % _P


def _bytes(point: _Point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, -1, _P)
    return (y * inverse % _P | (x * inverse % _P & 1) << 255).to_bytes(32, "little")


def _sum(one: _Point, two: _Point) -> _Point:
    """RFC 8032, section 5.1.4."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % _P
    b = (one[1] + one[0]) * (two[1] + two[0]) % _P
    c = 2 * one[3] * two[3] * _D % _P
    d = 2 * one[2] * two[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times_and_times(one: int, first: _Point, two: int, second: _Point) -> _Point:
    """one × first + two × second, both numbers digit by digit at once."""
    parts: dict[tuple[int, int], _Point] = {(1, 0): first, (0, 1): second, (1, 1): _sum(first, second)}
    found: _Point = (0, 1, 1, 0)
    for digit in reversed(range(max(one.bit_length(), two.bit_length()))):
        found = _sum(found, found)
        part = parts.get((one >> digit & 1, two >> digit & 1))
        if part is not None:
            found = _sum(found, part)
    return found
