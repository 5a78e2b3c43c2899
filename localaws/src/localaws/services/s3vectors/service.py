"""S3 Vectors over HTTP, and for the local AWS's other services."""

import json
import re
import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from botocore import xform_name
from moto.iam.models import get_account_id_from

from localaws.services.s3vectors.buckets import Buckets, Caller
from localaws.services.s3vectors.control_plane import ControlPlane
from localaws.services.s3vectors.data_plane import DataPlane
from localaws.services.s3vectors.refusals import Refusal, invalid
from localaws.services.s3vectors.request_checks import check_request, operation_model

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["S3Vectors", "is_s3vectors"]

_Document = dict[str, Any]

#: "Request payload size: Up to 20 MiB" (user guide, "Limitations and restrictions").
_MAX_REQUEST = 20 * 1024 * 1024
_TAGS = "/tags/"
_TAG_OPERATIONS = {"GET": "ListTagsForResource", "POST": "TagResource", "DELETE": "UntagResource"}
_OPERATION_PATH = re.compile(r"/([A-Za-z]+)")
_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/[^/]+/(?P<region>[^/]+)/s3vectors/aws4_request")
#: Half of a pair in JSON; an escaped backslash in front may make it look like one that is none.
_HALF_PAIR = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")
_REASONS = {
    400: "Bad Request", 402: "Payment Required", 403: "Forbidden", 404: "Not Found", 409: "Conflict",
    429: "Too Many Requests", 501: "Not Implemented",
}  # fmt: skip


def is_s3vectors(environ: "WSGIEnvironment") -> bool:
    """Whether a request was signed for S3 Vectors."""
    return _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "")) is not None


class S3Vectors:
    """The service: a WSGI application, and its operations as calls."""

    def __init__(self, requests_per_second: float = 1000, vectors_per_second: float = 2500) -> None:
        """Begin without a bucket.

        Args:
            requests_per_second: How often an index may be written to.
            vectors_per_second: How many vectors may be put into an index or deleted from it.
        """
        buckets = Buckets()
        self.control_plane = ControlPlane(buckets, requests_per_second, vectors_per_second)
        self._data_plane = DataPlane(buckets)

    def call(self, caller: Caller, operation: str, request: _Document) -> _Document:
        """Carry out an operation.

        Args:
            caller: Whose request it is, and where.
            operation: Its name, such as ``CreateIndex``.
            request: Its members.

        Raises:
            Refusal: The answer is an error.
        """
        handler = self._handler(operation)
        check_request(operation, request)
        return handler(caller, request)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        headers = [("Content-Type", "application/json"), ("x-amzn-RequestId", str(uuid.uuid4()))]
        try:
            answer, status = self._answer(environ), "200 OK"
        except Refusal as refusal:
            answer, status = refusal.body, f"{refusal.status} {_REASONS[refusal.status]}"
            headers.append(("x-amzn-errortype", refusal.code))
        body = json.dumps(answer).encode()
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, environ: "WSGIEnvironment") -> _Document:
        content = _read(environ)
        found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        caller = Caller(get_account_id_from(found["key"]), found["region"]) if found else Caller("", "")
        operation, parameters = _routed(environ)
        self._handler(operation)
        return self.call(caller, operation, {**_parse(content), **parameters})

    def _handler(self, operation: str) -> Callable[[Caller, _Document], _Document]:
        name = xform_name(operation)
        for plane in (self.control_plane, self._data_plane):
            handler = getattr(plane, name, None)
            if handler is not None and _is_operation(operation):
                method: Callable[[Caller, _Document], _Document] = handler
                return method
        message = f"The local AWS does not implement s3vectors: {operation}."
        raise Refusal("NotImplementedException", message)


def _read(environ: "WSGIEnvironment") -> bytes:
    """The request's body.

    Raises:
        Refusal: It is too large.
    """
    size = int(environ.get("CONTENT_LENGTH") or 0)
    content: bytes = environ["wsgi.input"].read(size)
    if size > _MAX_REQUEST:
        raise invalid("Request body exceeds max allowed size")
    return content


def _routed(environ: "WSGIEnvironment") -> tuple[str, _Document]:
    """The operation that method and path stand for, and what path and query say."""
    method = environ["REQUEST_METHOD"]
    path = str(environ.get("RAW_URI") or environ["PATH_INFO"]).partition("?")[0]
    if path.startswith(_TAGS) and method in _TAG_OPERATIONS:
        parameters: _Document = {"resourceArn": unquote(path.removeprefix(_TAGS))}
        if method == "DELETE":
            query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
            parameters["tagKeys"] = query.get("tagKeys", [])
        return _TAG_OPERATIONS[method], parameters
    found = _OPERATION_PATH.fullmatch(path)
    return (found[1], {}) if found and method == "POST" else (f"{method} {path}", {})


def _is_operation(name: str) -> bool:
    return name.isalpha() and name in operation_model("GetIndex").service_model.operation_names


def _parse(content: bytes) -> _Document:
    """The request's members.

    Raises:
        Refusal: The body is not JSON, or holds half of a surrogate pair.
    """
    try:
        document = json.loads(content, parse_constant=_refuse_constant) if content else {}
        if b"\\u" in content and _HALF_PAIR.search(content):
            json.dumps(document, ensure_ascii=False).encode()
    except ValueError:
        # As users of the service saw it.
        raise Refusal("SerializationException", "UnknownError") from None
    if not isinstance(document, dict):
        raise Refusal("SerializationException", "Expected an object")
    return {name: value for name, value in document.items() if value is not None}


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
