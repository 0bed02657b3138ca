"""A PostgreSQL server that lives in one data folder and is shared by the processes that use it."""

from .errors import EmbeddedServerError
from .server import EmbeddedServer

__all__ = ["EmbeddedServer", "EmbeddedServerError"]
