"""The plain service: an ordinary async route, a pydantic model, a pool, one upsert. No audit, no idempotency."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

SCHEMA = """
CREATE TABLE IF NOT EXISTS client_profiles (
    client_id TEXT PRIMARY KEY,
    full_name TEXT NOT NULL,
    risk_profile TEXT NOT NULL,
    updated_at TIMESTAMPTZ DEFAULT now()
)"""

UPSERT = """
INSERT INTO client_profiles (client_id, full_name, risk_profile)
VALUES (%s, %s, %s)
ON CONFLICT (client_id)
DO UPDATE SET full_name = EXCLUDED.full_name, risk_profile = EXCLUDED.risk_profile, updated_at = now()
RETURNING client_id, full_name, risk_profile"""


class ClientProfile(BaseModel):
    client_id: str
    full_name: str
    risk_profile: str


pool = AsyncConnectionPool(os.environ["PEER_DATABASE_URL"], min_size=10, max_size=10, open=False)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with pool:
        async with pool.connection() as connection:
            await connection.execute(SCHEMA)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/clients")
async def upsert_client(profile: ClientProfile) -> ClientProfile:
    async with pool.connection() as connection:
        cursor = await connection.execute(UPSERT, (profile.client_id, profile.full_name, profile.risk_profile))
        row = await cursor.fetchone()
    assert row is not None
    return ClientProfile(client_id=row[0], full_name=row[1], risk_profile=row[2])
