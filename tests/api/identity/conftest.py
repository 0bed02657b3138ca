"""Fixtures: an application that asks everybody for a credential, with two tenants, and people who have one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.administer import ACTOR
from api.database import open_vault
from api.identity import keys
from domain.administration import CreateTenant, RevokeKey
from eventstore.provision import create_tenant
from eventstore.records import Command, Receipt
from tests.clusters import Cluster
from tests.running import RunningApi, running_api

HOME, OTHER = "default", "acme"


class Door:
    """A served application whose callers must prove who they are, and a way to give them keys."""

    def __init__(self, api: RunningApi, superuser_url: str) -> None:
        self.api = api
        self.superuser_url = superuser_url
        """Of the database it serves."""
        self._callers: list[httpx.Client] = []

    def record(self, tenant_id: str, command: Command) -> Receipt:
        """Record an administrative command."""
        backend = self.api.backend

        async def submit() -> Receipt:
            receipt = await backend.internal.submit(tenant_id, ACTOR, command)
            await backend.directory.refresh()
            return receipt

        receipt: Receipt = self.api.run(submit)
        return receipt

    def key(self, actor: str, *roles: str, tenant: str = HOME, seconds: int = 3600, **more: Any) -> keys.ApiKey:
        """A new key."""
        key, command = self.api.backend.directory.draw(tenant, actor, roles, seconds, **more)
        self.record(tenant, command)
        return key

    def revoke(self, key: keys.ApiKey, tenant: str = HOME) -> None:
        """End a key."""
        self.record(tenant, RevokeKey(key.key_id))

    def caller(self, credential: object = None, **headers: str) -> httpx.Client:
        """A client that sends the credential, if any."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if credential is not None:
            named["authorization"] = f"Bearer {credential}"
        self._callers.append(httpx.Client(base_url=self.api.url, headers=named, timeout=30))
        return self._callers[-1]

    def close(self) -> None:
        """Close all its clients."""
        for caller in self._callers:
            caller.close()

    def somebody(self, *roles: str, actor: str = "user:someone", tenant: str = HOME, **headers: str) -> httpx.Client:
        """A client with a new key of these roles."""
        return self.caller(self.key(actor, *roles, tenant=tenant), **headers)


def open_door(pg: Cluster, name: str, **settings: Any) -> Iterator[Door]:
    """The application on a database with two tenants."""
    given = replace(pg.settings(name), keyless=False, **settings)
    database = pg.database(name)

    async def second() -> None:
        await create_tenant(database, await open_vault(database, given), OTHER)

    asyncio.run(second())
    with running_api(given) as served:
        door = Door(served, pg.url(name))
        door.record(OTHER, CreateTenant(OTHER))
        try:
            yield door
        finally:
            door.close()


@pytest.fixture(scope="module")
def door(pg: Cluster) -> Iterator[Door]:
    """One for a module."""
    with pg.copy() as name:
        yield from open_door(pg, name)
