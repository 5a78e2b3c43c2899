"""Retries of Go clients are answered with the first response."""

from collections.abc import Iterable
from typing import Any

import pytest
from werkzeug.test import Client

from localaws.gateway.retry_deduplicator import RetryDeduplicator

_GO = {"User-Agent": "APN/1.0 HashiCorp/1.0 Terraform/1.11.4 aws-sdk-go-v2/1.36.3", "amz-sdk-invocation-id": "a"}
_PYTHON = {**_GO, "User-Agent": "Boto3/1.44.5"}


class Service:
    """Creates something once: a second time it is there already. Keeps what it was sent."""

    def __init__(self, first_status: str = "200 OK") -> None:
        self._first_status = first_status
        self.requests: list[bytes] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.requests.append(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        status = self._first_status if len(self.requests) == 1 else "400 Bad Request"
        start_response(status, [("Content-Type", "application/json"), ("x-amzn-RequestId", str(len(self.requests)))])
        return [b"created" if len(self.requests) == 1 else b"already there"]


def test_retry_gets_the_stored_response() -> None:
    service = Service()
    client = Client(RetryDeduplicator(service))
    first = client.post("/", data=b"make it", headers=_GO)
    again = client.post("/", data=b"make it", headers={**_GO, "amz-sdk-request": "attempt=2; max=25"})
    assert (again.status, again.data, list(again.headers)) == (first.status, b"created", list(first.headers))
    assert service.requests == [b"make it"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(_GO, {**_GO, "amz-sdk-invocation-id": "b"}, id="another call"),
        pytest.param(_PYTHON, _PYTHON, id="a client without the race"),
    ],
)
def test_other_calls_and_clients_are_passed_on(first: dict[str, str], second: dict[str, str]) -> None:
    service = Service()
    client = Client(RetryDeduplicator(service))
    client.post("/", data=b"make it", headers=first)
    assert client.post("/", data=b"make it", headers=second).data == b"already there"


def test_reads_are_passed_on() -> None:
    service = Service()
    client = Client(RetryDeduplicator(service))
    client.get("/", headers=_GO)
    client.get("/", headers=_GO)
    assert len(service.requests) == 2


def test_retry_of_a_failed_attempt_is_passed_on() -> None:
    service = Service("503 Service Unavailable")
    client = Client(RetryDeduplicator(service))
    client.post("/", headers=_GO)
    client.post("/", headers=_GO)
    assert len(service.requests) == 2
