"""botocore's errors in the product's words: each its class, its remedy and its retryability."""

import socket
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError

from embedstack.aws.clients import AwsClient, create_client, translate_error
from embedstack.errors import (
    ConfigurationError,
    EndpointAsleep,
    EndpointNotFound,
    EndpointUnavailable,
    InputError,
    ModelFailed,
    PayloadTooLarge,
    Throttled,
)
from embedstack.settings.settings import load_settings


def client_error(code, message, status=400, **members):
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "req-1"},
        **members,
    }
    return ClientError(response, "InvokeEndpoint")


def model_error(status):
    return client_error("ModelError", "Received error", 424, OriginalStatusCode=status, OriginalMessage="the reason")


@pytest.mark.parametrize(
    ("error", "expected", "retryable", "message"),
    [
        (client_error("ThrottlingException", None), Throttled, True, "max_concurrency"),
        (client_error("400", "", 400), Throttled, True, "max_concurrency"),
        (client_error("ValidationError", "Endpoint x of account 1 not found."), EndpointNotFound, False, "us-east-9"),
        (client_error("ValidationException", "Could not find endpoint"), EndpointNotFound, False, "list-endpoints"),
        (client_error("ValidationError", "Request r has oversize body."), PayloadTooLarge, False, "fewer texts"),
        (
            client_error("ValidationError", "it has no capacity to process this"),
            EndpointAsleep,
            True,
            "scaled to zero",
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
        (model_error(429), Throttled, True, "the reason"),
        (model_error(503), EndpointUnavailable, True, "the reason"),
        (model_error(500), ModelFailed, True, "the reason"),
        (NoCredentialsError(), ConfigurationError, False, "aws configure"),
        (NoRegionError(), ConfigurationError, False, "AWS_REGION"),
    ],
)
def test_translation(error, expected, retryable, message):
    found = translate_error(error, endpoint="x", region="us-east-9")
    assert type(found) is expected
    assert found.retryable is retryable
    assert message in str(found)
    if isinstance(error, ClientError):
        assert found.request_id == "req-1"
        assert "[request req-1]" in str(found)


def test_a_local_aws_that_does_not_run_says_how_to_start_it(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client = create_client("sagemaker-runtime", load_settings(aws_region="us-east-1", aws_endpoint_url=url))
    with pytest.raises(Exception, match="Could not connect") as caught:
        client.invoke_endpoint(EndpointName="x", Body=b"{}")
    found = translate_error(caught.value)
    assert isinstance(found, EndpointUnavailable)
    assert f"Nothing answers at {url}: is the local AWS running? `make up`" in str(found)


def test_no_region_is_a_configuration_error(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "DEFAULT_AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="No AWS region is set"):
        create_client("sagemaker-runtime", load_settings())


def test_rotated_credentials_are_picked_up(monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))

    def rotate(key):
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = x\n")

    def operation(client):
        key = client._request_signer._credentials.access_key
        if key == "old":
            rotate("new")
            raise client_error("ExpiredTokenException", "expired", 403)
        return key

    rotate("old")
    client = AwsClient("sagemaker-runtime", load_settings(aws_region="us-east-1"), max_connections=1, session=None)
    assert client.call(operation) == "new"


def test_retries_can_be_handed_over():
    client = AwsClient("sagemaker-runtime", load_settings(aws_region="us-east-1"), max_connections=1, session=None)
    assert client._client.meta.config.retries["total_max_attempts"] == 3
    client.disable_retries()
    assert client._client.meta.config.retries["total_max_attempts"] == 1


def test_a_container_names_the_failing_text():
    original = '{"error": "too long", "error_type": "text_too_long", "index": 2}'
    error = client_error("ModelError", "x", 424, OriginalStatusCode=422, OriginalMessage=original)
    found = translate_error(error)
    assert found.index == 2
    assert "refused the request: too long" in str(found)
