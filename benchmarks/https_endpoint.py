"""A fake HTTPS server of SageMaker Runtime, Bedrock, Ollama and S3 objects, in a child process.

    python benchmarks/https_endpoint.py /tmp/certificate

It prints its ports as JSON and serves until its standard input ends. Connections are kept alive. Every vector is
derived from its text, so that a response to another request is detected. The certificate is signed by a CA in the
folder (``ca.pem``), which clients trust through AWS_CA_BUNDLE.
"""

import datetime as dt
import io
import ipaddress
import json
import re
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from embedstack.embedders.fake import fake_vector

DIMENSIONS = 8
TITAN_DIMENSIONS = 256
# Long enough for requests of several processes to overlap.
_DELAY_SECONDS = 0.002
# An endpoint's name may end with its dimensions: with-384.
_LENGTH = re.compile(r"-(\d+)/invocations$")
# Objects in S3 with the responses to asynchronous requests, by path.
_objects: dict[str, bytes] = {}


@dataclass(frozen=True)
class HttpsEndpoint:
    """A running server.

    Attributes:
        https: URL with TLS.
        http: URL without TLS.
        ca: CA certificate to trust.
    """

    https: str
    http: str
    ca: Path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(_DELAY_SECONDS)
        if self.path.endswith("/async-invocations"):
            name = f"/responses/{uuid.uuid4()}"
            _objects[name] = json.dumps(_rows(request["inputs"], DIMENSIONS).tolist()).encode()
            self._send(202, "application/json", b"{}", {"X-Amzn-SageMaker-OutputLocation": f"s3:/{name}"})
        else:
            self._send(200, *self._respond(request))

    def do_GET(self) -> None:
        self._send(200, "application/json", _objects[self.path])

    def do_DELETE(self) -> None:
        del _objects[self.path]
        self._send(204, "application/json", b"")

    def _send(self, status: int, content_type: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _respond(self, request: Any) -> tuple[str, bytes]:
        if "query" in request:
            texts = request.get("texts") or request["documents"]
            scores = [float(fake_vector(request["query"] + text, 1)[0]) * len(text) for text in texts]
            entries = [{"index": index, "score": score, "relevance_score": score} for index, score in enumerate(scores)]
            return "application/json", json.dumps(entries if "texts" in request else {"results": entries}).encode()
        if self.path.endswith("/invocations"):
            length = _LENGTH.search(self.path)
            rows = _rows(request["inputs"], int(length[1]) if length else DIMENSIONS)
            if self.headers.get("Accept") == "application/x-npy":
                array = io.BytesIO()
                np.save(array, rows)
                return "application/x-npy", array.getvalue()
            return "application/json", json.dumps(rows.tolist()).encode()
        if self.path.endswith("/converse"):
            text = request["messages"][-1]["content"][0]["text"]
            document: Any = {
                "output": {"message": {"role": "assistant", "content": [{"text": f"You said: {text}"}]}},
                "stopReason": "end_turn",
                "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
                "metrics": {"latencyMs": 2},
            }
        elif self.path == "/api/embed":
            vectors = [fake_vector(text, DIMENSIONS).tolist() for text in request["input"]]
            document = {"model": request["model"], "embeddings": vectors, "prompt_eval_count": 3}
        else:
            vector = fake_vector(request["inputText"], TITAN_DIMENSIONS).tolist()
            document = {"embedding": vector, "inputTextTokenCount": 3}
        return "application/json", json.dumps(document).encode()

    def log_message(self, *_: object) -> None:
        pass


def _rows(texts: Sequence[str], dimensions: int) -> Any:
    return np.stack([fake_vector(text, dimensions) for text in texts])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's thread, so that a slow handshake does not delay other connections.
        if self._context is not None:
            request = self._context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        del request, client_address


@contextmanager
def https_endpoint(folder: Path) -> Iterator[HttpsEndpoint]:
    """Run a server in a child process during the block.

    Args:
        folder: Folder for its certificate.
    """
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            ports = json.loads(process.stdout.readline() if process.stdout else b"")
            yield HttpsEndpoint(
                f"https://127.0.0.1:{ports['https']}", f"http://127.0.0.1:{ports['http']}", folder / "ca.pem"
            )
        finally:
            process.kill()


def _write_certificate(folder: Path) -> ssl.SSLContext:
    now = dt.datetime.now(dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "embedstack test CA")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])

    def certificate(subject: x509.Name, public_key: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )

    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ca = certificate(ca_name, ca_key.public_key(), ca=True).add_extension(usage, critical=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = certificate(name, key.public_key(), ca=False).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (folder / "server.pem").write_bytes(
        leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def main() -> None:
    """Serve until standard input ends."""
    https, http = _Server(_write_certificate(Path(sys.argv[1]))), _Server(None)
    for server in (https, http):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"https": https.server_port, "http": http.server_port}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
