"""Import times and configuration of the package."""

import subprocess
import sys
from pathlib import Path

import pytest

from embedstack.errors import ConfigurationError
from embedstack.settings.settings import LocalAwsSettings
from localaws import LocalAwsConfig
from localaws.config import ACCOUNT_ID


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("localaws", ["moto", "openvino", "boto3"]),
        ("localaws.process.daemon", ["moto", "openvino", "boto3"]),
        ("localaws.services.sagemaker.containers.main", ["moto", "boto3"]),
        ("localaws.gateway.local_aws", ["openvino", "tokenizers", "torch"]),
        ("localaws.services.sagemaker.containers.protocols", ["moto", "boto3", "torch"]),
    ],
)
def test_modules_do_not_import_heavy_packages(module: str, forbidden: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {forbidden!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def settings_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to read settings in, and an environment without any."""
    for name in (*LocalAwsSettings.model_fields, "default_aws_region", "aws_default_region"):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


SET = {
    "LOCALAWS_PORT": "5000",
    "LOCALAWS_IDLE_SECONDS": "7",
    "LOCALAWS_FUNCTION_PROCESSES": "3",
    "LOCALAWS_CLOCK_SPEED": "60",
    "LOCALAWS_CHECK_ANSWERS": "1",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


@pytest.mark.parametrize("source", ["environment", "file", "yaml"])
def test_configuration_reads_every_source(settings_folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    models = settings_folder / "my models"
    models.mkdir()
    values = {**SET, "EMBEDSTACK_MODELS_DIR": str(models)}
    if source == "environment":
        for name, value in values.items():
            monkeypatch.setenv(name, value)
    elif source == "file":
        Path(".env").write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))
    else:
        values["AWS_REGION"] = values.pop("AWS_DEFAULT_REGION")
        Path("all.yaml").write_text("".join(f"{name.lower()}: {value}\n" for name, value in values.items()))
        monkeypatch.setenv("EMBEDSTACK_CONFIG", "all.yaml")
    config = LocalAwsConfig.from_environment()
    assert (config.port, config.idle_seconds, config.region) == (5000, 7.0, "eu-central-1")
    assert (config.function_processes, config.clock_speed, config.check_answers) == (3, 60.0, True)
    assert config.models_dir == models


def test_configuration_defaults(settings_folder: Path) -> None:
    default = LocalAwsConfig.from_environment()
    assert (default.port, default.region, default.serverless_payload_bytes) == (4580, "us-east-1", 4 * 2**20)
    assert default.models_dir.is_absolute()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOCALAWS_PORT", "abc"),
        ("LOCALAWS_PORT", "-1"),
        ("LOCALAWS_PORT", "65536"),
        ("LOCALAWS_PORT", "4580.5"),
        ("LOCALAWS_PORT", "  "),
        ("LOCALAWS_IDLE_SECONDS", "soon"),
        ("LOCALAWS_IDLE_SECONDS", "0"),
        ("LOCALAWS_IDLE_SECONDS", "nan"),
        ("LOCALAWS_CLOCK_SPEED", "-2"),
        ("LOCALAWS_CLOCK_SPEED", "inf"),
        ("LOCALAWS_FUNCTION_PROCESSES", "0"),
        ("LOCALAWS_CHECK_ANSWERS", "perhaps"),
        ("AWS_REGION", "us_east_1"),
        ("EMBEDSTACK_MODELS_DIR", "nowhere"),
        ("EMBEDSTACK_MODELS_DIR", "file"),
    ],
)
def test_configuration_names_an_invalid_setting(
    settings_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    (settings_folder / "file").touch()
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        LocalAwsConfig.from_environment()
    assert f"{name}: " in str(caught.value)
    assert repr(value) in str(caught.value)


def test_client_environment_points_to_the_port() -> None:
    assert LocalAwsConfig(region="eu-west-1").client_environment(4580) == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4580",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCOUNT_ID": ACCOUNT_ID,
    }
