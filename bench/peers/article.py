"""The article's own schema and endpoint, as on its page: a synchronous route and a connection per request."""

from __future__ import annotations

import os
from typing import Any

import psycopg
from fastapi import FastAPI
from pydantic import BaseModel

DB_URL = os.environ["PEER_DATABASE_URL"]

schema_sql = """
CREATE TABLE IF NOT EXISTS client_profiles (
    client_id TEXT PRIMARY KEY,
    full_name TEXT NOT NULL,
    risk_profile TEXT NOT NULL,
    updated_at TIMESTAMPTZ DEFAULT now()
);

CREATE TABLE IF NOT EXISTS agent_tasks (
    task_id UUID PRIMARY KEY,
    client_id TEXT NOT NULL REFERENCES client_profiles(client_id),
    agent_name TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending',
    payload JSONB NOT NULL,
    result JSONB,
    created_at TIMESTAMPTZ DEFAULT now(),
    updated_at TIMESTAMPTZ DEFAULT now()
);
"""

with psycopg.connect(DB_URL) as conn:
    with conn.cursor() as cur:
        cur.execute(schema_sql)
    conn.commit()

app = FastAPI()


class ClientProfileIn(BaseModel):
    client_id: str
    full_name: str
    risk_profile: str


@app.post("/clients")
def upsert_client(profile: ClientProfileIn):  # type: ignore[no-untyped-def]  # as the page has it
    sql = """
    INSERT INTO client_profiles (client_id, full_name, risk_profile)
    VALUES (%s, %s, %s)
    ON CONFLICT (client_id)
    DO UPDATE SET full_name = EXCLUDED.full_name,
                  risk_profile = EXCLUDED.risk_profile,
                  updated_at = now()
    RETURNING client_id, full_name, risk_profile;
    """
    with psycopg.connect(DB_URL) as conn:
        with conn.cursor() as cur:
            cur.execute(sql, (profile.client_id, profile.full_name, profile.risk_profile))
            row: Any = cur.fetchone()
        conn.commit()

    return {"client_id": row[0], "full_name": row[1], "risk_profile": row[2]}
