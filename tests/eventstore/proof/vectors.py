"""Where test vectors are: our own in docs/spec/vectors, others' beside the project, where they may be missing."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
OWN = ROOT / "docs" / "spec" / "vectors"
SHARED = ROOT.parent / "shared" / "vectors"


def shared(name: str) -> Path:
    """A file or folder of others' vectors; the test is skipped where there is none."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the public test vectors are not there: {path}")
    return path


def shared_json(name: str) -> Any:
    """The content of a file of others' vectors."""
    return json.loads(shared(name).read_text(encoding="utf-8"))


def own_json(name: str) -> Any:
    """The content of a file of our own vectors."""
    return json.loads((OWN / name).read_text(encoding="utf-8"))


def unbase64(text: str | None) -> bytes:
    """Bytes of vectors that write "no bytes" as null or as an empty text."""
    return base64.b64decode(text or "")
