"""Latency of a healthy client, and memory of the model server, during attacks by another client.

For each attack, a model server is started, and measured before, during and after the attack. Meanwhile, a healthy
client in another process sends a short text and a /ping every 20 ms.
"""

import argparse
import contextlib
import http.client
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from server_process import Server, serving

from embedstack.models.local_files import find_model_folder

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SCRIPTS = {
    "words": "word ",
    "one character": "a",
    "white space": " ",
    "line breaks": "\n",
    "emoji": "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}",
    "CJK": "漢字",
    "combining marks": "\N{COMBINING ACUTE ACCENT}",
    "NULs": "\0",
    "scripts in turn": "a\N{CYRILLIC SMALL LETTER BE}漢",
    "punctuation": "!",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help=f"model folder (default: {MODEL})")
    parser.add_argument("--attack", action="append", help="run only attacks whose name contains this; may be repeated")
    parser.add_argument("--connections", type=int, default=600, help="number of concurrent incomplete requests")
    parser.add_argument("--readers", type=int, default=40, help="clients that do not read their response")
    parser.add_argument("--probe", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        probe(options.probe)
        return
    folder = options.model or find_model_folder(MODEL, Path("models"))
    if folder is None:
        sys.exit(f"{MODEL} is not installed. Pass its folder with --model.")
    print(
        "| Attack | responses | healthy client p50 | p99 | /ping p99 | before | peak | after |"
        "\n|---|---|---|---|---|---|---|---|"
    )
    for name, attack in attacks(options.connections, options.readers).items():
        if options.attack is None or any(part in name for part in options.attack):
            measure(folder, name, attack)


Attack = Callable[[int], Iterator[str]]


def attacks(connections: int, readers: int) -> dict[str, Attack]:
    """Attacks on a port by name; each yields the statuses of the responses."""
    attacks_by_name: dict[str, Attack] = {"none": lambda _: iter(())}
    for megabytes in (4, 25):
        for name, unit in SCRIPTS.items():
            text = unit * ((megabytes * 1_000_000 - 100) // len(json_text(unit)))
            attacks_by_name[f"{megabytes} MB, {name}"] = texts([text])
    attacks_by_name["2,048 texts of 12 kB"] = posting(
        json.dumps({"inputs": ["word " * 2_400] * 2_048, "truncate": True}).encode()
    )
    attacks_by_name["1,024 texts of 24 kB, not truncated"] = texts(["漢字 " * 3_400] * 1_024, truncate=(False,))
    for megabytes in (1, 4, 25):
        span = b"[0,4],"
        body = b'{"inputs":"word","spans":[[' + span * (megabytes * 1_000_000 // len(span)) + b"[0,4]]]}"
        attacks_by_name[f"{megabytes} MB of spans"] = posting(body)
    attacks_by_name["spans up to the limit, 20 times"] = posting(
        b'{"inputs":"word","spans":[[' + b"[0,4]," * 5_000 + b"[0,4]]]}", times=20
    )
    for name, value in {"lists": b"[],", "nested lists": b"[[[[]]]],", "objects": b"{},", "numbers": b"1,"}.items():
        attacks_by_name[f"25 MB of {name}"] = posting(b'{"inputs":[' + value * (25_000_000 // len(value)) + b"1]}")
    attacks_by_name[f"{connections} incomplete bodies"] = half_sent(connections, b"Content-Length: 1000\r\n\r\n{")
    attacks_by_name["60 incomplete bodies of 20 MB"] = half_sent(
        60, b"Content-Length: 25000000\r\n\r\n" + b"x" * 20_000_000
    )
    attacks_by_name[f"{connections} incomplete headers"] = half_sent(connections, b"A: b\r\n")
    attacks_by_name["64 MB of header"] = flood(b"GET /ping HTTP/1.1\r\nHost: x\r\nA: ", b"x", 64)
    chunked = b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    attacks_by_name["endless chunks"] = flood(chunked, b"10000\r\n" + b"x" * 65_536 + b"\r\n", 256)
    attacks_by_name["endless small chunks"] = flood(chunked, b"1\r\nx\r\n", 64)
    attacks_by_name["endless chunk extension"] = flood(chunked + b"1;", b"x", 64)
    attacks_by_name["endless trailers"] = flood(chunked + b"1\r\nx\r\n0\r\n", b"A: b\r\n", 64)
    attacks_by_name["10,000 pipelined requests"] = flood(b"", b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n", 0.3)
    attacks_by_name[f"{readers} slow readers"] = slow_readers(readers)
    return attacks_by_name


@dataclass
class Memory:
    """Samples a process's resident memory in MB, and keeps the peak."""

    server: Server
    peak: float = 0.0
    stopped: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.stopped.wait(0.02):
            self.peak = max(self.peak, self.server.megabytes)


def measure(folder: Path, name: str, attack: Attack) -> None:
    with serving(folder) as server:
        healthy = subprocess.Popen(
            [sys.executable, __file__, "--probe", str(server.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if healthy.stdin is None or healthy.stdout is None:
            sys.exit("the healthy client has no pipes")
        time.sleep(1.5)  # the server's and the client's warm-up
        healthy.stdin.write(b"\n")
        healthy.stdin.flush()
        before = server.megabytes
        memory = Memory(server)
        watching = threading.Thread(target=memory.watch)
        watching.start()
        statuses = sorted(set(attack(server.port)))
        time.sleep(3)  # the server releases memory 1 s after the last large request
        healthy.stdin.close()
        seconds = json.loads(healthy.stdout.read())
        healthy.wait()
        memory.stopped.set()
        watching.join()
        times = " | ".join(
            f"{value * 1000:.1f} ms"
            for value in (
                statistics.median(seconds["short"]),
                percentile(seconds["short"]),
                percentile(seconds["ping"]),
            )
        )
        print(
            f"| {name} | {', '.join(statuses)} | {times} | {before:.0f} MB | {memory.peak:.0f} MB "
            f"| {server.megabytes:.0f} MB |",
            flush=True,
        )


def percentile(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def probe(port: int) -> None:
    """Run a healthy client, which measures from the first line of standard input to its end."""
    measuring, ended = threading.Event(), threading.Event()

    def read() -> None:
        sys.stdin.readline()
        measuring.set()
        sys.stdin.read()
        ended.set()

    threading.Thread(target=read).start()
    seconds: dict[str, list[float]] = {"short": [], "ping": []}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    body = json.dumps({"inputs": "a short text of a healthy client"}).encode()
    while not ended.is_set():
        for name, request in {"short": ("POST", "/invocations", body), "ping": ("GET", "/ping", None)}.items():
            started = time.perf_counter()
            connection.request(*request, headers={"Content-Type": "application/json"} if request[2] else {})
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                sys.exit(f"the healthy client received status {response.status}")
            if measuring.is_set():
                seconds[name].append(time.perf_counter() - started)
        time.sleep(0.02)
    print(json.dumps(seconds))


def json_text(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()[1:-1]


def texts(inputs: list[str], truncate: tuple[bool, ...] = (True, False)) -> Attack:
    """Post texts, with and without truncation on either side."""

    def attack(port: int) -> Iterator[str]:
        for truncates in truncate:
            for direction in ("Right", "Left"):
                options = {"inputs": inputs, "truncate": truncates, "truncation_direction": direction}
                yield from posting(json.dumps(options, ensure_ascii=False).encode())(port)

    return attack


def posting(body: bytes, times: int = 1) -> Attack:
    def attack(port: int) -> Iterator[str]:
        for _ in range(times):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            connection.close()
            yield str(response.status)

    return attack


def half_sent(count: int, content: bytes) -> Attack:
    """Send incomplete requests, and wait for 5 s."""

    def attack(port: int) -> Iterator[str]:
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]
            for connection in connections:
                connection.settimeout(1)
                with contextlib.suppress(OSError):
                    connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\n" + content)
            time.sleep(5)
            for connection in connections:
                yield status(connection, seconds=0.001)

    return attack


def flood(head: bytes, unit: bytes, megabytes: float) -> Attack:
    """Send ``megabytes`` of repeated data, and read the response."""

    def attack(port: int) -> Iterator[str]:
        block = unit * (1_000_000 // len(unit))
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(5)
            with contextlib.suppress(OSError):
                connection.sendall(head)
                for _ in range(max(int(megabytes), 1)):
                    connection.sendall(block)
            yield status(connection, seconds=5)

    return attack


def slow_readers(count: int) -> Attack:
    """Request large responses and do not read them, for 5 s."""

    def attack(port: int) -> Iterator[str]:
        body = b'{"inputs":"word","spans":[[' + b"[0,4]," * 5_000 + b"[0,4]]]}"
        head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                connection.sendall(head + body)
            time.sleep(5)
        yield "not read"

    return attack


def status(connection: socket.socket, seconds: float) -> str:
    connection.settimeout(seconds)
    try:
        received = connection.recv(12)
    except TimeoutError:
        return "open"
    except OSError:
        return "reset"
    return received[9:12].decode() or "closed"


if __name__ == "__main__":
    main()
