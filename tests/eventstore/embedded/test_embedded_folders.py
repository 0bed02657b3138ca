"""Folders, users, locales and what stands in the way of a server."""

import os
import pwd
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest

from eventstore.embedded import EmbeddedServer, EmbeddedServerError

from .conftest import JoiningProcess, postmaster_pid, query

MakeServer = Callable[..., EmbeddedServer]
MakeProcess = Callable[..., JoiningProcess]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch to another user")


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def socket_dir(server: EmbeddedServer) -> Path:
    """Return the folder named in the connection URL."""
    return Path(unquote(server.conninfo("me", "db").partition("?host=")[2].partition("&")[0]))


def test_conninfo(data_dir: Path, make_server: MakeServer) -> None:
    """The connection URL names the socket folder and quotes user and database."""
    server = make_server()
    folder = str(data_dir / "postgres").replace("/", "%2F")
    assert server.conninfo("a@b", "c d") == f"postgresql://a%40b@/c%20d?host={folder}&port=5432&hostaddr=&options="


def test_long_path_uses_a_private_socket_folder(data_dir: Path, make_server: MakeServer) -> None:
    """A path too long for a socket works through a remembered 0700 folder that is replaced when it is not ours."""
    server = make_server(data_dir / ("x" * 60) / ("y" * 60))
    with pytest.raises(EmbeddedServerError, match=r"call join\(\) first"):
        server.conninfo("me", "db")
    server.join()
    first = socket_dir(server)
    assert mode(first) == 0o700
    assert first.stat().st_uid == server.pg_data.stat().st_uid
    assert query(server, "select 7") == [(7,)]
    server.leave()
    server.join()
    assert socket_dir(server) == first
    server.leave()
    first.chmod(0o777)
    server.join()
    second = socket_dir(server)
    server.leave()
    shutil.rmtree(first)
    shutil.rmtree(second)
    server.join()
    third = socket_dir(server)
    server.leave()
    shutil.rmtree(third)
    assert len({first, second, third}) == 3


def test_unusual_characters_in_the_path(data_dir: Path, make_server: MakeServer) -> None:
    """Spaces, quotes, percent signs and commas in the path do no harm."""
    plain = make_server(data_dir / "a b'c\"d%20ä")
    plain.join()
    assert socket_dir(plain) == plain.pg_data
    assert query(plain, "select 7") == [(7,)]
    comma = make_server(data_dir / "a,b")
    comma.join()
    assert query(comma, "select 8") == [(8,)]
    comma.leave()
    shutil.rmtree(socket_dir(comma))


def test_foreign_environment(data_dir: Path, make_process: MakeProcess) -> None:
    """A locale that is not installed and PG* variables of the caller do not reach the server."""
    environment = {"LC_ALL": "de_CH.UTF-8", "LANG": "de_CH.UTF-8", "PGPORT": "1", "PGTZ": "Asia/Tokyo"}
    process = make_process(environment=environment)
    process.call("join")
    locale = "select datcollate || ' ' || pg_encoding_to_char(encoding) from pg_database where datname = 'postgres'"
    assert process.call("query", locale) == "C UTF8"
    inherited = psutil.Process(postmaster_pid(data_dir)).environ()
    assert inherited["LC_ALL"] == "C"
    assert not [name for name in inherited if name.startswith("PG") and name in os.environ | environment]


@needs_root
def test_root_runs_the_server_as_its_own_user(data_dir: Path, make_server: MakeServer) -> None:
    """As root the server runs as user fidelog; only the blocking folders get o+x, and each is named."""
    outer = data_dir.parent
    passable = outer / "open"
    passable.mkdir(mode=0o711)
    blocked = passable / "blocked"
    blocked.mkdir(mode=0o750)
    data = blocked / "data"
    notices: list[str] = []
    assert mode(outer) == 0o700
    server = make_server(data, notice=notices.append)
    server.join()
    assert psutil.Process(postmaster_pid(data)).username() == "fidelog"
    assert (server.pg_data.owner(), data.owner()) == ("fidelog", "root")
    assert [mode(folder) for folder in (outer, passable, blocked, data)] == [0o701, 0o711, 0o751, 0o701]
    named = [line.split(" ")[3] for line in notices if line.startswith("opened o+x on ")]
    assert named == [str(outer), str(blocked), str(data)]
    assert mode(server.pg_data) == 0o700


def test_ordinary_user_needs_no_chmod(data_dir: Path, make_process: MakeProcess) -> None:
    """An ordinary user runs the server itself, and no folder's permissions change."""
    outer = data_dir.parent
    uid = None
    if os.geteuid() == 0:
        uid = pwd.getpwnam("nobody").pw_uid
        os.chown(outer, uid, -1)
    before = mode(outer)
    process = make_process(uid=uid)
    process.call("join")
    assert psutil.Process(postmaster_pid(data_dir)).uids().real == outer.stat().st_uid
    assert process.call("query", "select 7") == 7
    assert (mode(outer), mode(data_dir)) == (before, 0o700)
    assert "o+x" not in process.read_notices()
    process.call("leave")
    if uid is not None:
        with pytest.raises(EmbeddedServerError, match=r"belongs to user nobody, but .* as user fidelog"):
            EmbeddedServer(data_dir, notice=lambda line: None).join()


def test_unwritable_data_folder(data_dir: Path, make_process: MakeProcess) -> None:
    """A place where no data folder can be made gives a one-line error with the reason."""
    uid = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    data_dir.parent.chmod(0o555)
    process = make_process(uid=uid)
    process.begin("join")
    assert "Permission denied" in process.outcome()["error"]


def test_file_in_place_of_the_data_folder(data_dir: Path, make_server: MakeServer) -> None:
    """A file where the data folder or one above it should be gives a clear error."""
    data_dir.write_text("")
    with pytest.raises(EmbeddedServerError, match="is not a folder; choose another"):
        make_server().join()
    with pytest.raises(EmbeddedServerError, match="Not a directory"):
        make_server(data_dir / "below").join()


@pytest.mark.usefixtures("existing_cluster")
def test_cluster_open_to_others_is_refused(make_server: MakeServer) -> None:
    """A cluster folder whose permissions were widened is not started, because they are the access boundary."""
    server = make_server()
    server.join()
    server.leave()
    server.pg_data.chmod(0o750)
    with pytest.raises(EmbeddedServerError, match="has mode 750, not 700"):
        server.join()


def test_ensure_running_needs_join(make_server: MakeServer) -> None:
    """A process that has not joined, or has left, cannot start the server through its supervisor."""
    server = make_server()
    with pytest.raises(EmbeddedServerError, match=r"call join\(\) first"):
        server.ensure_running()
    assert not server.data_dir.exists()


def test_missing_version(data_dir: Path) -> None:
    """A major version that is not offered is refused at once."""
    with pytest.raises(EmbeddedServerError, match="use major=16 or major=18"):
        EmbeddedServer(data_dir, major=17)  # type: ignore[arg-type]
