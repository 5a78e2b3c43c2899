"""Containers respond as their images do."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from tests.support.localaws.harness import HUGGINGFACE, MINILM, OWN_IMAGE, TEI, Aws


@pytest.fixture(scope="module")
def endpoints(aws: Aws) -> Iterator[None]:
    images = {
        "tei": (TEI, {"AUTO_TRUNCATE": "false"}),
        "tei-1-8": ("683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.8.2-cpu-py310-ubuntu22.04", {}),
        "hf": (HUGGINGFACE, {"HF_TASK": "feature-extraction"}),
        "own": (OWN_IMAGE, {}),
    }
    for name, (image, environment) in images.items():
        aws.create_model(name, image, HF_MODEL_ID=MINILM, **environment)
        aws.create_config(name, name)
        aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    for name in images:
        assert aws.settled(name)["EndpointStatus"] == "InService"
    yield
    for name in images:
        aws.delete_endpoint(name)


pytestmark = pytest.mark.usefixtures("endpoints")


def refusal(action: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        action()
    response: dict[str, Any] = dict(caught.value.response)
    return response["OriginalStatusCode"], response["OriginalMessage"]


def test_tei_returns_one_row_per_text(aws: Aws) -> None:
    vectors = np.array(aws.invoke("tei", ["first", "second", "first"]))
    assert vectors.shape == (3, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert np.allclose(vectors[0], vectors[2], atol=1e-3)
    assert np.array(aws.invoke("tei", "first")).shape == (1, 384)


def test_tei_applies_options(aws: Aws) -> None:
    raw = np.array(aws.invoke("tei", "first", normalize=False))
    unit = np.array(aws.invoke("tei", "first"))
    assert np.linalg.norm(raw) > 1.5
    assert raw / np.linalg.norm(raw) == pytest.approx(unit, abs=2e-3)
    short = np.array(aws.invoke("tei", "first", dimensions=64))
    assert short.shape == (1, 64)
    assert np.linalg.norm(short) == pytest.approx(1, abs=1e-5)
    assert len(aws.invoke("tei", "word " * 400, truncate=True)) == 1


def test_tei_accepts_32_texts(aws: Aws) -> None:
    assert len(aws.invoke("tei", ["a"] * 32)) == 32


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"inputs": ["a"] * 33}, 422, {"error": "batch size 33 > maximum allowed batch size 32"}),
        (
            {"inputs": []},
            400,
            {"error": "Input validation error: `inputs` cannot be empty", "error_type": "Empty"},
        ),
        (
            {"inputs": ""},
            400,
            {"error": "Input validation error: `inputs` cannot be empty", "error_type": "Empty"},
        ),
        (
            {"inputs": "word " * 300},
            422,
            {
                "error": "Input validation error: `inputs` must have less than 256 tokens. Given: 302",
                "error_type": "Validation",
            },
        ),
        (
            {"inputs": ["fine", "word " * 255]},
            422,
            {"error": "Input validation error: `inputs` must have less than 256 tokens. Given: 257"},
        ),
        ({"inputs": "a", "prompt_name": "query"}, 422, {"error_type": "Validation"}),
        ({"inputs": "a", "dimensions": 385}, 422, {"error_type": "Validation"}),
        ({"text": "a"}, 422, "Failed to deserialize the JSON body into the target type: missing field `inputs`"),
        ({"inputs": [1.5]}, 422, "Failed to deserialize the JSON body into the target type: inputs: "),
        ({"inputs": "a", "normalize": "yes"}, 422, "Failed to deserialize the JSON body into the target type"),
    ],
)
def test_tei_rejects_invalid_requests(aws: Aws, body: dict[str, Any], status: int, message: Any) -> None:
    got, text = refusal(lambda: aws.invoke_raw("tei", json.dumps(body).encode()))
    assert got == status
    if isinstance(message, str):
        assert text.startswith(message)
    else:
        assert message.items() <= json.loads(text).items()


@pytest.mark.parametrize("inputs", ["word " * 300, ["a"] * 33, ""])
def test_tei_status_depends_on_the_release(aws: Aws, inputs: Any) -> None:
    body = json.dumps({"inputs": inputs}).encode()
    status, text = refusal(lambda: aws.invoke_raw("tei-1-8", body))
    assert (status, json.loads(text)["error_type"]) == (413, "Validation")


def test_tei_rejects_other_content_types(aws: Aws) -> None:
    status, text = refusal(lambda: aws.invoke_raw("tei", b"{"))
    assert status == 400
    assert text.startswith("Failed to parse the request body as JSON")


def test_huggingface_returns_token_vectors(aws: Aws) -> None:
    single = np.array(aws.invoke("hf", "Hello world"))
    assert single.shape == (1, 4, 384)
    several = aws.invoke("hf", ["Hello world", "a longer text of words"])
    assert [np.array(one).shape for one in several] == [(1, 4, 384), (1, 7, 384)]
    assert np.array(several[0]) == pytest.approx(single, abs=1e-5)
    assert aws.invoke("hf", []) == []


def test_huggingface_pooled_vectors_equal_tei(aws: Aws) -> None:
    text = "Mean pooling makes one vector of many."
    pooled = np.array(aws.invoke("hf", text))[0].mean(axis=0)
    vector = np.array(aws.invoke("tei", text))[0]
    assert float(pooled @ vector / np.linalg.norm(pooled)) > 0.999


def test_huggingface_reads_up_to_the_position_limit(aws: Aws) -> None:
    assert np.array(aws.invoke("hf", "word " * 500)).shape == (1, 502, 384)
    assert np.array(aws.invoke("hf", "word " * 600, parameters={"truncation": True})).shape == (1, 512, 384)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (json.dumps({"inputs": "word " * 600}).encode(), "The size of tensor a (602) must match the size of tensor b"),
        (b"{", "Expecting property name enclosed in double quotes"),
        (b'{"text": "a"}', "text input must be of type `str`"),
    ],
)
def test_huggingface_rejects_invalid_requests(aws: Aws, body: bytes, message: str) -> None:
    status, text = refusal(lambda: aws.invoke_raw("hf", body))
    document = json.loads(text)
    assert status == 400
    assert document["code"] == 400
    assert document["type"] == "InternalServerException"
    assert document["message"].startswith(message)


def test_huggingface_requires_json(aws: Aws) -> None:
    status, text = refusal(lambda: aws.invoke_raw("hf", b"a", ContentType="application/octet-stream"))
    assert status == 400
    assert "Content type application/octet-stream is not supported by this framework." in text


def test_own_image_runs_our_model_server(aws: Aws) -> None:
    response = aws.invoke_raw("own", b'{"inputs": "a"}', Accept="application/x-npy")
    assert response["ContentType"] == "application/x-npy"
    status, text = refusal(lambda: aws.invoke_raw("own", b"{}"))
    assert status == 400
    assert json.loads(text)["error_type"] == "malformed_request"
