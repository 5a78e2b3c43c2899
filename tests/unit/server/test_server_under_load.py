"""Many clients at once: no row is ever another's, overload is said, and who leaves frees the place."""

import asyncio
import json
import socket
import threading
import time
from http.client import HTTPConnection

import numpy as np
import pytest

from conftest import MINILM
from embedstack.models.golden import golden_texts, golden_vectors
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import Answer, EmbedProtocol
from embedstack_server.http.server import ModelServer
from tests.support.tiny_bert import write_model
from tests.unit.server.test_server import call, serving, wait_until_ready


def test_64_clients_each_get_their_own_vector(minilm_folder):
    texts, golden = golden_texts(), np.asarray(golden_vectors(MINILM))
    worst = []

    def client(number, port):
        connection = HTTPConnection("127.0.0.1", port)
        for step in range(4):
            rows = [(number * 7 + step * 3 + offset) % len(texts) for offset in range(step % 3 + 1)]
            connection.request("POST", "/invocations", json.dumps({"inputs": [texts[row] for row in rows]}))
            vectors = np.asarray(json.loads(connection.getresponse().read()))
            worst.append((vectors * golden[rows]).sum(axis=1).min())
        connection.close()

    with serving(minilm_folder) as (url, _):
        wait_until_ready(url)
        port = int(url.rpartition(":")[2])
        threads = [threading.Thread(target=client, args=(number, port)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert len(worst) == 64 * 4
    assert min(worst) > 0.9999


class SlowProtocol(EmbedProtocol):
    """Holds every request until it is told to answer."""

    def __init__(self):
        self.go = asyncio.Event()
        self.cancelled = 0

    async def answer(self, encoder, invocation):
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Answer(b"[]")


async def invoke(app, gone=None):
    """One request straight through the ASGI application; ``gone`` is set when its client leaves."""
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


def test_overload_is_429_with_retry_after_and_passes(encoder):
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


def test_a_client_that_leaves_frees_its_place(encoder):
    async def scenario():
        protocol = SlowProtocol()
        server = _server(encoder, protocol)
        gone = asyncio.Event()
        leaving = [asyncio.create_task(invoke(server, gone)) for _ in range(512)]
        await asyncio.sleep(0.1)
        gone.set()
        assert await asyncio.gather(*leaving) == [[]] * 512
        assert protocol.cancelled == 512
        protocol.go.set()
        assert (await invoke(server))[0]["status"] == 200

    asyncio.run(scenario())


def test_a_real_connection_that_is_cut_leaves_the_server_answering(minilm_folder):
    body = json.dumps({"inputs": ["word " * 250] * 500}).encode()
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with serving(minilm_folder) as (url, process):
        wait_until_ready(url)
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
                connection.sendall(head + body)
                time.sleep(0.1)
        # 2,500 long texts would take a minute; those whose client left are not computed.
        assert call(f"{url}/invocations", b'{"inputs": "still here"}')[0] == 200
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert "abandoned by the client" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/invocations", 405), ("GET", "/nowhere", 404)])
def test_other_paths_and_methods(encoder, method, path, status):
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b""}

    app = _server(encoder, EmbedProtocol())
    asyncio.run(app({"type": "http", "path": path, "method": method, "headers": []}, receive, send))
    assert sent[0]["status"] == status


def test_ping_is_503_when_no_text_can_be_computed(tmp_path):
    """As after the death of a worker thread; see test_a_dead_worker_is_noticed."""
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
