"""Replays the stored response when the AWS SDK for Go retries a request that has already succeeded.

Terraform's provider (AWS SDK for Go v2) occasionally closes a connection whose response has just arrived, and sends the
request again. On one machine a response can arrive before the client's own writer has noted that the request was sent:
once in some thousand requests on a busy machine, and hardly ever on AWS. Handled a second time, such a request would
fail because its resource exists already, or create it twice.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from localaws.core.wsgi import Response, call, read_body

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["RetryDeduplicator"]

#: How many responses are stored: the SDK retries within seconds.
_STORED_RESPONSES = 1000
#: Only reads have longer responses, and reading twice does no harm.
_LONGEST_BYTES = 64 * 1024


class RetryDeduplicator:
    """Stores the last successful responses to Go clients by the SDK's id of the call, which all attempts share."""

    def __init__(self, application: "WSGIApplication") -> None:
        """Wrap an application."""
        self._application = application
        self._responses: OrderedDict[str, Response] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass on a request, or replay the response to an earlier attempt."""
        call_id = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        is_read = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        if not call_id or is_read or "aws-sdk-go" not in environ.get("HTTP_USER_AGENT", ""):
            return self._application(environ, start_response)
        with self._lock:
            response = self._responses.get(call_id)
        if response is not None:
            read_body(environ)
        else:
            response = call(self._application, environ)
            self._store(call_id, response)
        return response.send(start_response)

    def _store(self, call_id: str, response: Response) -> None:
        if len(response.read()) > _LONGEST_BYTES or not response.status.startswith("2"):
            return
        with self._lock:
            self._responses[call_id] = response
            while len(self._responses) > _STORED_RESPONSES:
                self._responses.popitem(last=False)
