"""Tenants and their API keys, as this process knows them; asked again so often that a revoked key ends within a second.

Everything is held in memory: finding a key costs no round trip. What changed is read by one statement for all tenants.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from api.identity.caller import Caller, proven
from api.identity.keys import ApiKey, draw, parse
from domain import administration
from eventstore.reading import Reader
from eventstore.statements import statement
from eventstore.vault.keys import KeyUnavailable
from eventstore.vault.vault import Vault

log = logging.getLogger(__name__)

DIRECTORY = statement("projections", "directory")

FRESH_SECONDS = 0.8
"""What is older is not believed: with a round trip, a revocation is known within a second."""
AGAIN_SECONDS = 0.4
"""What is older is read again while it still holds: a reading takes its turn among others, and nobody need wait for it."""
UNKNOWN_SECONDS = 0.05
"""So often at most is asked again because of a key that is not known; until then its request waits."""


@dataclass(slots=True)
class _Known:
    """A key of the directory, and what it proves."""

    secret_hash: bytes
    expires_at: float
    revoked: bool
    caller: Caller

    def ended(self) -> str | None:
        if self.revoked:
            return "revoked"
        return "expired" if self.expires_at <= time.time() else None


class Ended(Exception):
    """The credential is right, and does not hold any more."""

    def __init__(self, caller: Caller, how: str) -> None:
        super().__init__(how)
        self.caller = caller
        self.how = how


class Directory:
    """The tenants of a database and who may come in. `home` is the tenant in whose name the reader asks."""

    def __init__(self, reader: Reader, vault: Vault, home: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._vault = vault
        self._home = home
        self._clock = clock
        self._versions: dict[str, int] = {}
        self._keys: dict[str, _Known] = {}
        self._proven: dict[bytes, _Known] = {}
        self._closed: set[str] = set()
        self._read_at = float("-inf")
        self._outdated_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self.used: dict[tuple[str, str], datetime] = {}
        """(tenant, key id) → when the key was last used since this was last written down."""

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants there are, in order of their names."""
        return tuple(sorted(self._versions))

    def __contains__(self, tenant_id: str) -> bool:
        return tenant_id in self._versions

    @property
    def empty(self) -> bool:
        """Whether nobody can come in by a key."""
        return not any(known.ended() is None for known in self._keys.values())

    async def refresh(self, not_older_than: float = 0.0, *, once: bool = False) -> None:
        """Read what changed, unless a reading that began within `not_older_than` seconds did. One reading serves all who
        wait; one that is under way and began too early is waited for, and does not do. It is tried `once`, or as often
        as reads are. Raises DatabaseUnavailable.
        """
        wanted = max(self._clock() - not_older_than, self._outdated_at)
        while self._read_at < wanted:
            await asyncio.shield(self._begun(once))

    def _begun(self, once: bool = False) -> asyncio.Task[None]:
        """The reading that is under way, or one that begins now."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(once), name="directory")
            self._reading.add_done_callback(self._done)
        return self._reading

    def outdate(self) -> None:
        """A key was issued or revoked here: nothing that was read before is believed any more."""
        self._outdated_at = self._clock()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        if not task.cancelled():
            task.exception()  # those who wait are told

    async def _read(self, once: bool) -> None:
        started = self._clock()
        ask = self._reader.rows_once if once else self._reader.rows
        rows = await ask(self._home, DIRECTORY, (orjson.dumps(self._versions).decode(),))
        for tenant_id, version, keys, epoch, wrapped in rows:
            if tenant_id not in self._versions and not self._open(tenant_id, epoch, bytes(wrapped)):
                continue
            if keys is not None:
                self._take(tenant_id, orjson.loads(keys))
            self._versions[tenant_id] = version
        self._read_at = started

    def _open(self, tenant_id: str, epoch: int, wrapped: bytes) -> bool:
        """Take the tenant's key into use; one that cannot be had keeps that tenant out, and nobody else."""
        try:
            self._vault.open_tenant(tenant_id, epoch, wrapped)
        except KeyUnavailable as error:
            if tenant_id not in self._closed:
                log.error("the tenant %s is not served: %s", tenant_id, error)
            self._closed.add(tenant_id)
            return False
        self._closed.discard(tenant_id)
        return True

    def _take(self, tenant_id: str, keys: dict[str, dict[str, Any]]) -> None:
        self._proven.clear()
        for key_id, key in keys.items():
            self._keys[key_id] = _Known(
                bytes.fromhex(key["secret_hash"]),
                datetime.fromisoformat(key["expires_at"]).timestamp(),
                key["revoked_at"] is not None,
                proven(tenant_id, key["actor"], key["roles"], key_id),
            )

    async def caller(self, token: bytes) -> Caller | None:
        """Whom the API key proves; None when nobody. Raises Ended, DatabaseUnavailable."""
        age = self._clock() - self._read_at
        if self._read_at < self._outdated_at or age > FRESH_SECONDS:
            await self.refresh(FRESH_SECONDS)
        elif age > AGAIN_SECONDS:
            self._begun()
        known = self._proven.get(token) or await self._find(token)
        if known is None:
            return None
        if (how := known.ended()) is not None:
            raise Ended(known.caller, how)
        caller = known.caller
        assert caller.credential is not None
        self.used[caller.tenant_id, caller.credential] = datetime.now(UTC)
        return caller

    async def _find(self, token: bytes) -> _Known | None:
        key = parse(token.decode("latin-1"))
        if key is None:
            return None
        if key.key_id not in self._keys:
            await self._look_again()
        known = self._keys.get(key.key_id)
        if known is None or not hmac.compare_digest(known.secret_hash, self._secret_hash(known.caller.tenant_id, key)):
            return None
        self._proven[token] = known
        return known

    async def _look_again(self) -> None:
        """A key that is not known may have been issued just now, by another process: look once more, at what was there
        when it was sent or later. Raises DatabaseUnavailable."""
        sent = self._clock()
        if (early := self._read_at + UNKNOWN_SECONDS - sent) > 0:
            await asyncio.sleep(early)
        await self.refresh(self._clock() - sent)

    def draw(
        self,
        tenant_id: str,
        actor: str | None,
        roles: Iterable[str] | None,
        valid_seconds: int,
        replaces: str | None = None,
        overlap_seconds: int = 0,
    ) -> tuple[ApiKey, administration.IssueKey]:
        """A new key for the tenant, and the command that makes it hold. Nothing keeps the key itself."""
        key = draw()
        secret_hash = self._secret_hash(tenant_id, key).hex()
        named = None if roles is None else tuple(roles)
        return key, administration.IssueKey(
            key.key_id, secret_hash, actor, named, valid_seconds, replaces, overlap_seconds
        )

    def _secret_hash(self, tenant_id: str, key: ApiKey) -> bytes:
        """The keyed hash under which the key's secret is stored."""
        return self._vault.credential_hash(tenant_id, str(key))


def ended(key: administration.Key) -> str | None:
    """Whether a key of a tenant's administration has ended by now, and how."""
    return administration.ended(key, datetime.now(UTC))
