"""The way to the witnesses, over HTTP: bounded in time and in what is taken of an answer."""

from __future__ import annotations

import asyncio

import httpx

from api import __version__
from api.witnessing import Witnessing
from eventstore.proof.witness_exchange import MOST_BYTES
from eventstore.sealing.consistency import ConsistencyProofs
from eventstore.sealing.cosigning import Cosigning
from eventstore.sealing.witnesses import Unreachable, Witness

ANSWER_SECONDS = 10.0
"""For all of an answer, from the connection on."""


class Cosigners:
    """The witnesses of this process's settings; connections to them are shared by all tenants."""

    def __init__(self, witnessing: Witnessing) -> None:
        self._witnessing = witnessing
        self._client = httpx.AsyncClient(
            timeout=ANSWER_SECONDS, follow_redirects=False, headers={"user-agent": f"fidelog/{__version__}"}
        )

    def of(self, tenant_id: str) -> Cosigning:
        """What collects cosignatures for a tenant's log."""
        witnesses = [Witness(key, Posting(self._client, url)) for key, url in self._witnessing.addresses.items()]
        return Cosigning(tenant_id, self._witnessing.policy, witnesses, ConsistencyProofs(tenant_id))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class Posting:
    """Sends requests to one witness."""

    def __init__(self, client: httpx.AsyncClient, url: str, seconds: float = ANSWER_SECONDS) -> None:
        self._client = client
        self._url = f"{url}/add-checkpoint"
        self._seconds = seconds

    async def __call__(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer. Raises Unreachable."""
        try:
            async with asyncio.timeout(self._seconds), self._client.stream("POST", self._url, content=body) as answer:
                content = b""
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > MOST_BYTES:
                        raise Unreachable(f"its answer has more than {MOST_BYTES} bytes")
                return answer.status_code, content
        except TimeoutError:
            raise Unreachable(f"no answer within {self._seconds:g} seconds") from None
        except httpx.HTTPError as error:
            raise Unreachable(f"it cannot be reached: {type(error).__name__}") from error
