"""The server's ASGI application: overload, disconnected clients, unknown paths and an unhealthy encoder."""

import asyncio

import pytest

from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import EmbedProtocol, Response
from embedstack_server.http.server import ModelServer
from tests.support.tiny_bert import write_model


class SlowProtocol(EmbedProtocol):
    """Holds every request until ``go`` is set."""

    def __init__(self):
        self.go = asyncio.Event()
        self.cancelled = 0

    async def respond(self, encoder, invocation):
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Response(b"[]")


async def invoke(app, gone=None):
    """Send one request to the ASGI application; setting ``gone`` disconnects its client."""
    messages = iter([{"type": "http.request", "body": b'{"inputs": "cat"}'}])
    sent = []

    async def receive():
        for message in messages:
            return message
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app({"type": "http", "path": "/invocations", "method": "POST", "headers": []}, receive, send)
    return sent


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    encoder = Encoder.load(write_model(tmp_path_factory.mktemp("tiny")), precision="fp32")
    yield encoder
    encoder.close()


def _server(encoder, protocol):
    server = ModelServer(lambda: encoder, protocol)
    server.load_model()
    return server


def test_overload_returns_429_with_retry_after(encoder):
    async def scenario():
        protocol = SlowProtocol()
        server = _server(encoder, protocol)
        waiting = [asyncio.create_task(invoke(server)) for _ in range(512)]
        await asyncio.sleep(0.1)
        refused, _ = await invoke(server)
        assert refused["status"] == 429
        assert (b"retry-after", b"1") in refused["headers"]
        protocol.go.set()
        assert {(await task)[0]["status"] for task in waiting} == {200}
        assert (await invoke(server))[0]["status"] == 200

    asyncio.run(scenario())


def test_disconnected_clients_free_their_slots(encoder):
    async def scenario():
        protocol = SlowProtocol()
        server = _server(encoder, protocol)
        gone = asyncio.Event()
        disconnecting = [asyncio.create_task(invoke(server, gone)) for _ in range(512)]
        await asyncio.sleep(0.1)
        gone.set()
        assert await asyncio.gather(*disconnecting) == [[]] * 512
        assert protocol.cancelled == 512
        protocol.go.set()
        assert (await invoke(server))[0]["status"] == 200

    asyncio.run(scenario())


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/invocations", 405), ("GET", "/nowhere", 404)])
def test_unknown_path_or_method_is_rejected(encoder, method, path, status):
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b""}

    app = _server(encoder, EmbedProtocol())
    asyncio.run(app({"type": "http", "path": path, "method": method, "headers": []}, receive, send))
    assert sent[0]["status"] == status


def test_ping_returns_503_when_the_encoder_is_unhealthy(tmp_path):
    """A closed encoder is unhealthy, like one whose worker thread has ended."""
    encoder = Encoder.load(write_model(tmp_path), precision="fp32")
    app = _server(encoder, EmbedProtocol())
    statuses = []

    async def send(message):
        statuses.append(message.get("status"))

    async def receive():
        return {"type": "http.request", "body": b""}

    async def ping():
        await app({"type": "http", "path": "/ping", "method": "GET", "headers": []}, receive, send)

    asyncio.run(ping())
    encoder.close()
    asyncio.run(ping())
    assert [status for status in statuses if status] == [200, 503]
    assert asyncio.run(invoke(app))[0]["status"] == 500
