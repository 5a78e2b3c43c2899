"""A package in the handler service of the Hugging Face container's toolkit.

Runs in a separate environment (`make test-compat`) without this product and OpenVINO, which the package includes.
"""

import io
import json
import os
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from mms.context import Context, RequestProcessor
from mms.metrics.metrics_store import MetricsStore
from mms.service import PredictionException
from sagemaker_huggingface_inference_toolkit.handler_service import HuggingFaceHandlerService


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    with tarfile.open(os.environ["EMBEDSTACK_PACKAGE"]) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def request_to(model_dir):
    service = HuggingFaceHandlerService()

    def request(body, accept="application/json"):
        context = Context("model", str(model_dir), {}, 1, -1, "1.1.11")
        context.request_processor = [RequestProcessor({"Content-Type": "application/json", "Accept": accept})]
        context.metrics = MetricsStore(["1"], "model")
        service.initialize(context)
        (response,) = service.handle([{"body": body}], context)
        return context.get_response_status(0)[0], response

    return request


def test_handler_equals_the_golden_vectors(request_to):
    texts, golden = (os.environ[name] for name in ("EMBEDSTACK_GOLDEN_TEXTS", "EMBEDSTACK_GOLDEN_VECTORS"))
    inputs = json.loads(Path(texts).read_text(encoding="utf-8"))
    status, response = request_to(json.dumps({"inputs": inputs}).encode())
    assert status == 200
    assert (np.asarray(json.loads(response)) * np.load(golden)["vectors"]).sum(axis=1).min() >= 0.9999


def test_handler_returns_npy(request_to):
    status, response = request_to(b'{"inputs": "hello"}', "application/x-npy")
    assert status == 200
    assert np.load(io.BytesIO(response)).shape == (1, 384)


@pytest.mark.parametrize(
    ("body", "status", "error_type"),
    [(b"{bad", 400, "malformed_json"), (b'{"inputs": ""}', 422, "invalid_input"), (b'{"inputs": []}', 400, None)],
)
def test_handler_sets_the_status_of_an_error(request_to, body, status, error_type):
    actual, response = request_to(body)
    assert actual == status
    assert error_type in (None, json.loads(response)["error_type"])


def test_handler_imports_from_the_package(request_to, model_dir):
    request_to(b'{"inputs": "hello"}')
    for name in ("embedstack", "openvino", "orjson"):
        assert sys.modules[name].__file__.startswith(str(model_dir))


def test_handler_rejects_a_damaged_package(model_dir, tmp_path):
    damaged = tmp_path / "model"
    damaged.mkdir()
    for path in model_dir.iterdir():
        (damaged / path.name).symlink_to(path)
    (damaged / "config.json").unlink()
    (damaged / "config.json").write_text((model_dir / "config.json").read_text() + " ")
    service = HuggingFaceHandlerService()
    context = Context("model", str(damaged), {}, 1, -1, "1.1.11")
    context.request_processor = [RequestProcessor({"Content-Type": "application/json"})]
    with pytest.raises(PredictionException, match="its checksum differs"):
        service.handle([{"body": b'{"inputs": "hello"}'}], context)
