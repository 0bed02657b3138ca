"""The plain service's upsert on connections in autocommit: the one statement is the transaction, without BEGIN and COMMIT."""

from __future__ import annotations

from fastapi import FastAPI

from bench.peers.plain_crud import UPSERT, ClientProfile, autocommit, lifespan

app = FastAPI(lifespan=lifespan)


@app.post("/clients")
async def upsert_client(profile: ClientProfile) -> ClientProfile:
    async with autocommit.connection() as connection:
        cursor = await connection.execute(UPSERT, (profile.client_id, profile.full_name, profile.risk_profile))
        row = await cursor.fetchone()
    assert row is not None
    return ClientProfile(client_id=row[0], full_name=row[1], risk_profile=row[2])
