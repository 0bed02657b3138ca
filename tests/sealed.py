"""How far a served log is sealed, as anybody can see."""

from __future__ import annotations

import httpx

from tests.waiting import until


def sealed_size(http: httpx.Client, at_least: int = 1, tenant: str = "default") -> int:
    """The size of the newest checkpoint, as soon as it covers a position."""

    def size() -> int:
        answer = http.get(f"/log/{tenant}/checkpoint")
        return int(answer.text.split("\n")[1]) if answer.status_code == 200 else -1

    until("the log is sealed", lambda: size() >= at_least)
    return size()


def edge(size: int) -> str:
    """The path of the last tile of the lowest level, and of the last bundle (sizes below 256,000)."""
    index, width = divmod(size, 256)
    return f"{index:03}.p/{width}" if width else f"{index - 1:03}"
