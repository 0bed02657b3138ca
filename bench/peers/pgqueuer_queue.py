"""PgQueuer, one job an enqueue, jobs fetched in batches and run side by side.

As its "Performance Tuning" and "Benchmarks" pages recommend: asyncpg (1.7 times as fast as psycopg there), a pool for the
producers, a connection of its own for the queue manager, a larger `batch_size` for short jobs, `pgq autovac`'s settings.
"""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.queries import Queries

from bench.peers.lifecycles import Round, order

BATCH = 100
CONNECTIONS = 20
COMPLETED = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"


async def main() -> None:
    """Measure, in a database that may be empty."""
    logging.disable(logging.CRITICAL)
    pool = await asyncpg.create_pool(order["url"], min_size=CONNECTIONS, max_size=CONNECTIONS)
    producer = Queries(AsyncpgPoolDriver(pool))
    if not await producer.has_table("pgqueuer"):
        await producer.install()
        await producer.optimize_autovacuum()
    manager = PgQueuer(AsyncpgDriver(await asyncpg.connect(order["url"])))
    payload = json.dumps(order["payload"]).encode()
    round_ = Round(lambda: producer.enqueue("work", payload), lambda: pool.fetchval(COMPLETED))

    @manager.entrypoint("work")  # type: ignore[untyped-decorator]
    async def work(job: object) -> None:
        round_.worked()

    running = asyncio.create_task(manager.run(batch_size=BATCH, dequeue_timeout=timedelta(seconds=1)))
    await round_.measure()
    manager.shutdown.set()
    await running
    await pool.close()


if __name__ == "__main__":
    uvloop.run(main())
