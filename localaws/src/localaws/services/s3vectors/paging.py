"""Pages of responses, and the tokens of their next pages."""

import base64
import json
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localaws.services.s3vectors.errors import InvalidRequest
from localaws.services.s3vectors.queries import QueryMatch

__all__ = ["QueryResults", "named_page", "read_token", "write_token"]

_NAMED_PAGE = 500
#: "Pagination tokens remain valid for several minutes" (user guide, "Querying vectors").
_RESULT_SECONDS = 300.0
_MAX_RESULTS = 200


def write_token(kind: str, position: Any) -> str:
    """A token.

    Args:
        kind: The list that the token belongs to; it is invalid for other lists.
        position: The start of the next page, as a JSON value.
    """
    return base64.urlsafe_b64encode(json.dumps([kind, position]).encode()).decode()


def read_token(kind: str, token: str | None) -> Any:
    """The position in a token; None without a token.

    Raises:
        InvalidRequest: The token is invalid or belongs to another list.
    """
    if token is None:
        return None
    try:
        token_kind, position = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError):
        token_kind, position = None, None
    if token_kind != kind:
        raise _invalid_token()
    return position


def named_page(kind: str, records: Mapping[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """A page of records with names.

    Args:
        kind: The member of the response.
        records: All records by name.
        request: ``prefix``, ``maxResults``, ``nextToken``.

    Raises:
        InvalidRequest: The token is invalid.
    """
    after, prefix = read_token(kind, request.get("nextToken")) or "", request.get("prefix") or ""
    size = request.get("maxResults") or _NAMED_PAGE
    names = sorted(name for name in records if name > after and name.startswith(prefix))
    page = names[:size]
    more = {"nextToken": write_token(kind, page[-1])} if len(names) > size else {}
    return {kind: [records[name] for name in page], **more}


@dataclass(frozen=True, slots=True)
class _QueryResult:
    query: Any
    matches: list[QueryMatch]
    expires: float


class QueryResults:
    """The results of queries with more than one page, while their tokens are valid."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without results.

        Args:
            clock: Seconds from an arbitrary start.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._results: OrderedDict[str, _QueryResult] = OrderedDict()

    def add(self, query: Any, matches: list[QueryMatch]) -> str:
        """Store the result of a query; returns its name."""
        name = uuid.uuid4().hex
        with self._lock:
            self._results[name] = _QueryResult(query, matches, self._clock() + _RESULT_SECONDS)
            while len(self._results) > _MAX_RESULTS:
                self._results.popitem(last=False)
        return name

    def get(self, name: str, query: Any) -> list[QueryMatch]:
        """A stored result.

        Raises:
            InvalidRequest: It has expired or belongs to another query.
        """
        with self._lock:
            result = self._results.get(name)
        if result is None or result.expires < self._clock() or result.query != query:
            raise _invalid_token()
        return result.matches


def _invalid_token() -> InvalidRequest:
    return InvalidRequest("Invalid nextToken", ("nextToken", "Invalid nextToken"))
