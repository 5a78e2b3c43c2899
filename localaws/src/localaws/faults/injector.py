"""Faults on demand: a share of a service's requests fails in the ways that AWS, networks and models fail.

``POST /_embedstack/faults`` with ``{"service", "kind", "rate", "seed", "seconds", "count"}`` sets the fault of a
service. A rate of 0 ends it, as do ``count`` failed requests. ``seconds`` is the longest duration of a ``hang``, which
ends earlier if the client gives up. Initially no service has a fault.

Deferred kinds let the request succeed and fail what it starts: a request for an endpoint without capacity is accepted,
and the endpoint fails later. The service calls :meth:`Faults.deferred_fault`.
"""

import contextlib
import io
import json
import math
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from localaws.core.wsgi import (
    CONNECTION_KEY,
    IS_DISCONNECTED_KEY,
    ClientDisconnected,
    call,
    read_body,
    send_json,
)

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["BY_SERVICE", "FAULTS_PATH", "FaultInjector", "Faults"]

FAULTS_PATH = "/_embedstack/faults"

#: Error responses by kind of fault: HTTP status line, AWS's error code, body.
ErrorResponses = Mapping[str, tuple[str, str, dict[str, Any]]]

_SAGEMAKER: ErrorResponses = {
    # SageMaker sends no message with this error.
    "throttle": ("400 Bad Request", "ThrottlingException", {"message": None}),
    "model": (
        "424 Failed Dependency",
        "ModelError",
        {"Message": "Received server error (500)", "OriginalStatusCode": 500, "OriginalMessage": "the model failed"},
    ),
    "not-ready": ("429 Too Many Requests", "ModelNotReadyException", {"Message": "the model is not ready"}),
    "internal": ("500 Internal Server Error", "InternalFailure", {"message": "internal failure"}),
    "unavailable": ("503 Service Unavailable", "ServiceUnavailable", {"message": "unavailable"}),
    "dependency": ("530 Dependency Failed", "InternalDependencyException", {"message": "a dependency failed"}),
}
# Statuses and members as in the service model "bedrock-runtime" of botocore.
_BEDROCK: ErrorResponses = {
    "throttle": (
        "429 Too Many Requests",
        "ThrottlingException",
        {"message": "Too many requests, please wait before trying again."},
    ),
    "model": (
        "424 Failed Dependency",
        "ModelErrorException",
        {"message": "the model failed", "originalStatusCode": 500, "resourceName": "model"},
    ),
    "not-ready": ("429 Too Many Requests", "ModelNotReadyException", {"message": "the model is not ready"}),
    "timeout": ("408 Request Timeout", "ModelTimeoutException", {"message": "the model took too long"}),
    "internal": ("500 Internal Server Error", "InternalServerException", {"message": "internal failure"}),
    "unavailable": ("503 Service Unavailable", "ServiceUnavailableException", {"message": "unavailable"}),
}
# Statuses and members as in the service model "s3vectors" of botocore.
_S3VECTORS: ErrorResponses = {
    "throttle": ("429 Too Many Requests", "TooManyRequestsException", {"message": "Please reduce your request rate."}),
    "timeout": ("408 Request Timeout", "RequestTimeoutException", {"message": "the request took too long"}),
    "internal": ("500 Internal Server Error", "InternalServerException", {"message": "internal failure"}),
    "unavailable": (
        "503 Service Unavailable",
        "ServiceUnavailableException",
        {"message": "Currently unable to handle the request"},
    ),
    "quota": ("402 Payment Required", "ServiceQuotaExceededException", {"message": "a quota is exceeded"}),
    "denied": ("403 Forbidden", "AccessDeniedException", {"message": "the caller may not do this"}),
}
# Statuses and members as in the service model "lambda" of botocore.
_LAMBDA: ErrorResponses = {
    "throttle": (
        "429 Too Many Requests",
        "TooManyRequestsException",
        {"Reason": "CallerRateLimitExceeded", "Type": "User", "message": "Rate exceeded"},
    ),
    "internal": ("500 Internal Server Error", "ServiceException", {"Type": "Service", "Message": "internal failure"}),
}
#: Services whose error responses differ from SageMaker's.
BY_SERVICE: Mapping[str, ErrorResponses] = {
    "bedrock-runtime": _BEDROCK,
    "lambda": _LAMBDA,
    "s3vectors": _S3VECTORS,
}
_DISCONNECTING = frozenset({"reset", "hang"})
_HANG_SECONDS = 0.2
_HANG_POLL_SECONDS = 0.01


@dataclass(slots=True)
class _Fault:
    kind: str
    rate: float
    random: random.Random
    seconds: float | None
    left: float = math.inf
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def parse(cls, request: dict[str, Any], kinds: Collection[str]) -> "_Fault":
        if request["kind"] not in kinds:
            raise ValueError(
                f"Unknown kind {request['kind']!r} of fault of {request['service']}. Kinds: {', '.join(sorted(kinds))}"
            )
        seed = random.Random(request.get("seed", 0))  # noqa: S311 - the same faults in every run
        seconds = None if request.get("seconds") is None else float(request["seconds"])
        return cls(request["kind"], float(request["rate"]), seed, seconds, float(request.get("count", math.inf)))

    def take(self) -> bool:
        """Whether the next request or launch fails; counts it."""
        with self.lock:
            fails = self.left > 0 and self.random.random() < self.rate
            self.left -= fails
            return fails


class Faults:
    """The faults of all services."""

    def __init__(
        self,
        errors: Mapping[str, ErrorResponses] = BY_SERVICE,
        deferred: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        """Start without faults.

        Args:
            errors: Error responses by service; other services have SageMaker's.
            deferred: Kinds that fail what a request starts, by service.
        """
        self._errors = errors
        self._deferred = deferred
        self._faults: dict[str, _Fault] = {}

    def set(self, request: dict[str, Any]) -> None:
        """Set the fault of a service.

        Raises:
            ValueError: A member is invalid.
            KeyError: A member is missing.
            TypeError: A member has a wrong type.
        """
        service = request["service"]
        kinds = {*self.errors_of(service), *_DISCONNECTING, *_CORRUPTIONS, *self._deferred.get(service, ())}
        self._faults[service] = _Fault.parse(request, kinds)

    def errors_of(self, service: str) -> ErrorResponses:
        """The error responses of a service."""
        return self._errors.get(service, _SAGEMAKER)

    def request_fault(self, environ: "WSGIEnvironment") -> "tuple[str, _Fault] | None":
        """The service of a request and the fault with which it fails, or None."""
        if not self._faults:
            return None
        service = _service_of(environ)
        fault = self._faults.get(service)
        if fault is None or fault.kind in self._deferred.get(service, ()) or not fault.take():
            return None
        return service, fault

    def deferred_fault(self, service: str) -> tuple[str, float | None] | None:
        """The kind and the seconds of the fault with which a launch that starts now fails, or None."""
        fault = self._faults.get(service)
        if fault is None or fault.kind not in self._deferred.get(service, ()) or not fault.take():
            return None
        return fault.kind, fault.seconds


class FaultInjector:
    """Makes requests to an application fail."""

    def __init__(self, application: "WSGIApplication", faults: Faults | None = None) -> None:
        """Wrap an application.

        Args:
            application: Handles the requests that do not fail.
            faults: The faults; by default, none is set.
        """
        self._application = application
        self._faults = faults or Faults()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass on a request, or make it fail."""
        if environ.get("PATH_INFO") == FAULTS_PATH:
            if environ["REQUEST_METHOD"] != "POST":
                document = {"error": "Set a fault with POST."}
                return send_json(start_response, "405 Method Not Allowed", document, [("Allow", "POST")])
            return self._configure(environ, start_response)
        next_fault = self._faults.request_fault(environ)
        if next_fault is None:
            return self._application(environ, start_response)
        service, fault = next_fault
        if fault.kind in _CORRUPTIONS:
            return self._corrupt(environ, start_response, fault.kind)
        read_body(environ)
        if fault.kind in _DISCONNECTING:
            seconds = _HANG_SECONDS if fault.seconds is None else fault.seconds
            return _disconnect(environ, seconds=seconds if fault.kind == "hang" else 0)
        status, code, members = self._faults.errors_of(service)[fault.kind]
        return send_json(start_response, status, members, [("x-amzn-errortype", code)])

    def _configure(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            self._faults.set(json.loads(read_body(environ)))
        except (ValueError, KeyError, OverflowError, TypeError) as error:
            return send_json(start_response, "400 Bad Request", {"error": str(error)})
        return send_json(start_response, "200 OK", {})

    def _corrupt(self, environ: "WSGIEnvironment", start_response: "StartResponse", kind: str) -> Iterable[bytes]:
        """Corrupt the response, if it is a successful one."""
        response = call(self._application, environ)
        if response.status.startswith("200"):
            body = response.read()
            content_type = next((value for name, value in response.headers if name.lower() == "content-type"), "")
            corrupted = _CORRUPTIONS[kind](body, content_type)
            # A truncated response announces its whole length.
            response.replace_body(corrupted, content_length=len(body) if kind == "truncate" else None)
        return response.send(start_response)


def _service_of(environ: "WSGIEnvironment") -> str:
    """The service that a request was signed for, by botocore's name."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0].split("/")
    service = scope[3] if len(scope) > 4 else ""
    path = environ.get("PATH_INFO", "")
    if (service == "sagemaker" and path.startswith("/endpoints/")) or (service == "bedrock" and "/model/" in path):
        return f"{service}-runtime"
    return service


def _disconnect(environ: "WSGIEnvironment", seconds: float) -> Iterable[bytes]:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not environ[IS_DISCONNECTED_KEY]():
        time.sleep(_HANG_POLL_SECONDS)
    # Without lingering, closing the connection resets it.
    with contextlib.suppress(OSError):
        environ[CONNECTION_KEY].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ClientDisconnected


def _truncate(body: bytes, content_type: str) -> bytes:
    del content_type
    return body[: len(body) // 2]


def _with_nan(body: bytes, content_type: str) -> bytes:
    def corrupt(rows: list[Any]) -> None:
        rows[0][0] = float("nan")

    return _change_rows(body, content_type, corrupt)


def _one_short(body: bytes, content_type: str) -> bytes:
    return _change_rows(body, content_type, lambda rows: rows.pop())


def _change_rows(body: bytes, content_type: str, change: Callable[[list[Any]], object]) -> bytes:
    if content_type.startswith("application/x-npy"):
        rows = list(np.load(io.BytesIO(body), allow_pickle=False))
        width = rows[0].shape[0]
        change(rows)
        buffer = io.BytesIO()
        np.save(buffer, np.stack(rows) if rows else np.empty((0, width), np.float32))
        return buffer.getvalue()
    document = json.loads(body)
    if isinstance(document, list):
        change(document)
    elif "embedding" in document:
        change([document["embedding"]])
    else:
        embeddings = document["embeddings"]
        change(embeddings["float"] if isinstance(embeddings, dict) else embeddings)
    # JSON has no NaN; servers write null.
    return json.dumps(document).replace("NaN", "null").encode()


_CORRUPTIONS = {"truncate": _truncate, "nan": _with_nan, "count": _one_short}
