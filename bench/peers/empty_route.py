"""The framework's ceiling: our body model in an ordinary route that returns its fields and stores nothing."""

from __future__ import annotations

from fastapi import FastAPI

from api.models.clients import ClientIn

app = FastAPI()


@app.post("/clients")
async def echo(client: ClientIn) -> dict[str, str]:
    return {"client_id": client.client_id, "full_name": client.full_name, "risk_profile": client.risk_profile}
