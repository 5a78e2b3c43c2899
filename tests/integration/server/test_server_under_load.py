"""Many concurrent clients: each receives its own vectors, and requests of disconnected clients are dropped."""

import json
import socket
import threading
import time
from http.client import HTTPConnection

import numpy as np

from embedstack.models.golden import golden_texts
from tests.support.golden import minilm_golden
from tests.support.model_server import call, serving, wait_until_ready


def test_64_clients_receive_their_own_vectors(minilm_folder):
    texts, golden = golden_texts(), minilm_golden()
    worst = []

    def client(number, port):
        connection = HTTPConnection("127.0.0.1", port)
        for step in range(4):
            rows = [(number * 7 + step * 3 + offset) % len(texts) for offset in range(step % 3 + 1)]
            connection.request(
                "POST", "/invocations", json.dumps({"inputs": [texts[row] for row in rows], "truncate": True})
            )
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


def test_disconnected_requests_are_not_computed(minilm_folder):
    body = json.dumps({"inputs": ["word " * 250] * 500}).encode()
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with serving(minilm_folder) as (url, process):
        wait_until_ready(url)
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
                connection.sendall(head + body)
                time.sleep(0.1)
        # 2,500 long texts would take a minute. Texts of disconnected clients are not computed.
        assert call(f"{url}/invocations", b'{"inputs": "still here"}')[0] == 200
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert "abandoned by the client" in output
    assert "Traceback" not in output
