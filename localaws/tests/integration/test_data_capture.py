"""Data capture: requests and responses in S3."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.harness import TINY_BERT, Aws, wait_until

Create = Callable[..., None]


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0)


def deploy(aws: Aws, **capture: Any) -> dict[str, Any]:
    aws.create_model("captured", HF_MODEL_ID=TINY_BERT)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "captured",
        "InstanceType": "ml.c6i.large",
        "InitialInstanceCount": 1,
    }
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName="captured",
        ProductionVariants=[variant],
        DataCaptureConfig={
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": "s3://captured/some/prefix",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            **capture,
        },
    )
    aws.sagemaker.create_endpoint(EndpointName="captured", EndpointConfigName="captured")
    return aws.settled("captured")


def remove(aws: Aws) -> None:
    aws.delete_endpoint("captured")
    aws.sagemaker.delete_endpoint_config(EndpointConfigName="captured")
    aws.sagemaker.delete_model(ModelName="captured")


def captured(aws: Aws) -> dict[str, list[dict[str, Any]]]:
    """Lines per key."""
    keys = [item["Key"] for item in aws.s3.list_objects_v2(Bucket="captured").get("Contents", [])]
    bodies = {key: aws.s3.get_object(Bucket="captured", Key=key)["Body"].read() for key in keys}
    return {key: [json.loads(line) for line in body.splitlines()] for key, body in bodies.items()}


def test_capture_writes_requests_and_responses_to_s3(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="captured")
    description = deploy(aws, CaptureContentTypeHeader={"JsonContentTypes": ["application/json"]})
    assert description["DataCaptureConfig"]["EnableCapture"] is True
    assert description["DataCaptureConfig"]["CaptureStatus"] == "Started"

    response = aws.invoke_raw("captured", b'{"inputs": "a text"}', InferenceId="mine", CustomAttributes="trace=1")
    with pytest.raises(ClientError):
        aws.invoke("captured", [])
    aws.advance(61)
    wait_until(lambda: len(captured(aws)) == 1)
    ((key, lines),) = captured(aws).items()
    pattern = r"some/prefix/captured/AllTraffic/\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f-]{36}\.jsonl"
    assert re.fullmatch(pattern, key)
    (line,) = lines
    assert line["captureData"]["endpointInput"] == {
        "observedContentType": "application/json",
        "mode": "INPUT",
        "data": '{"inputs": "a text"}',
        "encoding": "JSON",
    }
    assert line["captureData"]["endpointOutput"]["data"].encode() == response["Body"]
    assert line["eventMetadata"]["inferenceId"] == "mine"
    assert line["eventMetadata"]["customAttributes"] == ["trace=1"]
    assert line["eventVersion"] == "0"

    # What has not been written yet is, before the endpoint is gone.
    aws.invoke("captured", "another")
    remove(aws)
    assert len(captured(aws)) == 2


def test_capture_defaults_to_base64_and_tolerates_a_missing_bucket(aws: Aws) -> None:
    deploy(aws, CaptureOptions=[{"CaptureMode": "InputAndOutput"}])
    before = captured(aws)
    aws.invoke("captured", "encoded")
    aws.advance(61)
    wait_until(lambda: len(captured(aws)) == len(before) + 1)
    (lines,) = [lines for key, lines in captured(aws).items() if key not in before]
    part = lines[0]["captureData"]["endpointInput"]
    assert part["encoding"] == "BASE64"
    assert json.loads(base64.b64decode(part["data"])) == {"inputs": "encoded"}
    for key in captured(aws):
        aws.s3.delete_object(Bucket="captured", Key=key)
    aws.s3.delete_bucket(Bucket="captured")
    aws.invoke("captured", "lost")
    remove(aws)


def test_capture_can_be_disabled(aws: Aws) -> None:
    description = deploy(aws, EnableCapture=False)
    assert description["DataCaptureConfig"]["CaptureStatus"] == "Stopped"
    remove(aws)
