"""Latency of a healthy client, and memory of an HTTP server, during attacks by another client.

Each attack runs alone for some seconds, in a child process. Meanwhile, a healthy client sends small requests one after
the other and measures their latency. Memory is that of the server's process before, at its peak, and afterwards.

usage: .venv/bin/python benchmarks/hostile_clients.py [--seconds 15] [--attack NAME ...] [--json FILE]
       .venv/bin/python benchmarks/hostile_clients.py --port 8080 --path /ping --pid PID

Without --port, a local AWS is started and attacked.
"""

import argparse
import contextlib
import json
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import urllib3

from localaws.config import LocalAwsConfig
from localaws.process import daemon

MIB = 1024 * 1024
#: A signature for the local AWS, which does not verify signatures.
SIGNATURE = (
    "Authorization: AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, "
    f"Signature={'0' * 64}\r\n"
)
HALF_SENT = 600
#: Maximum time to wait for memory to be released after an attack.
SETTLE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one attack. Times in milliseconds, memory in MiB."""

    attack: str
    requests: int
    failed: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    before_mib: float
    peak_mib: float
    after_mib: float


def head(host: str, port: int, line: str, *headers: str, service: str = "s3") -> bytes:
    """The request line and headers of a signed request, with the empty line after them."""
    fields = "".join(f"{header}\r\n" for header in headers)
    return f"{line} HTTP/1.1\r\nHost: {host}:{port}\r\n{SIGNATURE.format(service=service)}{fields}\r\n".encode()


def half_sent_bodies(host: str, port: int, stopped: Event) -> None:
    """600 requests with only half of their declared body."""
    with contextlib.ExitStack() as stack:
        request = head(host, port, "PUT /bucket/half", "Content-Length: 200000") + b"x" * 100_000
        for _ in range(HALF_SENT):
            connection = stack.enter_context(socket.create_connection((host, port), timeout=10))
            with contextlib.suppress(OSError):
                connection.sendall(request)
        stopped.wait()


def endless_chunks(host: str, port: int, stopped: Event) -> None:
    """An endless chunked body, from four connections."""
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    _send_forever(host, port, stopped, head(host, port, "PUT /bucket/endless", "Transfer-Encoding: chunked"), chunk)


def tiny_chunks(host: str, port: int, stopped: Event) -> None:
    """A chunked body of single bytes, which are much more expensive to receive than to send."""
    start = head(host, port, "PUT /bucket/tiny", "Transfer-Encoding: chunked")
    _send_forever(host, port, stopped, start, b"1\r\nx\r\n" * 10_000)


def endless_chunk_size(host: str, port: int, stopped: Event) -> None:
    """A chunk with an endless size line."""
    _send_forever(host, port, stopped, head(host, port, "PUT /bucket/line", "Transfer-Encoding: chunked"), b"0" * 65536)


def vanished_client(host: str, port: int, stopped: Event) -> None:
    """Incomplete chunked requests of 70 bytes whose clients disconnect."""
    request = f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab".encode()
    while not stopped.is_set():
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=10) as connection:
            connection.sendall(request)


def huge_headers(host: str, port: int, stopped: Event) -> None:
    """64 MB of headers."""
    start = f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nX-Filler: ".encode()
    while not stopped.is_set():
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=10) as connection:
            connection.sendall(start)
            for _ in range(64):
                connection.sendall(b"x" * MIB)


def large_bodies(host: str, port: int, stopped: Event) -> None:
    """Complete bodies of 25 MB for an endpoint that does not exist, eight concurrently."""
    start = head(host, port, "POST /endpoints/absent/invocations", f"Content-Length: {25 * MIB}", service="sagemaker")
    body = b"x" * (25 * MIB)

    def send() -> None:
        while not stopped.is_set():
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=10) as connection:
                connection.sendall(start)
                connection.sendall(body)
                connection.recv(4096)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def slow_headers(host: str, port: int, stopped: Event) -> None:
    """Slowloris: 600 requests that send their headers a byte at a time."""
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(HALF_SENT):
            connection = stack.enter_context(socket.create_connection((host, port), timeout=10))
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nX-Slow: ".encode())
            connections.append(connection)
        while not stopped.wait(0.5):
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.sendall(b"x")


def idle_connections(host: str, port: int, stopped: Event) -> None:
    """1,500 connections that send nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(1500):
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_connection((host, port), timeout=10))
        stopped.wait()


def websocket_upgrades(host: str, port: int, stopped: Event) -> None:
    """Requests for an upgrade to WebSocket."""
    request = (
        f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()
    while not stopped.is_set():
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=10) as connection:
            connection.sendall(request)
            connection.recv(4096)


def slow_readers(host: str, port: int, stopped: Event) -> None:
    """20 concurrent clients that request an object of 20 MB and do not read it."""
    with contextlib.ExitStack() as stack:
        put = head(host, port, "PUT /bucket/large", f"Content-Length: {20 * MIB}") + b"x" * (20 * MIB)
        with socket.create_connection((host, port), timeout=30) as connection:
            connection.sendall(put)
            connection.recv(4096)
        for _ in range(20):
            connection = stack.enter_context(socket.create_connection((host, port), timeout=10))
            connection.sendall(head(host, port, "GET /bucket/large"))
        stopped.wait()


def _send_forever(host: str, port: int, stopped: Event, start: bytes, part: bytes) -> None:
    def send() -> None:
        while not stopped.is_set():
            with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=10) as connection:
                connection.sendall(start)
                while not stopped.is_set():
                    connection.sendall(part)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


Attack = Callable[[str, int, Event], None]
ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        half_sent_bodies, endless_chunks, tiny_chunks, endless_chunk_size, vanished_client, huge_headers, large_bodies,
        slow_headers, idle_connections, websocket_upgrades, slow_readers,
    )
}  # fmt: skip


def measure(attack: str, host: str, port: int, path: str, pid: int, seconds: float) -> Figures:
    """Run one attack concurrently with a healthy client."""
    before = peak = memory(pid)
    context = multiprocessing.get_context("spawn")
    stopped = context.Event()
    attacker = context.Process(target=ATTACKS[attack], args=(host, port, stopped), daemon=True)
    attacker.start()
    times, failed = [], 0
    # A new connection for each request, so that connecting is measured, too.
    url, deadline = f"http://{host}:{port}{path}", time.monotonic() + seconds
    while time.monotonic() < deadline:
        began = time.perf_counter()
        try:
            status = urllib3.request("GET", url, timeout=30, retries=False, headers={"Connection": "close"}).status
            failed += status >= 400
        except urllib3.exceptions.HTTPError:
            failed += 1
        times.append((time.perf_counter() - began) * 1000)
        if len(times) % 10 == 0:
            peak = max(peak, memory(pid))
        time.sleep(0.01)
    stopped.set()
    attacker.join(20)
    attacker.kill()
    return Figures(
        attack, len(times), failed, percentile(times, 0.5), percentile(times, 0.99), max(times),
        before, peak, settled_memory(pid, before),
    )  # fmt: skip


def percentile(values: list[float], share: float) -> float:
    """The value that a share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def memory(pid: int) -> float:
    """A process's resident memory in MiB."""
    output = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    return int(output) / 1024


def settled_memory(pid: int, before: float) -> float:
    """The process's memory in MiB, once it is near ``before`` or after ``SETTLE_SECONDS``."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (now := memory(pid)) > 1.05 * before and time.monotonic() < deadline:
        time.sleep(0.5)
    return now


@contextlib.contextmanager
def local_aws() -> Iterator[tuple[int, int]]:
    """Start a local AWS; its port and process id."""
    with tempfile.TemporaryDirectory() as folder:
        running = daemon.start(LocalAwsConfig(port=0), Path(folder))
        try:
            with socket.create_connection(("127.0.0.1", running.port)) as connection:
                connection.sendall(head("127.0.0.1", running.port, "PUT /bucket", "Content-Length: 0"))
                connection.recv(4096)
            yield running.port, running.pid
        finally:
            daemon.stop(Path(folder))


def main() -> int:
    """Run the attacks and print the figures; returns 1 if p99 exceeds 1 s, a request failed, or memory grew by 20 %."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="how long each attack lasts")
    parser.add_argument(
        "--attack", action="append", choices=list(ATTACKS), help="run only this attack; may be repeated"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="port of a running server (default: start a local AWS)")
    parser.add_argument("--pid", type=int, help="process id of that server")
    parser.add_argument("--path", default="/_embedstack/health", help="path that the healthy client requests")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    figures = []
    with contextlib.ExitStack() as stack:
        port, pid = (options.port, options.pid) if options.port else stack.enter_context(local_aws())
        print(
            f"{'attack':20} {'requests':>8} {'failed':>6} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}"
            "  MiB before peak after"
        )
        for attack in options.attack or ATTACKS:
            result = measure(attack, options.host, port, options.path, pid, options.seconds)
            figures.append(result)
            print(
                f"{attack:20} {result.requests:8} {result.failed:6} {result.p50_ms:8.1f} {result.p99_ms:8.1f} "
                f"{result.max_ms:8.1f}  {result.before_mib:10.0f} {result.peak_mib:4.0f} {result.after_mib:5.0f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in figures], indent=2), encoding="utf-8")
    return int(any(one.p99_ms > 1000 or one.failed or one.after_mib > 1.2 * one.before_mib for one in figures))


if __name__ == "__main__":
    sys.exit(main())
