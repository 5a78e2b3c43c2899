"""The log format of the local AWS, which leaves out the messages of exceptions.

A message may quote a request: a password, a token in a URL, a text. The log has the exception's type and traceback; the
client that sent the request receives the message.
"""

import logging
import traceback
from types import TracebackType

__all__ = ["configure_log"]

_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class _ExceptionTypesFormatter(logging.Formatter):
    """Formats tracebacks with types of exceptions and without messages."""

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802 - logging's name
        _, error, _ = ei
        parts: list[str] = []
        seen: set[int] = set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            frames = "".join(traceback.format_tb(error.__traceback__))
            parts.insert(
                0, f"Traceback (most recent call last):\n{frames}{type(error).__module__}.{type(error).__qualname__}"
            )
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n\nwhich led to:\n\n".join(parts)


def configure_log() -> None:
    """Log messages of level INFO and above to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_ExceptionTypesFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # At INFO it logs the path of each request whose client has gone, which may be an object's key.
    logging.getLogger("waitress").setLevel(logging.WARNING)
