"""Stands between the local AWS and its callers, and puts an error in the place of an answer that AWS could not give."""

import io
import json
import logging
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from localaws.conformance.answers import Answer, is_streamed, problems
from localaws.conformance.known_deviations import is_known_deviation
from localaws.conformance.operations import Call, called_operations

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["AnswerCheck"]

_logger = logging.getLogger(__name__)


class AnswerCheck:
    """Checks every answer of an application that a service of AWS is asked for."""

    def __init__(self, application: "WSGIApplication") -> None:
        """Wrap an application."""
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request, or say what is wrong with the answer: 501, which no SDK retries."""
        calls = called_operations(environ, _request_body(environ))
        if not calls:
            return self._application(environ, start_response)
        held: list[tuple[str, list[tuple[str, str]]]] = []

        def hold(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
            held.append((status, headers))
            return lambda _: None

        body = self._application(environ, hold)
        status, headers = held[0]
        is_good = status.startswith("2")
        if not (is_good and any(is_streamed(call.operation) for call in calls)):
            body = [b"".join(body)]
        content = body[0] if isinstance(body, list) else b""
        answer = Answer(int(status.split()[0]), {name.lower(): value for name, value in headers}, content)
        call, wrong = _best(calls, answer)
        if wrong:
            _logger.error("%s: %s", call.name, "; ".join(wrong))
            headers, content = _refusal(call, f"The local AWS answered {call.name} as AWS cannot: {'; '.join(wrong)}")
            status, body = "501 Not Implemented", [content]
        start_response(status, headers)
        return body


def _request_body(environ: "WSGIEnvironment") -> bytes:
    """The body of a request whose operation is told in it, left in place for the application."""
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        return b""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _best(calls: list[Call], answer: Answer) -> tuple[Call, list[str]]:
    """The operation that an answer fits best, and what is wrong with it."""
    found = [(call, [] if is_known_deviation(call.name) else problems(call, answer)) for call in calls]
    return min(found, key=lambda pair: len(pair[1]))


def _refusal(call: Call, message: str) -> tuple[list[tuple[str, str]], bytes]:
    code = "NotImplementedException"
    if call.protocol in ("query", "rest-xml", "ec2"):
        error = f"<Error><Type>Receiver</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        content_type = "text/xml"
        wrapped = {
            "ec2": f"<Response><Errors>{error}</Errors></Response>",
            "query": f"<ErrorResponse>{error}</ErrorResponse>",
        }
        body = wrapped.get(call.protocol, error).encode()
    elif call.protocol == "smithy-rpc-v2-cbor":
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
    return headers, body


def _cbor_text(text: str) -> bytes:
    """A text string with a length of four bytes (RFC 8949, section 3.1, major type 3)."""
    content = text.encode()
    return b"\x7a" + len(content).to_bytes(4, "big") + content
