"""`fidelog witness`: serve until a signal, or print the key."""

from __future__ import annotations

import time

from api.hosting import Server, address, allow_files, config_of, listen, stop_on_signals
from api.limits import RequestLimits
from api.logs import log_to_stderr
from api.settings import SettingsError
from api.witness.app import WitnessApp
from api.witness.cosigner import Cosigner, open_key
from api.witness.settings import WitnessSettings


def print_key(settings: WitnessSettings) -> None:
    """The verifier key, as a policy names it; made on first use. Raises SettingsError."""
    print(open_key(settings.state_dir, settings.name).verifier.text)


async def serve(settings: WitnessSettings) -> None:
    """Serve until SIGINT or SIGTERM. Raises SettingsError."""
    log_to_stderr()
    if not settings.logs:
        raise SettingsError(
            "a witness needs the verifier key of a log: --log KEY, or a file of keys in FIDELOG_WITNESS_LOGS"
        )
    cosigner = Cosigner(settings.state_dir, open_key(settings.state_dir, settings.name), settings.logs)
    limits = RequestLimits()
    allow_files(limits.connections)
    server = Server(config_of(WitnessApp(cosigner, limits, time.time), limits))
    stop_on_signals(server, lambda: None)
    listener = listen(settings.host, settings.port, "FIDELOG_WITNESS_PORT")
    try:
        # Whoever connects from now on is answered.
        print(f"Fidelog witness is ready at {address(settings.host, listener)}", flush=True)
        await server.serve(sockets=[listener])
    finally:
        listener.close()
