"""Whom calls are charged to: the caller, its key and the context of its texts."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["NOBODY", "Attribution", "attribute", "current_attribution"]


@dataclass(frozen=True, slots=True)
class Attribution:
    """Names that a call is charged to. They are stored in the ledger, so they must not be secrets.

    Attributes:
        caller: The application or user.
        key: The id of an API key, not the key itself.
        context: The subject of the texts, such as ``code`` or ``business``.
    """

    caller: str | None = None
    key: str | None = None
    context: str | None = None


#: Calls outside of :func:`attribute`.
NOBODY = Attribution()

_current: ContextVar[Attribution] = ContextVar("embedstack_attribution", default=NOBODY)


def current_attribution() -> Attribution:
    """The attribution of this thread or task."""
    return _current.get()


@contextmanager
def attribute(*, caller: str | None = None, key: str | None = None, context: str | None = None) -> Iterator[None]:
    """Charge the calls in a ``with`` block to these names.

    The names that are None keep their value of an enclosing block. The threads of an embedder inherit the names.

    Args:
        caller: The application or user.
        key: The id of an API key, not the key itself.
        context: The subject of the texts.
    """
    outer = _current.get()
    token = _current.set(Attribution(caller or outer.caller, key or outer.key, context or outer.context))
    try:
        yield
    finally:
        _current.reset(token)
