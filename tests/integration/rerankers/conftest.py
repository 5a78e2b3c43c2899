"""A local AWS, and a stand-in for SageMaker's runtime that returns what a test asks for."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from embedstack.settings.settings import Settings, load_settings
from tests.integration.embedders.conftest import aws, http_server, running

__all__ = ["aws", "running"]


class Runtime:
    """Answers ``InvokeEndpoint``.

    Attributes:
        requests: The bodies so far.
        respond: Returns the response to a body: status, document or bytes, and headers.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.respond: Any = self.rerank

    @staticmethod
    def rerank(body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        """Scores by the number of common characters, in Text Embeddings Inference's form: best first."""
        scores = [len(set(body["query"]) & set(text)) / 32 for text in body["texts"]]
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        return 200, [{"index": index, "score": scores[index]} for index in order], {}


@pytest.fixture
def runtime(monkeypatch) -> Iterator[tuple[Runtime, Settings]]:
    """The stand-in, and settings that point at it."""
    stand_in = Runtime()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stand_in.requests.append(body)
            status, document, headers = stand_in.respond(body)
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    with http_server(Handler) as url:
        yield stand_in, load_settings(
            aws_endpoint_url=url, aws_region="us-east-1", sagemaker_verify_model=False,
            reranker_endpoint="reranker", reranker_model="a/model",
        )  # fmt: skip
