"""JWT bearer tokens: taken from the issuer the operator names, for this service, while they hold; all others are refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from api.identity.issuer import Issuer
from tests.api.conftest import client_body, fresh_client, problem
from tests.api.identity.conftest import HOME, OTHER, Door, open_door
from tests.clusters import Cluster

ISSUER, AUDIENCE = "https://identity.example", "fidelog"
RSA, EC, ED = (
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
    ed25519.Ed25519PrivateKey.generate(),
)
STRANGER = rsa.generate_private_key(65537, 2048)


def jwk(algorithm: str, key: Any, kid: str) -> dict[str, Any]:
    public = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": kid, "alg": algorithm, "use": "sig"}


KEYS = {"keys": [jwk("RS256", RSA, "r"), jwk("ES256", EC, "e"), jwk("EdDSA", ED, "d")]}


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "r", **claims: Any) -> str:
    """A token that would be taken, but for what is given."""
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "tenant": HOME,
        "roles": ["advisor"],
        "iat": now,
        "exp": now + 300,
    }
    wanted = {name: value for name, value in {**good, **claims}.items() if value is not None}
    return jwt.encode(wanted, key, algorithm, headers={} if kid is None else {"kid": kid})


@pytest.fixture(scope="module")
def trusting(pg: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A service that takes the tokens of an issuer whose keys lie in a file."""
    file = tmp_path_factory.mktemp("issuer") / "jwks.json"
    file.write_text(json.dumps(KEYS))
    with pg.copy() as name:
        yield from open_door(pg, name, issuer=Issuer(ISSUER, AUDIENCE, str(file), leeway=5))


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "r"), (EC, "ES256", "e"), (ED, "EdDSA", "d")])
def test_a_token_of_the_issuer_proves_who_acts(trusting: Door, key: Any, algorithm: str, kid: str) -> None:
    """By each pinned algorithm; the second time from memory."""
    caller = trusting.caller(token(key, algorithm, kid, sub="user:ada"))
    for _ in range(2):
        assert caller.post("/clients", json=client_body(fresh_client())).status_code == 200


def test_who_acts_for_somebody_is_the_actor(trusting: Door) -> None:
    """RFC 8693: `act` acts, on behalf of `sub`."""
    caller = trusting.caller(
        token(sub="chief", act={"sub": "agent:reb@3"}, roles="advisor compliance"), fidelog_purpose="x"
    )
    written = caller.post("/clients", json=client_body(fresh_client()))
    event = caller.get(f"/audit/events/{written.headers['fidelog-position']}").json()
    assert (event["actor"], event["on_behalf_of"]) == ("agent:reb@3", "user:chief")


def test_roles_and_tenant_are_the_tokens(trusting: Door) -> None:
    """403 for what its roles do not reach; in its own tenant only."""
    problem(trusting.caller(token(roles=["operator"])).get("/tasks"), "forbidden")
    problem(trusting.caller(token(roles=[])).get("/tasks"), "forbidden")
    problem(trusting.caller(token(roles=None)).get("/tasks"), "forbidden")
    client_id = fresh_client()
    assert trusting.caller(token()).post("/clients", json=client_body(client_id)).status_code == 200
    assert trusting.caller(token(tenant=OTHER)).get(f"/clients/{client_id}").status_code == 404


NOW = int(time.time())
BAD = {
    "algorithm none": jwt.encode({"sub": "ada", "exp": NOW + 300}, "", "none"),
    "symmetric": jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": NOW + 300}, "s" * 40, "HS256"),
    "wrong audience": token(aud="somebody-else"),
    "no audience": token(aud=None),
    "wrong issuer": token(iss="https://elsewhere.example"),
    "no issuer": token(iss=None),
    "wrong key": token(STRANGER),
    "unknown key": token(kid="x"),
    "no key named": token(kid=None),
    "key of another algorithm": token(RSA, "RS256", "e"),
    "expired": token(exp=NOW - 60),
    "no expiry": token(exp=None),
    "another signature": token().rsplit(".", 1)[0] + ".AAAA",
    "not yet": token(nbf=NOW + 600),
    "issued in the future": token(iat=NOW + 600),
    "no subject": token(sub=None),
    "subject that cannot act": token(sub="a b"),
    "subject of other characters": token(sub="é"),
    "no tenant": token(tenant=None),
    "tenant that is no name": token(tenant=7),
    "unknown tenant": token(tenant="nobody"),
    "roles that are none": token(roles=[1]),
    "roles that are a number": token(roles=7),
    "roles by name": token(roles={"advisor": True}),
    "no date at all": token(exp=10**400),
    "act that is nobody": token(act={}),
    "act in act": token(act={"sub": "agent:x", "act": {"sub": "agent:y"}}),
    "cut": token()[:-10],
    "three dots": "a.b.c",
    "no token": "garbage",
}


@pytest.mark.parametrize("why", BAD)
def test_any_other_token_is_refused(trusting: Door, why: str) -> None:
    """401 for every one of them, with the challenge; no part of the token comes back."""
    answer = trusting.caller(BAD[why]).get("/tasks")
    problem(answer, "unauthenticated")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert BAD[why][-20:] not in answer.text


def test_without_an_issuer_no_token_is_taken(door: Door) -> None:
    """A token proves nothing to a service that trusts nobody."""
    problem(door.caller(token()).get("/tasks"), "unauthenticated")


def test_keys_come_by_url_and_a_new_one_is_found(pg: Cluster) -> None:
    """The set is asked for again when a token names a key that it did not have."""
    served: dict[str, Any] = {"keys": KEYS["keys"][:1]}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(served).encode())

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with pg.copy() as name:
            url = f"http://127.0.0.1:{server.server_port}/jwks"
            for one in open_door(pg, name, issuer=Issuer(ISSUER, AUDIENCE, url)):
                assert one.caller(token()).get("/tasks").status_code == 200
                served["keys"] = KEYS["keys"]
                tokens = one.api.backend.gate()._tokens  # type: ignore[union-attr]
                assert tokens is not None
                tokens._key_set._tried_at = float("-inf")
                assert one.caller(token(EC, "ES256", "e")).get("/tasks").status_code == 200
    finally:
        server.shutdown()
        server.server_close()


def test_a_key_set_that_cannot_be_read_proves_nobody(pg: Cluster, tmp_path: Path) -> None:
    """401, and the service goes on."""
    with pg.copy() as name:
        for one in open_door(pg, name, issuer=Issuer(ISSUER, AUDIENCE, str(tmp_path / "missing.json"))):
            problem(one.caller(token()).get("/tasks"), "unauthenticated")
            assert one.somebody("advisor").get("/tasks").status_code == 200


def test_the_refusal_of_one_person_does_not_hide_anothers(trusting: Door) -> None:
    """All tokens are one kind of credential; who was refused is on record, each at most once a minute."""
    for _ in range(2):
        for name in ("ada", "bob"):
            problem(trusting.caller(token(sub=name, roles=["agent"])).get("/admin/keys"), "forbidden")
    officer = trusting.somebody("compliance", fidelog_purpose="test")
    query: dict[str, str | int] = {"stream": "log-access", "order": "desc", "limit": 100}
    events = officer.get("/audit/events", params=query).json()["events"]
    of_route = [e["actor"] for e in events if e["type"] == "AccessRefused" and e["data"]["route"] == "GET /admin/keys"]
    assert sorted(of_route) == ["user:ada", "user:bob"]
