"""Every way in: HTTP routes, identity, problems, the `fidelog` command. Wiring happens only here."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("fidelog-server")
except PackageNotFoundError:  # run from a tree that was not installed
    __version__ = "0+unknown"
