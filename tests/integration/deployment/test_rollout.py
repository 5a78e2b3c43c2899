"""After an apply: what runs is what was meant, and it answers; what was rolled back or changed by hand is seen."""

import shutil
import subprocess
import sys
import time

import pytest

from embedstack.rollout import check_rollout
from embedstack.settings import load_settings
from tests.integration.conftest import REPOSITORY, VARIABLES, running_stack

ENDPOINT = "alex-embedding-endpoint"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        shutil.copytree(REPOSITORY / "scripts", stack.folder.parent / "scripts")
        yield stack


def _deploy(stack, *arguments):
    return subprocess.run(
        [sys.executable, "scripts/deploy.py", *map(str, arguments)],
        cwd=stack.folder.parent, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def _settled(stack):
    deadline = time.monotonic() + 60
    while stack.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"] != "InService":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _findings(stack, **meant):
    intended = stack.root().outputs()["endpoints"]["embedding"]
    return {check.name: check for check in check_rollout({**intended, **meant}, load_settings())}


def test_apply_ends_with_a_look_at_what_runs(stack):
    applied = _deploy(stack, "apply", "--yes", "--var-file", VARIABLES)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    report = applied.stdout.rpartition(ENDPOINT)[2]
    assert report.count("✓") == 4
    assert "InService" in report
    assert "2048 MB, 10 at once" in report
    assert "a vector of 384 dimensions" in report


def test_a_change_by_hand_is_seen(stack):
    if not stack.client("sagemaker").list_endpoints()["Endpoints"]:
        stack.apply()
    sagemaker = stack.client("sagemaker")
    before = sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"]
    config = sagemaker.describe_endpoint_config(EndpointConfigName=before)
    (variant,) = config["ProductionVariants"]
    smaller = {**variant, "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
    sagemaker.create_endpoint_config(EndpointConfigName="by-hand", ProductionVariants=[smaller])
    sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName="by-hand")
    _settled(stack)
    try:
        findings = _findings(stack)
        assert findings["configuration"].status == "failed"
        assert findings["configuration"].target == before
        assert findings["AllTraffic"].figure.endswith("1024 MB, 1 at once")
        assert findings["request"].status == "passed"
        checked = _deploy(stack, "check")
        assert checked.returncode == 1
        assert f"✗ configuration by-hand  (wanted: {before})" in checked.stdout
    finally:
        sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=before)
        _settled(stack)


def test_a_rollback_is_seen_by_its_reason(stack):
    if not stack.client("sagemaker").list_endpoints()["Endpoints"]:
        stack.apply()
    sagemaker = stack.client("sagemaker")
    before = sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"]
    config = sagemaker.describe_endpoint_config(EndpointConfigName=before)
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    container = {**model["PrimaryContainer"], "Environment": {"HF_MODEL_ID": "nobody/has-this"}}
    sagemaker.create_model(
        ModelName="bad", ExecutionRoleArn=model["ExecutionRoleArn"], PrimaryContainer=container
    )  # fmt: skip
    (variant,) = config["ProductionVariants"]
    sagemaker.create_endpoint_config(EndpointConfigName="bad", ProductionVariants=[{**variant, "ModelName": "bad"}])
    sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName="bad")
    _settled(stack)
    findings = _findings(stack)
    assert findings["status"].status == "failed"
    assert "nobody/has-this" in findings["status"].figure
    assert findings["request"].status == "passed"
