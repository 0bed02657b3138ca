"""The options of `fidelog serve`: settings, of the same names."""

from __future__ import annotations

import argparse

from api.settings import LIMITS


def of_serve(serve: argparse.ArgumentParser) -> None:
    """Where it listens, whom it takes, and its limits."""
    serve.add_argument("--host", help="address to listen on; callers need credentials on any but loopback")
    serve.add_argument("--port", help="port to listen on")
    serve.add_argument("--origin", help="what the names of the logs begin with, such as audit.bank.example/wealth")
    serve.add_argument("--access-log", help="whose reads of personal data are recorded: credentials, or all")
    serve.add_argument("--retention", help="years for which each class of records is kept")
    serve.add_argument("--master-key-days", help="days after which the master key is rotated, or off")
    serve.add_argument("--jwt-issuer", help="issuer whose JWT bearer tokens are taken")
    serve.add_argument("--jwt-audience", help="audience that such a token must be for")
    serve.add_argument("--jwt-jwks", help="the issuer's key set: a URL, or a file")
    serve.add_argument("--jwt-leeway", help="seconds by which the issuer's clock may differ")
    serve.add_argument("--jwt-algorithms", help="algorithms that are taken")
    for limit in LIMITS:
        serve.add_argument(f"--{limit.option.replace('_', '-')}", metavar="N", help=f"{limit.meaning}; {limit.default}")
    serve.add_argument("--verify-seconds", metavar="N", help="seconds between two verifications of what is new; 3600")
    serve.add_argument("--verify-full-seconds", metavar="N", help="seconds between two verifications of it all; 86400")
    serve.add_argument("--request-log", choices=("on", "off"), help="a line of JSON on stderr for every request")
