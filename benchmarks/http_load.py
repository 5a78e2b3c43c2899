"""Clients that keep a model server busy: each sends its next request as soon as it receives a response."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import uvloop

__all__ = ["Group", "Load", "run", "run_each_once", "run_groups"]

# Called with a request's number and the body of its response.
OnResponse = Callable[[int, bytes], None]


@dataclass(slots=True)
class Load:
    """Latency of each request and total duration, in seconds."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Clients of one kind.

    Attributes:
        bodies: Texts of each request.
        clients: Number of clients that send them.
    """

    bodies: list[list[str]]
    clients: int = 1


class _Client(asyncio.Protocol):
    def __init__(self, requests: Iterator[tuple[int, bytes]], load: Load, on_response: OnResponse | None) -> None:
        self._requests = requests
        self._load = load
        self._on_response = on_response
        self._buffer = bytearray()
        self._body = self._expected = self._received = self._number = 0
        self._sent = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or RuntimeError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        if not self._expected:
            if not data.startswith(b"HTTP/1.1 200"):
                self.done.set_exception(RuntimeError(data[:200].decode()))
                return
            at = data.lower().index(b"content-length:") + 15
            self._body = data.index(b"\r\n\r\n") + 4
            self._expected = self._body + int(data[at : data.index(b"\r", at)])
        self._received += len(data)
        if self._on_response:
            self._buffer += data
        if self._received >= self._expected:
            self._load.latencies.append(time.perf_counter() - self._sent)
            if self._on_response:
                self._on_response(self._number, bytes(self._buffer[self._body :]))
            self._send()

    def _send(self) -> None:
        self._expected = self._received = 0
        self._buffer.clear()
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._number = request[0]
        self._sent = time.perf_counter()
        self._transport.write(request[1])


def run(port: int, bodies: list[list[str]], clients: int, seconds: float) -> Load:
    """Send requests with these texts from concurrent clients, for ``seconds``."""
    return run_groups(port, {"": Group(bodies, clients)}, seconds)[""]


def run_groups(port: int, groups: dict[str, Group], seconds: float) -> dict[str, Load]:
    """Send the requests of several groups of clients concurrently, for ``seconds``; the load of each group."""
    until = time.perf_counter() + seconds

    def endless(requests: list[bytes], number: int) -> Iterator[tuple[int, bytes]]:
        while time.perf_counter() < until:
            yield number, requests[number % len(requests)]
            number += 1

    async def main() -> dict[str, Load]:
        runs = []
        for group in groups.values():
            requests = [_request(texts) for texts in group.bodies]
            sources = [endless(requests, number * 37) for number in range(group.clients)]
            runs.append(_clients(port, sources, None))
        return dict(zip(groups, await asyncio.gather(*runs), strict=True))

    return uvloop.run(main())


def run_each_once(port: int, texts: Iterator[str], clients: int, on_response: OnResponse) -> Load:
    """Send each text once, in one request for an array; concurrent clients share the texts."""
    return run_each_once_at([(port, texts, on_response)], clients)[0]


def run_each_once_at(servers: list[tuple[int, Iterator[str], OnResponse]], clients: int) -> list[Load]:
    """:func:`run_each_once` at several servers concurrently.

    Args:
        servers: Each server's port, its texts, and the function called with its responses.
        clients: Clients of each server.
    """

    async def main() -> list[Load]:
        runs = []
        for port, texts, on_response in servers:
            runs.append(_clients(port, [_array_requests(texts)] * clients, on_response))
        return list(await asyncio.gather(*runs))

    return uvloop.run(main())


def _array_requests(texts: Iterator[str]) -> Iterator[tuple[int, bytes]]:
    for number, text in enumerate(texts):
        yield number, _request([text], b"Accept: application/x-npy\r\n")


async def _clients(port: int, sources: list[Iterator[tuple[int, bytes]]], on_response: OnResponse | None) -> Load:
    load, started = Load(), time.perf_counter()
    loop = asyncio.get_running_loop()
    protocols = [_Client(source, load, on_response) for source in sources]
    for client in protocols:
        await loop.create_connection(partial(_identity, client), "127.0.0.1", port)
    await asyncio.gather(*(client.done for client in protocols))
    load.seconds = time.perf_counter() - started
    return load


def _identity(client: _Client) -> _Client:
    return client


def _request(texts: list[str], header: bytes = b"") -> bytes:
    body = json.dumps({"inputs": texts, "truncate": True}).encode()
    head = b"POST /invocations HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\n" + header
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
