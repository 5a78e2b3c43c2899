"""Containers that answer one media type and not another, behind a real HTTP server."""

import io
import json
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import numpy as np
import pytest

from embedstack.embedders import SageMakerEmbedder
from embedstack.embedders.fake import fake_vector
from embedstack.errors import EndpointUnavailable, InputError, ModelFailed
from embedstack.models.model_info import ModelInfo
from embedstack.resilience import CircuitBreakerEmbedder, Retry, RetryingEmbedder, RetryPolicy
from embedstack.settings.settings import load_settings
from tests.integration.embedders.conftest import http_server

MODEL = ModelInfo("stand-in", 8, 64, "mean")
JSON, NPY = "application/json", "application/x-npy"


def as_json(vectors):
    return 200, JSON, json.dumps(vectors.tolist()).encode()


def as_npy(vectors):
    buffer = io.BytesIO()
    np.save(buffer, vectors)
    return 200, NPY, buffer.getvalue()


def model_error(status, _=None):
    return 424, JSON, json.dumps({"OriginalStatusCode": status, "OriginalMessage": "no", "Message": "no"}).encode()


def service_error(status, _=None):
    return status, JSON, b'{"message": "no"}'


class Container(BaseHTTPRequestHandler):
    """Answers by what it is asked for; a test sets the two functions, and reads what was asked."""

    protocol_version = "HTTP/1.1"
    json_answer = staticmethod(as_json)
    npy_answer = staticmethod(as_npy)
    asked: ClassVar[list[str]] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "/invocations" not in self.path:
            return self._send(*service_error(403))
        accept = self.headers["Accept"]
        self.asked.append(accept)
        vectors = np.stack([fake_vector(text, 8) for text in body["inputs"]])
        response = type(self).npy_answer if accept == NPY else type(self).json_answer
        return self._send(*response(vectors))

    def _send(self, status, kind, body):
        self.send_response(status)
        if status == 424:
            self.send_header("x-amzn-errortype", "ModelError")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def container(monkeypatch):
    """A class to set answers on, and a function that makes an embedder for it, wrapped as applications have it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    handler: Any = type("Handler", (Container,), {"asked": []})
    with http_server(handler) as url:
        settings = load_settings(aws_region="us-east-1", aws_endpoint_url=url)

        def embedder():
            backend = SageMakerEmbedder(MODEL, endpoint="e", settings=settings)
            return CircuitBreakerEmbedder(RetryingEmbedder(backend, Retry(RetryPolicy(initial=0.001))))

        handler.embedder = staticmethod(embedder)
        yield handler


def embed(embedder, times):
    for number in range(times):
        texts = [f"{number} a", f"{number} b"]
        np.testing.assert_allclose(embedder.embed(texts), [fake_vector(text, 8) for text in texts], atol=1e-6)


def of_kind(kind, **options):
    def response(vectors):
        buffer = io.BytesIO()
        np.save(buffer, vectors.astype(kind, **options))
        return 200, NPY, buffer.getvalue()

    return response


def cut_off(vectors):
    status, kind, body = as_npy(vectors)
    return status, kind, body[:-5]


REFUSALS = {
    **{f"container {status}": partial(model_error, status) for status in (400, 406, 415, 500, 503)},
    **{f"service {status}": partial(service_error, status) for status in (500, 530)},
    "integers": of_kind("<i4"),
    "objects": of_kind("O"),
    "not finite": lambda vectors: as_npy(vectors * np.nan),
    "another length": lambda vectors: as_npy(vectors * 3),
    "transposed": lambda vectors: as_npy(vectors.T),
    "one too few": lambda vectors: as_npy(vectors[1:]),
    "one vector per token": lambda vectors: as_npy(vectors[:, None]),
    "cut off": cut_off,
    "empty": lambda _: (200, NPY, b""),
    "text": lambda _: (200, NPY, b"not acceptable"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_failing_arrays_are_requested_once(container, refusal):
    container.npy_answer = staticmethod(REFUSALS[refusal])
    with container.embedder() as embedder:
        embed(embedder, 8)
        stats = embedder.stats()
        assert (stats.failures, stats.retries, embedder.breaker.state) == (0, 0, "closed")
    assert container.asked == [JSON, NPY, *[JSON] * 7]


@pytest.mark.parametrize(
    "response",
    [as_npy, of_kind("<f8"), of_kind(">f4"), of_kind(">f8", order="F"), of_kind("<f4", order="F"),
     lambda vectors: (200, JSON, as_npy(vectors)[2]), lambda vectors: (200, "any/thing", as_npy(vectors)[2])],
)  # fmt: skip
def test_arrays_of_any_type_and_media_type_are_read(container, response):
    container.npy_answer = staticmethod(response)
    with container.embedder() as embedder:
        embed(embedder, 4)
    assert container.asked == [JSON, NPY, NPY, NPY]


def test_container_that_ignores_accept_gets_json_requests(container):
    container.npy_answer = staticmethod(lambda vectors: (200, NPY, as_json(vectors)[2]))
    with container.embedder() as embedder:
        embed(embedder, 4)
    assert container.asked == [JSON, NPY, JSON, JSON]


def test_container_that_returns_only_arrays_is_read(container):
    container.json_answer = staticmethod(as_npy)
    with container.embedder() as embedder:
        embed(embedder, 4)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_replaced_container_may_reject_arrays(container, refusal):
    with container.embedder() as embedder:
        embed(embedder, 3)
        assert container.asked == [JSON, NPY, NPY]
        container.npy_answer = staticmethod(REFUSALS[refusal])
        embed(embedder, 4)
        container.asked.clear()
        embed(embedder, 6)
        assert NPY not in container.asked[2:]
        assert embedder.breaker.state == "closed"


def test_temporary_failure_does_not_disable_arrays(container):
    with container.embedder() as embedder:
        embed(embedder, 3)
        for _ in range(5):
            container.npy_answer = staticmethod(lambda _: model_error(500))
            embed(embedder, 1)
            container.npy_answer = staticmethod(as_npy)
            embed(embedder, 2)
    assert container.asked[-1] == NPY


def test_failure_of_both_formats_does_not_disable_arrays(container):
    container.npy_answer = container.json_answer = staticmethod(lambda _: model_error(400))
    with container.embedder() as embedder:
        with pytest.raises(InputError):
            embedder.embed(["x"])
        container.json_answer, container.npy_answer = staticmethod(as_json), staticmethod(as_npy)
        embed(embedder, 1)
        container.npy_answer = container.json_answer = staticmethod(lambda _: model_error(400))
        with pytest.raises(InputError):
            embedder.embed(["x"])
        container.json_answer, container.npy_answer = staticmethod(as_json), staticmethod(as_npy)
        embed(embedder, 2)
    assert container.asked == [JSON, JSON, NPY, JSON, NPY, NPY]


@pytest.mark.parametrize(("status", "error"), [(406, ModelFailed), (500, ModelFailed), (503, EndpointUnavailable)])
def test_endpoint_that_fails_both_formats_raises(container, status, error):
    with container.embedder() as embedder:
        embed(embedder, 1)
        container.npy_answer = container.json_answer = staticmethod(lambda _: model_error(status))
        with pytest.raises(error):
            embedder.embed(["x"])
