"""`fidelog keys` and `fidelog tenants`: what is administered beside the API. Each change is an event on `log-admin`."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from api.backend import Backend
from api.identity.directory import ended
from api.notices import notice
from api.settings import Settings, SettingsError
from domain import administration
from domain.refusals import KeyEnded, KeyNotFound, TenantExists
from eventstore.errors import CommandRefused
from eventstore.provision import TENANT, create_tenant
from eventstore.records import Command, Receipt

ACTOR = "system:cli"
"""Who holds this machine needs no key; what was done with it is on record."""


@dataclass(frozen=True)
class Desk:
    """A database opened for administration."""

    backend: Backend

    async def submit(self, tenant_id: str, command: Command) -> Receipt:
        """Record the command. Raises SettingsError with the refusal in words, StoreError."""
        try:
            return await self.backend.internal.submit(tenant_id, ACTOR, command)
        except CommandRefused as error:
            raise SettingsError(_words(error.refusal)) from None

    def check_tenant(self, tenant_id: str) -> None:
        """Raises SettingsError unless there is such a tenant."""
        if tenant_id not in self.backend.directory:
            known = ", ".join(self.backend.directory.tenants)
            raise SettingsError(f"there is no tenant {tenant_id}; there are {known} (fidelog tenants create makes one)")


def _words(refusal: object) -> str:
    match refusal:
        case KeyNotFound():
            return "the tenant has no such API key; see fidelog keys list"
        case KeyEnded():
            return f"the API key is {refusal.how} already"
        case TenantExists():
            return "the tenant exists already; see fidelog tenants list"
    return "the API key's id was taken; try again"


@asynccontextmanager
async def desk(settings: Settings) -> AsyncIterator[Desk]:
    """The database, with what records a command; the embedded server is joined, or started for the while."""
    backend = Backend(settings, followed=False)
    try:
        await backend.open(notice)
        yield Desk(backend)
    finally:
        await backend.stop(5.0)


@dataclass(frozen=True)
class NewKey:
    """The options of `fidelog keys create`."""

    tenant_id: str
    actor: str | None
    roles: tuple[str, ...] | None
    valid_seconds: int
    replaces: str | None
    overlap_seconds: int
    as_json: bool


async def create_key(settings: Settings, wanted: NewKey) -> int:
    """Issue a key; stdout gets the key alone, so that a script can take it, and stderr what it is."""
    async with desk(settings) as open_desk:
        open_desk.check_tenant(wanted.tenant_id)
        key, command = open_desk.backend.directory.draw(
            wanted.tenant_id, wanted.actor, wanted.roles, wanted.valid_seconds, wanted.replaces, wanted.overlap_seconds
        )
        receipt = await open_desk.submit(wanted.tenant_id, command)
    event: administration.ApiKeyIssued = receipt.events[-1].event
    if wanted.as_json:
        told = {"key_id": key.key_id, "key": str(key), "actor": event.actor, "roles": event.roles,
                "tenant": wanted.tenant_id, "expires_at": event.expires_at}  # fmt: skip
        print(orjson.dumps(told).decode())
        return 0
    print(
        f"fidelog: API key {key.key_id} for {event.actor}, tenant {wanted.tenant_id}, roles {', '.join(event.roles)}, "
        f"until {event.expires_at}; it is shown this once. Send it as Authorization: Bearer <key>",
        file=sys.stderr,
    )
    print(key)
    return 0


async def list_keys(settings: Settings, tenant_id: str, *, as_json: bool) -> int:
    """Show the tenant's keys, without their secrets."""
    async with desk(settings) as open_desk:
        open_desk.check_tenant(tenant_id)
        found, used = await open_desk.backend.queries.api_keys(tenant_id)
    listed: list[dict[str, Any]] = [
        {"key_id": key_id, "actor": key["actor"], "roles": key["roles"], "status": ended(key) or "active",
         "expires_at": key["expires_at"], "last_used_at": used.get(key_id)}
        for key_id, key in sorted(found.items(), key=lambda item: str(item[1]["issued_at"]))
    ]  # fmt: skip
    if as_json:
        print(orjson.dumps(listed).decode())
        return 0
    table = Table("key", "actor", "roles", "status", "expires at", "last used")
    for key in listed:
        roles, last = ", ".join(key["roles"]), key["last_used_at"] or "never"
        table.add_row(key["key_id"], key["actor"], roles, key["status"], key["expires_at"], last)
    Console(highlight=False).print(table if listed else "no API keys; make one with fidelog keys create")
    return 0


async def revoke_key(settings: Settings, tenant_id: str, key_id: str) -> int:
    """End a key."""
    async with desk(settings) as open_desk:
        open_desk.check_tenant(tenant_id)
        await open_desk.submit(tenant_id, administration.RevokeKey(key_id))
    print(f"API key {key_id} is revoked; every process refuses it within a second")
    return 0


async def create_tenant_command(settings: Settings, tenant_id: str) -> int:
    """Make a tenant: its lock row, its key of keyed hashes, and the event that its log begins with."""
    if not re.fullmatch(TENANT, tenant_id):
        raise SettingsError("a tenant's name has 1 to 63 of a-z 0-9 _ - and begins with a letter or digit")
    async with desk(settings) as open_desk:
        await create_tenant(open_desk.backend.database, open_desk.backend.vault, tenant_id)
        await open_desk.backend.directory.refresh()
        await open_desk.submit(tenant_id, administration.CreateTenant(tenant_id))
    print(f"tenant {tenant_id} is there; make its first key: fidelog keys create --tenant {tenant_id} --actor user:<you> "
          "--role operator")  # fmt: skip
    return 0


async def list_tenants(settings: Settings) -> int:
    """Show the tenants, a line each."""
    async with desk(settings) as open_desk:
        for tenant_id in open_desk.backend.directory.tenants:
            print(tenant_id)
    return 0
