"""Whom a log asks for cosignatures: what a policy and addresses must say, and how far a witness's answer is followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from api.cosigning import Posting
from api.settings import SettingsError, read
from api.witnessing import Witnessing
from eventstore.proof.keys import Kind
from eventstore.proof.signing_keys import SigningKey
from eventstore.sealing.witnesses import Unreachable

A, B = (SigningKey(f"example.com/{name}", Kind.COSIGNER, name.encode() * 32).verifier for name in "ab")
POLICY = f"witness a {A.text} https://a.example/w/\nwitness b {B.text}\ngroup both all a b\nquorum both\n"


def read_with(tmp_path: Path, policy: str | None, addresses: str) -> Witnessing | None:
    """The settings of a process with this policy."""
    path = tmp_path / "policy"
    if policy is not None:
        path.write_text(policy)
    return read({}, {"FIDELOG_WITNESS_POLICY": str(path), "FIDELOG_WITNESSES": addresses}).witnessing


def test_addresses_are_the_policys_or_given(tmp_path: Path) -> None:
    """An address that is given goes before the policy's own, and both are prefixes without a slash at the end."""
    found = read_with(tmp_path, POLICY, "b=http://10.0.0.7:8100/ a=https://proxy.example/a")
    assert found is not None
    assert found.addresses == {A: "https://proxy.example/a", B: "http://10.0.0.7:8100"}
    assert read({}, {}).witnessing is None


@pytest.mark.parametrize(
    ("policy", "addresses", "why"),
    [
        (None, "", "cannot be read: No such file"), (POLICY, "", "the quorum cannot be reached, for b has no address"),
        (POLICY, "c=https://c.example", "c is no witness of the policy"), (POLICY, "b", "b is no witness of the policy; write name=URL"),
        (POLICY, "b=ftp://b.example", "witness b is not an http"), (POLICY, "b=https://", "witness b is not an http"),
        (POLICY, "b=https://b.example/?x", "witness b is not an http"), ("witness a b\n", "", "line 1 of the policy"),
        (POLICY.replace("quorum", "quorums"), "", "line 4 of the policy"),
    ],
)  # fmt: skip
def test_what_refuses_the_start(tmp_path: Path, policy: str | None, addresses: str, why: str) -> None:
    """A policy that cannot be read, an address that is none, and a quorum that nobody can reach are told before anything starts."""
    with pytest.raises(SettingsError, match=why):
        read_with(tmp_path, policy, addresses)
    with pytest.raises(SettingsError, match="needs FIDELOG_WITNESS_POLICY"):
        read({}, {"FIDELOG_WITNESSES": "a=https://a.example"})


@asynccontextmanager
async def answering(*parts: bytes, ends: bool = True) -> AsyncIterator[str]:
    """A server that sends these bytes to whoever connects, and then closes the connection, or not."""
    held = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
        if not ends:
            await held.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        held.set()
        server.close()


HEAD = b"HTTP/1.1 %s\r\ncontent-length: %d\r\n"


@pytest.mark.parametrize(
    ("parts", "ends", "found"),
    [
        ((HEAD % (b"200 OK", 3), b"\r\nyes"), True, (200, b"yes")),
        ((HEAD % (b"409 Conflict", 2), b"\r\n7\n"), True, (409, b"7\n")),
        ((HEAD % (b"302 Found", 0), b"location: http://127.0.0.1:1/\r\n\r\n"), True, (302, b"")),
        ((HEAD % (b"200 OK", 1 << 20), b"\r\n", b"x" * (1 << 18)), False, "its answer has more than 131072 bytes"),
        ((HEAD % (b"200 OK", 9), b"\r\nhalf"), False, "no answer within 0.3 seconds"),
        ((), False, "no answer within 0.3 seconds"),
        ((), True, "it cannot be reached: RemoteProtocolError"),
        ((b"nothing\r\n\r\n",), True, "it cannot be reached: RemoteProtocolError"),
    ],
)
def test_an_answer_is_bounded(parts: tuple[bytes, ...], ends: bool, found: tuple[int, bytes] | str) -> None:
    """An answer is taken whole, in bounded time and size, and no redirect is followed; whatever else comes is told in words."""

    async def main() -> None:
        async with answering(*parts, ends=ends) as url, httpx.AsyncClient(verify=False, trust_env=False) as client:
            posting = Posting(client, url, 0.3 if not ends else 20.0)
            if isinstance(found, str):
                with pytest.raises(Unreachable, match=found):
                    await posting(b"old 0\n")
            else:
                assert await posting(b"old 0\n") == found

    asyncio.run(main())


def test_nobody_there_is_told() -> None:
    """A port on which nobody listens."""

    async def main() -> None:
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            with pytest.raises(Unreachable, match="cannot be reached: ConnectError"):
                await Posting(client, "http://127.0.0.1:1")(b"")

    asyncio.run(main())
