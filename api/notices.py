"""What a command says while it works."""

from __future__ import annotations

import sys


def notice(message: str) -> None:
    """A line for the operator."""
    print(f"fidelog: {message}", file=sys.stderr, flush=True)
