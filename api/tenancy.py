"""What runs for each tenant: the tails that follow its log, and its sweeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from eventstore.database import Database
from eventstore.following import Following
from eventstore.sealing.cosigning import Cosigning
from eventstore.sealing.sealer import Sealer
from projections.audit_index import audit_index

FIRST_TURN_SECONDS = 2.0


class Sweep(Protocol):
    """Looks again and again for something that is to be done."""

    async def run(self) -> None:
        """For ever."""


class Tenancy:
    """One tenant's tails and sealer, and what asks its witnesses, if it is `followed`; and sweeps."""

    def __init__(
        self, tenant_id: str, sweeps: Sequence[Sweep], sealer: Sealer, cosigning: Cosigning | None, *, followed: bool
    ) -> None:
        self.index = audit_index(tenant_id)
        self.sealer = sealer
        self.cosigning = cosigning
        everything = (self.index, sealer) if cosigning is None else (self.index, sealer, cosigning)
        self.tails: tuple[Following, ...] = everything if followed else ()
        self._tenant_id = tenant_id
        self._sweeps = sweeps
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, database: Database) -> None:
        """Start them; each tail looks once before anybody is told how far it has got. Raises LookupError when the
        database has not the keeper's login; without the sealer's nothing is sealed, and all else goes on."""
        keeper_url = database.url("keeper")
        runs = {type(sweep).__name__: sweep.run() for sweep in self._sweeps}
        started: list[Following] = []
        if self.tails:
            runs["tail-audit_index"] = self.index.run(keeper_url)
            started = [self.index]
            try:
                sealer_url = database.url("sealer")
            except LookupError as error:
                self.sealer.fault = f"nothing is sealed: {error}"
            else:
                runs["seal"] = self.sealer.run(sealer_url)
                self.index.wakes = (self.sealer,)
                started = list(self.tails)
                if self.cosigning is not None:
                    runs["witness"] = self.cosigning.run(sealer_url)
        self._tasks = [asyncio.create_task(run, name=f"{name}-{self._tenant_id}") for name, run in runs.items()]
        await asyncio.gather(*(tail.first_turn(FIRST_TURN_SECONDS) for tail in started))

    async def stop(self) -> None:
        """End them."""
        await end(self._tasks)


class Tenancies:
    """All tenants that this process serves; those that appear while it runs too."""

    def __init__(
        self,
        sweeps: Callable[[str], Sequence[Sweep]],
        sealer: Callable[[str], Sealer],
        cosigning: Callable[[str], Cosigning | None],
        *,
        followed: bool,
    ) -> None:
        self._of: dict[str, Tenancy] = {}
        self._sweeps = sweeps
        self._sealer = sealer
        self._cosigning = cosigning
        self._followed = followed

    def __getitem__(self, tenant_id: str) -> Tenancy:
        return self._of[tenant_id]

    def __contains__(self, tenant_id: str) -> bool:
        return tenant_id in self._of

    @property
    def tails(self) -> tuple[Following, ...]:
        """Every tail of every tenant."""
        return tuple(tail for tenancy in self._of.values() for tail in tenancy.tails)

    def wake(self, tenant_id: str) -> None:
        """Events were appended: whoever follows the tenant's log need not wait for its timer."""
        if (tenancy := self._of.get(tenant_id)) is not None:
            for tail in tenancy.tails:
                tail.wake()

    async def serve(self, tenants: Iterable[str], database: Database) -> None:
        """Start what is not running yet."""
        new = {
            tenant_id: Tenancy(
                tenant_id,
                self._sweeps(tenant_id),
                self._sealer(tenant_id),
                self._cosigning(tenant_id),
                followed=self._followed,
            )
            for tenant_id in tenants
            if tenant_id not in self._of
        }
        if not new:
            return
        self._of.update(new)
        await asyncio.gather(*(tenancy.start(database) for tenancy in new.values()))

    def end_waits(self) -> None:
        """The server is about to stop: requests that wait for something are answered now."""
        for tail in self.tails:
            tail.end_waits()

    async def stop(self) -> None:
        """End all."""
        await asyncio.gather(*(tenancy.stop() for tenancy in self._of.values()))


async def end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel the tasks and wait until they ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
