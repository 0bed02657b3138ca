"""A process of its own that writes: `python -m … STATE_DIR WRITER_URL READER_URL NAME write CALLERS EACH`, or
`… stop-under-lock`. Prints how many commands were acknowledged."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from eventstore import provision
from eventstore.database import Database
from eventstore.vault.keys import MasterKeys
from eventstore.vault.vault import Vault
from projections.engine import engine as product_engine
from tests.eventstore.writer.harness import TENANT, envelope, writing


async def write(database: Database, vault: Vault, name: str, callers: int, each: int) -> int:
    """`callers` at once write `each` commands, half of them to clients that all processes share."""

    async def caller(number: int, writer: Any) -> None:
        for turn in range(each):
            client = f"shared-{turn}" if number % 2 else f"{name}-{number}-{turn}"
            await writer.submit(envelope(vault, client))

    async with writing(database, vault) as writer:
        await asyncio.gather(*(caller(number, writer) for number in range(callers)))
    return callers * each


async def stop_under_lock(database: Database, vault: Vault, name: str) -> int:
    """Stop this process while it decides, that is, while it holds the tenant's lock."""
    product, stopped = product_engine(), False

    def decide(*arguments: Any) -> Any:
        nonlocal stopped
        if not stopped:
            stopped = True
            os.kill(os.getpid(), signal.SIGSTOP)
        return product.decide(*arguments)

    async with writing(database, vault, engine=replace(product, decide=decide)) as writer:
        await writer.submit(envelope(vault, name))
    return 1


async def main() -> None:
    state_dir, writer_url, reader_url, name, mode, *numbers = sys.argv[1:]
    database = Database("server", {"writer": writer_url, "reader": reader_url})
    vault = Vault(MasterKeys.open(Path(state_dir), create=False))
    await provision.open_tenant(database, vault, TENANT)
    if mode == "write":
        print(await write(database, vault, name, *map(int, numbers)))
    else:
        print(await stop_under_lock(database, vault, name))


if __name__ == "__main__":
    asyncio.run(main())
