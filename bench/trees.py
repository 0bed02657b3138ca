"""Trees to compare: this one, and another commit of ours, checked out with a virtual environment of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import credentials
from bench.postgres import Postgres
from bench.rounds import MeasurementError
from bench.servers import PROGRAMS, ROOT, surroundings
from eventstore.database import LOGINS, Login

MIGRATE_SECONDS = 120.0
INSTALL_SECONDS = 900.0


@dataclass(frozen=True)
class Tree:
    """A checkout and the programs of its virtual environment."""

    name: str
    root: Path
    programs: Path

    def prepare(self, postgres: Postgres, name: str) -> TreeDatabase:
        """Make a database on the shared server, migrated by the tree's own code. Raises MeasurementError."""
        state_dir = postgres.folder / f"state-{name}"
        urls = {login: postgres.server.conninfo(f"fidelog_{login}", name) for login in LOGINS}
        database = TreeDatabase(self, name, postgres.data_dir, state_dir, urls)
        given = {**database.settings, "FIDELOG_DATABASE_URL": postgres.create(name)}
        done = subprocess.run(
            [self.programs / "fidelog", "migrate"], cwd=postgres.folder, env=surroundings(given),
            capture_output=True, text=True, check=False, timeout=MIGRATE_SECONDS,
        )  # fmt: skip
        if done.returncode:
            raise MeasurementError(f"fidelog migrate of {self.name} failed: {last_line(done.stderr)}")
        try:
            return replace(database, key=credentials.issue(self.programs, surroundings(database.settings)))
        except subprocess.SubprocessError as error:
            raise MeasurementError(f"{self.name}: no API key could be made ({error})") from error


@dataclass(frozen=True)
class TreeDatabase:
    """A tree's database."""

    tree: Tree
    name: str
    data_dir: Path
    state_dir: Path
    urls: Mapping[Login, str]
    key: str | None = None
    """An API key, where the tree asks for one."""

    @property
    def settings(self) -> dict[str, str]:
        """The environment of the tree's processes."""
        folders = {"FIDELOG_DATA_DIR": str(self.data_dir), "FIDELOG_STATE_DIR": str(self.state_dir)}
        return {**folders, **{f"FIDELOG_{login.upper()}_URL": url for login, url in self.urls.items()}}

    def run(self, script: Path, given: Mapping[str, Any], seconds: float) -> Any:
        """Run a script of this tree with the other's interpreter and packages, `given` as its one argument.

        What it prints, from JSON. Raises MeasurementError when it fails, and when it ran other code than its tree's.
        """
        folders = {"data_dir": str(self.data_dir), "state_dir": str(self.state_dir)}
        argument = json.dumps({**folders, "login_urls": dict(self.urls), **given})
        done = subprocess.run(
            [self.tree.programs / "python", "-P", script, argument], cwd=self.data_dir.parent, env=surroundings({}),
            capture_output=True, text=True, check=False, timeout=seconds,
        )  # fmt: skip
        if done.returncode:
            raise MeasurementError(f"{script.name} failed with the code of {self.tree.name}: {last_line(done.stderr)}")
        try:
            found = json.loads(done.stdout)
        except ValueError as error:
            raise MeasurementError(f"{script.name} did not print its figures whole ({error})") from error
        if Path(found["root"]) != self.tree.root:
            raise MeasurementError(f"{script.name} was to run the code of {self.tree.name} and ran other code")
        return found


def this_tree() -> Tree:
    """The tree that this program belongs to."""
    return Tree("this tree", ROOT, PROGRAMS)


@contextmanager
def checked_out(revision: str) -> Iterator[Tree]:
    """Another commit in a temporary worktree, installed as its Makefile does; removed at the end.

    Raises MeasurementError when there is no such commit or it cannot be installed.
    """
    name = _git("rev-parse", "--verify", "--quiet", "--short=12", f"{revision}^{{commit}}")
    if name is None:
        raise MeasurementError(f"there is no commit {revision!r} in this repository; give REV=<commit>, branch or tag")
    with TemporaryDirectory(prefix="fdl-tree-") as folder:
        root = Path(folder).resolve() / "tree"
        if _git("worktree", "add", "--detach", "--force", str(root), name) is None:
            raise MeasurementError(f"git worktree add failed for {name}")
        try:
            print(f"bench: installing {name} into an environment of its own", file=sys.stderr, flush=True)
            _install(root, name)
            yield Tree(name, root, root / ".venv" / "bin")
        finally:
            _git("worktree", "remove", "--force", str(root))


def _install(root: Path, name: str) -> None:
    """`make .venv/.installed` in a process group of its own, which ends as a whole."""
    command = ["make", "--no-print-directory", ".venv/.installed", f"PYTHON={sys.executable}"]
    environment = {key: value for key, value in surroundings({}).items() if not key.startswith(("MAKE", "MFLAGS"))}
    process = subprocess.Popen(
        command, cwd=root, env=environment, start_new_session=True, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=INSTALL_SECONDS)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        raise MeasurementError(f"{name} cannot be installed by its Makefile: {last_line(output)}")


def _git(*arguments: str) -> str | None:
    """What git says; None when it refuses."""
    command: Sequence[str] = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout.strip() if done.returncode == 0 else None


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
