""".env and .env.example: what cannot be read is named, and what the example lists is read by what it says."""

import os
import re
from pathlib import Path

import pytest

from embedstack.errors import ConfigurationError
from embedstack.settings.settings import LocalAwsSettings, Settings, load_local_aws_settings, load_settings

EXAMPLE = (Path(__file__).parents[3] / ".env.example").read_text(encoding="utf-8")
ASSIGNMENTS = re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.MULTILINE)
LOCAL_ONLY = sorted(LocalAwsSettings.model_fields.keys() - Settings.model_fields.keys())
# A value of each setting that is not the default.
VALUES = {
    "COSTS_ALERT_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:budgets",
    "COSTS_BUDGET_POLICY": "warn",
    "COSTS_CONTEXT_BUDGETS": '{"code": 1}',
    "COSTS_KEY_BUDGETS": '{"alice": 1}',
    "COSTS_REPORT_TAG": "Project=alex",
    "COSTS_REPORT_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:reports",
    "COSTS_TIME_ZONE": "Europe/Berlin",
    "COLLECTION_LANGUAGE": "de",
    "AWS_ACCOUNT_ID": "999999999999",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4999",
    "AWS_REGION": "eu-central-1",
    "BEDROCK_API_FORMAT": "claude",
    "BEDROCK_TEMPERATURE": "0.5",
    "CLOUDWATCH_METRICS_ENABLED": "true",
    "EMBEDDING_TRUNCATE": "true",
    "EMBEDSTACK_LATE_CHUNKING": "true",
    "EMBEDSTACK_OCR": "true",
    "HEALTH_ACTIONS": "wake,redeploy",
    "HEALTH_METRICS": "true",
    "HEALTH_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:operations",
    "LOCALAWS_CHECK_ANSWERS": "1",
    "LOCALAWS_QUOTAS": '{"ml.m5.large for endpoint usage": 1}',
    "LOCALAWS_REFUSE_GPU_INSTANCES": "1",
    "OLLAMA_HOST": "http://127.0.0.1:11999",
    "RERANKER_TRUNCATE": "true",
    "SAGEMAKER_SERVERLESS_MEMORY_MB": "2048",
    "SAGEMAKER_VERIFY_MODEL": "false",
    "VECTOR_STORE": "s3vectors",
}


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in (*(name for name, _ in ASSIGNMENTS), "DEFAULT_AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


def plain(value):
    return str(getattr(value, "get_secret_value", lambda: value)())


@pytest.mark.parametrize("name", [name for name, _ in ASSIGNMENTS if name != "EMBEDSTACK_CONFIG"])
@pytest.mark.parametrize("source", ["file", "environment"])
def test_example_setting_is_read(monkeypatch, tmp_path, source, name):
    field = name.lower()
    kind, load = (LocalAwsSettings, load_local_aws_settings) if field in LOCAL_ONLY else (Settings, load_settings)
    is_text = any(text in str(kind.model_fields[field].annotation) for text in ("str", "Path", "Secret"))
    value = VALUES.get(name) or ("other" if is_text else "7")
    if name == "EMBEDSTACK_MODELS_DIR":
        (tmp_path / "other").mkdir()
    if source == "file":
        (tmp_path / ".env").write_text(f"{name}={value}\n")
    else:
        monkeypatch.setenv(name, value)
    assert plain(getattr(load(), field)).lower() in (value.lower(), f"{value}.0", "true" if value == "1" else value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("ml.m5.large", "not a JSON object of quotas by name"),
        ("[1]", "whole numbers of at least 0"),
        ('{"ml.m5.large for endpoint usage": -1}', "whole numbers of at least 0"),
        ('{"instances": 1}', "'instances' is not a quota"),
    ],
)
def test_invalid_quotas_name_the_setting(monkeypatch, value, message):
    monkeypatch.setenv("LOCALAWS_QUOTAS", value)
    with pytest.raises(ConfigurationError, match=f"LOCALAWS_QUOTAS: .*{message}"):
        load_local_aws_settings()


def test_example_states_the_defaults():
    defaults = {**Settings.model_fields, **LocalAwsSettings.model_fields}
    for name, value in ASSIGNMENTS:
        default = defaults[name.lower()].default
        if name in ("AWS_REGION", "EMBEDSTACK_MODELS_DIR"):
            continue  # an example, and one whose comment says what it is
        if isinstance(default, bool):
            assert value in (str(default).lower(), str(int(default))), name
        else:
            assert value == ("" if default in (None, "") else str(default)), name


def test_example_lists_every_setting_once():
    names = [name for name, _ in ASSIGNMENTS]
    assert len(names) == len(set(names))
    assert set(names) == {name.upper() for name in (*Settings.model_fields, *LocalAwsSettings.model_fields)}


TEXT = "SAGEMAKER_ENDPOINT=größe\nAWS_REGION=eu-west-1\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("load", [load_settings, load_local_aws_settings])
def test_env_file_in_another_encoding_is_named(tmp_path, load, encoding):
    (tmp_path / ".env").write_bytes(TEXT.encode(encoding))
    with pytest.raises(ConfigurationError, match=r"^\.env is not UTF-8.*Save it as UTF-8") as caught:
        load()
    assert "gr" not in str(caught.value).replace("terraform", "").replace("program", "")


def test_env_file_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / ".env").write_bytes(TEXT.encode("utf-8-sig"))
    assert load_settings().sagemaker_endpoint == "größe"
    assert load_local_aws_settings().aws_region == "eu-west-1"


def test_env_file_that_is_a_folder_is_named(tmp_path):
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigurationError, match=r"^\.env cannot be read"):
        load_settings()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_env_file_that_may_not_be_read_is_named(tmp_path):
    (tmp_path / ".env").touch(mode=0)
    with pytest.raises(ConfigurationError, match=r"^\.env cannot be read: Permission denied"):
        load_settings()


def test_env_file_line_without_assignment_is_named(tmp_path):
    (tmp_path / ".env").write_text("AWS_REGION=eu-west-1\nDATABASE_URL='postgresql://u:secret@h/d\n")
    with pytest.raises(ConfigurationError, match=r"\.env, line 2: this is not NAME=value") as caught:
        load_settings()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAGEMAKER_BATCH_SIZE", "many"),
        ("SAGEMAKER_BATCH_SIZE", "-3"),
        ("SAGEMAKER_ENDPOINT", "   "),
        ("EMBEDDING_DEADLINE_SECONDS", "inf"),
        ("EMBEDDING_TRUNCATE", "maybe"),
        ("VECTOR_STORE", "sqlite"),
        ("AWS_REGION", "us_east_1"),
        ("AWS_REGION", "Frankfurt"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:4580"),
        ("OLLAMA_HOST", "ftp://here"),
    ],
)
def test_bad_setting_is_named_with_its_value(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert f"{name}: " in str(caught.value)
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_secret_is_named_without_its_value(monkeypatch):
    for name in ("DATABASE_URL", "EMBEDSTACK_CACHE_KEY"):
        monkeypatch.setenv(name, " \t ")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "ftp://user:password@host")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "DATABASE_URL: is blank" in str(caught.value)
    assert "\t" not in str(caught.value)
    assert "password" not in str(caught.value)


def test_surrounding_space_is_removed_from_values(monkeypatch):
    monkeypatch.setenv("AWS_REGION", " eu-west-1 ")
    monkeypatch.setenv("EMBEDSTACK_DOCUMENT_CONTEXT", "{source}: ")
    assert load_settings().aws_region == "eu-west-1"
    assert load_settings().embedstack_document_context == "{source}: "
