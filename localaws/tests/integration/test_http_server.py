"""The HTTP server: no client can affect others."""

import contextlib
import http.client
import logging
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3

from localaws import LocalAwsConfig
from localaws.gateway import http_server
from localaws.process import daemon
from tests.support.localaws.harness import Aws, poll, signed_headers, wait_until

KIB, MIB = 1024, 1024**2


@pytest.fixture(scope="module", autouse=True)
def bucket(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="bodies")


def head(aws: Aws, line: str, *headers: str, service: str = "s3") -> bytes:
    """Request line and headers of a signed request, with the empty line."""
    fields = [f"Host: 127.0.0.1:{aws.server.port}", f"Authorization: {signed_headers(service)['Authorization']}"]
    return "\r\n".join([f"{line} HTTP/1.1", *fields, *headers, "", ""]).encode()


@contextlib.contextmanager
def connected(aws: Aws, *parts: bytes, timeout: float = 20) -> Iterator[socket.socket]:
    """A connection over which these bytes were sent, as far as the server took them."""
    with socket.create_connection(("127.0.0.1", aws.server.port), timeout=timeout) as connection:
        with contextlib.suppress(OSError):
            for part in parts:
                connection.sendall(part)
        yield connection


def status(connection: socket.socket) -> int | None:
    """The status of the response; None where the server closed the connection without one."""
    with contextlib.suppress(ConnectionError):
        if line := connection.recv(4096).partition(b"\r\n")[0]:
            return int(line.split()[1])
    return None


def is_healthy(aws: Aws) -> bool:
    return urllib3.request("GET", f"{aws.server.url}/_embedstack/health", timeout=10).status == 200


def test_http_bodies_arrive_whole(aws: Aws) -> None:
    body = os.urandom(3 * MIB)
    signing: dict[str, Any] = {"s3": {"payload_signing_enabled": True}}
    for config in ({}, signing, {"request_checksum_calculation": "when_required"}):
        client = aws.client("s3", **config)
        for key, content in (("large", body), ("empty", b""), ("small", b"x")):
            client.put_object(Bucket="bodies", Key=key, Body=content)
            assert client.get_object(Bucket="bodies", Key=key)["Body"].read() == content
    chunks = [body[start : start + 100_000] for start in range(0, len(body), 100_000)]
    url = f"{aws.server.url}/bodies/chunked"
    assert urllib3.request("PUT", url, body=iter(chunks), headers=signed_headers("s3")).status == 200
    assert aws.s3.get_object(Bucket="bodies", Key="chunked")["Body"].read() == body


def test_http_metadata_keeps_underscores(aws: Aws) -> None:
    metadata = {"with_underscore": "1", "with-dash": "2"}
    aws.s3.put_object(Bucket="bodies", Key="metadata", Body=b"", Metadata=metadata)
    assert aws.s3.head_object(Bucket="bodies", Key="metadata")["Metadata"] == metadata


def test_http_keeps_connections_open(aws: Aws) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", aws.server.port, timeout=10)
    connection.request("GET", "/_embedstack/health")
    first = connection.sock
    for _ in range(3):
        connection.getresponse().read()
        connection.request("GET", "/_embedstack/health")
    assert connection.sock is first
    connection.close()


@pytest.mark.parametrize(
    ("request_line", "headers", "parts", "expected"),
    [
        ("GET /", ["X-Filler: " + "x" * 70 * KIB], [], 431),
        ("PUT /bodies/k", [f"Content-Length: {5 * KIB * MIB + 1}"], [], 413),
        ("POST /endpoints/e/invocations", [f"Content-Length: {129 * MIB}"], [], 413),
        ("PUT /bodies/k", ["Content-Length: five"], [], 400),
        ("PUT /bodies/k", ["Content-Length: 5", "Content-Length: 6"], [], 400),
        ("PUT /bodies/k", ["Transfer-Encoding: gzip, chunked"], [], 501),
        ("PUT /bodies/k", ["Transfer-Encoding: chunked"], [b"1\r\nx\r\n" * 50_000], 400),
        ("PUT /bodies/k", ["Transfer-Encoding: chunked"], [b"0" * 20 * KIB], 400),
        ("PUT /bodies/k", ["Transfer-Encoding: chunked"], [b"5;x=" + b"y" * 20 * KIB], 400),
        ("PUT /bodies/k", ["Transfer-Encoding: chunked"], [b"0\r\nTrailer: " + b"y" * 20 * KIB], 400),
        ("PUT /bodies/k", ["Transfer-Encoding: chunked"], [b"zz\r\n"], 400),
        ("GET /", ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAA"], [], 403),
    ],
    ids=["headers", "s3-body", "body", "length", "lengths", "encoding", "tiny-chunks", "endless-size", "extension",
         "trailer", "size", "websocket"],
)  # fmt: skip
def test_http_limits_are_enforced(
    aws: Aws, request_line: str, headers: list[str], parts: list[bytes], expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    service = "sagemaker" if "endpoints" in request_line else "s3"
    with (
        caplog.at_level(logging.WARNING),
        connected(aws, head(aws, request_line, *headers, service=service), *parts) as connection,
    ):
        # A client that still sends when the server closes may see the connection reset.
        assert status(connection) in {expected, None if parts or expected == 431 else expected}
    assert is_healthy(aws)
    assert not [record for record in caplog.records if record.exc_info]


def test_incomplete_bodies_do_not_block_other_clients(aws: Aws) -> None:
    half = head(aws, "PUT /bodies/half", "Content-Length: 100000") + b"x" * 50_000
    with contextlib.ExitStack() as stack:
        for _ in range(600):
            stack.enter_context(connected(aws, half))
        for number in range(10):
            aws.s3.put_object(Bucket="bodies", Key=f"beside-{number}", Body=b"x")


def test_idle_connections_are_closed_for_new_ones(aws: Aws) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(http_server.MAX_CONNECTIONS + 50):
            stack.enter_context(connected(aws))
        assert is_healthy(aws)


def test_disconnected_clients_leave_no_files(aws: Aws) -> None:
    assert is_healthy(aws)
    descriptors = len(list(Path("/dev/fd").iterdir()))
    for _ in range(200):
        with connected(aws, head(aws, "PUT /bodies/gone", "Transfer-Encoding: chunked"), b"40000\r\n" + b"x" * 200_000):
            pass
    wait_until(lambda: len(list(Path("/dev/fd").iterdir())) <= descriptors + 10)
    assert is_healthy(aws)


def test_stalled_body_is_disconnected(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_STALLED_SECONDS", 1)
    with connected(aws, head(aws, "PUT /bodies/stalled", "Content-Length: 100"), b"x") as connection:
        assert status(connection) is None
    monkeypatch.setattr(http_server, "_STALLED_SECONDS", 60)
    monkeypatch.setattr(http_server, "_HEADER_SECONDS", 1)
    monkeypatch.setattr(http_server, "_BODY_SECONDS", 1)
    for start in (b"GET / HTTP/1.1\r\nX-Slow: ", head(aws, "PUT /bodies/slow", "Content-Length: 1000000")):
        with connected(aws, start) as connection:
            connection.settimeout(0.2)
            assert _is_closed_while_sending(connection)


def _is_closed_while_sending(connection: socket.socket) -> bool:
    """Whether the server closes a connection over which a byte comes now and then."""
    for _ in poll(20):
        try:
            connection.sendall(b"x")
            if connection.recv(100) == b"":
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


def test_reset_before_100_continue_does_not_block_the_server(aws: Aws) -> None:
    expecting = head(aws, "PUT /bodies/k", "Content-Length: 1", "Expect: 100-continue")
    reset_on_close = struct.pack("ii", 1, 0)
    for _ in range(50):
        with connected(aws, expecting) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_on_close)
    assert is_healthy(aws)


def test_slow_readers_occupy_no_thread(aws: Aws) -> None:
    aws.s3.put_object(Bucket="bodies", Key="large", Body=b"x" * (20 * MIB))
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connected(aws, head(aws, "GET /bodies/large")))
        began = time.monotonic()
        assert is_healthy(aws)
        assert aws.s3.get_object(Bucket="bodies", Key="large")["Body"].read() == b"x" * (20 * MIB)
        assert time.monotonic() - began < 60


def test_memory_of_large_bodies_is_returned(tmp_path: Path) -> None:
    running = daemon.start(LocalAwsConfig(port=0), tmp_path)
    try:
        url = f"{running.url}/endpoints/absent/invocations"
        urllib3.request("POST", url, body=b"x", headers=signed_headers("sagemaker"))
        before = resident_kib(running.pid)
        body = b"x" * (25 * MIB)

        def send(_: int) -> int:
            return urllib3.request("POST", url, body=body, headers=signed_headers("sagemaker")).status

        with ThreadPoolExecutor(8) as threads:
            assert all(400 <= status < 500 for status in threads.map(send, range(16)))
        wait_until(lambda: resident_kib(running.pid) < 1.2 * before)
    finally:
        daemon.stop(tmp_path)


def resident_kib(pid: int) -> int:
    command = ["ps", "-o", "rss=", "-p", str(pid)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_continue_for_the_next_request_keeps_the_connection(aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    # The header of the second request arrives while the first is being handled.
    first = head(aws, "PUT /bodies/first", "Content-Length: 5") + b"first"
    second = head(aws, "PUT /bodies/second", "Content-Length: 6", "Expect: 100-continue")
    with connected(aws) as connection:
        for _ in range(300):
            connection.sendall(first)
            connection.sendall(second)
            received = b""
            while b"100 Continue\r\n\r\n" not in received:
                part = connection.recv(4096)
                assert part, received
                received += part
            connection.sendall(b"second")
            while received.count(b" 200 OK") < 2:
                part = connection.recv(4096)
                assert part, received
                received += part
    assert not [record for record in caplog.records if record.name == "waitress"]
