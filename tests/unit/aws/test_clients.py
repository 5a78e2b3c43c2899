"""AWS clients: configuration, credentials that expire, and retries."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from embedstack.aws.clients import AwsClient, create_client
from embedstack.errors import ConfigurationError
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


def test_aws_client_reads_rotated_credentials(monkeypatch, tmp_path):
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
    client = AwsClient("sagemaker-runtime", load_settings(aws_region="us-east-1"), max_connections=1, session=None)
    assert client.call(operation) == "new"


def test_disable_retries_sends_every_request_once():
    client = AwsClient("sagemaker-runtime", load_settings(aws_region="us-east-1"), max_connections=1, session=None)
    assert client._client.meta.config.retries["total_max_attempts"] == 3
    client.disable_retries()
    assert client._client.meta.config.retries["total_max_attempts"] == 1
