"""Answers what a Go client sends again after it was answered with what it was answered.

Terraform's provider (AWS SDK for Go v2) now and then closes a connection whose answer has just arrived, and sends the
request again. On this machine an answer can be there before the client's own writer has noted that the request is
out, once in some thousand requests on a busy machine; AWS is never that near. Run again, the request would find what
it has just made there already, or make it twice.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["RetryDeduplicator"]

#: How many answers are kept: the SDK sends again within seconds.
_KEPT = 1000
#: Answers that are longer read something, and reading twice does no harm.
_LONGEST = 64 * 1024

_Answer = tuple[str, list[tuple[str, str]], bytes]


class RetryDeduplicator:
    """Keeps the last good answers to Go clients by the SDK's id of the call, which is the same in each attempt."""

    def __init__(self, application: "WSGIApplication") -> None:
        """Wrap an application."""
        self._application = application
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request; one that was answered before is answered alike and not run again."""
        call = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        is_read = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        if not call or is_read or "aws-sdk-go" not in environ.get("HTTP_USER_AGENT", ""):
            return self._application(environ, start_response)
        with self._lock:
            answer = self._answers.get(call)
        if answer is not None:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        else:
            answer = self._run(environ)
            self._keep(call, answer)
        status, headers, body = answer
        start_response(status, headers)
        return [body]

    def _run(self, environ: "WSGIEnvironment") -> _Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def hold(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
            started.append((status, headers))
            return lambda _: None

        body = b"".join(self._application(environ, hold))
        return (*started[0], body)

    def _keep(self, call: str, answer: _Answer) -> None:
        status, _, body = answer
        if not status.startswith("2") or len(body) > _LONGEST:
            return
        with self._lock:
            self._answers[call] = answer
            while len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
