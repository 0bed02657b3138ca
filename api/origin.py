"""Where a request comes from, for a service that trusts its machine's loopback interface."""

from __future__ import annotations

import re
from functools import lru_cache

from api.problems import Problem

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def check_origin(host: str, origin: str | None) -> None:
    """Without credentials the loopback interface is trusted, so a page of another origin must not reach it, not even by a
    name that was made to resolve to it (DNS rebinding). Raises Problem (403)."""
    if not _is_local(host):
        raise Problem("foreign-origin", "The Host header must be localhost, 127.0.0.1 or [::1]")
    if origin is not None and origin.lower() not in {f"http://{host.lower()}", f"https://{host.lower()}"}:
        raise Problem("foreign-origin", "The Origin header names another origin")


@lru_cache(maxsize=64)
def _is_local(host: str) -> bool:
    """Whether a Host header names this machine. Few are ever sent, and every request sends one."""
    return re.sub(r":[0-9]{1,5}$", "", host.lower()) in LOCAL_HOSTS
