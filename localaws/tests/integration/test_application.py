"""The application around the services: errors, health, reset."""

import json
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from tests.support.localaws.harness import TINY_BERT, Aws, wait_until
from tests.support.localaws.lambda_harness import ECHO, Lambda
from tests.support.tiny_bert import HIDDEN


@pytest.mark.parametrize(
    ("service", "call", "names"),
    [
        ("sagemaker", lambda client: client.list_spaces(), "sagemaker: ListSpaces"),
        ("logs", lambda client: client.get_transformer(logGroupIdentifier="x"), "logs: GetTransformer"),
        (
            "iam",
            lambda client: client.list_service_specific_credentials(),
            "iam: ListServiceSpecificCredentials",
        ),
        ("sts", lambda client: client.decode_authorization_message(EncodedMessage="x"), "sts: DecodeAuthorization"),
        ("cloudwatch", lambda client: client.get_metric_stream(Name="x"), "cloudwatch: "),
        ("translate", lambda client: client.list_languages(), r"service translate\.us-east-1\.amazonaws\.com"),
    ],
    ids=["json", "logs", "query", "sts", "cloudwatch", "service"],
)
def test_unimplemented_action_is_named_and_not_retried(
    aws: Aws, service: str, call: Callable[[Any], Any], names: str
) -> None:
    with pytest.raises(ClientError, match=f"The local AWS does not implement {names}") as caught:
        call(aws.client(service, attempts=3))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert caught.value.response["Error"]["Code"] == "NotImplementedException"
    # An SDK repeats what it takes for a passing fault; this answer must not look like one.
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def test_health_check_reports_the_port(aws: Aws) -> None:
    with urllib.request.urlopen(f"{aws.server.url}/_embedstack/health") as response:
        health = json.load(response)
    assert health["status"] == "ok"
    assert health["port"] == aws.server.port


def test_moto_console_is_closed(aws: Aws) -> None:
    for path in ("/moto-api/data.json", "/moto-api/seed", "/latest/meta-data/iam/security-credentials/"):
        assert urllib3.request("GET", aws.server.url + path).status == 404, path


def test_reset_deletes_all_state_and_stops_endpoints(aws: Aws) -> None:
    assert urllib3.request("GET", f"{aws.server.url}/moto-api/reset").status == 405
    aws.advance(3600)
    aws.s3.create_bucket(Bucket="deleted")
    aws.client("s3vectors").create_vector_bucket(vectorBucketName="deleted")
    assert create_endpoint(aws)["EndpointStatus"] == "InService"
    assert len(aws.invoke("search")[0]) == HIDDEN
    assert len(aws.pids()) == 1
    response = urllib3.request("POST", f"{aws.server.url}/moto-api/reset")
    assert (response.status, response.json()) == (200, {"status": "ok"})
    assert aws.pids() == []
    assert aws.s3.list_buckets()["Buckets"] == []
    assert aws.client("s3vectors").list_vector_buckets()["vectorBuckets"] == []
    assert aws.sagemaker.list_endpoints()["Endpoints"] == []
    assert aws.now() < datetime.now(UTC) + timedelta(minutes=30)
    assert create_endpoint(aws)["EndpointStatus"] == "InService"
    assert len(aws.invoke("search")[0]) == HIDDEN
    aws.delete_endpoint("search")


def test_reset_ends_requests_under_way(aws: Aws, functions: Lambda) -> None:
    url, _ = functions.queue("polled")
    functions.create("sleeper", ECHO)
    functions.invoke("sleeper")
    fault = {"service": "kms", "kind": "internal", "rate": 1}
    urllib3.request("POST", f"{aws.server.url}/_embedstack/faults", json=fault)
    with ThreadPoolExecutor(2) as pool:
        began = time.monotonic()
        poll = pool.submit(functions.sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20)
        invocation = pool.submit(functions.invoke, "sleeper", {"sleep": 19})
        wait_until(lambda: any("START" in line for line in functions.log("/aws/lambda/sleeper")[3:]))
        assert urllib3.request("POST", f"{aws.server.url}/moto-api/reset").status == 200
        assert isinstance(poll.exception(), ClientError)
        assert invocation.exception() or "errorMessage" in invocation.result()["Payload"]
        assert time.monotonic() - began < 19
    assert aws.pids() == []
    assert functions.sqs.list_queues().get("QueueUrls", []) == []
    assert functions.client.list_functions()["Functions"] == []
    assert aws.client("kms").list_keys()["Keys"] == []


def create_endpoint(aws: Aws) -> dict[str, Any]:
    aws.create_model("search", HF_MODEL_ID=TINY_BERT)
    aws.create_config("search", "search")
    aws.sagemaker.create_endpoint(EndpointName="search", EndpointConfigName="search")
    return aws.settled("search")


def test_services_of_moto_work(aws: Aws) -> None:
    assert aws.client("sts").get_caller_identity()["Account"] == "123456789012"
    aws.s3.create_bucket(Bucket="plain")
    aws.s3.put_object(Bucket="plain", Key="under_score/k", Body=b"x", Metadata={"a_b": "c"})
    assert aws.s3.get_object(Bucket="plain", Key="under_score/k")["Body"].read() == b"x"
    assert aws.client("ecr").create_repository(repositoryName="images")["repository"]["repositoryName"] == "images"
    iam = aws.client("iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    managed = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    iam.attach_role_policy(RoleName="r", PolicyArn=managed)
    assert iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"][0]["PolicyArn"] == managed


def test_environment_points_clients_to_the_local_aws(aws: Aws) -> None:
    environment = aws.server.environment()
    assert environment["AWS_ENDPOINT_URL"] == aws.server.url
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"
    assert environment["AWS_ACCOUNT_ID"] == "123456789012"
