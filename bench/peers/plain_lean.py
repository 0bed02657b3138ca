"""The plain service through our hot route: the same pool and upsert, answered by `LeanRoute` instead of FastAPI."""

from __future__ import annotations

import orjson
from fastapi import FastAPI

from api.answer import Answer
from api.call import Call
from api.headers import WriteHeaders
from api.intake import Intake
from api.lean import LeanRoute, Operation
from api.limits import RequestLimits
from api.models.clients import ClientIn, ClientOut
from bench.peers.plain_crud import UPSERT, lifespan, pool


async def upsert_client(call: Call) -> Answer:
    client: ClientIn = call.input
    async with pool.connection() as connection:
        cursor = await connection.execute(UPSERT, (client.client_id, client.full_name, client.risk_profile))
        row = await cursor.fetchone()
    assert row is not None
    return Answer(200, orjson.dumps({"client_id": row[0], "full_name": row[1], "risk_profile": row[2]}))


OPERATION = Operation(
    "POST", "/clients", "Upsert a client", upsert_client, answer=ClientOut, body=ClientIn, headers=WriteHeaders
)

app = FastAPI(lifespan=lifespan)
unlimited = Intake(RequestLimits(rate_per_second=10**9, rate_burst=10**9))
app.router.routes.append(LeanRoute(OPERATION, lambda: None, lambda: None, unlimited))
