"""The model server over HTTP, in a child process as a container starts it."""

import http.client
import io
import json
import re
import signal
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from embedstack_server.model.manifest import Manifest, file_sha256, model_files
from embedstack_server.model.model_folder import ModelFolder
from tests.support.model_server import call, serving, wait_until_ready
from tests.support.prometheus_text import parse_metrics
from tests.support.reference_models import ReferenceModel
from tests.support.tiny_bert import HIDDEN, make_tensors, write_model


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("tiny"))
    with serving(folder, "--model-id", "test/tiny") as (url, _):
        wait_until_ready(url)
        yield url


@pytest.mark.parametrize("options", [("--host", "999.1.1.1"), ("--port", "99999")])
def test_server_explains_an_address_that_it_cannot_use(tmp_path, options):
    command = [sys.executable, "-m", "embedstack_server", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"cannot listen on {'999.1.1.1:8080' if '--host' in options else '127.0.0.1:99999'}" in done.stderr
    assert "Traceback" not in done.stderr


def invoke(server: str, payload: object, accept: str | None = None) -> tuple[int, Any]:
    status, _, body = call(f"{server}/invocations", json.dumps(payload).encode(), accept)
    return status, json.loads(body)


def test_ping_describes_the_model(server):
    status, _, body = call(f"{server}/ping")
    info = json.loads(body)
    assert status == 200
    assert info["model_id"] == "test/tiny"
    assert info["dimensions"] == HIDDEN
    assert info["pooling"] == "mean"
    assert info["kind"] == "embedding"


def test_invocations_return_one_vector_per_text(server):
    status, one = invoke(server, {"inputs": "the cat"})
    assert status == 200
    assert np.asarray(one).shape == (1, HIDDEN)
    status, many = invoke(server, {"inputs": ["dog", "the cat"]})
    assert status == 200
    np.testing.assert_allclose(many[1], one[0], atol=1e-2)
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-5)


def test_invocations_accept_nested_parameters(server):
    nested = invoke(server, {"inputs": "cat", "parameters": {"normalize": False, "pooling": "mean"}})
    assert nested == invoke(server, {"inputs": "cat", "normalize": False})
    assert abs(np.linalg.norm(nested[1]) - 1) > 0.1


def test_invocations_return_equal_vectors_as_npy_and_json(server):
    body = json.dumps({"inputs": ["cat", "dog"]}).encode()
    status, headers, content = call(f"{server}/invocations", body, "application/x-npy")
    array = np.load(io.BytesIO(content), allow_pickle=False)
    assert (status, headers["content-type"], array.dtype) == (200, "application/x-npy", np.float32)
    np.testing.assert_array_equal(array, np.asarray(invoke(server, {"inputs": ["cat", "dog"]})[1], np.float32))


def test_invocations_with_named_outputs_return_usage(server):
    status, response = invoke(server, {"inputs": ["cat", "the dog"], "outputs": ["dense"]})
    assert status == 200
    assert np.asarray(response["dense"]).shape == (2, HIDDEN)
    assert response["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


@pytest.mark.parametrize(
    ("body", "status", "error_type", "message"),
    [
        (b"{bad", 400, "malformed_json", "not JSON"),
        (b'{"inputs": NaN}', 400, "malformed_json", "not JSON"),
        (b"[1]", 400, "malformed_request", "a list"),
        (b"{}", 400, "malformed_request", "none of `inputs`"),
        (b'{"inputs": []}', 400, "malformed_request", "an empty list"),
        (b'{"inputs": 3}', 422, "invalid_request", "a number"),
        (b'{"inputs": {"text": "cat"}}', 422, "invalid_request", "an object"),
        (b'{"inputs": ["cat", ["dog"]]}', 422, "invalid_request", r"`inputs\[1\]` is a list"),
        (b'{"inputs": ["cat", null]}', 422, "invalid_request", r"`inputs\[1\]` is null"),
        (b'{"inputs": "cat", "truncate": 1}', 422, "invalid_request", "`truncate` is a number"),
        (b'{"inputs": "cat", "dimensions": true}', 422, "invalid_request", "`dimensions` is a boolean"),
        (b'{"inputs": "cat", "outputs": []}', 422, "invalid_request", "`outputs`"),
        (b'{"inputs": "cat", "other": 1}', 400, "malformed_request", "Unknown member: 'other'"),
        (b'{"inputs": ""}', 400, "malformed_request", "`inputs` is empty"),
        (b'{"query": "cat", "texts": ["dog"]}', 422, "unsupported_kind", "an embedding model without a ColBERT"),
        (b'{"inputs": "cat", "dimensions": 7}', 422, "invalid_input", "not 7"),
        (b'{"inputs": "cat", "prompt_name": "x"}', 422, "invalid_input", "no prompt 'x'"),
        (b'{"inputs": "cat", "outputs": ["sparse"]}', 422, "unsupported_output", "no output sparse"),
        (b'{"inputs": "cat", "pooling": "cls"}', 422, "unsupported_pooling", "mean pooling, not cls"),
        (b'{"inputs": "%s", "truncate": false}' % (b"cat " * 20), 422, "text_too_long", "22 tokens"),
        (json.dumps({"inputs": ["cat"] * 2049}).encode(), 413, "too_many_inputs", "2049"),
        (b'{"inputs": "%s"}' % (b"x" * 25 * 1024 * 1024), 413, "payload_too_large", "limit"),
    ],
)  # fmt: skip
def test_invalid_requests_are_rejected_with_the_reason(server, body, status, error_type, message):
    actual, _, content = call(f"{server}/invocations", body)
    error = json.loads(content)
    assert (actual, error["error_type"]) == (status, error_type)
    assert re.search(message, error["error"]), error


def test_rejected_text_is_named_by_its_index(server):
    assert invoke(server, {"inputs": ["cat", "dog", ""]})[1]["index"] == 2


def test_metrics_include_requests_that_the_connection_rejects(server):
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=30)
    connection.request("POST", "/invocations", b'{"inputs": "cat"}', {"Origin": "http://example.com"})
    assert connection.getresponse().status == 403
    connection.close()
    status, headers, body = call(f"{server}/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    samples, _ = parse_metrics(body.decode())
    assert samples["embedstack_ready"][()] == 1
    assert samples["embedstack_requests_total"][("status", "403"),] >= 1
    assert samples["embedstack_errors_total"][("type", "from_browser"),] >= 1


def test_openai_and_rerank_requests_over_http(server):
    status, response = invoke(server, {"input": ["cat", "the dog"], "model": "test/tiny"})
    assert (status, response["usage"]) == (200, {"prompt_tokens": 7, "total_tokens": 7})
    rows = [item["embedding"] for item in response["data"]]
    np.testing.assert_allclose(rows, invoke(server, {"inputs": ["cat", "the dog"]})[1], atol=1e-2)
    status, error = invoke(server, {"query": "cat", "documents": ["dog"], "top_n": 1})
    assert (status, error["error_type"]) == (422, "unsupported_kind")


def test_server_reranks_with_a_cross_encoder(tmp_path):
    folder = ReferenceModel.load("cross-bert").write(tmp_path)
    with serving(folder, "--model-id", "test/reranker") as (url, _):
        wait_until_ready(url)
        assert json.loads(call(f"{url}/ping")[2])["kind"] == "reranker"
        status, response = invoke(url, {"query": "the cat", "documents": ["dog", "the cat sat"], "top_n": 1})
        assert (status, len(response["results"])) == (200, 1)
        status, error = invoke(url, {"inputs": "the cat"})
        assert (status, error["error_type"]) == (422, "unsupported_kind")
        samples, _ = parse_metrics(call(f"{url}/metrics")[2].decode())
        assert samples["embedstack_texts_total"][()] == 2
        ((labels, _),) = samples["embedstack_model_info"].items()
        assert ("kind", "reranker") in labels


def test_non_finite_vector_returns_500(tmp_path):
    tensors = make_tensors()
    # Each is finite, and their sum is not.
    tensors["embeddings.word_embeddings.weight"][9, 0] = 3e38
    tensors["embeddings.token_type_embeddings.weight"][0, 0] = 3e38
    with serving(write_model(tmp_path, tensors)) as (url, _):
        wait_until_ready(url)
        status, error = invoke(url, {"inputs": ["cat", "dog"]})
        assert (status, error["error_type"], error["index"]) == (500, "model_error", 1)


def test_ping_returns_503_until_the_model_is_loaded(minilm_folder):
    with serving(minilm_folder) as (url, _):
        statuses = wait_until_ready(url)
    assert set(statuses) <= {0, 503, 200}


def test_sigterm_finishes_requests_in_flight(minilm_folder):
    with serving(minilm_folder) as (url, process):
        wait_until_ready(url)
        body = json.dumps({"inputs": ["word " * 200] * 60}).encode()
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        connection.request("POST", "/invocations", body)
        for _ in range(5):  # by then, the server has read the request
            assert call(f"{url}/ping")[0] == 200
        process.send_signal(signal.SIGTERM)
        rows = json.loads(connection.getresponse().read())
        connection.close()
        assert np.asarray(rows).shape == (60, 384)
        assert process.wait(30) == 0


def test_server_without_a_model_exits_with_the_reason(tmp_path):
    with serving(tmp_path) as (_, process):
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "it has no config.json" in output


def test_server_with_a_damaged_package_exits_and_names_the_file(tmp_path):
    model = ModelFolder.read(write_model(tmp_path))
    Manifest(
        tmp_path, "test/tiny", None, model.dimensions, model.max_tokens, model.pooling, model.normalize, model.prompts,
        "fp32", {name: file_sha256(tmp_path / name) for name in model_files(tmp_path)},
    ).write()  # fmt: skip
    (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:-4])
    with serving(tmp_path) as (_, process):
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "model.safetensors is not the file that was packaged" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(("level", "logged"), [(None, ["422"]), ("debug", ["200", "422"]), ("all of it", ["422"])])
def test_log_contains_no_text_at_any_level(tmp_path, monkeypatch, level, logged):
    if level:
        monkeypatch.setenv("LOG_LEVEL", level)
    with serving(write_model(tmp_path)) as (url, process):
        wait_until_ready(url)
        invoke(url, {"inputs": "confidential words"})
        invoke(url, {"inputs": "confidential words", "prompt_name": "none"})
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert re.findall(r"POST /invocations (\d+) \d+ bytes \d+\.\d ms", output) == logged
    assert "confidential" not in output
