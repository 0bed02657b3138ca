"""procrastinate, one job a `defer_async`, one worker with a concurrency of 16.

As "Launch a worker" and "Control the concurrency" have it: an asynchronous task, a worker in the event loop with
`concurrency`, a pool with connections for the callers and for the jobs that run.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import uvloop
from procrastinate import App, PsycopgConnector

from bench.peers.lifecycles import Round, order

WORKERS = 16
CONNECTIONS = 32
COMPLETED = "SELECT count(*) AS number FROM procrastinate_jobs WHERE status = 'succeeded'"


async def main() -> None:
    """Measure, in a database that may be empty."""
    logging.disable(logging.CRITICAL)
    connector = PsycopgConnector(conninfo=order["url"], min_size=CONNECTIONS, max_size=CONNECTIONS)
    app = App(connector=connector)

    @app.task  # type: ignore[untyped-decorator]
    async def work(payload: dict[str, Any]) -> None:
        round_.worked()

    async def completed() -> int:
        return int((await connector.execute_query_one_async(COMPLETED))["number"])

    round_ = Round(lambda: work.defer_async(payload=order["payload"]), completed)
    async with app.open_async():
        found = await connector.execute_query_one_async("SELECT to_regclass('procrastinate_jobs') AS name")
        if found["name"] is None:
            await app.schema_manager.apply_schema_async()
        running = asyncio.create_task(app.run_worker_async(concurrency=WORKERS, install_signal_handlers=False))
        await round_.measure()
        running.cancel()
        await asyncio.wait([running])


if __name__ == "__main__":
    uvloop.run(main())
