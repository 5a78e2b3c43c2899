"""What an asynchronous endpoint's answer looks like to whoever may not read it, or waits in vain."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from embedstack.embedders.sagemaker.async_embedder import AsyncEndpoint, AsyncOutputNotReadable
from embedstack.errors import EndpointUnavailable
from embedstack.settings.settings import load_settings


class _Server(ThreadingHTTPServer):
    error = (404, "NoSuchKey")


class _Service(BaseHTTPRequestHandler):
    """Takes every request for its queue, and answers each look into S3 with one error."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(202, b'{"InferenceId": "1"}', ("X-Amzn-SageMaker-OutputLocation", "s3://answers/out/1.out"))

    def do_GET(self):
        assert isinstance(self.server, _Server)
        status, code = self.server.error
        self._answer(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())

    def _answer(self, status, body, *headers):
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    with _Server(("127.0.0.1", 0), _Service) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"

        def endpoint(error):
            server.error = error
            settings = load_settings(aws_region="us-east-1", aws_endpoint_url=url)
            return AsyncEndpoint("queued", settings, wait_seconds=0.1)

        yield endpoint
        server.shutdown()
        thread.join()


def test_unreadable_async_output_names_the_permissions(endpoint):
    with pytest.raises(AsyncOutputNotReadable, match="s3:GetObject and s3:ListBucket on the bucket answers"):
        endpoint((403, "AccessDenied")).invoke(b"{}")


def test_missing_async_output_times_out(endpoint):
    with pytest.raises(EndpointUnavailable, match="no response arrived within"):
        endpoint((404, "NoSuchKey")).invoke(b"{}")
