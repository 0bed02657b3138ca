"""The plain service: ordinary async routes, pydantic models, pools, one statement each. No audit, no idempotency.

What writes uses psycopg_pool's pool as it comes, a transaction a `connection()`. What reads uses a pool of connections in
autocommit, as psycopg's "Transactions management" has it for a statement that needs no transaction: it is sent without
the BEGIN and COMMIT around it, one round trip for three.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import FastAPI, HTTPException
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

SCHEMA = """
CREATE TABLE IF NOT EXISTS client_profiles (
    client_id TEXT PRIMARY KEY,
    full_name TEXT NOT NULL,
    risk_profile TEXT NOT NULL,
    updated_at TIMESTAMPTZ DEFAULT now()
);
CREATE TABLE IF NOT EXISTS agent_tasks (
    task_id UUID PRIMARY KEY,
    client_id TEXT NOT NULL,
    agent_name TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending',
    priority INT NOT NULL DEFAULT 3,
    attempt INT NOT NULL DEFAULT 0,
    payload JSONB NOT NULL,
    result JSONB,
    error TEXT,
    claimed_by TEXT,
    lease_expires_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ DEFAULT clock_timestamp(),
    updated_at TIMESTAMPTZ DEFAULT now()
);
CREATE INDEX IF NOT EXISTS agent_tasks_queue ON agent_tasks (agent_name, status, created_at)"""

UPSERT = """
INSERT INTO client_profiles (client_id, full_name, risk_profile)
VALUES (%s, %s, %s)
ON CONFLICT (client_id)
DO UPDATE SET full_name = EXCLUDED.full_name, risk_profile = EXCLUDED.risk_profile, updated_at = now()
RETURNING client_id, full_name, risk_profile"""

GET_CLIENT = "SELECT client_id, full_name, risk_profile FROM client_profiles WHERE client_id = %s"

LIST_TASKS = """
SELECT task_id, client_id, agent_name, status, priority, attempt, payload, result, error, claimed_by,
       lease_expires_at, created_at, updated_at
FROM agent_tasks
WHERE status = %s AND agent_name = %s
ORDER BY created_at
LIMIT %s"""


class ClientProfile(BaseModel):
    client_id: str
    full_name: str
    risk_profile: str


class Task(BaseModel):
    task_id: UUID
    client_id: str
    agent_name: str
    status: str
    priority: int
    attempt: int
    payload: dict[str, Any]
    result: dict[str, Any] | None
    error: str | None
    claimed_by: str | None
    lease_expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Tasks(BaseModel):
    tasks: list[Task]


pool = AsyncConnectionPool(os.environ["PEER_DATABASE_URL"], min_size=10, max_size=10, open=False)
autocommit = AsyncConnectionPool(
    os.environ["PEER_DATABASE_URL"], kwargs={"autocommit": True}, min_size=10, max_size=10, open=False
)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with pool, autocommit:
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


@app.get("/clients/{client_id}")
async def get_client(client_id: str) -> ClientProfile:
    async with autocommit.connection() as connection:
        cursor = await connection.execute(GET_CLIENT, (client_id,))
        row = await cursor.fetchone()
    if row is None:
        raise HTTPException(404, "Client not found")
    return ClientProfile(client_id=row[0], full_name=row[1], risk_profile=row[2])


@app.get("/tasks")
async def list_tasks(status: str, agent_name: str, limit: int = 100) -> Tasks:
    async with autocommit.connection() as connection, connection.cursor(row_factory=class_row(Task)) as cursor:
        await cursor.execute(LIST_TASKS, (status, agent_name, limit))
        return Tasks(tasks=await cursor.fetchall())
