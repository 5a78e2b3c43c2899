"""AWS clients: configuration, credentials that expire, and retries."""

import os
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient, create_client
from embedstack.errors import ConfigurationError, EndpointUnavailable
from embedstack.settings.settings import load_settings


def expired_credentials():
    response: Any = {"Error": {"Code": "ExpiredTokenException", "Message": "expired"}}
    return ClientError(response, "InvokeEndpoint")


def test_create_client_without_region_raises_configuration_error(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "DEFAULT_AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="No AWS region is set"):
        create_client("sagemaker-runtime", load_settings())


@pytest.mark.parametrize("is_custom", [False, True], ids=["own session", "custom session"])
def test_aws_client_reads_rotated_credentials(monkeypatch, tmp_path, is_custom):
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
            raise expired_credentials()
        return key

    rotate("old")
    session = boto3.Session() if is_custom else None
    client = AwsClient("sagemaker-runtime", load_settings(aws_region="us-east-1"), max_connections=1, session=session)
    assert client.call(operation) == "new"
    if session is not None:
        credentials = session.get_credentials()
        assert credentials is not None
        assert credentials.access_key == "new"


def test_aws_client_keeps_credentials_that_were_passed(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    keys = []

    def operation(client):
        keys.append(client._request_signer._credentials.access_key)
        raise expired_credentials()

    session = boto3.Session("passed", "x")
    client = AwsClient("sagemaker-runtime", load_settings(aws_region="us-east-1"), max_connections=1, session=session)
    with pytest.raises(ClientError):
        client.call(operation)
    assert keys == ["passed", "passed"]


@pytest.fixture
def aws_files(monkeypatch, tmp_path):
    """A function that writes AWS configuration and creates a client in this environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "empty.pem").touch()

    def create(config="", **variables):
        (tmp_path / "config").write_text(config)
        for name, value in {"AWS_REGION": "us-east-1", **variables}.items():
            monkeypatch.setenv(name, value)
        return AwsClient("sagemaker-runtime", load_settings(), max_connections=1)

    return create


KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
LOOP = "".join(
    f"[profile {name}]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = {other}\n"
    for name, other in ("ab", "ba")
)
ROLE = "role_arn = arn:aws:iam::123456789012:role/r\n"
WEB_IDENTITY = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/missing/token", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r"}
HTTPS = {**KEYS, "AWS_ENDPOINT_URL": "https://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("config", "variables", "problem"),
    [
        ("[default]\ncredential_process = /missing/tool\n", {}, "/missing/tool"),
        ("[default]\ncredential_process = /bin/false\n", {}, "custom-process"),
        ("[default]\ncredential_process = /bin/echo no\n", {}, "JSONDecodeError"),
        ("", WEB_IDENTITY, "/missing/token"),
        ("", {**KEYS, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "localhost:4580"}, "localhost:4580"),
        ("", {**KEYS, "AWS_ENDPOINT_URL": "localhost:4580"}, "AWS_ENDPOINT_URL: Write an address"),
        ("", {**KEYS, "AWS_REGION": "us_east_1"}, "AWS_REGION"),
        ("[default]\nendpoint_url = localhost:1\n", KEYS, "localhost:1"),
        (f"[profile a]\n{ROLE}source_profile = gone\n", {"AWS_PROFILE": "a"}, 'source_profile "gone"'),
        (f"[profile a]\n{ROLE}credential_source = Moon\n", {"AWS_PROFILE": "a"}, "Moon"),
        (
            f"[profile a]\n{ROLE}source_profile = b\n[profile b]\n{ROLE}source_profile = a\n",
            {"AWS_PROFILE": "a"},
            "loop",
        ),
        ("[default\nregion = x\n", KEYS, "Unable to parse config file"),
        ("[profile a]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n", {"AWS_PROFILE": "a"}, "sso-session"),
        ("", {"AWS_PROFILE": "gone"}, "list-profiles"),
        ("", {"AWS_ACCESS_KEY_ID": "a"}, "AWS_SECRET_ACCESS_KEY"),
        ("", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/"}, "example.com"),
        (
            "",
            {**HTTPS, "AWS_CA_BUNDLE": "/missing.pem"},
            "/missing.pem does not exist. Correct AWS_CA_BUNDLE",
        ),
        ("", {**HTTPS, "AWS_CA_BUNDLE": "empty.pem"}, "CA bundle empty.pem contains no certificates"),
        ("", {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "secret\n"}, "line break"),
        ("", {**KEYS, "AWS_STS_REGIONAL_ENDPOINTS": "some"}, "STS regional endpoints"),
    ],
)
def test_invalid_aws_configuration_is_explained(aws_files, config, variables, problem):
    def invoke():
        client = aws_files(config, **variables)
        try:
            client.call(lambda runtime: runtime.invoke_endpoint(EndpointName="e", Body=b"{}"))
        except (BotoCoreError, ClientError) as error:
            raise client.translate(error) from error

    with pytest.raises(ConfigurationError) as caught:
        invoke()
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


def test_unreachable_credential_server_is_retryable(aws_files):
    with pytest.raises(EndpointUnavailable, match="server of AWS credentials does not respond") as caught:
        aws_files(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:9/")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("config", "variables", "url"),
    [
        ("", {}, "https://runtime.sagemaker.us-east-1.amazonaws.com"),
        ("", {"AWS_ENDPOINT_URL": "http://a:1"}, "http://a:1"),
        ("", {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "http://b:2"}, "http://b:2"),
        ("", {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_SQS": "http://b:2"}, "http://a:1"),
        (
            "", {"AWS_ENDPOINT_URL": "http://a:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://runtime.sagemaker.us-east-1.amazonaws.com",
        ),
        ("[default]\nendpoint_url = http://c:3\n", {}, "http://c:3"),
    ],
)  # fmt: skip
def test_client_finds_the_address_as_aws_sdks_do(aws_files, config, variables, url):
    assert aws_files(config, **KEYS, **variables).endpoint_url == url


def test_explicit_address_precedes_the_environment(aws_files, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://a:1")
    client = create_client("sqs", load_settings(aws_region="us-east-1", aws_endpoint_url="http://b:2"))
    assert client.meta.endpoint_url == "http://b:2"


def test_session_without_region_uses_the_setting(aws_files):
    settings = load_settings(aws_region="eu-west-1")
    assert create_client("sqs", settings, session=boto3.Session()).meta.region_name == "eu-west-1"
    assert (
        create_client("sqs", settings, session=boto3.Session(region_name="us-east-2")).meta.region_name == "us-east-2"
    )


def test_disable_retries_sends_every_request_once():
    client = AwsClient("sagemaker-runtime", load_settings(aws_region="us-east-1"), max_connections=1, session=None)
    assert client._client.meta.config.retries["total_max_attempts"] == 3
    client.disable_retries()
    assert client._client.meta.config.retries["total_max_attempts"] == 1
