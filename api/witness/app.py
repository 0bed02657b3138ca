"""The witness over HTTP (c2sp.org/tlog-witness): a checkpoint comes in, and the last one can be read."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

from api.answer import NO_STORE, Answer
from api.bodies import Bodies, Disconnected
from api.limits import RequestLimits
from api.problems import Problem, instance
from api.witness.cosigner import Cosigner
from eventstore.proof.witness_exchange import PLAIN

log = logging.getLogger(__name__)

SUBMIT = "/add-checkpoint"
LATEST = re.compile(r"/([0-9a-f]{64})/checkpoint", re.ASCII)


class WitnessApp:
    """An ASGI application. What a request may be is bounded as everywhere; who may ask is decided by what it holds.

    `clock` gives seconds since 1970.
    """

    def __init__(self, cosigner: Cosigner, limits: RequestLimits, clock: Callable[[], float]) -> None:
        self._cosigner = cosigner
        self._bodies = Bodies(limits.bodies_bytes)
        self._clock = clock

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope, receive)
        except Disconnected:
            return
        except Problem as problem:
            answer = problem.answer(instance(scope))
        except Exception as error:
            # Nothing was cosigned: an answer is made only when what it says is on the disk.
            log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            answer = Problem("internal-error").answer(instance(scope))
        answer.headers.append(NO_STORE)
        await answer.send(send)

    async def _answer(self, scope: Any, receive: Any) -> Answer:
        path, method = scope["path"], scope["method"]
        asked = LATEST.fullmatch(path)
        if path != SUBMIT and asked is None:
            raise Problem("not-found", "There is nothing at this path")
        if method != (allowed := "POST" if asked is None else "GET"):
            raise Problem("method-not-allowed", headers={"allow": allowed})
        if asked is None:
            return await self._submitted(scope, receive)
        found = await asyncio.to_thread(self._cosigner.checkpoint, asked[1])
        if found is None:
            return Answer(404, b"nothing was cosigned for such a log\n", content_type=PLAIN.encode())
        return Answer(200, found, content_type=PLAIN.encode())

    async def _submitted(self, scope: Any, receive: Any) -> Answer:
        announced = next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
        body, held = await self._bodies.take_in(receive, announced)
        try:
            answered = await asyncio.to_thread(self._cosigner.add_checkpoint, body, int(self._clock()))
        finally:
            self._bodies.give_back(held)
        return Answer(answered.status, answered.body, content_type=answered.content_type.encode())
