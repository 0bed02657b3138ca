"""One prepared and stopped data folder a session, with its keys; a copy for each test that starts a server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from api.cli import main
from tests.processes.fidelog_process import Folders, new_folders

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def prepared() -> Iterator[Folders]:
    """A migrated embedded database that is not running; only to be copied."""
    with new_folders() as folders:
        folders.patience = 150  # every test here needs what this makes; a busy machine may take its time
        done = folders.run("migrate")
        assert done.returncode == 0, done.stderr
        assert folders.postgres() == []
        yield folders


@pytest.fixture
def folders(prepared: Folders) -> Iterator[Folders]:
    """A migrated database of the test's own, not running."""
    with new_folders(copied_from=prepared) as copied:
        yield copied


@pytest.fixture
def new() -> Iterator[Folders]:
    """Folders that do not exist yet."""
    with new_folders() as empty:
        yield empty


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs `fidelog` in this process, which saves a second of imports: exit status, stdout, stderr."""

    def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("FIDELOG_")]:
                patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(name, value)
            capfd.readouterr()
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


def refusal(err: str) -> str:
    """The one line on standard error that a refused start ends with, without its prefix."""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("fidelog: "), err
    return lines[0].removeprefix("fidelog: ")
