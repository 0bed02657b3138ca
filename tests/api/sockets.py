"""Callers that a well-behaved client library cannot play: bytes on a socket."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import orjson

from api.problems import PROBLEMS

SECONDS = 20.0


class Caller:
    """One connection, closed with its last mention."""

    def __init__(self, url: str, sent: bytes = b"", receive_buffer: int | None = None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(SECONDS)
        self.socket.connect((parts.hostname, parts.port))
        self.got = b""
        self.send(sent)

    def send(self, sent: bytes) -> bool:
        """Send; whether the other side still takes it."""
        try:
            self.socket.sendall(sent)
        except OSError:
            return False
        return True

    def rest(self) -> bytes:
        """Everything that comes until the other side closes."""
        try:
            while more := self.socket.recv(1 << 16):
                self.got += more
        except ConnectionResetError:
            pass
        return self.got

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One answer with a Content-Length; what follows is kept."""
        while b"\r\n\r\n" not in self.got:
            more = self.socket.recv(1 << 16)
            assert more, f"closed after {self.got!r}"
            self.got += more
        head, _, rest = self.got.partition(b"\r\n\r\n")
        status, headers = parsed(head)
        size = int(headers.get("content-length", 0))
        while len(rest) < size:
            more = self.socket.recv(1 << 16)
            assert more, "closed within a body"
            rest += more
        self.got = rest[size:]
        return status, headers, rest[:size]

    def refused(self, slug: str) -> dict[str, str]:
        """The headers of the problem that is answered before the connection is closed."""
        return problem_in(self.rest(), slug)

    def close(self) -> None:
        """Close."""
        self.socket.close()

    def __del__(self) -> None:
        self.close()


def parsed(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer."""
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split(" ")[1]), {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }


def problem_in(got: bytes, slug: str) -> dict[str, str]:
    """The headers of the one answer that came, which is the problem and the connection's last."""
    head, _, body = got.partition(b"\r\n\r\n")
    status, headers = parsed(head)
    assert (status, headers["connection"]) == (PROBLEMS[slug][0], "close"), got
    assert (headers["content-type"], int(headers["content-length"])) == ("application/problem+json", len(body))
    content = orjson.loads(body)
    assert (content["type"], content["status"]) == (f"urn:fidelog:problem:{slug}", status)
    return headers
