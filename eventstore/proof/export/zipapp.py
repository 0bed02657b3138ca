"""The verifier that a bundle encloses: these modules, packed so that bare Python runs them. The same bytes every time."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from importlib import resources

_MODULES = ("eventstore/__init__.py", "eventstore/errors.py")
_PACKAGES = ("eventstore/proof", "eventstore/proof/export")
_LEFT_OUT = frozenset(
    {
        "keyring.py",
        "signing_keys.py",
        "signed_state.py",
        "stored_tree.py",
        "taking_up.py",
        "witness_exchange.py",
        "zipapp.py",
    }
)
"""What signs or serves. A verifier holds no key."""

_MAIN = b"""import sys

if sys.version_info < (3, 11):
    sys.stderr.write("verify.pyz needs Python 3.11 or newer\\n")
    sys.exit(2)

from eventstore.proof.export.command import main

sys.exit(main())
"""
_DATE = (1980, 1, 1, 0, 0, 0)


@cache
def verifier() -> bytes:
    """The program's bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", _MAIN)
        for name in sorted(_names()):
            _add(archive, name, _source(name))
    return packed.getvalue()


def _names() -> list[str]:
    root = resources.files("eventstore")
    found = list(_MODULES)
    for package in _PACKAGES:
        folder = root.joinpath(*package.split("/")[1:])
        found += [
            f"{package}/{one.name}"
            for one in folder.iterdir()
            if one.name.endswith(".py") and one.name not in _LEFT_OUT
        ]
    return found


def _source(name: str) -> bytes:
    return resources.files("eventstore").joinpath(*name.split("/")[1:]).read_bytes()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)
