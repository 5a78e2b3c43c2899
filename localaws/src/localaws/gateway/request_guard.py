"""Rejects requests that do not come from a program on this machine, and unsigned ones that AWS would reject.

Where AWS requires a signature, in the header or as a presigned URL, a request must have one. It is not verified.
"""

import io
import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from localaws.core.local_requests import local_request_refusal
from localaws.core.wsgi import ACCESS_KEY_KEY, IS_ANONYMOUS_KEY, OWN_PATHS
from localaws.gateway.request_signature import MalformedSignature, parse_signature

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["UNSIGNED_ACTIONS", "RequestGuard"]

#: Unsigned actions of STS: a token in the request identifies the caller (STS API reference).
UNSIGNED_ACTIONS = frozenset({"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"})

_READS = frozenset({"GET", "HEAD"})
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
#: Longer forms are not parsed. AssumeRoleWithSAML has the longest, with an assertion of up to 100,000 characters.
_FORM_BYTES = 256 * 1024
#: Paths of REST protocols: Lambda and others, SageMaker Runtime, Bedrock, S3 Vectors. No bucket has such a name, except
#: for the dates.
_REST_JSON = re.compile(r"/(\d{4}-\d{2}-\d{2}/|endpoints/[^/]+/|model/[^/]+/|tags/|[A-Z][A-Za-z]+$)")
_STATUSES = {
    400: "400 Bad Request",
    403: "403 Forbidden",
}
_ADVICE = "Send requests from a program on this machine, to AWS_ENDPOINT_URL as `make env` prints it."


class RequestGuard:
    """Rejects requests before any other middleware sees them."""

    def __init__(self, application: "WSGIApplication") -> None:
        """Wrap an application."""
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass on a request, or reject it."""
        refusal = local_request_refusal(environ)
        if refusal is not None:
            return _reject(
                environ, start_response, 403, "AccessDenied", f"The request was rejected. {refusal} {_ADVICE}"
            )
        if not environ.get("PATH_INFO", "").startswith(OWN_PATHS):
            try:
                signature = parse_signature(environ)
            except MalformedSignature as error:
                return _reject(environ, start_response, error.status, error.code, str(error))
            if signature is not None:
                environ[ACCESS_KEY_KEY] = signature.access_key
            elif not _is_unsigned_action(environ):
                if not _may_be_anonymous(environ):
                    return _reject_unsigned(environ, start_response)
                environ[IS_ANONYMOUS_KEY] = True
        return self._application(environ, start_response)


def _is_unsigned_action(environ: "WSGIEnvironment") -> bool:
    """Whether this is an action of STS that needs no signature."""
    if environ["REQUEST_METHOD"] != "POST" or environ.get("PATH_INFO") != "/":
        return False
    size = int(environ.get("CONTENT_LENGTH") or 0)
    if not environ.get("CONTENT_TYPE", "").startswith(_FORM) or size > _FORM_BYTES:
        return False
    body: bytes = environ["wsgi.input"].read(size)
    environ["wsgi.input"] = io.BytesIO(body)
    actions = parse_qs(body.decode("latin-1")).get("Action", [])
    return len(actions) == 1 and actions[0] in UNSIGNED_ACTIONS


def _may_be_anonymous(environ: "WSGIEnvironment") -> bool:
    """Whether S3 decides: for a read, or for a form that may contain its signature."""
    if _protocol(environ) != "rest-xml":
        return False
    if environ["REQUEST_METHOD"] in _READS:
        return True
    is_form: bool = environ.get("CONTENT_TYPE", "").startswith(_MULTIPART)
    return is_form and environ["REQUEST_METHOD"] == "POST"


def _reject_unsigned(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    if _protocol(environ) == "rest-xml":
        message = "Access Denied: the request is not signed. Sign it with an AWS SDK, or use a presigned URL."
        return _reject(environ, start_response, 403, "AccessDenied", message)
    message = "The request is not signed. Sign it with an AWS SDK; any access key works."
    return _reject(environ, start_response, 403, "MissingAuthenticationToken", message)


def _protocol(environ: "WSGIEnvironment") -> str:
    """The protocol of the error response, guessed from an unsigned request."""
    if environ.get("HTTP_SMITHY_PROTOCOL", "") == "rpc-v2-cbor":
        return "cbor"
    if "HTTP_X_AMZ_TARGET" in environ:
        return "json"
    path = environ.get("PATH_INFO", "")
    if path.startswith(OWN_PATHS) or _REST_JSON.match(path):
        return "rest-json"
    is_form = environ.get("CONTENT_TYPE", "").startswith(_FORM)
    if is_form or "Action" in parse_qs(environ.get("QUERY_STRING", "")):
        return "query"
    return "rest-xml"


def _reject(
    environ: "WSGIEnvironment", start_response: "StartResponse", status: int, code: str, message: str
) -> Iterable[bytes]:
    headers = []
    match _protocol(environ):
        case "query":
            fields = f"<Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message>"
            body, content_type = f"<ErrorResponse><Error>{fields}</Error></ErrorResponse>".encode(), "text/xml"
        case "rest-xml":
            fields = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
            body, content_type = f"<Error>{fields}</Error>".encode(), "application/xml"
        case "cbor":
            headers = [("smithy-protocol", "rpc-v2-cbor")]
            body, content_type = _cbor({"__type": code, "message": message}), "application/cbor"
        case protocol:
            code = f"{code}Exception" if code == "MissingAuthenticationToken" else code
            headers = [("x-amzn-ErrorType", code)]
            body = json.dumps({"__type": code, "message": message}).encode()
            content_type = "application/json" if protocol == "rest-json" else "application/x-amz-json-1.1"
    start_response(_STATUSES[status], [("Content-Type", content_type), *headers, ("Content-Length", str(len(body)))])
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]


def _cbor(members: dict[str, str]) -> bytes:
    """A map of texts in CBOR (RFC 8949)."""

    def text(value: str) -> bytes:
        content = value.encode()
        return b"\x79" + len(content).to_bytes(2, "big") + content

    return bytes([0xA0 + len(members)]) + b"".join(text(name) + text(value) for name, value in members.items())
