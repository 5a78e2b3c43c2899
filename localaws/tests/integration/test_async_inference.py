"""Asynchronous inference: queue, responses in S3, notifications, zero instances."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from tests.support.localaws.harness import TEI, TINY_BERT, Aws, stalled, wait_until
from tests.support.tiny_bert import HIDDEN, WORDS

BUCKET = "answers"
ENDPOINT = "queued"


def put_request(aws: Aws, key: str, inputs: Any) -> str:
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps({"inputs": inputs}).encode())
    return f"s3://{BUCKET}/{key}"


def answer(aws: Aws, location: str, timeout: float = 30) -> Any:
    """The object at ``s3://…``, as soon as it is there."""
    bodies: list[bytes] = []

    def look() -> bool:
        bucket, _, key = location.removeprefix("s3://").partition("/")
        try:
            bodies.append(aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except aws.s3.exceptions.NoSuchKey:
            return False
        return True

    wait_until(look, timeout)
    return json.loads(bodies[-1])


def invoke(aws: Aws, **members: Any) -> dict[str, Any]:
    options = {"EndpointName": ENDPOINT, "ContentType": "application/json", **members}
    return dict(aws.runtime.invoke_endpoint_async(**options))


@pytest.fixture(scope="module")
def queues(aws: Aws) -> dict[str, str]:
    """SQS queues that are subscribed to the topics of success and of error."""
    sns, sqs = aws.client("sns"), aws.client("sqs")
    urls = {}
    for name in ("success", "error"):
        topic = sns.create_topic(Name=name)["TopicArn"]
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        urls[name] = url
    return urls


@pytest.fixture(scope="module")
def endpoint(aws: Aws, queues: dict[str, str]) -> Iterator[Aws]:
    """An asynchronous endpoint with one instance that takes two requests at a time."""
    aws.s3.create_bucket(Bucket=BUCKET)
    aws.create_model(ENDPOINT, TEI, HF_MODEL_ID=TINY_BERT)
    topic = "arn:aws:sns:us-east-1:123456789012:"
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName=ENDPOINT,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": ENDPOINT,
                "InstanceType": "ml.c6i.large",
                "InitialInstanceCount": 1,
            }
        ],
        AsyncInferenceConfig={
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
            "OutputConfig": {
                "S3OutputPath": f"s3://{BUCKET}/out/",
                "S3FailurePath": f"s3://{BUCKET}/failed",
                "KmsKeyId": "alias/answers",
                "NotificationConfig": {"SuccessTopic": f"{topic}success", "ErrorTopic": f"{topic}error"},
            },
        },
    )
    aws.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    assert aws.settled(ENDPOINT)["EndpointStatus"] == "InService"
    yield aws
    aws.delete_endpoint(ENDPOINT)


def messages(aws: Aws, url: str) -> list[dict[str, Any]]:
    sqs, received = aws.client("sqs"), []

    def receive() -> bool:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            received.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bool(received)

    wait_until(receive)
    return received


def test_response_is_written_to_the_output_location(endpoint: Aws, queues: dict[str, str]) -> None:
    location = put_request(endpoint, "requests/one", ["a text", "another"])
    called = invoke(endpoint, InputLocation=location, InferenceId="my-id", CustomAttributes="trace=1")
    assert called["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert called["InferenceId"] == "my-id"
    assert called["OutputLocation"] == f"s3://{BUCKET}/out/my-id.out"
    assert called["FailureLocation"] == f"s3://{BUCKET}/failed/my-id-error.out"

    vectors = np.array(answer(endpoint, called["OutputLocation"]))
    assert vectors.shape == (2, HIDDEN)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-4)
    stored = endpoint.s3.head_object(Bucket=BUCKET, Key="out/my-id.out")
    assert (stored["ServerSideEncryption"], stored["SSEKMSKeyId"]) == ("aws:kms", "alias/answers")
    (told,) = messages(endpoint, queues["success"])
    assert told["invocationStatus"] == "Completed"
    assert told["requestParameters"] == {
        "contentType": "application/json",
        "customAttributes": "trace=1",
        "endpointName": ENDPOINT,
        "inputLocation": location,
    }
    assert told["responseParameters"] == {
        "contentType": "application/json",
        "outputLocation": called["OutputLocation"],
    }
    assert (told["inferenceId"], told["eventName"]) == ("my-id", "InferenceResult")


def test_call_may_contain_the_body(endpoint: Aws) -> None:
    called = invoke(endpoint, Body=b'{"inputs": "inline"}', S3OutputPathExtension="team", Filename="mine.json")
    assert called["OutputLocation"] == f"s3://{BUCKET}/out/team/mine.json"
    assert len(answer(endpoint, called["OutputLocation"])[0]) == HIDDEN


@pytest.mark.parametrize("inputs", [[], "missing"])
def test_failure_is_written_to_the_failure_location(endpoint: Aws, queues: dict[str, str], inputs: Any) -> None:
    location = f"s3://{BUCKET}/not-there" if inputs == "missing" else put_request(endpoint, "requests/bad", inputs)
    called = invoke(endpoint, InputLocation=location)
    (told,) = messages(endpoint, queues["error"])
    assert told["invocationStatus"] == "Failed"
    assert told["responseParameters"] == {"failureLocation": called["FailureLocation"]}
    assert told["inferenceId"] == called["InferenceId"]
    bucket, _, key = called["FailureLocation"].removeprefix("s3://").partition("/")
    failure = endpoint.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    if inputs == "missing":
        assert "Failed to download" in failure
        assert "not-there" in told["failureReason"]
    else:
        assert told["failureReason"].startswith("ClientError: Received client error (4")
        assert json.loads(failure)["error"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "Exactly one of Body and InputLocation"),
        ({"Body": b"x", "InputLocation": f"s3://{BUCKET}/x"}, "Exactly one of Body and InputLocation"),
        ({"Body": b"x" * 128_001}, "128000"),
        ({"InputLocation": "ftp://x"}, "'inputLocation' failed to satisfy constraint"),
        ({"Body": b"x", "RequestTTLSeconds": 21601}, "less than or equal to 21600"),
        ({"Body": b"x", "InvocationTimeoutSeconds": 3601}, "less than or equal to 3600"),
    ],
)
def test_invalid_calls_are_rejected(endpoint: Aws, members: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message) as caught:
        invoke(endpoint, **members)
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_endpoint_accepts_one_kind_of_invocation(endpoint: Aws) -> None:
    with pytest.raises(ClientError, match="can only receive asynchronous invocations"):
        endpoint.invoke(ENDPOINT)
    described = endpoint.sagemaker.describe_endpoint(EndpointName=ENDPOINT)
    assert described["AsyncInferenceConfig"]["ClientConfig"] == {"MaxConcurrentInvocationsPerInstance": 2}


def test_request_is_retried_after_its_container_dies(endpoint: Aws) -> None:
    (pid,) = endpoint.pids()
    with stalled(pid):
        called = invoke(endpoint, Body=b'{"inputs": "survives"}')
        assert statistics(endpoint, "ApproximateBacklogSize") == 1
        os.kill(pid, signal.SIGKILL)
    assert len(answer(endpoint, called["OutputLocation"])[0]) == HIDDEN
    assert endpoint.pids() != [pid]


def statistics(aws: Aws, metric: str) -> float:
    """One of the endpoint's own metrics in the minute that is running, which is over when time is moved on by one."""
    minute = aws.now().replace(second=0, microsecond=0)
    aws.advance(60)
    values: list[float] = []

    def look() -> bool:
        points = aws.cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": "EndpointName", "Value": ENDPOINT}],
            StartTime=minute,
            EndTime=minute + timedelta(minutes=1),
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        values.extend(point["Maximum"] for point in points)
        return bool(values)

    wait_until(look)
    return values[0]


def scale(aws: Aws, instances: int) -> None:
    aws.settled(ENDPOINT)
    change = {"VariantName": "AllTraffic", "DesiredInstanceCount": instances}
    aws.sagemaker.update_endpoint_weights_and_capacities(EndpointName=ENDPOINT, DesiredWeightsAndCapacities=[change])


def test_requests_wait_without_instances(endpoint: Aws) -> None:
    scale(endpoint, 0)
    wait_until(lambda: endpoint.pids() == [])
    assert statistics(endpoint, "ApproximateBacklogSize") == 0
    assert statistics(endpoint, "HasBacklogWithoutCapacity") == 0

    called = [invoke(endpoint, Body=json.dumps({"inputs": word}).encode()) for word in WORDS[-5:]]
    assert statistics(endpoint, "HasBacklogWithoutCapacity") == 1
    assert statistics(endpoint, "ApproximateBacklogSize") == 5
    assert statistics(endpoint, "ApproximateAgeOfOldestRequest") > 60

    expired = invoke(endpoint, Body=b'{"inputs": "late"}', RequestTTLSeconds=60)
    endpoint.advance(61)
    bucket, _, key = expired["FailureLocation"].removeprefix("s3://").partition("/")
    wait_until(lambda: "Contents" in endpoint.s3.list_objects_v2(Bucket=bucket, Prefix=key))

    scale(endpoint, 2)
    vectors = [answer(endpoint, call["OutputLocation"])[0] for call in called]
    assert np.ptp(np.array(vectors), axis=0).max() > 0.01
    assert len(endpoint.pids()) == 2
    assert statistics(endpoint, "HasBacklogWithoutCapacity") == 0
