"""Malformed, incomplete, endless and slow requests do not affect other clients, over real sockets."""

import json
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.model_server import call, serving, wait_until_ready
from tests.support.tiny_bert import write_model

BODY = b'{"inputs": "cat"}'
CHUNKED = b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
HALF = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
# A response of several MB.
LARGE = b'{"inputs": "cat", "spans": [[' + b"[0,3]," * 20_000 + b"[0,3]]]}"


def post(body=BODY, headers=b"", line=b"POST /invocations HTTP/1.1"):
    return line + b"\r\nHost: x\r\n" + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


def headed(headers, line=b"POST /invocations HTTP/1.1"):
    return line + b"\r\nHost: x\r\n" + headers + b"\r\n" + BODY


def port_of(url):
    return int(url.rpartition(":")[2])


def talk(url, *parts):
    """Send, then read until the server pauses for 0.5 s or closes the connection."""
    with socket.create_connection(("127.0.0.1", port_of(url)), timeout=30) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:  # already rejected
                break
        return read(connection, 0.5)


def read(connection, silence):
    received = b""
    while True:
        try:
            block = connection.recv(65_536)
        except TimeoutError:
            return received
        except ConnectionError:
            return received + b"<reset>"
        if not block:
            return received + b"<end>"
        received += block
        connection.settimeout(silence)


def statuses(received):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def is_healthy(url):
    return call(f"{url}/invocations", BODY)[0] == 200 and call(f"{url}/ping")[0] == 200


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(write_model(tmp_path_factory.mktemp("tiny"))) as (url, process):
        wait_until_ready(url)
        yield url
        process.terminate()
        output, _ = process.communicate(timeout=30)
        assert "Traceback" not in output


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (headed(b""), 400),
        (headed(b"Content-Length: -17\r\n"), 400),
        (headed(b"Content-Length: +17\r\n"), 400),
        (headed(b"Content-Length: 17\r\nContent-Length: 17\r\n"), 400),
        (headed(b"Content-Length: 17\r\nContent-Length: 4\r\n"), 400),
        (headed(b"Content-Length: 99999999999999999999999\r\n"), 400),
        (headed(b"Content-Length: 99999999\r\n"), 413),
        (headed(b"Content-Length: 17\r\nTransfer-Encoding: chunked\r\n"), 400),
        (headed(b"Transfer-Encoding : chunked\r\n"), 400),
        (headed(b"Transfer-Encoding: gzip, chunked\r\n"), 400),
        (headed(b"Transfer-Encoding: chunked, identity\r\n"), 400),
        (CHUNKED + b"-1\r\n", 400),
        (CHUNKED + b"fffffffffffffffff\r\n", 400),
        (post(headers=b"A: b\r\n c\r\n"), 400),
        (post(headers=b"Content-Encoding: gzip\r\n"), 415),
        (post(line=b"POST /\xff HTTP/1.1"), 400),
        (post(line=b"PUT /invocations HTTP/1.1"), 405),
        (post(line=b"PATCH /invocations HTTP/1.1"), 405),
        (post(line=b"DELETE /ping HTTP/1.1"), 405),
        (post(line=b"OPTIONS * HTTP/1.1"), 404),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\0" * 1_000, 400),
        (post(line=b"POST /invocations HTTP/1.0"), 200),
        (post(line=b"POST http://x/invocations HTTP/1.1"), 200),
        (CHUNKED + b'11;a="b"\r\n' + BODY + b"\r\n0\r\nA: b\r\n\r\n", 200),
    ],
)
def test_unusual_requests_are_accepted_or_rejected(server, request_, status):
    received = talk(server, request_)
    assert statuses(received) == [status]
    assert is_healthy(server)


def test_405_names_the_allowed_method(server):
    assert b"\r\nallow: POST\r\n" in talk(server, post(line=b"PUT /invocations HTTP/1.1"))
    assert b"\r\nallow: GET\r\n" in talk(server, post(line=b"POST /ping HTTP/1.1"))


def test_websocket_upgrade_is_rejected(server):
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n"
    for line in (b"GET /invocations HTTP/1.1", b"GET /ping HTTP/1.1"):
        received = talk(server, headed(upgrade, line))
        assert statuses(received) == [400]
        assert b"unsupported_upgrade" in received


@pytest.mark.parametrize(
    "headers",
    [b"Origin: http://x\r\n", b"Origin: null\r\n", b"Sec-Fetch-Site: cross-site\r\n", b"Sec-Fetch-Site: same-site\r\n"],
)
def test_requests_from_web_pages_are_rejected(server, headers):
    plain = b"Content-Type: text/plain\r\n"
    assert statuses(talk(server, post(headers=plain + headers))) == [403]
    assert statuses(talk(server, headed(headers, b"GET /ping HTTP/1.1"))) == [403]
    assert b"access-control" not in talk(server, post(headers=plain)).lower()


@pytest.mark.parametrize(
    ("head", "unit"),
    [
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nA: ", b"x" * 100_000),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n" * 20_000),
        (b"GET /" + b"x" * 100_000, b"x" * 100_000),
        (CHUNKED + b"1;", b"x" * 100_000),
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"A: b\r\n" * 20_000),
    ],
)
def test_endless_headers_extensions_and_trailers_are_431(server, head, unit):
    assert statuses(talk(server, head, *[unit] * 30)) == [431]
    assert is_healthy(server)


def test_complete_headers_over_the_limit_are_431(server):
    assert statuses(talk(server, post(headers=b"A: " + b"x" * 66_000 + b"\r\n"))) == [431]
    assert statuses(talk(server, post(headers=b"A: " + b"x" * 60_000 + b"\r\n"))) == [200]


@pytest.mark.parametrize(
    ("unit", "error_type"),
    [
        (b"10000\r\n" + b"x" * 65_536 + b"\r\n", b"payload_too_large"),
        (b"1\r\nx\r\n" * 200_000, b"too_many_chunks"),
    ],
)
def test_endless_chunked_body_is_413(server, unit, error_type):
    received = talk(server, CHUNKED, *[unit] * 500)
    assert statuses(received) == [413]
    assert error_type in received
    assert is_healthy(server)


def test_chunked_body_may_have_small_chunks(server):
    body = b'{"truncate": true, "inputs": "' + b"cat " * 2_000 + b'"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    assert statuses(talk(server, CHUNKED + chunks + b"0\r\n\r\n")) == [200]


def test_100_continue_is_sent_only_for_accepted_headers(server):
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=30) as connection:
        connection.sendall(head % len(BODY))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert statuses(read(connection, 0.5)) == [200]
    assert statuses(talk(server, head % 99_999_999)) == [413]


def test_pipelined_responses_are_in_order(server):
    received = talk(server, post(), b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n" + post(line=b"PUT /invocations HTTP/1.1"))
    assert statuses(received) == [200, 200, 405]


def test_too_many_pipelined_requests_close_the_connection(server):
    received = talk(server, b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000)
    assert 1 <= len(statuses(received)) < 100
    assert received.endswith((b"<end>", b"<reset>"))
    assert is_healthy(server)


def test_600_incomplete_requests_do_not_block_other_clients(server):
    with ExitStack() as stack:
        for number in range(600):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port_of(server)), timeout=30))
            connection.sendall(HALF if number % 2 else HALF[:40])
        for _ in range(20):
            assert is_healthy(server)


def test_rejected_client_can_read_the_reason(server):
    # More than fits into the socket buffers, so that closing immediately would lose the response.
    received = talk(server, headed(b"Content-Length: 40000000\r\n"), *[b"x" * 1_000_000] * 30)
    assert statuses(received) == [413]
    assert json.loads(received.partition(b"\r\n\r\n")[2].removesuffix(b"<end>"))["error_type"] == "payload_too_large"


@contextmanager
def limited(folder: Path, limits: str):
    """A server with custom limits."""
    program = f"""
import socket, sys
from pathlib import Path
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.connection import HttpLimits
from embedstack_server.http.protocol import EmbedProtocol
from embedstack_server.http.server import ModelServer

with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    server = ModelServer(lambda: Encoder.load(Path(sys.argv[1])), EmbedProtocol())
    sys.exit(server.run(listener, limits=HttpLimits({limits})))
"""
    command = [sys.executable, "-c", program, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        wait_until_ready(url)
        yield url
    finally:
        process.terminate()
        try:
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
            process.communicate()
        assert "Traceback" not in errors


def test_incomplete_requests_and_unread_responses_time_out(tmp_path):
    limits = "head_seconds=0.5, body_seconds=1, write_seconds=1"
    with limited(write_model(tmp_path), limits) as url, ExitStack() as stack:
        idle, head, body, trickle, reader = (
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(url)), timeout=30)) for _ in range(5)
        )
        head.sendall(HALF[:40])
        body.sendall(HALF)
        trickle.sendall(HALF)
        reader.sendall(post(LARGE))
        rejection = b""
        for _ in range(100):  # a byte now and then does not extend the deadline
            try:
                trickle.sendall(b" ")
                trickle.settimeout(0.05)
                rejection += trickle.recv(1_000)
            except TimeoutError:
                continue
            break
        assert statuses(rejection) == [408]
        assert read(idle, 5) == b"<end>"
        assert statuses(read(head, 5)) == [408]
        assert b"not complete after 1 s" in read(body, 5)
        deadline = time.monotonic() + 20
        while connections_to(port_of(url)) and time.monotonic() < deadline:
            time.sleep(0.05)
        # The reader receives only what the system had buffered.
        assert len(read(reader, 5)) < int(call(f"{url}/invocations", LARGE)[1]["content-length"])


def test_line_breaks_before_a_request_do_not_extend_the_deadline(tmp_path):
    with (
        limited(write_model(tmp_path), "head_seconds=1") as url,
        socket.create_connection(("127.0.0.1", port_of(url)), timeout=30) as connection,
    ):
        connection.sendall(post())
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        received = b""
        deadline = time.monotonic() + 20
        connection.settimeout(0.05)
        while not received.endswith(b"<end>") and time.monotonic() < deadline:
            try:
                connection.sendall(b"\r\n")
                received += connection.recv(65_536) or b"<end>"
            except TimeoutError:
                continue
            except ConnectionError:
                received += b"<end>"
        assert received.endswith(b"<end>")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_memory_is_released_after_large_requests(tmp_path):
    with serving(write_model(tmp_path)) as (url, process):
        wait_until_ready(url)
        assert is_healthy(url)
        before = megabytes(process.pid)
        for unit in ("the cat ", "漢字 ", "a", " "):
            text = unit * (4_000_000 // len(unit.encode()))
            body = json.dumps({"inputs": [text] * 2, "truncate": True}, ensure_ascii=False).encode()
            assert call(f"{url}/invocations", body)[0] == 200
        assert call(f"{url}/invocations", b'{"inputs": [' + b"[]," * 2_000_000 + b"1]}")[0] == 413
        deadline = time.monotonic() + 30
        while megabytes(process.pid) > 1.2 * before and time.monotonic() < deadline:
            time.sleep(0.1)
        assert megabytes(process.pid) <= 1.2 * before


def megabytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def connections_to(port):
    """Number of established connections to a local port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(f":{port:04X}" in line.split()[1] and line.split()[3] == "01" for line in lines)


def test_oldest_incomplete_requests_are_rejected_above_the_limit(tmp_path):
    limits = "incomplete_requests=20, incomplete_bytes=3_000_000"
    with limited(write_model(tmp_path), limits) as url, ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(url)), timeout=30)) for _ in range(30)
        ]
        for connection in connections:
            connection.sendall(HALF)
        assert is_healthy(url)
        rejections = [statuses(read(connection, 0.2)) for connection in connections[:10]]
        assert rejections == [[429]] * 10
        large = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 1_900_000
        first, second = (
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(url)), timeout=30)) for _ in range(2)
        )
        first.sendall(large)
        second.sendall(large)
        received = read(first, 2)
        assert statuses(received) == [429]
        assert b"\r\nretry-after: 1\r\n" in received
        assert is_healthy(url)


def test_oldest_unread_responses_are_dropped_above_the_limit(tmp_path):
    size = 10_000_000
    with limited(write_model(tmp_path), f"unread_bytes={size}") as url, ExitStack() as stack:
        readers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(url)), timeout=60)) for _ in range(6)
        ]
        for reader in readers:
            reader.sendall(post(LARGE))
            assert reader.recv(15) == b"HTTP/1.1 200 OK"
        assert is_healthy(url)
        received = [read(reader, 1) for reader in readers]
        complete = max(map(len, received))
        assert len(received[0]) < complete == len(received[-1])
