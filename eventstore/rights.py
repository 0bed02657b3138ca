"""Least privilege: each login may do what the migrations grant it, and nothing more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncRawCursor
from psycopg.conninfo import conninfo_to_dict

from eventstore.database import LOGINS, Database, Login
from eventstore.migrations import MigrationError
from eventstore.statements import statement

RIGHTS = statement("eventstore", "rights")
SHOWN = 5
"""Faults a message names; a superuser's or an owner's would be many."""

Granted = Mapping[str, frozenset[tuple[str, str]]]
"""For each login the pairs of object and privilege that the migrations grant."""


class Right(NamedTuple):
    """One row of what a login may do: an attribute, a role it can take, an object it owns, or a privilege."""

    login: str
    kind: str
    name: str
    privilege: str
    holder: str


def role(login: str) -> str:
    """The role the migrations make for a login."""
    return f"fidelog_{login}"


async def rights(connection: psycopg.AsyncConnection[Any], names: Iterable[str]) -> list[Right]:
    """What the roles of these names may do; the catalogue tells anyone."""
    cursor = AsyncRawCursor(connection)
    await cursor.execute(RIGHTS.sql.encode(), (sorted(set(names)),))
    return [Right(*row) for row in await cursor.fetchall()]


async def check_rights(database: Database, granted: Granted) -> None:
    """Raises MigrationError naming what to revoke or grant, when a login may do more or less than it should."""
    for login, name, faults in await wrong_rights(database, granted):
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise MigrationError(
            f"the login {login} ({name}) has not the rights it should have; as a superuser: "
            + "; ".join(faults[:SHOWN]) + more
        )  # fmt: skip


async def wrong_rights(database: Database, granted: Granted) -> list[tuple[Login, str, list[str]]]:
    """Logins that may do more or less than they should, with the name of the role and the statements that put it right."""
    users = {login: await _user(database, login) for login in LOGINS if login in database.urls}
    async with await psycopg.AsyncConnection.connect(database.url("reader"), autocommit=True) as connection:
        found = await rights(connection, [*map(role, LOGINS), *users.values()])
    wrong = []
    for login in LOGINS:
        # The role of the migrations, and the user of the login's own URL, which should be the same.
        for name in dict.fromkeys((role(login), users.get(login, role(login)))):
            own = [right for right in found if right.login == name]
            if faults := _too_much(login, own, granted[login]) or _too_little(login, name, own, granted[login]):
                wrong.append((login, name, faults))
    return wrong


async def wrong_roles(connection: psycopg.AsyncConnection[Any], granted: Granted) -> list[str]:
    """The statements that put right what the roles of the migrations may do too much or too little."""
    found = await rights(connection, map(role, LOGINS))
    faults = []
    for login in LOGINS:
        own = [right for right in found if right.login == role(login)]
        faults += _too_much(login, own, granted[login]) or _too_little(login, role(login), own, granted[login])
    return faults


async def _user(database: Database, login: Login) -> str:
    """Who connects by the login's own URL."""
    if user := conninfo_to_dict(database.urls[login]).get("user"):
        return str(user)
    async with await psycopg.AsyncConnection.connect(database.url(login)) as connection:
        return connection.info.user


def _too_much(login: Login, own: list[Right], granted: frozenset[tuple[str, str]]) -> list[str]:
    """What to take away, as statements: attributes, else roles, else what is owned, else grants; the later follow from
    the earlier, so only the first kind is told."""
    of_owner = login == "owner"
    stages = (
        [f"ALTER ROLE {right.holder} NO{right.name}" for right in own if right.kind == "attribute"],
        [
            f"REVOKE {right.name} FROM {right.holder}"
            for right in own
            if right.kind == "role" and right.name != role(login)
        ],
        [
            f"ALTER {right.name} OWNER TO {'another role' if of_owner else role('owner')}"
            for right in own
            if right.kind == "owner" and (not of_owner or right.name.startswith("DATABASE "))
        ],
        [
            f"REVOKE {right.privilege} ON {right.name} FROM {right.holder}"
            for right in own
            if right.kind == "grant" and not of_owner and (right.name, right.privilege) not in granted
        ],
    )
    return next((faults for faults in stages if faults), [])


def _too_little(login: Login, name: str, own: list[Right], granted: frozenset[tuple[str, str]]) -> list[str]:
    """What to give, as statements. The owner needs no grant."""
    held = {(right.name, right.privilege) for right in own if right.kind == "grant"}
    return [f"GRANT {privilege} ON {target} TO {name}" for target, privilege in sorted(granted - held)]


def read(text: str) -> Granted:
    """A table of grants: a line each of login, privilege, and object."""
    found: dict[str, set[tuple[str, str]]] = {login: set() for login in LOGINS}
    for line in text.splitlines():
        login, privilege, target = line.split(" ", 2)
        found[login].add((target, privilege))
    return {login: frozenset(pairs) for login, pairs in found.items()}


def write(found: Iterable[Right]) -> str:
    """The table of what the roles were granted."""
    by_role = {role(login): login for login in LOGINS if login != "owner"}
    lines = [
        f"{by_role[right.login]} {right.privilege} {right.name}\n"
        for right in found
        if right.kind == "grant" and right.login in by_role
    ]
    return "".join(sorted(lines))
