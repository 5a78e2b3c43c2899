"""Responses that break off, lie about their size or are larger than memory, over plain HTTP and TLS."""

import contextlib
import datetime as dt
import gzip
import ipaddress
import json
import socket
import socketserver
import ssl
import threading
import tracemalloc
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from embedstack.embedders import BedrockEmbedder, OllamaEmbedder, SageMakerEmbedder
from embedstack.embedders.fake import fake_vector
from embedstack.errors import EndpointUnavailable, IntegrityError, ModelFailed, StoreError, Throttled
from embedstack.models.model_info import ModelInfo
from embedstack.settings.settings import load_settings
from embedstack.stores.s3vectors.layout import from_tags, from_vector

MODEL = ModelInfo("stand-in", 8, 64, "mean")
ROW = fake_vector("x", 8).tolist()
GOOD = json.dumps({"model": "all-minilm", "embeddings": [ROW]}).encode()


def response(body, *headers, status=200, length=None):
    length = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status} OK", *headers, f"Content-Length: {length}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    raw = response(GOOD)
    breaks: Any = None
    secure: Any = None


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self):
        connection = self.server.secure(self.request) if self.server.secure else self.request
        with contextlib.suppress(OSError), connection:
            reader = connection.makefile("rb")
            while line := reader.readline():
                length = 0
                while (line := reader.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                reader.read(length)
                connection.sendall(self.server.raw)
                if self.server.breaks:
                    self.server.breaks(connection)
                    return


@pytest.fixture
def server():
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(server, monkeypatch):
    def settings(scheme="http"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
        url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        return load_settings(
            aws_region="us-east-1", aws_endpoint_url=url, ollama_host=url, sagemaker_verify_model=False
        )

    return settings


def ollama(settings):
    return OllamaEmbedder(MODEL, settings=settings)


def sagemaker(settings):
    return SageMakerEmbedder(MODEL, endpoint="e", settings=settings)


def titan(settings):
    return BedrockEmbedder("amazon.titan-embed-text-v2:0", dimensions=256, settings=settings)


def embed(embedder):
    embedder.disable_retries()
    with embedder:
        return embedder.embed(["x"])


@pytest.mark.parametrize("body", [bytes(200_000_000), json.dumps({"embeddings": [ROW]}).encode()], ids=["bomb", "good"])
def test_compressed_response_is_rejected(server, settings, body):
    server.raw = response(gzip.compress(body, 1), "Content-Encoding: gzip")
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError, match="compressed"):
            embed(ollama(settings()))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("make", [ollama, sagemaker, titan])
def test_oversized_response_is_rejected(server, settings, make):
    server.raw = response(b"[" + b"0," * 20_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError, match="the largest valid response"):
            embed(make(settings()))
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


def test_connections_of_rejected_responses_are_reused(server, settings):
    with ollama(settings()) as embedder:
        for _ in range(3 * embedder.limits.concurrency):
            server.raw = response(b"x", "Content-Encoding: br")
            with pytest.raises(IntegrityError):
                embedder.embed(["x"])
        server.raw = response(GOOD)
        assert embedder.embed(["x"]).shape == (1, 8)


@pytest.mark.parametrize("make", [ollama, sagemaker, titan])
def test_truncated_response_is_a_connection_error(server, settings, make):
    server.raw = response(GOOD[:20], length=len(GOOD))
    server.breaks = lambda connection: None
    with pytest.raises(EndpointUnavailable):
        embed(make(settings()))


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate of 127.0.0.1, and a server's TLS with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return file, context


def garbage(connection):
    """What is no TLS record, in the middle of a response."""
    connection.setblocking(True)
    raw = connection.detach()

    with socket.socket(fileno=raw) as plain:
        plain.sendall(b"\x17\x03\x03\x00\x40" + b"\x55" * 64)


@pytest.mark.parametrize("make", [ollama, sagemaker, titan])
@pytest.mark.parametrize("status", [200, 424])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_broken_tls_connection_is_a_connection_error(server, settings, certificate, monkeypatch, make, status):
    file, context = certificate
    monkeypatch.setenv("AWS_CA_BUNDLE", str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    server.secure = lambda connection: context.wrap_socket(connection, server_side=True)
    server.raw = response(GOOD[:20], status=status, length=len(GOOD))
    server.breaks = garbage
    with pytest.raises(EndpointUnavailable):
        embed(make(settings("https")))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("Retry-After: 999999999", 999999999), ("Retry-After: nan", None), ("Retry-After: -3", None),
     ("Retry-After: soon", None), ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", 0), ("X-Any: 1", None)],
)  # fmt: skip
def test_every_backend_reads_retry_after(server, settings, header, seconds):
    busy = b'{"error": "busy", "message": "busy"}'
    for make, kind, status in (
        (ollama, "X-Any: 2", 429),
        (sagemaker, "x-amzn-errortype: ThrottlingException", 400),
        (titan, "x-amzn-errortype: ThrottlingException", 429),
    ):
        server.raw = response(busy, header, kind, status=status)
        with pytest.raises(Throttled) as caught:
            embed(make(settings()))
        assert caught.value.retry_after == seconds


def test_permanent_container_error_is_not_retried(server, settings):
    body = json.dumps({"OriginalStatusCode": 406, "OriginalMessage": "no"}).encode()
    server.raw = response(body, "x-amzn-errortype: ModelError", status=424)
    with pytest.raises(ModelFailed) as caught:
        embed(sagemaker(settings()))
    assert not caught.value.retryable


@pytest.mark.parametrize("index", ["-1", "true", '"0"', "1.0", "null"])
def test_invalid_index_is_ignored(server, settings, index):
    message = f'{{"error": "too long", "index": {index}}}'
    body = json.dumps({"OriginalStatusCode": 422, "OriginalMessage": message}).encode()
    server.raw = response(body, "x-amzn-errortype: ModelError", status=424)
    with pytest.raises(Exception, match="too long") as caught:
        sagemaker(settings()).embed_batch(["x", "y"], "document")
    assert caught.value.index is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "vector",
    [{}, {"key": "a", "metadata": {"embedstack-hash": "xyz"}}, {"key": "a", "metadata": [1]},
     {"key": "a", "data": {"float32": ["a"]}}, {"key": "a", "data": [1]}],
)  # fmt: skip
def test_vector_of_another_writer_is_named(vector):
    with pytest.raises(StoreError, match="not a record"):
        from_vector(vector)


@pytest.mark.parametrize("facts", ["", "!", "e30=", "W10=", "eyJuYW1lIjogMX0="])
def test_damaged_index_tags_are_named(facts):
    with pytest.raises(StoreError, match="do not describe a collection"):
        from_tags({"embedstack:collection-0": facts})
