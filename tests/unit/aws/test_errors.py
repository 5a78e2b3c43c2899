"""botocore's errors as this project's: class, retryability and message, for each service."""

import json
import socket
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
)

from embedstack.aws.clients import AwsClient, create_client
from embedstack.aws.errors import translate_error
from embedstack.errors import (
    CollectionNotFound,
    ConfigurationError,
    EndpointAsleep,
    EndpointNotFound,
    EndpointUnavailable,
    InputError,
    ModelFailed,
    PayloadTooLarge,
    ServiceUnavailable,
    StoreError,
    StoreUnavailable,
    TextTooLong,
    Throttled,
)
from embedstack.settings.settings import load_settings

LLAMA = "meta.llama2-70b-chat-v1"


def client_error(code, message="", status=400, *, headers=None, **members):
    metadata = {"HTTPStatusCode": status, "RequestId": "req-1", "HTTPHeaders": headers or {}}
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata, **members}
    return ClientError(response, "Operation")


def model_error(status):
    return client_error("ModelError", "Received error", 424, OriginalStatusCode=status, OriginalMessage="the reason")


def container_error(status, **body):
    return client_error(
        "ModelError", "Received error", 424, OriginalStatusCode=status, OriginalMessage=json.dumps(body)
    )


TEI_TOO_LONG = "`inputs` must have less than 512 tokens. Given: 702"
TEI_TOO_MANY = "batch size 33 > maximum allowed batch size 32"

ENDPOINT_CASES = [
    (container_error(413, error=TEI_TOO_LONG, error_type="Validation"), TextTooLong, False, "Given: 702)"),
    (container_error(413, error=TEI_TOO_MANY, error_type="Validation"), PayloadTooLarge, False, "batch size 33"),
    (container_error(422, error="It has 9 tokens.", error_type="text_too_long", index=3), TextTooLong, False,
     "(It has 9 tokens). Split it, or set EMBEDDING_TRUNCATE=true."),
    (client_error("ThrottlingException", None), Throttled, True, "max_concurrency"),
    (client_error("400", "", 400), Throttled, True, "max_concurrency"),
    (client_error("ValidationError", "Endpoint x of account 1 not found."), EndpointNotFound, False, "us-east-9"),
    (client_error("ValidationException", "Could not find endpoint"), EndpointNotFound, False, "list-endpoints"),
    (client_error("ValidationError", "Request r has oversize body."), PayloadTooLarge, False, "or split the text"),
    (client_error("ValidationError", "it has no capacity to process"), EndpointAsleep, True, "scaled to zero"),
    (
        client_error("ValidationError", "Inference Component Name header is required for endpoints"),
        ConfigurationError, False, "SAGEMAKER_INFERENCE_COMPONENT",
    ),
    (
        client_error("ValidationError", "Inference Component Name header is not allowed"),
        ConfigurationError, False, "Unset SAGEMAKER_INFERENCE_COMPONENT",
    ),
    (
        client_error("ValidationError", "Inference Component c of account 1 not found."),
        ConfigurationError, False, "list-inference-components",
    ),
    (client_error("ValidationError", "something else"), EndpointUnavailable, False, "something else"),
    (client_error("ModelNotReadyException", "wait", 429), EndpointUnavailable, True, "wait"),
    (client_error("InternalDependencyException", "x", 530), EndpointUnavailable, True, "x"),
    (client_error("InternalFailure", "x", 500), EndpointUnavailable, True, "x"),
    (client_error("ExpiredTokenException", "x", 403), ConfigurationError, False, "aws sso login"),
    (client_error("AccessDeniedException", "no right", 403), ConfigurationError, False, "no right"),
    (model_error(400), InputError, False, "the reason"),
    (model_error(413), PayloadTooLarge, False, "the reason"),
    (model_error(422), InputError, False, "the reason"),
    (
        client_error(
            "ModelError", "x", 424, OriginalStatusCode=422,
            OriginalMessage='{"error": "batch size 64 > maximum allowed batch size 32", "error_type": "Validation"}',
        ),
        PayloadTooLarge, False, "batch size 64",
    ),
    (model_error(429), Throttled, True, "the reason"),
    (model_error(503), EndpointUnavailable, True, "the reason"),
    (model_error(500), ModelFailed, True, "the reason"),
    (model_error(404), ModelFailed, False, "the reason"),
    (NoCredentialsError(), ConfigurationError, False, "aws configure"),
    (NoRegionError(), ConfigurationError, False, "AWS_REGION"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "expected", "retryable", "message"), ENDPOINT_CASES)
def test_translate_error_describes_sagemaker_failures(error, expected, retryable, message):
    translated = translate_error(error, "sagemaker-runtime", resource="x", region="us-east-9")
    assert type(translated) is expected
    assert translated.retryable is retryable
    assert message in str(translated)
    if isinstance(error, ClientError):
        assert translated.request_id == "req-1"
        assert "[request req-1]" in str(translated)


BEDROCK_CASES = [
    ("ValidationException", "The provided model identifier is invalid.", ConfigurationError, "llama3-3-70b"),
    ("ResourceNotFoundException", "This model version has reached the end of its life.", ConfigurationError, "list"),
    ("ValidationException", "… with on-demand throughput is not supported", ConfigurationError, "us.meta.llama2"),
    ("ValidationException", "Too many input tokens. Max input tokens: 8192", TextTooLong, "8192"),
    ("ValidationException", "Malformed input request", InputError, "Malformed"),
    ("ThrottlingException", "Too many requests", Throttled, "Bedrock throttled"),
    ("ServiceQuotaExceededException", "quota", Throttled, "Service Quotas"),
    ("ModelErrorException", "x", ModelFailed, "x"),
    ("ModelTimeoutException", "the model took too long", EndpointUnavailable, "too long"),
    ("ModelNotReadyException", "x", EndpointUnavailable, "x"),
]


@pytest.mark.parametrize(("code", "message", "expected", "part"), BEDROCK_CASES)
def test_translate_error_describes_bedrock_failures(code, message, expected, part):
    translated = translate_error(client_error(code, message), "bedrock-runtime", resource=LLAMA, region="us-east-1")
    assert type(translated) is expected
    assert translated.retryable is (expected in (Throttled, ModelFailed, EndpointUnavailable))
    assert part in str(translated)
    assert translated.request_id == "req-1"


OTHER_SERVICES = [
    ("sqs", "RequestThrottled", 400, ServiceUnavailable, True, "SQS throttled"),
    ("sqs", "ThrottlingException", 400, ServiceUnavailable, True, "SQS throttled"),
    ("sqs", "OverLimit", 403, ServiceUnavailable, True, "SQS throttled"),
    ("sqs", "KMS.ThrottlingException", 400, ServiceUnavailable, True, "SQS throttled"),
    ("sqs", "AWS.SimpleQueueService.NonExistentQueue", 400, ConfigurationError, False, "queue thing does not exist"),
    ("sqs", "KMS.DisabledException", 400, ConfigurationError, False, "KMS key of the queue thing"),
    ("sqs", "AccessDenied", 403, ConfigurationError, False, "SQS denies access"),
    ("sqs", "ServiceUnavailable", 503, ServiceUnavailable, True, "SQS failed"),
    ("sqs", "InvalidMessageContents", 400, ServiceUnavailable, False, "SQS rejected the request"),
    ("kms", "ThrottlingException", 400, ServiceUnavailable, True, "KMS throttled"),
    ("kms", "NotFoundException", 400, ConfigurationError, False, "KMS key thing cannot be used in us-east-9"),
    ("kms", "DisabledException", 400, ConfigurationError, False, "EMBEDSTACK_CACHE_KMS_KEY"),
    (
        "kms",
        "IncorrectKeyException",
        400,
        ConfigurationError,
        False,
        "cache file.db was encrypted with a different KMS key",
    ),
    ("kms", "AccessDeniedException", 400, ConfigurationError, False, "kms:GenerateDataKey and kms:Decrypt"),
    ("kms", "KeyUnavailableException", 500, ServiceUnavailable, True, "KMS failed"),
    ("s3", "SlowDown", 503, ServiceUnavailable, True, "S3 throttled"),
    ("s3", "InternalError", 500, ServiceUnavailable, True, "S3 failed"),
    ("s3", "403", 403, ConfigurationError, False, "s3:GetObject"),
    ("s3", "NoSuchBucket", 404, ConfigurationError, False, "us-east-9"),
    ("s3vectors", "NotFoundException", 404, CollectionNotFound, False, "S3 Vectors cannot find thing"),
    ("s3vectors", "TooManyRequestsException", 429, StoreUnavailable, True, "S3 Vectors throttled"),
    ("s3vectors", "InternalServerException", 500, StoreUnavailable, True, "S3 Vectors failed"),
    ("s3vectors", "ValidationException", 400, StoreError, False, "S3 Vectors rejected the request"),
    ("s3vectors", "AccessDeniedException", 403, ConfigurationError, False, "S3 Vectors denies access"),
    ("secretsmanager", "ThrottlingException", 400, StoreUnavailable, True, "Secrets Manager throttled"),
    ("secretsmanager", "InternalServiceError", 500, StoreUnavailable, True, "Secrets Manager failed"),
    ("secretsmanager", "ResourceNotFoundException", 400, ConfigurationError, False, "DATABASE_SECRET_ARN"),
    ("secretsmanager", "AccessDeniedException", 400, ConfigurationError, False, "secretsmanager:GetSecretValue"),
    ("sagemaker", "ThrottlingException", 400, Throttled, True, "SageMaker throttled"),
    ("lambda", "TooManyRequestsException", 429, ServiceUnavailable, True, "Lambda throttled"),
    ("sts", "Throttling", 400, ServiceUnavailable, True, "STS throttled"),
    ("sts", "InvalidClientTokenId", 403, ConfigurationError, False, "AWS rejects these credentials"),
    ("glue", "ThrottlingException", 400, ServiceUnavailable, True, "glue throttled"),
    ("glue", "OtherException", 500, ServiceUnavailable, True, "glue failed"),
]


@pytest.mark.parametrize(("service", "code", "status", "expected", "retryable", "part"), OTHER_SERVICES)
def test_translate_error_names_the_service(service, code, status, expected, retryable, part):
    error = client_error(code, "the service's words", status)
    translated = translate_error(error, service, resource="thing", region="us-east-9", cache="file.db")
    assert type(translated) is expected
    assert translated.retryable is retryable
    assert part in str(translated)
    assert "endpoint" not in str(translated).lower()
    assert translated.request_id == "req-1"


@pytest.mark.parametrize(
    ("service", "expected"),
    [("sagemaker-runtime", EndpointUnavailable), ("sqs", ServiceUnavailable), ("s3vectors", StoreUnavailable)],
)
@pytest.mark.parametrize(
    "error",
    [EndpointConnectionError(endpoint_url="https://service.example"), ReadTimeoutError(endpoint_url="https://x")],
    ids=["refused", "timeout"],
)
def test_translate_error_keeps_network_failures_retryable(service, expected, error):
    translated = translate_error(error, service)
    assert type(translated) is expected
    assert translated.retryable


def test_translate_error_passes_retry_after_on():
    throttled = client_error("ThrottlingException", headers={"retry-after": "3"})
    assert translate_error(throttled, "sqs").retry_after == 3.0
    denied = client_error("AccessDenied", headers={"retry-after": "3"})
    assert translate_error(denied, "sqs").retry_after is None


def test_translate_error_keeps_the_index_of_the_failing_text():
    original = '{"error": "too long", "error_type": "invalid_input", "index": 2}'
    error = client_error("ModelError", "x", 424, OriginalStatusCode=422, OriginalMessage=original)
    translated = translate_error(error, "sagemaker-runtime")
    assert translated.index == 2
    assert "rejected the request: too long" in str(translated)


def test_aws_client_translates_for_its_service_and_region():
    client = AwsClient("sqs", load_settings(aws_region="us-east-1"), max_connections=1)
    translated = client.translate(client_error("QueueDoesNotExist"), resource="https://queue")
    assert "The queue https://queue does not exist in region us-east-1" in str(translated)


def test_translate_error_says_how_to_start_the_local_aws(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client = create_client("sagemaker-runtime", load_settings(aws_region="us-east-1", aws_endpoint_url=url))
    with pytest.raises(Exception, match="Could not connect") as caught:
        client.invoke_endpoint(EndpointName="x", Body=b"{}")
    translated = translate_error(caught.value, "sagemaker-runtime")
    assert isinstance(translated, EndpointUnavailable)
    assert f"SageMaker cannot be reached at {url}. If this is the local AWS, start it with `make up`" in str(translated)
