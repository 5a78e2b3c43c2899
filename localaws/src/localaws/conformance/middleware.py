"""Replaces a response that AWS could not send with an error that names the violations."""

import io
import json
import logging
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from localaws.conformance.known_deviations import is_known_deviation
from localaws.conformance.operations import Call, called_operations
from localaws.conformance.responses import ReceivedResponse, find_violations, is_streamed
from localaws.core.wsgi import Response, call, read_body

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["ConformanceCheck"]

_logger = logging.getLogger(__name__)


class ConformanceCheck:
    """Checks every response to a request for an AWS service."""

    def __init__(self, application: "WSGIApplication") -> None:
        """Wrap an application."""
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass on a request. A response that breaks the service's model becomes a 501, which no SDK retries."""
        calls = called_operations(environ, _request_body(environ))
        if not calls:
            return self._application(environ, start_response)
        response = call(self._application, environ)
        if response.status.startswith("2") and any(is_streamed(each.operation) for each in calls):
            content = b""
        else:
            content = response.read()
        headers = {name.lower(): value for name, value in response.headers}
        operation_call, violations = _best(calls, ReceivedResponse(int(response.status.split()[0]), headers, content))
        if violations:
            _logger.error("%s: %s", operation_call.name, "; ".join(violations))
            message = f"The response to {operation_call.name} breaks the service's model: {'; '.join(violations)}"
            response = Response("501 Not Implemented", *_refusal(operation_call, message))
        return response.send(start_response)


def _request_body(environ: "WSGIEnvironment") -> bytes:
    """The body of a form, which names its operation; the application can read it again."""
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return b""
    body = read_body(environ)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _best(calls: list[Call], response: ReceivedResponse) -> tuple[Call, list[str]]:
    """The operation that a response fits best, and the violations of its model."""
    candidates = [(each, [] if is_known_deviation(each.name) else find_violations(each, response)) for each in calls]
    return min(candidates, key=lambda pair: len(pair[1]))


def _refusal(operation_call: Call, message: str) -> tuple[list[tuple[str, str]], list[bytes]]:
    code = "NotImplementedException"
    if operation_call.protocol in ("query", "rest-xml", "ec2"):
        error = f"<Error><Type>Receiver</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        content_type = "text/xml"
        wrapped = {
            "ec2": f"<Response><Errors>{error}</Errors></Response>",
            "query": f"<ErrorResponse>{error}</ErrorResponse>",
        }
        body = wrapped.get(operation_call.protocol, error).encode()
    elif operation_call.protocol == "smithy-rpc-v2-cbor":
        content_type = "application/cbor"
        body = b"\xa2" + b"".join(_cbor_text(text) for text in ("__type", code, "message", message))
    else:
        content_type = "application/x-amz-json-1.1"
        body = json.dumps({"__type": code, "message": message}).encode()
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("x-amzn-errortype", code),
        ("x-amzn-RequestId", str(uuid.uuid4())),
    ]
    if content_type == "application/cbor":
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
    return headers, [body]


def _cbor_text(text: str) -> bytes:
    """A text string with a length of four bytes (RFC 8949, section 3.1, major type 3)."""
    content = text.encode()
    return b"\x7a" + len(content).to_bytes(4, "big") + content
