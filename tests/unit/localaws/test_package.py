"""The package as its users and its containers import it."""

import subprocess
import sys

import pytest

from embedstack.localaws import LocalAwsConfig
from embedstack.localaws.config import ACCOUNT_ID


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("embedstack.localaws", ["moto", "openvino", "boto3"]),
        ("embedstack.localaws.daemon", ["moto", "openvino", "boto3"]),
        ("embedstack.localaws.container", ["moto", "boto3"]),
        ("embedstack.localaws.server", ["openvino", "tokenizers", "torch"]),
        ("embedstack.localaws.dialects", ["moto", "boto3", "torch"]),
    ],
)
def test_imports_stay_apart(module: str, forbidden: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {forbidden!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_configuration_comes_from_the_environment() -> None:
    environ = {
        "LOCALAWS_PORT": "5000",
        "LOCALAWS_IDLE_SECONDS": "7",
        "LOCALAWS_FUNCTION_PROCESSES": "3",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "EMBEDSTACK_MODELS_DIR": "/srv/models",
    }
    config = LocalAwsConfig.from_environment(environ)
    assert (config.port, config.idle_seconds, config.region) == (5000, 7.0, "eu-central-1")
    assert config.function_processes == 3
    assert str(config.models_dir) == "/srv/models"
    default = LocalAwsConfig.from_environment({})
    assert (default.port, default.region, default.serverless_payload_bytes) == (4580, "us-east-1", 4 * 2**20)
    assert default.models_dir.is_absolute()


def test_client_environment() -> None:
    assert LocalAwsConfig(region="eu-west-1").client_environment(4580) == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4580",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCOUNT_ID": ACCOUNT_ID,
    }
