"""Real things to embed with: endpoints on the local AWS over HTTP, an Ollama server, weights in this process."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest

from conftest import MINILM
from embedstack.embedders.fake import fake_vector
from embedstack.settings.settings import Settings, load_settings
from localaws.config import LocalAwsConfig
from localaws.process import daemon

IMAGES = {
    "tei": "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.9.3-cpu-py310-ubuntu24.04",
    "toolkit": "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:2.6.0-cpu",
    "own": "123456789012.dkr.ecr.us-east-1.amazonaws.com/embedstack:1",
}


@dataclass(frozen=True)
class Aws:
    """A running local AWS, and the folder of its state."""

    settings: Settings
    state: Path


@pytest.fixture(scope="session")
def running(tmp_path_factory) -> Iterator[tuple[daemon.RunningLocalAws, Path]]:
    """One local AWS for all modules, and the folder of its state."""
    state = tmp_path_factory.mktemp("localaws")
    running = daemon.start(LocalAwsConfig(port=0), state)
    try:
        yield running, state
    finally:
        daemon.stop(state)


@pytest.fixture(scope="module")
def aws(request, running) -> Iterator[Aws]:
    """It, with the environment that points at it, and the endpoints that the module names: ``ENDPOINTS``."""
    local_aws, state = running
    with _environment(local_aws):
        _deploy(boto3.client("sagemaker"), getattr(request.module, "ENDPOINTS", ()))
        yield Aws(load_settings(), state)


@contextmanager
def _environment(running: daemon.RunningLocalAws) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment().items():
            patch.setenv(name, value)
        yield


def _deploy(sagemaker, names) -> None:
    existing = {endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints()["Endpoints"]}
    for name in set(names) - existing:
        environment = {"HF_MODEL_ID": MINILM, "HF_TASK": "feature-extraction"}
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
            PrimaryContainer={"Image": IMAGES[name], "Environment": environment},
        )
        serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 20}
        variant = {"VariantName": "all", "ModelName": name, "ServerlessConfig": serverless}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        statuses = {sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] for name in names}
        if statuses <= {"InService"}:
            return
        time.sleep(0.1)
    pytest.fail(f"the endpoints are {statuses}")


class _Ollama(BaseHTTPRequestHandler):
    """``/api/embed`` as Ollama documents it (docs/api.md), with vectors that the texts draw themselves."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/api/embed":
            return self._answer(404, {"error": "not found"})
        if request["model"] != "all-minilm":
            return self._answer(404, {"error": f'model "{request["model"]}" not found, try pulling it first'})
        texts = [request["input"]] if isinstance(request["input"], str) else request["input"]
        if not request.get("truncate", True) and any(len(text) > 2000 for text in texts):
            return self._answer(400, {"error": "the input length exceeds the context length"})
        vectors = [fake_vector(text, 384).tolist() for text in texts]
        count = sum(len(text.split()) for text in texts)
        return self._answer(200, {"model": request["model"], "embeddings": vectors, "prompt_eval_count": count})

    def _answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def http_server(handler) -> Iterator[str]:
    """Serve until the block ends; gives the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def ollama_url() -> Iterator[str]:
    with http_server(_Ollama) as url:
        yield url
