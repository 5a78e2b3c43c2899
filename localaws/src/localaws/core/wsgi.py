"""What the WSGI applications and middlewares of the local AWS share.

A middleware is a class whose first argument is the application behind it, and which is an application itself.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waitress.channel import ClientDisconnected

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    #: Puts a middleware in front of an application.
    Middleware = Callable[[WSGIApplication], WSGIApplication]

__all__ = [
    "ACCESS_KEY_KEY",
    "CONNECTION_KEY",
    "IS_ANONYMOUS_KEY",
    "IS_DISCONNECTED_KEY",
    "OWN_PATHS",
    "RESET_PATH",
    "ClientDisconnected",
    "Response",
    "call",
    "chain",
    "change_and_describe",
    "read_body",
    "send_json",
]

#: Members of a request's environment. The connection's socket, and a function that returns whether the client has gone.
CONNECTION_KEY = "embedstack.connection"
IS_DISCONNECTED_KEY = "waitress.client_disconnected"
#: Whether the request is unsigned: S3 then decides whether everyone may do this.
IS_ANONYMOUS_KEY = "embedstack.is_anonymous"
#: The access key id of a signed request.
ACCESS_KEY_KEY = "embedstack.access_key"

#: moto's path for resetting everything.
RESET_PATH = "/moto-api/reset"
#: Prefixes of paths that belong to no AWS API: health, time, faults, function URLs, queues, reset.
OWN_PATHS = ("/_embedstack/", RESET_PATH)


@dataclass(slots=True)
class Response:
    """A response that has not been sent yet.

    Attributes:
        status: The status line, such as ``200 OK``.
        headers: Names and values.
        chunks: The body.
    """

    status: str
    headers: list[tuple[str, str]]
    chunks: Iterable[bytes]

    def read(self) -> bytes:
        """The whole body."""
        body = b"".join(self.chunks)
        self.chunks = [body]
        return body

    def replace_body(self, body: bytes, *, content_length: int | None = None) -> None:
        """Use another body, with its own Content-Length unless one is given."""
        length = len(body) if content_length is None else content_length
        headers = [(name, value) for name, value in self.headers if name.lower() != "content-length"]
        self.headers = [*headers, ("Content-Length", str(length))]
        self.chunks = [body]

    def send(self, start_response: "StartResponse") -> Iterable[bytes]:
        """Send it: the result of a WSGI application."""
        start_response(self.status, self.headers)
        return self.chunks


def call(application: "WSGIApplication", environ: "WSGIEnvironment") -> Response:
    """Have an application handle a request, and return its response instead of sending it."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
        started.append((status, headers))
        return lambda _: None

    chunks = application(environ, start_response)
    if not started:
        # A generator starts its response with the first chunk.
        chunks = [b"".join(chunks)]
    return Response(*started[0], chunks)


def chain(middlewares: "Sequence[Middleware]", application: "WSGIApplication") -> "WSGIApplication":
    """Put middlewares in front of an application; the first one sees a request first."""
    for middleware in reversed(middlewares):
        application = middleware(application)
    return application


def read_body(environ: "WSGIEnvironment") -> bytes:
    """Read the whole body of a request."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return body


def change_and_describe(
    environ: "WSGIEnvironment",
    start_response: "StartResponse",
    *,
    change: "Callable[[Any], object]",
    describe: "Callable[[], dict[str, Any]]",
    usage: str,
) -> Iterable[bytes]:
    """Respond with a state, after changing it if this is a POST.

    Args:
        environ: The request.
        start_response: Starts the response.
        change: Called with the JSON of a POST. Its errors are the sender's.
        describe: Returns the state.
        usage: What to send, for a request that cannot be read: "Send {…}".
    """
    try:
        if environ["REQUEST_METHOD"] == "POST":
            change(json.loads(read_body(environ)))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        return send_json(start_response, "400 Bad Request", {"error": f"{usage}: {error}"})
    return send_json(start_response, "200 OK", describe())


def send_json(
    start_response: "StartResponse", status: str, document: Any, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    """Respond with a JSON document."""
    body = json.dumps(document).encode()
    start_response(status, [("Content-Type", "application/json"), *headers, ("Content-Length", str(len(body)))])
    return [body]
