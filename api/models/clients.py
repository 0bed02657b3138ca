"""Clients: bodies and answers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from api.models.fields import Body, FullName, Identifier, RiskProfile
from api.models.tasks import TaskOut


class ClientIn(Body):
    """A client as the article has it."""

    client_id: Identifier
    full_name: FullName
    risk_profile: RiskProfile

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"client_id": "client-001", "full_name": "Amina Patel", "risk_profile": "moderate"}
        }
    )


class ClientOut(BaseModel):
    """A client."""

    client_id: str
    full_name: str
    risk_profile: str

    model_config = ClientIn.model_config


class ClientWithTasksOut(BaseModel):
    """A client, and the client's open tasks where they were asked for."""

    client_id: str
    full_name: str
    risk_profile: str
    open_tasks: list[TaskOut] | None = None

    model_config = ClientIn.model_config
