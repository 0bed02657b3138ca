"""A request as a handler sees it, read and checked in the order that decides which fault is answered first.

413, 415, 400, 401 and 403 end the reading at once; whatever makes the request invalid (422) is collected from path, query,
headers and body, and answered together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from api.bodies import SMALL_BODY_BYTES, Bodies
from api.identity.actors import ACTOR, USER
from api.identity.caller import AGENT, LOCAL_ACTOR, Caller
from api.identity.keys import KEY_ID
from api.identity.roles import TASKS_MANAGE
from api.json_body import check_free_json, parse
from api.models.fields import IDENTIFIER, UUID
from api.models.validation import asked_nothing, faults_of, list_parameters
from api.origin import check_origin
from api.problems import Fault, Problem, invalid
from eventstore.reading import MAX_POSITION
from eventstore.records import ExpectedVersion

Scope = Mapping[str, Any]

_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
_QUOTED = re.compile(r'"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"')
_PURPOSE = re.compile(r"[\x20-\x7e]{1,200}")
_ENTITY_TAG = re.compile(r'(?P<weak>W/)?"(?P<value>[\x21\x23-\x7e]*)"')
_VERSION = re.compile(r"(?P<version>0|[1-9][0-9]{0,17})(?:\..*)?")
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-.*)?"
)
_JSON_TYPE = re.compile(rb"application/json\s*(?:;.*)?", re.IGNORECASE)
_PATTERNS = {
    "client_id": re.compile(IDENTIFIER),
    "hold_id": re.compile(IDENTIFIER),
    "task_id": re.compile(UUID),
    "position": re.compile(r"[1-9][0-9]{0,18}", re.ASCII),
    "key_id": re.compile(KEY_ID),
    **dict.fromkeys(("tenant", "tile", "bundle"), re.compile(r".*", re.DOTALL)),  # what they name is there, or 404
}
_SINGLE = frozenset(
    {
        b"authorization", b"fidelog-actor", b"fidelog-correlation-id", b"fidelog-on-behalf-of", b"fidelog-purpose",
        b"host", b"idempotency-key", b"if-match", b"origin",
    }
)  # fmt: skip


class Call:
    """One request. `admit` gives it its caller. After `check`, `input` and `query` hold the models, and path parameters
    are in canonical form."""

    __slots__ = (
        "_faults", "_too_large", "_versions", "actor", "body", "caller", "correlation_id", "header_bytes", "headers",
        "idempotency_key", "input", "purpose", "query", "scope", "shows", "stated_actor", "tenant_id",
    )  # fmt: skip

    input: Any
    query: Any
    tenant_id: str
    """The caller's, and nobody else's: no part of a request names a tenant."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._faults: list[Fault] = []
        self._too_large: list[Fault] = []
        self.header_bytes = 0
        self.headers = self._read_headers()
        self.body: Any = None
        self.correlation_id = self._correlation()
        self.stated_actor = self._actor()
        self.actor = LOCAL_ACTOR
        self.caller: Caller | None = None
        self.purpose: str | None = None
        self.shows: Sequence[str] = ()
        """The clients whose personal data the answer shows; the handler says them."""
        self.idempotency_key: str | None = None
        self._versions: frozenset[int] | bool | None = False

    def _fault(self, parameter: str, message: str) -> None:
        self._faults.append({"parameter": parameter, "message": message})

    def _read_headers(self) -> dict[bytes, bytes]:
        headers: dict[bytes, bytes] = {}
        size = 0
        for name, value in self.scope["headers"]:
            size += len(name) + len(value)
            if name in headers and name in _SINGLE:
                self._fault(name.decode(), "is given more than once")
            headers[name] = value
        self.header_bytes = size
        return headers

    def _header(self, name: bytes) -> str | None:
        raw = self.headers.get(name)
        return None if raw is None else raw.decode("latin-1").strip(" \t")

    # what is read at once

    async def read_body(self, receive: Any, bodies: Bodies) -> None:
        """Take and parse the body. Raises Problem (413, 503, 415, 400), Disconnected."""
        body, held = await bodies.take_in(receive, int(self.headers.get(b"content-length", b"0")))
        try:
            kind = self.headers.get(b"content-type", b"")
            if kind != b"application/json" and not _JSON_TYPE.fullmatch(kind.strip()):
                raise Problem("unsupported-media-type", "The body must be application/json")
            if held <= SMALL_BODY_BYTES:
                self.body, self._too_large = parse(body)
                return
            async with bodies.turn:
                self.body, self._too_large = parse(body)
        finally:
            bodies.give_back(held)

    def check_origin(self) -> None:
        """Raises Problem (403) when a page of another origin may have sent this."""
        check_origin(self._header(b"host") or "", self._header(b"origin"))

    def _correlation(self) -> str | None:
        text = self._header(b"fidelog-correlation-id")
        if text is not None:
            if _VISIBLE.fullmatch(text) and len(text) <= 128:
                return text
            self._fault("Fidelog-Correlation-Id", "must be 1 to 128 visible ASCII characters")
            return None
        parent = self._header(b"traceparent")
        if parent is None:
            return None
        trace = _TRACEPARENT.fullmatch(parent)
        return trace["trace"] if trace and not (trace["version"] == "00" and trace["more"]) else None

    def _actor(self) -> str | None:
        actor = self._header(b"fidelog-actor")
        if actor is not None and not ACTOR.fullmatch(actor):
            self._fault("Fidelog-Actor", "must be agent:<name>[@version] or user:<id>")
            return None
        return actor

    def admit(self, caller: Caller) -> None:
        """Take in who asks. The actor is the one proven; an agent whose credential leaves it open says its version."""
        stated, actor = self.stated_actor, caller.actor
        if stated is not None and stated != actor:
            if stated.partition("@")[0] == actor and actor.startswith(AGENT):
                actor = stated
            else:
                self._fault("Fidelog-Actor", "is not who the credential proves")
        if b"fidelog-on-behalf-of" in self.headers:
            caller = self._delegated(caller)
        self.caller, self.tenant_id, self.actor = caller, caller.tenant_id, actor

    def _delegated(self, caller: Caller) -> Caller:
        whom = self._header(b"fidelog-on-behalf-of") or ""
        if not USER.fullmatch(whom):
            self._fault("Fidelog-On-Behalf-Of", "must be user:<id>")
        elif caller.on_behalf_of not in (None, whom):
            self._fault("Fidelog-On-Behalf-Of", "is not whom the token names")
        else:
            return replace(caller, on_behalf_of=whom)
        return caller

    @property
    def principal(self) -> str:
        """The actor without an agent's version: an agent that was upgraded between sending and retrying is the same."""
        return self.actor.partition("@")[0]

    @property
    def on_behalf_of(self) -> str | None:
        """For whom the caller acts, if for somebody else."""
        return None if self.caller is None else self.caller.on_behalf_of

    @property
    def manages_tasks(self) -> bool:
        """Whether the caller's scopes reach the tasks of every agent."""
        return self.caller is not None and TASKS_MANAGE in self.caller.scopes

    def may_act_as(self, agent_name: str) -> bool:
        """`agent:x` (of any version) may only for x, somebody else for any if it manages tasks."""
        if self.actor.startswith(AGENT):
            return self.principal == AGENT + agent_name
        return self.manages_tasks

    # what may make the request invalid

    def check(
        self,
        body: type[BaseModel] | None,
        query: type[BaseModel],
        free_json: str | None,
        *,
        guarded: bool,
        personal: bool,
    ) -> None:
        """Check path, query, headers and body. Raises Problem (422) listing every fault.

        `free_json` names the body's member that may hold any JSON; `guarded` says whether If-Match has a meaning,
        `personal` whether personal data will be shown.
        """
        for name, value in self.scope["path_params"].items():
            if not _PATTERNS[name].fullmatch(value) or (name == "position" and int(value) > MAX_POSITION):
                self._fault(name, "must be a positive integer" if name == "position" else "is not a valid identifier")
        self.query = None if self.scope["query_string"] else asked_nothing(query)
        if self.query is None:
            self.query = self._checked_query(query)
        self.idempotency_key = self._checked_key()
        self._versions = self._checked_versions(guarded)
        self._check_purpose(personal)
        if body is not None:
            self._check_body(body, free_json)
        if self._faults or self._too_large:
            raise invalid(*(self._faults or self._too_large))

    def _check_purpose(self, personal: bool) -> None:
        text = self._header(b"fidelog-purpose")
        if text is not None and not _PURPOSE.fullmatch(text):
            self._fault("Fidelog-Purpose", "must be 1 to 200 printable ASCII characters")
        elif text is None and personal and self.caller is not None and self.caller.states_purpose:
            self._fault("Fidelog-Purpose", "is required of this role where personal data is shown")
        self.purpose = text

    def path_parameter(self, name: str) -> str:
        """A path parameter; UUIDs in lower case. An id that cannot be one is refused by `check`."""
        value = str(self.scope["path_params"][name])
        return value.lower() if name == "task_id" else value

    def _check_body(self, model: type[BaseModel], free_json: str | None) -> None:
        try:
            self.input = model.__pydantic_validator__.validate_python(self.body)
        except ValidationError as error:
            self._faults += faults_of(error, "pointer")
        if free_json is not None and isinstance(self.body, dict) and isinstance(self.body.get(free_json), dict):
            self._faults += check_free_json(self.body[free_json], f"/{free_json}")

    def _checked_query(self, model: type[BaseModel]) -> Any:
        values: dict[str, str | list[str]] = {}
        lists = list_parameters(model)
        try:
            pairs = parse_qsl(self.scope["query_string"].decode(), keep_blank_values=True, errors="strict")
        except ValueError:
            self._fault("", "the query string is not valid UTF-8")
            return None
        for name, value in pairs:
            if name in lists:
                values[name] = [*values.get(name, ()), value]
                continue
            if name in values:
                self._fault(name, "is given more than once")
            values[name] = value
        try:
            return model.model_validate(values)
        except ValidationError as error:
            self._faults += faults_of(error, "parameter")

    def _checked_key(self) -> str | None:
        """The Idempotency-Key, quoted (an RFC 8941 string) or bare; both forms are one key."""
        text = self._header(b"idempotency-key")
        if text is None:
            return None
        bare = text
        if text.startswith('"'):
            bare = re.sub(r"\\(.)", r"\1", text[1:-1]) if _QUOTED.fullmatch(text) else ""
        if not _VISIBLE.fullmatch(bare):
            self._fault("Idempotency-Key", "must be 1 to 255 visible ASCII characters, bare or as a quoted string")
        return bare

    def _checked_versions(self, guarded: bool) -> frozenset[int] | bool | None:
        """The versions in If-Match, None for any, False without the header; a weak tag never matches (RFC 9110, 13.1.1)."""
        text = self._header(b"if-match")
        if text is None:
            return False
        if not guarded:
            self._fault("If-Match", "has no meaning here: the request is not about one resource")
        if text == "*":
            return None
        tags = [_ENTITY_TAG.fullmatch(tag.strip(" \t")) for tag in text.split(",")]
        if not all(tags):
            self._fault("If-Match", "must be * or a list of entity tags")
        versions = [_VERSION.fullmatch(tag["value"]) for tag in tags if tag is not None and not tag["weak"]]
        return frozenset(int(version["version"]) for version in versions if version is not None)

    def expected(self, stream: str) -> ExpectedVersion | None:
        """If-Match, as the versions the stream may be at."""
        versions = self._versions
        return None if isinstance(versions, bool) else ExpectedVersion(stream, versions)

    def not_modified(self, entity_tag: str) -> bool:
        """Whether If-None-Match holds the representation's tag (weak comparison, RFC 9110, 13.1.2)."""
        sent = [value.decode("latin-1") for name, value in self.scope["headers"] if name == b"if-none-match"]
        tags = [tag.strip().removeprefix("W/") for value in sent for tag in value.split(",")]
        return "*" in tags or entity_tag in tags
