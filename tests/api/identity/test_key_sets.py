"""An issuer's keys: believed while they may be, asked for rarely, and nobody waits for what an attacker asks for."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from api.identity import key_set
from api.identity.issuer import Issuer, TokenRefused
from api.identity.key_set import KEYS_AGAIN_SECONDS, KEYS_FRESH_SECONDS, KEYS_HOLD_SECONDS, MOST_BYTES
from api.identity.tokens import Tokens
from tests.api.identity.test_tokens import AUDIENCE, EC, ISSUER, KEYS, RSA, jwk, token


class Clock:
    """A clock that is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Place:
    """An issuer's address: what it serves, how often it was asked; it does not answer while `closed`."""

    def __init__(self) -> None:
        self.content = json.dumps(KEYS).encode()
        self.asked = 0
        self.open = threading.Event()
        self.open.set()
        place = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                place.asked += 1
                place.open.wait(20)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(place.content)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def place() -> Iterator[Place]:
    """An issuer that answers."""
    found = Place()
    yield found
    found.close()


def tokens(where: str, clock: Clock) -> Tokens:
    return Tokens(Issuer(ISSUER, AUDIENCE, where, leeway=5), clock)


async def refused(verifier: Tokens, given: str) -> str:
    """Why the token proves nothing."""
    with pytest.raises(TokenRefused) as found:
        await verifier.caller(given.encode())
    return str(found.value)


def test_a_key_that_was_withdrawn_verifies_nothing_for_longer_than_the_set_is_fresh(tmp_path: Path) -> None:
    """Not even a token that was verified before and has not expired."""
    file, clock = tmp_path / "jwks.json", Clock()
    file.write_text(json.dumps(KEYS))

    async def story() -> None:
        verifier, given = tokens(str(file), clock), token()
        await verifier.caller(given.encode())
        file.write_text(json.dumps({"keys": KEYS["keys"][1:]}))
        await verifier.caller(given.encode())
        clock.now += KEYS_FRESH_SECONDS + 1
        assert "not in the issuer's key set" in await refused(verifier, given)

    asyncio.run(story())


def test_an_issuer_that_cannot_be_read_is_believed_for_a_while(tmp_path: Path) -> None:
    """Its keys hold on for an hour, then nothing does."""
    file, clock = tmp_path / "jwks.json", Clock()
    file.write_text(json.dumps(KEYS))

    async def story() -> None:
        verifier, given = tokens(str(file), clock), token()
        await verifier.caller(given.encode())
        file.unlink()
        clock.now += KEYS_FRESH_SECONDS + 1
        await verifier.caller(given.encode())
        clock.now += KEYS_HOLD_SECONDS - KEYS_FRESH_SECONDS
        assert "cannot be read" in await refused(verifier, given)

    asyncio.run(story())


def test_many_tokens_of_unknown_keys_ask_once(place: Place) -> None:
    """And not again before some seconds have passed, whether the issuer answers or not."""
    clock = Clock()

    async def story() -> None:
        verifier = tokens(place.url, clock)
        strangers = [token(kid=f"x{number}") for number in range(20)]
        await asyncio.gather(*(refused(verifier, given) for given in strangers))
        await asyncio.gather(*(refused(verifier, given) for given in strangers))
        assert place.asked == 1
        clock.now += KEYS_AGAIN_SECONDS + 1
        place.content = b"nothing"
        await asyncio.gather(*(refused(verifier, given) for given in strangers))
        await asyncio.gather(*(refused(verifier, given) for given in strangers))
        assert place.asked == 2
        await verifier.caller(token().encode())

    asyncio.run(story())


def test_an_issuer_that_never_answered_is_asked_once_in_a_while(tmp_path: Path, caplog: Any) -> None:
    """A service that was started without its issuer does not ask at every request."""

    async def story() -> None:
        verifier = tokens(str(tmp_path / "missing.json"), Clock())
        for _ in range(3):
            assert "cannot be read" in await refused(verifier, token())

    asyncio.run(story())
    assert [record.getMessage() for record in caplog.records] == [
        "the issuer's key set could not be read: FileNotFoundError"
    ]


def test_nobody_with_a_known_key_waits_for_an_unknown_one(place: Place) -> None:
    """While the issuer keeps its answer back, tokens of keys that are there are verified."""
    clock = Clock()

    async def story() -> None:
        verifier = tokens(place.url, clock)
        await verifier.caller(token().encode())
        place.open.clear()
        clock.now += KEYS_AGAIN_SECONDS + 1
        waiting = asyncio.create_task(refused(verifier, token(kid="x")))
        while place.asked < 2:
            await asyncio.sleep(0.01)
        caller = await asyncio.wait_for(verifier.caller(token(EC, "ES256", "e").encode()), 2)
        assert caller.actor == "user:ada"
        assert not waiting.done()
        place.open.set()
        await waiting

    asyncio.run(story())


def test_an_answer_that_never_ends_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly it comes."""
    monkeypatch.setattr(key_set, "READ_SECONDS", 0.2)
    place.open.clear()
    begun = time.monotonic()
    assert "cannot be read" in asyncio.run(refused(tokens(place.url, Clock()), token()))
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "content", [b"[]", b"null", b'{"keys":{}}', b"{}", b" " * (MOST_BYTES + 1), b"\xff", b"[" * 9999]
)
def test_what_is_no_key_set_proves_nobody(place: Place, content: bytes) -> None:
    """Refused, whatever stands there."""
    place.content = content
    assert "cannot be read" in asyncio.run(refused(tokens(place.url, Clock()), token()))


def test_a_weak_key_verifies_nothing(tmp_path: Path) -> None:
    """RSA keys of less than 2,048 bits can be broken."""
    weak = rsa.generate_private_key(65537, 1024)  # that is the point
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [jwk("RS256", weak, "w")]}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = token(weak, "RS256", "w")
    assert "not a token of the issuer" in asyncio.run(refused(tokens(str(file), Clock()), given))


@pytest.mark.parametrize(
    "header", [b"[" * 5000, b'{"alg":' + b"[" * 5000, b'{"alg":["RS256"]}', b'{"alg":"RS256","kid":{}}', b"1e999"]
)
def test_a_header_that_is_a_trap_is_refused(tmp_path: Path, header: bytes) -> None:
    """Depth, kinds and numbers that a token's header does not have."""
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(KEYS))
    encoded = base64.urlsafe_b64encode(header).rstrip(b"=").decode()
    asyncio.run(refused(tokens(str(file), Clock()), f"{encoded}.e30.AAAA"))


def test_no_token_is_kept(tmp_path: Path) -> None:
    """What remembers tokens does not hold them."""
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(KEYS))
    verifier, given = tokens(str(file), Clock()), token(RSA)
    asyncio.run(verifier.caller(given.encode()))
    assert [len(name) for name in verifier._verified] == [32]
