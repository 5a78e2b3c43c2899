"""An explicit argument beats the environment, which beats .env, which beats the default."""

import re
from pathlib import Path

import pytest

from embedstack.errors import ConfigurationError
from embedstack.settings import Settings, load_settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"^(\w+)=", EXAMPLE.read_text(), re.MULTILINE):
        monkeypatch.delenv(name, raising=False)
    for name in ("DEFAULT_AWS_REGION", "AWS_DEFAULT_REGION", "SAGEMAKER_ENDPOINT_NAME"):
        monkeypatch.delenv(name, raising=False)


def test_precedence(monkeypatch, tmp_path):
    assert load_settings().sagemaker_batch_size == 32
    (tmp_path / ".env").write_text("SAGEMAKER_BATCH_SIZE=8\nSAGEMAKER_ENDPOINT=from-file\n")
    assert load_settings().sagemaker_batch_size == 8
    monkeypatch.setenv("SAGEMAKER_BATCH_SIZE", "16")
    assert load_settings().sagemaker_batch_size == 16
    assert load_settings(sagemaker_batch_size=24).sagemaker_batch_size == 24
    assert load_settings().sagemaker_endpoint == "from-file"


@pytest.mark.parametrize("name", ["AWS_REGION", "DEFAULT_AWS_REGION", "AWS_DEFAULT_REGION"])
def test_every_name_of_the_region_is_read(monkeypatch, name):
    monkeypatch.setenv(name, "eu-west-1")
    assert load_settings().aws_region == "eu-west-1"
    assert load_settings(aws_region="us-east-2").aws_region == "us-east-2"


@pytest.mark.parametrize("name", ["SAGEMAKER_ENDPOINT", "SAGEMAKER_ENDPOINT_NAME"])
def test_both_names_of_the_endpoint_are_read(monkeypatch, tmp_path, name):
    (tmp_path / ".env").write_text("SAGEMAKER_ENDPOINT=from-file\n")
    monkeypatch.setenv(name, "from-environment")
    assert load_settings().sagemaker_endpoint == "from-environment"
    assert load_settings(sagemaker_endpoint="explicit").sagemaker_endpoint == "explicit"


def test_an_empty_assignment_is_not_set(tmp_path):
    (tmp_path / ".env").write_text("AWS_ACCOUNT_ID=\nAWS_ENDPOINT_URL=\nSAGEMAKER_ENDPOINT=\n")
    settings = load_settings()
    assert settings.aws_account_id is None
    assert settings.aws_endpoint_url is None
    with pytest.raises(ConfigurationError, match="set SAGEMAKER_ENDPOINT"):
        settings.required_endpoint()


@pytest.mark.parametrize(
    ("name", "value"), [("SAGEMAKER_BATCH_SIZE", "many"), ("SAGEMAKER_BATCH_SIZE", "0"), ("AWS_ACCOUNT_ID", "12")]
)
def test_a_bad_value_is_refused_by_the_name_of_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        load_settings()


def test_the_example_is_a_valid_file_that_names_every_setting(tmp_path):
    (tmp_path / ".env").write_text(EXAMPLE.read_text())
    load_settings()
    assert all(field.upper() in EXAMPLE.read_text() for field in Settings.model_fields)
