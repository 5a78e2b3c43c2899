"""Servers that speak each backend's protocol for next to nothing, with faults on demand, in a process of their own.

    python -m tests.integration.embedders.stand_in    # prints its port, serves until it is stopped

The vectors are drawn by the texts, so that a wrong one is noticed; most of their components are 0, so that twenty
thousand of them cost little to write and to read.
"""

import hashlib
import io
import json
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from localaws.faults.injector import BY_SERVICE, FAULTS_PATH, FaultInjector, Faults
from localaws.gateway.http_server import HttpServer

DIMENSIONS = 8
REPOSITORY = Path(__file__).parents[3]
_ENDPOINT = re.compile(r"^/endpoints/(?P<name>own|tei)/invocations$")
_BEDROCK = re.compile(r"^/model/(?P<model>[^/]+)/invoke$")
_LENGTHS = {"amazon.titan-embed-text-v1": 1536, "cohere.embed-english-v3": 1024}

_BUSY = "server busy, please try again.  maximum pending requests exceeded"
#: What Ollama answers when it fails (server/routes.go and server/sched.go of ollama/ollama), and a proxy before it.
OLLAMA_ERRORS = {
    "throttle": ("503 Service Unavailable", "", {"error": _BUSY}),
    "model": ("500 Internal Server Error", "", {"error": "llama runner process has terminated: exit status 2"}),
    "proxy-throttle": ("429 Too Many Requests", "", {"error": "too many requests"}),
    "proxy": ("502 Bad Gateway", "", {}),
}


def components(text):
    """The first components of a text's unit vector."""
    drawn = [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()[:4]]
    length = sum(component * component for component in drawn) ** 0.5
    return [round(component / length, 6) for component in drawn]


def as_json(texts, dimensions):
    """A list of lists."""
    zeros = ",0" * (dimensions - 4)
    return "[" + ",".join(f"[{','.join(map(str, components(text)))}{zeros}]" for text in texts) + "]"


def as_array(texts, dimensions):
    """The same as .npy."""
    rows = np.zeros((len(texts), dimensions), np.float32)
    rows[:, :4] = [components(text) for text in texts]
    buffer = io.BytesIO()
    np.save(buffer, rows)
    return buffer.getvalue()


def application(environ, start_response):
    """Answer one request of any of the protocols."""
    path = environ["PATH_INFO"]
    request = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    kind = "application/json"
    if result := _ENDPOINT.match(path):
        takes_arrays = result["name"] == "own" and environ.get("HTTP_ACCEPT") == "application/x-npy"
        if takes_arrays:
            kind, body = "application/x-npy", as_array(request["inputs"], DIMENSIONS)
        else:
            body = as_json(request["inputs"], DIMENSIONS)
    elif result := _BEDROCK.match(path):
        body = bedrock(result["model"].replace("%3A", ":"), request)
    else:
        assert path == "/api/embed", path
        vectors = as_json(request["input"], DIMENSIONS)
        body = f'{{"model":"m","embeddings":{vectors},"prompt_eval_count":{len(request["input"])}}}'
    content = body if isinstance(body, bytes) else body.encode()
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(content)))])
    return [content]


def bedrock(model, request):
    """Titan's and Cohere's answers."""
    if model.startswith("amazon.titan"):
        vector = as_json([request["inputText"]], _LENGTHS.get(model) or request["dimensions"])[1:-1]
        return f'{{"embedding":{vector},"inputTextTokenCount":3}}'
    assert len(request["texts"]) <= 96
    vectors = as_json(request["texts"], _LENGTHS.get(model) or request["output_dimension"])
    return f'{{"response_type":"embeddings_by_type","embeddings":{{"float":{vectors}}}}}'


@contextmanager
def stand_in() -> Iterator[str]:
    """Its URL, for as long as the block lasts."""
    command = [sys.executable, "-m", "tests.integration.embedders.stand_in"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@contextmanager
def faults(url, service, kind, rate, **options):
    """Let a share of a service's requests fail while the block lasts."""

    def ask(share):
        body = json.dumps({"service": service, "kind": kind, "rate": share, "seed": 4, **options}).encode()
        urllib.request.urlopen(url + FAULTS_PATH, body).close()

    ask(rate)
    try:
        yield
    finally:
        ask(0)


if __name__ == "__main__":
    injector = FaultInjector(application, Faults({**BY_SERVICE, "": OLLAMA_ERRORS}))
    server = HttpServer(injector, socket.create_server(("127.0.0.1", 0)))
    server.start()
    print(server.port, flush=True)
    threading.Event().wait()
