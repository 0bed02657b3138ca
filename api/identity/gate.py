"""Who comes in: the one place where a request gets its caller, and where a caller is refused (401, 403)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.call import Call
from api.identity.accesses import Accesses, Asked
from api.identity.caller import LOCAL_ACTOR, Caller, local
from api.identity.directory import Directory, Ended
from api.identity.issuer import TokenRefused
from api.identity.keys import PREFIX
from api.identity.roles import ROUTES, Need
from api.problems import Problem

if TYPE_CHECKING:
    from api.identity.tokens import Tokens

CHALLENGE = 'Bearer realm="fidelog"'


def unauthenticated(detail: str, error: str | None = None) -> Problem:
    """401 with the challenge of RFC 6750, section 3."""
    challenge = CHALLENGE if error is None else f'{CHALLENGE}, error="{error}"'
    return Problem("unauthenticated", detail, headers={"www-authenticate": challenge})


def forbidden(detail: str, missing_scope: str) -> Problem:
    """403 that names the scope that would do."""
    return Problem("forbidden", detail, missing_scope=missing_scope)


class Gate:
    """Admits callers. `home` is the local operator's tenant; None when every caller must prove who it is. Routes in
    `opened` need no credential here."""

    def __init__(
        self,
        directory: Directory,
        accesses: Accesses,
        tokens: Tokens | None = None,
        *,
        home: str | None,
        opened: frozenset[str] = frozenset(),
    ) -> None:
        self._directory = directory
        self._accesses = accesses
        self._tokens = tokens
        self._home = home
        self._opened = opened
        self._local = None if home is None else local(home)

    @property
    def keyless(self) -> bool:
        """Whether a caller without a credential is the local operator."""
        return self._home is not None

    async def identify(self, call: Call, need: Need, route: str) -> None:
        """Give the call its caller, if it has one. Raises Problem (401)."""
        given = call.headers.get(b"authorization")
        if given is None:
            self._without_credential(call, need.public or route in self._opened)
            return
        if need.public and not need.told_more:
            return
        try:
            caller = await self._proven(given)
        except Ended as error:
            asked = Asked(error.caller, error.caller.actor, route, call.correlation_id)
            await self._accesses.refused(asked, 401, error.how)
            raise unauthenticated(f"The API key is {error.how}", "invalid_token") from None
        call.admit(caller)

    def _without_credential(self, call: Call, public: bool) -> None:
        if self._home is None:
            if not public:
                raise unauthenticated("Send an API key or a token: Authorization: Bearer …")
            return
        actor = call.stated_actor
        caller = self._local if actor is None or actor == LOCAL_ACTOR else local(self._home, actor)
        assert caller is not None
        call.admit(caller)

    def authorise(self, call: Call, need: Need) -> None:
        """Whether the caller may do this. Raises Problem (403)."""
        caller = call.caller
        if caller is None:
            return
        if caller.credential is None:
            call.check_origin()
        elif need.scopes and caller.scopes.isdisjoint(need.scopes):
            raise forbidden(f"This needs the scope {' or '.join(need.scopes)}", need.scopes[0])

    async def _proven(self, given: bytes) -> Caller:
        scheme, _, token = given.strip().partition(b" ")
        if scheme.lower() != b"bearer" or not (token := token.strip()):
            raise unauthenticated("The Authorization header must be: Bearer <API key or token>", "invalid_request")
        if token.startswith(PREFIX.encode()):
            caller = await self._directory.caller(token)
            if caller is None:
                raise unauthenticated("The API key is not known", "invalid_token")
            return caller
        if self._tokens is None:
            raise unauthenticated("The credential is not an API key", "invalid_token")
        try:
            caller = await self._tokens.caller(token)
        except TokenRefused as error:
            raise unauthenticated(f"The token is refused: {error}", "invalid_token") from None
        if caller.tenant_id not in self._directory:
            raise unauthenticated("The token is refused: it names no tenant of this service", "invalid_token")
        return caller

    async def refused(self, call: Call, route: str, problem: Problem) -> None:
        """The caller was refused (403): record it."""
        if call.caller is not None:
            reason = str(problem.members.get("missing_scope", problem.slug))
            asked = Asked(call.caller, call.actor, route, call.correlation_id)
            await self._accesses.refused(asked, 403, reason)

    async def record(self, call: Call, route: str) -> None:
        """Record whose personal data the answer will show; of a list it is under way. Raises StoreError: then it is not
        shown."""
        caller = call.caller
        if caller is not None and call.shows and self._accesses.recorded(caller):
            record = self._accesses.listed if ROUTES[route].listed else self._accesses.read
            await record(Asked(caller, call.actor, route, call.correlation_id), call.shows, call.purpose)

    async def settle(self) -> None:
        """Until nothing is under way any more."""
        await self._accesses.settle()
