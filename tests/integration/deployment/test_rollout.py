"""After an apply: what runs is what was meant, and it answers; what was rolled back or changed by hand is seen."""

import json
import subprocess
import sys

import pytest

from conftest import MINILM
from embedstack.settings.settings import load_settings
from embedstack_ops.validation.post_apply_check import check_endpoint
from tests.integration.conftest import VARIABLES, running_stack
from tests.support.localaws.harness import wait_until

ENDPOINT = "alex-embedding-endpoint"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def _deploy(stack, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "embedstack_ops", "deploy", *map(str, arguments)],
        cwd=stack.folder.parent, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def _settled(stack, name=ENDPOINT):
    sagemaker = stack.client("sagemaker")
    wait_until(lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService", 60)


def _findings(stack, **meant):
    intended = stack.root().outputs()["endpoints"]["embedding"]
    return {check.name: check for check in check_endpoint({**intended, **meant}, load_settings())}


def test_apply_verifies_the_endpoint(stack):
    applied = _deploy(stack, "apply", "--yes", "--var-file", VARIABLES)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    report = applied.stdout.rpartition(ENDPOINT)[2]
    assert report.count("✓") == 4
    assert "InService" in report
    assert "2048 MB, 10 concurrent" in report
    assert "a vector with 384 dimensions" in report


def test_verify_detects_a_manual_change(stack):
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
        assert findings["AllTraffic"].figure.endswith("1024 MB, 1 concurrent")
        assert findings["request"].status == "passed"
        checked = _deploy(stack, "verify")
        assert checked.returncode == 1
        assert f"✗ configuration by-hand  (expected: {before})" in checked.stdout
    finally:
        sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=before)
        _settled(stack)


def test_verify_reports_the_reason_of_a_rollback(stack):
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


IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.9.3-cpu-py310-ubuntu24.04"
INSTANCE = "ml.c6i.large"
LENIENT = ["--p50-ms", "60000", "--p95-ms", "60000", "--texts-per-minute", "1"]


def _deployed(stack, name, variants, **config):
    """An endpoint on instances, without Terraform; gives what Terraform's outputs would say of it."""
    sagemaker = stack.client("sagemaker")
    role = "arn:aws:iam::123456789012:role/alex-model"
    container = {"Image": IMAGE, "Environment": {"HF_MODEL_ID": MINILM}}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    described = [
        {
            "VariantName": variant,
            "ModelName": name,
            "InstanceType": INSTANCE,
            "InitialInstanceCount": 1,
            "InitialVariantWeight": weight,
        }
        for variant, weight in variants.items()
    ]
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=described, **config)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    _settled(stack, name)
    meant = {"model_name": name, "instance_type": INSTANCE}
    outputs = {variant: {**meant, "weight": weight} for variant, weight in variants.items()}
    return {**meant, "name": name, "config_name": name, "variants": outputs}


def _checks(intended):
    return {check.name: check for check in check_endpoint(intended, load_settings())}


def _test_endpoint(stack, *arguments, status=0):
    done = subprocess.run(
        [sys.executable, "-m", "embedstack_ops", "validate", *arguments, "--json", "-", *LENIENT],
        cwd=stack.folder.parent, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_verify_requests_every_variant_and_detects_changed_weights(stack):
    # The candidate's weight keeps all traffic from it.
    intended = _deployed(stack, "shared", {"AllTraffic": 1, "candidate": 0})
    findings = _checks(intended)
    assert {check.status for check in findings.values()} == {"passed"}, findings
    assert {"request to AllTraffic", "request to candidate"} <= findings.keys()

    sagemaker = stack.client("sagemaker")
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="shared", DesiredWeightsAndCapacities=[{"VariantName": "candidate", "DesiredWeight": 3}]
    )
    _settled(stack, "shared")
    findings = _checks(intended)
    assert {name for name, check in findings.items() if check.status == "failed"} == {"candidate"}
    assert findings["candidate"].figure == "shared, ml.c6i.large, weight 3"
    assert findings["candidate"].target == "shared, ml.c6i.large, weight 0"


def test_validate_uses_the_queue_of_an_asynchronous_endpoint(stack):
    s3 = stack.client("s3")
    s3.create_bucket(Bucket="answers")
    output = {"S3OutputPath": "s3://answers/out", "S3FailurePath": "s3://answers/failed"}
    intended = _deployed(stack, "queued", {"AllTraffic": 1}, AsyncInferenceConfig={"OutputConfig": output})
    findings = _checks(intended)
    assert {check.status for check in findings.values()} == {"passed"}, findings
    assert findings["request"].figure == "a vector with 384 dimensions"

    checks = _test_endpoint(stack, "queued")
    skipped = {name for name, check in checks.items() if check["status"] == "skipped"}
    assert skipped == {"configuration", "latency p50", "latency p95", "throughput"}
    assert checks["golden vectors"]["status"] == "passed"
    assert "Contents" not in s3.list_objects_v2(Bucket="answers"), "whoever asked takes the answers away"

    # Nothing runs: a look does not wake it, and says that nothing was looked at.
    stack.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName="queued", DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}]
    )
    _settled(stack, "queued")
    assert _checks(intended)["request"].status == "skipped"
    checks = _test_endpoint(stack, "queued", "--wake-minutes", "0")
    assert list(checks) == ["status", "configuration", "first call"]
    assert checks["first call"]["status"] == "skipped"
    assert "scaled to zero" in checks["first call"]["figure"]


def test_verify_reports_an_asynchronous_failure(stack):
    s3 = stack.client("s3")
    s3.create_bucket(Bucket="failures")
    output = {"S3OutputPath": "s3://no-such-bucket/out", "S3FailurePath": "s3://failures"}
    intended = _deployed(stack, "spilling", {"AllTraffic": 1}, AsyncInferenceConfig={"OutputConfig": output})
    found = _checks(intended)["request"]
    assert found.status == "failed"
    assert "no-such-bucket" in found.figure
