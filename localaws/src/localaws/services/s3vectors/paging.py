"""Answers in pages, and tokens that say where the next one begins."""

import base64
import json
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localaws.services.s3vectors.refusals import invalid
from localaws.services.s3vectors.vector_table import Neighbour

__all__ = ["Searches", "named_page", "read_token", "write_token"]

_NAMED_PAGE = 500
#: "Pagination tokens remain valid for several minutes" (user guide, "Querying vectors").
_SEARCH_SECONDS = 300.0
_MAX_SEARCHES = 200


def write_token(kind: str, position: Any) -> str:
    """A token.

    Args:
        kind: What is listed; a token of one list is not one of another.
        position: Where the next page begins; a JSON value.
    """
    return base64.urlsafe_b64encode(json.dumps([kind, position]).encode()).decode()


def read_token(kind: str, token: str | None) -> Any:
    """Where a token says that the page begins; None where there is no token.

    Raises:
        Refusal: It is no token, or one of something else.
    """
    if token is None:
        return None
    try:
        found, position = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError):
        found, position = None, None
    if found != kind:
        raise invalid("Invalid nextToken", "nextToken")
    return position


def named_page(kind: str, summaries: dict[str, dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    """A page of what has names.

    Args:
        kind: The answer's member.
        summaries: Everything, by name.
        request: ``prefix``, ``maxResults``, ``nextToken``.

    Raises:
        Refusal: The token is not one of this list's.
    """
    after, prefix = read_token(kind, request.get("nextToken")) or "", request.get("prefix") or ""
    size = request.get("maxResults") or _NAMED_PAGE
    names = sorted(name for name in summaries if name > after and name.startswith(prefix))
    page = names[:size]
    more = {"nextToken": write_token(kind, page[-1])} if len(names) > size else {}
    return {kind: [summaries[name] for name in page], **more}


@dataclass(frozen=True, slots=True)
class _Search:
    question: Any
    found: list[Neighbour]
    until: float


class Searches:
    """What searches found beyond their first page, for as long as their tokens are valid."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without any.

        Args:
            clock: Seconds from an arbitrary start.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._searches: OrderedDict[str, _Search] = OrderedDict()

    def keep(self, question: Any, found: list[Neighbour]) -> str:
        """Keep what a search found, and give it a name."""
        name = uuid.uuid4().hex
        with self._lock:
            self._searches[name] = _Search(question, found, self._clock() + _SEARCH_SECONDS)
            while len(self._searches) > _MAX_SEARCHES:
                self._searches.popitem(last=False)
        return name

    def recall(self, name: str, question: Any) -> list[Neighbour]:
        """What a search found.

        Raises:
            Refusal: It is forgotten, or was another one.
        """
        with self._lock:
            search = self._searches.get(name)
        if search is None or search.until < self._clock() or search.question != question:
            raise invalid("Invalid nextToken", "nextToken")
        return search.found
