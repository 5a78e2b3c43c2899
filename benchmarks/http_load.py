"""Clients that keep a model server busy: each sends its next request as soon as it has its answer."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import uvloop

__all__ = ["Load", "run"]


@dataclass(slots=True)
class Load:
    """What was answered: seconds of each request, and how long all of it took."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0


class _Client(asyncio.Protocol):
    def __init__(self, requests: list[bytes], first: int, until: float, load: Load) -> None:
        self._requests = requests
        self._next = first
        self._until = until
        self._load = load
        self._wanted = self._received = 0
        self._sent = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        if not self._wanted:
            head = data.index(b"\r\n\r\n")
            if not data.startswith(b"HTTP/1.1 200"):
                self.done.set_exception(RuntimeError(data[:200].decode()))
                return
            at = data.lower().index(b"content-length:") + 15
            self._wanted = head + 4 + int(data[at : data.index(b"\r", at)])
        self._received += len(data)
        if self._received >= self._wanted:
            self._load.latencies.append(time.perf_counter() - self._sent)
            self._send()

    def _send(self) -> None:
        if time.perf_counter() > self._until:
            self._transport.close()
            self.done.set_result(None)
            return
        self._wanted = self._received = 0
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1


def run(port: int, bodies: list[list[str]], clients: int, seconds: float) -> Load:
    """Send requests with these texts from so many clients for so long."""

    async def main() -> Load:
        load, started = Load(), time.perf_counter()
        loop = asyncio.get_running_loop()
        protocols = []
        for number in range(clients):
            client = _Client(requests, number * 37, started + seconds, load)
            await loop.create_connection(partial(_identity, client), "127.0.0.1", port)
            protocols.append(client)
        await asyncio.gather(*(protocol.done for protocol in protocols))
        load.seconds = time.perf_counter() - started
        return load

    requests = [_request(json.dumps({"inputs": texts}).encode()) for texts in bodies]
    return uvloop.run(main())


def _identity(client: _Client) -> _Client:
    return client


def _request(body: bytes) -> bytes:
    head = f"POST /invocations HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body
