"""The one error type that leaves this package."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped, unused-ignore]


class EmbeddedServerError(Exception):
    """The embedded server cannot be used; the message is one line: what is wrong; what to do."""

    # One argument stays possible because unpickling calls the class with the finished message.
    def __init__(self, problem: str, remedy: str = "") -> None:
        message = f"{problem}; {remedy}" if remedy else problem
        super().__init__(re.sub(r"\s*[\r\n]+\s*", " | ", message.strip()))


@contextmanager
def system_errors_translated(attempt: str, remedy: str) -> Iterator[None]:
    """Turn operating-system errors inside the block into EmbeddedServerError.

    Raises: EmbeddedServerError naming the attempt, the reason and the file.
    """
    try:
        yield
    except psutil.Error as error:
        raise EmbeddedServerError(f"cannot {attempt}: {error}", remedy) from error
    except OSError as error:
        reason = error.strerror or str(error)
        place = f" ({error.filename})" if error.filename else ""
        raise EmbeddedServerError(f"cannot {attempt}: {reason}{place}", remedy) from error
