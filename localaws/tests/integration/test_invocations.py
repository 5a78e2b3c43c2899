"""InvokeEndpoint: limits and errors."""

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.harness import MINILM, Aws, stalled

INVOCATION_TIMEOUT = 2.0


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, invocation_timeout=INVOCATION_TIMEOUT, stop_grace=5)


@pytest.fixture(scope="module")
def endpoint(aws: Aws) -> Iterator[str]:
    aws.create_model("embedding", HF_MODEL_ID=MINILM)
    aws.create_config("embedding", "embedding")
    aws.sagemaker.create_endpoint(EndpointName="embedding", EndpointConfigName="embedding")
    assert aws.settled("embedding")["EndpointStatus"] == "InService"
    yield "embedding"
    aws.delete_endpoint("embedding")


def failure(action: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        action()
    response: dict[str, Any] = dict(caught.value.response)
    return response


def test_response_names_variant_and_content_type(aws: Aws, endpoint: str) -> None:
    response = aws.invoke_raw(endpoint, b'{"inputs": "a"}', Accept="application/json", CustomAttributes="trace=1")
    assert response["InvokedProductionVariant"] == "AllTraffic"
    assert response["ContentType"] == "application/json"
    assert re.fullmatch(r"[0-9a-f-]{36}", response["ResponseMetadata"]["RequestId"])
    assert len(json.loads(response["Body"])[0]) == 384


def test_streamed_response_equals_the_whole_one(aws: Aws, endpoint: str) -> None:
    body = json.dumps({"inputs": [f"text {number}" for number in range(32)]}).encode()
    response = aws.runtime.invoke_endpoint_with_response_stream(
        EndpointName=endpoint, Body=body, ContentType="application/json", Accept="application/json"
    )
    parts = [event["PayloadPart"]["Bytes"] for event in response["Body"]]

    assert response["ContentType"] == "application/json"
    assert response["InvokedProductionVariant"] == "AllTraffic"
    assert len(parts) > 1
    assert b"".join(parts) == aws.invoke_raw(endpoint, body)["Body"]


def test_streamed_model_error_is_a_response_and_no_event(aws: Aws, endpoint: str) -> None:
    response = failure(
        lambda: aws.runtime.invoke_endpoint_with_response_stream(
            EndpointName=endpoint, Body=b'{"inputs": []}', ContentType="application/json"
        )
    )
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 400


def test_model_error_contains_the_original_error(aws: Aws, endpoint: str) -> None:
    response = failure(lambda: aws.invoke(endpoint, ["a"] * 33))

    original = '{"error":"batch size 33 > maximum allowed batch size 32","error_type":"Validation"}'
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 422
    assert response["OriginalMessage"] == original
    assert response["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/embedding")
    assert response["Error"]["Message"] == (
        f'Received client error (422) from primary with message "{original}". See '
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        "#logEventViewer:group=/aws/sagemaker/Endpoints/embedding in account 123456789012 for more information."
    )


def test_slow_container_times_out(aws: Aws, endpoint: str) -> None:
    (pid,) = aws.pids()
    began = time.monotonic()
    with stalled(pid):
        response = failure(lambda: aws.invoke(endpoint))
    assert time.monotonic() - began >= INVOCATION_TIMEOUT
    assert len(aws.invoke(endpoint)) == 1
    assert response["Error"]["Code"] == "ModelError"
    assert response["OriginalStatusCode"] == 0
    assert "Your invocation timed out while waiting for a response from container primary." in str(response)


def test_oversize_body_is_rejected(aws: Aws, endpoint: str) -> None:
    response = failure(lambda: aws.invoke_raw(endpoint, b"x" * (4 * 1024 * 1024 + 1)))
    request_id = response["ResponseMetadata"]["RequestId"]
    assert response["Error"] == {"Code": "ValidationError", "Message": f"Request {request_id} has oversize body."}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_body_at_the_limit_reaches_the_container(aws: Aws, endpoint: str) -> None:
    response = failure(lambda: aws.invoke_raw(endpoint, b"x" * (4 * 1024 * 1024)))
    assert response["OriginalStatusCode"] == 413
    assert response["OriginalMessage"] == "Failed to buffer the request body: length limit exceeded"


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_missing_endpoint_is_rejected(aws: Aws, endpoint: str, region: str) -> None:
    name = "absent" if region == "us-east-1" else endpoint
    runtime = aws.client("sagemaker-runtime", region)
    response = failure(lambda: runtime.invoke_endpoint(EndpointName=name, Body=b"{}"))
    assert response["Error"]["Code"] == "ValidationError"
    assert response["Error"]["Message"] == f"Endpoint {name} of account 123456789012 not found."
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_unknown_variant_and_target_model_are_rejected(aws: Aws, endpoint: str) -> None:
    response = failure(lambda: aws.invoke_raw(endpoint, b"{}", TargetVariant="other"))
    assert response["Error"]["Message"] == "Variant other of endpoint embedding not found."
    response = failure(lambda: aws.invoke_raw(endpoint, b"{}", TargetModel="model.tar.gz"))
    assert "is not a multi-model endpoint and does not support target model header" in str(response)


def test_content_type_reaches_the_container(aws: Aws, endpoint: str) -> None:
    response = failure(lambda: aws.invoke_raw(endpoint, b'{"inputs": "a"}', ContentType="text/plain"))
    assert response["OriginalStatusCode"] == 415


def test_connection_is_usable_after_rejections(aws: Aws, endpoint: str) -> None:
    for body in (b"{", b"x" * 3_000_000, b'{"inputs": []}'):
        failure(lambda body=body: aws.invoke_raw(endpoint, body))  # type: ignore[misc]
    assert len(aws.invoke(endpoint)) == 1
