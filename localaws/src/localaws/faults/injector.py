"""Faults on demand: a share of a service's requests fails in the ways that AWS, networks and models fail.

``POST /_embedstack/faults`` with ``{"service", "kind", "rate", "seed", "seconds", "count"}`` sets the fault of a
service, and a rate of 0 ends it. ``count`` is after how many it ends by itself. ``seconds`` is how long a ``hang``
lasts at most: longer than the client's patience, it ends when the client gives up. Nothing fails before someone asks
for it.
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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from localaws.gateway.http_server import CONNECTION_KEY, IS_DISCONNECTED_KEY, ClientDisconnected

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["BY_SERVICE", "FAULTS_PATH", "FaultInjector"]

FAULTS_PATH = "/_embedstack/faults"

#: Error answers: HTTP status line, AWS's error code, body.
ErrorAnswers = Mapping[str, tuple[str, str, dict[str, Any]]]

_SAGEMAKER: ErrorAnswers = {
    # As SageMaker throttles: without a message.
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
# Statuses and members by the service model "bedrock-runtime" of botocore.
_BEDROCK: ErrorAnswers = {
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
# Statuses and members by the service model "s3vectors" of botocore.
_S3VECTORS: ErrorAnswers = {
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
# Statuses and members by the service model "lambda" of botocore.
_LAMBDA: ErrorAnswers = {
    "throttle": (
        "429 Too Many Requests",
        "TooManyRequestsException",
        {"Reason": "CallerRateLimitExceeded", "Type": "User", "message": "Rate exceeded"},
    ),
    "internal": ("500 Internal Server Error", "ServiceException", {"Type": "Service", "Message": "internal failure"}),
}
#: Error answers of the services that have others than SageMaker.
BY_SERVICE: Mapping[str, ErrorAnswers] = {
    "bedrock-runtime": _BEDROCK,
    "lambda": _LAMBDA,
    "s3vectors": _S3VECTORS,
}
_BROKEN_OFF = frozenset({"reset", "hang"})
_HANG_SECONDS = 0.2
_HANG_POLL_SECONDS = 0.01


@dataclass(slots=True)
class _Fault:
    kind: str
    rate: float
    random: random.Random
    seconds: float
    left: float = math.inf
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def parse(cls, wanted: dict[str, Any], errors: ErrorAnswers) -> "_Fault":
        if wanted["kind"] not in {*errors, *_BROKEN_OFF, *_SPOILERS}:
            raise ValueError(f"{wanted['service']} has no such kind of fault: {wanted['kind']}")
        seed = random.Random(wanted.get("seed", 0))  # noqa: S311 - the same faults in every run
        seconds, count = float(wanted.get("seconds", _HANG_SECONDS)), float(wanted.get("count", math.inf))
        return cls(wanted["kind"], float(wanted["rate"]), seed, seconds, count)

    def strikes(self) -> bool:
        with self.lock:
            strikes = self.left > 0 and self.random.random() < self.rate
            self.left -= strikes
            return strikes


class FaultInjector:
    """Puts faults between an application and its callers."""

    def __init__(self, application: "WSGIApplication", errors: Mapping[str, ErrorAnswers] = BY_SERVICE) -> None:
        """Wrap an application; no fault is set.

        Args:
            application: Answers the requests that do not fail.
            errors: Error answers by service, where they are others than SageMaker's.
        """
        self._application = application
        self._errors = errors
        self._faults: dict[str, _Fault] = {}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request, or fail it."""
        if environ.get("PATH_INFO") == FAULTS_PATH:
            if environ["REQUEST_METHOD"] != "POST":
                body = b'{"error": "Set a fault with POST."}'
                return _send(start_response, "405 Method Not Allowed", body, [("Allow", "POST")])
            return self._configure(environ, start_response)
        service = _service_of(environ) if self._faults else ""
        fault = self._faults.get(service)
        if fault is None or not fault.strikes():
            return self._application(environ, start_response)
        if fault.kind in _SPOILERS:
            return self._spoil(environ, start_response, fault.kind)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if fault.kind in _BROKEN_OFF:
            return _break_off(environ, seconds=fault.seconds if fault.kind == "hang" else 0)
        status, code, members = self._errors_of(service)[fault.kind]
        return _send(start_response, status, json.dumps(members).encode(), [("x-amzn-errortype", code)])

    def _errors_of(self, service: str) -> ErrorAnswers:
        return self._errors.get(service, _SAGEMAKER)

    def _configure(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            wanted = json.loads(content)
            service = wanted["service"]
            self._faults[service] = _Fault.parse(wanted, self._errors_of(service))
        except (ValueError, KeyError, TypeError) as error:
            return _send(start_response, "400 Bad Request", json.dumps({"error": str(error)}).encode())
        return _send(start_response, "200 OK", b"{}")

    def _spoil(self, environ: "WSGIEnvironment", start_response: "StartResponse", kind: str) -> Iterable[bytes]:
        """Answer, and change the answer where it is a good one."""
        answered: list[tuple[str, list[tuple[str, str]]]] = []

        def hold(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
            answered.append((status, headers))
            return lambda _: None

        body = b"".join(self._application(environ, hold))
        status, headers = answered[0]
        content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
        promised = len(body)
        if status.startswith("200"):
            body = _SPOILERS[kind](body, content_type)
            promised = promised if kind == "truncate" else len(body)
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(promised))])
        return [body]


def _service_of(environ: "WSGIEnvironment") -> str:
    """The service that a request was signed for, by botocore's name."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0].split("/")
    service = scope[3] if len(scope) > 4 else ""
    path = environ.get("PATH_INFO", "")
    if (service == "sagemaker" and path.endswith("/invocations")) or (service == "bedrock" and "/model/" in path):
        return f"{service}-runtime"
    return service


def _send(
    start_response: "StartResponse", status: str, body: bytes, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json"), *headers, ("Content-Length", str(len(body)))])
    return [body]


def _break_off(environ: "WSGIEnvironment", seconds: float) -> Iterable[bytes]:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not environ[IS_DISCONNECTED_KEY]():
        time.sleep(_HANG_POLL_SECONDS)
    # Lingering for no time makes the connection's end a reset.
    with contextlib.suppress(OSError):
        environ[CONNECTION_KEY].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ClientDisconnected


def _truncate(body: bytes, content_type: str) -> bytes:
    del content_type
    return body[: len(body) // 2]


def _with_nan(body: bytes, content_type: str) -> bytes:
    def spoil(rows: list[Any]) -> None:
        rows[0][0] = float("nan")

    return _change_rows(body, content_type, spoil)


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
    answer = json.loads(body)
    if isinstance(answer, list):
        change(answer)
    elif "embedding" in answer:
        change([answer["embedding"]])
    else:
        found = answer["embeddings"]
        change(found["float"] if isinstance(found, dict) else found)
    # A server that computed NaN writes null, which is what JSON has for it.
    return json.dumps(answer).replace("NaN", "null").encode()


_SPOILERS = {"truncate": _truncate, "nan": _with_nan, "count": _one_short}
