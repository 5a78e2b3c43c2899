"""The life cycle of endpoints, from Creating to deleted."""

import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig, LocalAwsError
from localaws.gateway.local_aws import LocalAws
from tests.support.localaws.harness import HUGGINGFACE, MINILM, OWN_IMAGE, TEI, TEI_GPU, TINY_BERT, Aws, Load
from tests.support.tiny_bert import HIDDEN

Deploy = Callable[..., dict[str, Any]]
OLD_TEI = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.4.0-cpu-py310-ubuntu22.04"
DJL = "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.36.0-lmi22.0.0-cu129"
IN_PROGRESS = 'Cannot update in-progress endpoint "arn:aws:sagemaker:'


def test_endpoint_starts_and_is_described(aws: Aws, deploy: Deploy) -> None:
    description = deploy("up", HF_MODEL_ID=MINILM)

    assert description["EndpointStatus"] == "InService"
    (variant,) = description["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 20}
    assert variant["DeployedImages"][0]["SpecifiedImage"] == TEI
    assert len(aws.invoke("up")[0]) == 384
    listed = aws.sagemaker.list_endpoints(NameContains="up", StatusEquals="InService")["Endpoints"]
    assert [endpoint["EndpointName"] for endpoint in listed] == ["up"]


def test_endpoint_in_progress_rejects_changes(aws: Aws, deploy: Deploy) -> None:
    aws.create_model("busy", HF_MODEL_ID=TINY_BERT)
    aws.create_config("busy", "busy")
    aws.sagemaker.create_endpoint(EndpointName="busy", EndpointConfigName="busy")

    creating = aws.sagemaker.describe_endpoint(EndpointName="busy")
    assert creating["EndpointStatus"] == "Creating"
    assert creating["PendingDeploymentSummary"]["EndpointConfigName"] == "busy"
    for action in (
        lambda: aws.sagemaker.delete_endpoint(EndpointName="busy"),
        lambda: aws.sagemaker.update_endpoint(EndpointName="busy", EndpointConfigName="busy"),
    ):
        with pytest.raises(ClientError, match=re.escape(IN_PROGRESS)):
            action()
    with pytest.raises(ClientError, match=r"Endpoint busy of account 123456789012 not found\."):
        aws.invoke("busy")
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        aws.sagemaker.create_endpoint(EndpointName="BUSY", EndpointConfigName="busy")

    assert aws.settled("busy")["EndpointStatus"] == "InService"
    aws.delete_endpoint("busy")


def test_deleted_endpoint_leaves_no_process(aws: Aws, deploy: Deploy) -> None:
    before = aws.pids()
    deploy("deleted")
    assert len(aws.pids()) == len(before) + 1

    aws.delete_endpoint("deleted")

    assert aws.pids() == before
    with pytest.raises(ClientError, match="Could not find endpoint"):
        aws.sagemaker.describe_endpoint(EndpointName="deleted")
    with pytest.raises(ClientError, match=r"Endpoint deleted of account 123456789012 not found\."):
        aws.invoke("deleted")


def test_endpoints_of_one_model_have_a_process_each(aws: Aws, deploy: Deploy) -> None:
    before = len(aws.pids())
    deploy("twin-a")
    deploy("twin-b")
    assert len(aws.pids()) == before + 2
    assert aws.invoke("twin-a") == aws.invoke("twin-b")


@pytest.mark.parametrize(
    ("image", "environment", "reason"),
    [
        (
            TEI,
            {"HF_MODEL_ID": "BAAI/bge-m3"},
            r"model BAAI/bge-m3 is not on this machine: download it to .*BAAI/bge-m3",
        ),
        (TEI, {"HF_MODEL_ID": "../../etc"}, "is not a Hugging Face Hub id"),
        (TEI, {"OTHER": "x"}, "HF_MODEL_ID must be set"),
        (TEI_GPU, {"HF_MODEL_ID": MINILM}, "is built for GPUs"),
        (HUGGINGFACE, {"HF_MODEL_ID": MINILM}, "HF_TASK is not set"),
        (OWN_IMAGE, {"OTHER": "x"}, "no model to serve"),
        (OLD_TEI, {"HF_MODEL_ID": TINY_BERT}, r"Permission denied \(os error 13\)\. The container"),
        (TEI, {"HF_MODEL_ID": TINY_BERT, "HUGGINGFACE_HUB_CACHE": "/data"}, "cannot write to its cache /data"),
        (DJL, {"HF_MODEL_ID": TINY_BERT}, "has no server for image"),
    ],
)
def test_endpoint_that_cannot_start_has_a_failure_reason(
    aws: Aws, deploy: Deploy, image: str, environment: dict[str, str], reason: str
) -> None:
    description = deploy("failed", image, **environment)

    assert description["EndpointStatus"] == "Failed"
    assert re.search(reason, description["FailureReason"])
    with pytest.raises(ClientError, match=r"Endpoint failed of account 123456789012 not found\."):
        aws.invoke("failed")
    with pytest.raises(ClientError, match="it can only be deleted"):
        aws.sagemaker.update_endpoint(EndpointName="failed", EndpointConfigName="failed")
    logged = aws.logs.filter_log_events(logGroupName="/aws/sagemaker/Endpoints/failed")["events"]
    assert any(re.search(reason, event["message"]) for event in logged)


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def files_of(folder: Path, prefix: str) -> dict[str, bytes]:
    return {prefix + str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def bucket(aws: Aws) -> str:
    aws.s3.create_bucket(Bucket="artifacts")
    return "artifacts"


HANDLER = b"from embedstack_server.sagemaker_handler import model_fn, transform_fn"


@pytest.mark.parametrize(
    ("handler", "environment", "shape"),
    [
        pytest.param({"code/inference.py": HANDLER}, {}, (2, HIDDEN), id="handler"),
        pytest.param({}, {"HF_TASK": "feature-extraction"}, (2, 1, 4, HIDDEN), id="toolkit"),
    ],
)
def test_artifact_is_served_by_its_handler_or_the_toolkit(
    aws: Aws,
    deploy: Deploy,
    bucket: str,
    models_dir: Path,
    handler: dict[str, bytes],
    environment: dict[str, str],
    shape: tuple[int, ...],
) -> None:
    aws.s3.put_object(Bucket=bucket, Key="good.tar.gz", Body=archive(files_of(models_dir / TINY_BERT, "") | handler))
    description = deploy("artifact", HUGGINGFACE, url=f"s3://{bucket}/good.tar.gz", **environment)

    assert description["EndpointStatus"] == "InService", description
    assert np.array(aws.invoke("artifact", ["one two", "two one"])).shape == shape


@pytest.mark.parametrize(
    ("files", "environment", "reason"),
    [
        ({}, {}, r"Task couldn't be inferenced from .*\. The artifact has no code/inference\.py"),
        ({"code/inference.py": b"def model_fn(folder): ..."}, {}, "runs no other handler"),
        ({}, {"HF_TASK": "fill-mask"}, "'fill-mask' is not supported"),
    ],
    ids=["no-task", "other-handler", "other-task"],
)
def test_artifact_without_a_usable_handler_fails_the_endpoint(
    aws: Aws,
    deploy: Deploy,
    bucket: str,
    models_dir: Path,
    files: dict[str, bytes],
    environment: dict[str, str],
    reason: str,
) -> None:
    aws.s3.put_object(Bucket=bucket, Key="plain.tar.gz", Body=archive(files_of(models_dir / TINY_BERT, "") | files))
    description = deploy("plain", HUGGINGFACE, url=f"s3://{bucket}/plain.tar.gz", **environment)
    assert description["EndpointStatus"] == "Failed"
    assert re.search(reason, description["FailureReason"])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not an archive", "^Failed to extract model data archive"),
        (archive({"readme.txt": b"x"}), r"holds no model folder: no tokenizer\.json"),
        (archive({"../escape.txt": b"x"}), "^Failed to extract model data archive"),
    ],
    ids=["garbage", "no-model", "escaping"],
)
def test_bad_artifact_fails_the_endpoint(aws: Aws, deploy: Deploy, bucket: str, body: bytes, reason: str) -> None:
    aws.s3.put_object(Bucket=bucket, Key="bad.tar.gz", Body=body)
    description = deploy("bad-artifact", HUGGINGFACE, url=f"s3://{bucket}/bad.tar.gz")
    assert description["EndpointStatus"] == "Failed"
    assert re.search(reason, description["FailureReason"])


def test_deleted_artifact_fails_the_endpoint(aws: Aws, bucket: str) -> None:
    aws.s3.put_object(Bucket=bucket, Key="gone.tar.gz", Body=b"x")
    aws.create_model("gone", HUGGINGFACE, url=f"s3://{bucket}/gone.tar.gz")
    aws.create_config("gone", "gone")
    aws.s3.delete_object(Bucket=bucket, Key="gone.tar.gz")
    aws.sagemaker.create_endpoint(EndpointName="gone", EndpointConfigName="gone")
    assert 'from URL: "s3://artifacts/gone.tar.gz". Please ensure' in aws.settled("gone")["FailureReason"]
    aws.delete_endpoint("gone")


def test_update_under_load_fails_no_request(aws: Aws, deploy: Deploy) -> None:
    deploy("updated")
    old = aws.pids()
    aws.create_config("updated-2", "updated", MemorySizeInMB=3072)

    with Load(lambda: aws.invoke("updated"), threads=2, pause=0.02) as load:
        load.wait_for(20)
        aws.sagemaker.update_endpoint(EndpointName="updated", EndpointConfigName="updated-2")
        updating = aws.sagemaker.describe_endpoint(EndpointName="updated")
        assert updating["EndpointStatus"] == "Updating"
        assert updating["EndpointConfigName"] == "updated"
        with pytest.raises(ClientError, match=re.escape(IN_PROGRESS)):
            aws.sagemaker.update_endpoint(EndpointName="updated", EndpointConfigName="updated-2")
        description = aws.settled("updated")
        load.wait_for(20)

    assert load.errors == []
    assert description["EndpointConfigName"] == "updated-2"
    assert description["ProductionVariants"][0]["CurrentServerlessConfig"]["MemorySizeInMB"] == 3072
    assert len(aws.pids()) == len(old)
    assert aws.pids() != old
    aws.sagemaker.delete_endpoint_config(EndpointConfigName="updated-2")


def test_failed_update_rolls_back_under_load(aws: Aws, deploy: Deploy) -> None:
    deploy("rolled")
    pids = aws.pids()
    aws.create_model("rolled-bad", HF_MODEL_ID="org/absent")
    aws.create_config("rolled-bad", "rolled-bad")

    with Load(lambda: aws.invoke("rolled"), threads=2, pause=0.02) as load:
        load.wait_for(10)
        aws.sagemaker.update_endpoint(EndpointName="rolled", EndpointConfigName="rolled-bad")
        description = aws.settled("rolled")
        load.wait_for(10)

    assert load.errors == []
    assert description["EndpointStatus"] == "InService"
    assert description["EndpointConfigName"] == "rolled"
    assert "org/absent is not on this machine" in description["FailureReason"]
    assert aws.pids() == pids


def test_deployment_config_is_kept(aws: Aws, deploy: Deploy) -> None:
    deploy("canary")
    policy = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        }
    }
    aws.sagemaker.update_endpoint(EndpointName="canary", EndpointConfigName="canary", DeploymentConfig=policy)
    assert aws.settled("canary")["LastDeploymentConfig"] == policy


def test_instance_based_variants_share_traffic(aws: Aws) -> None:
    aws.create_model("instances", HF_MODEL_ID=TINY_BERT)
    variants = [
        {"VariantName": name, "ModelName": "instances", "InstanceType": "ml.c6i.large", "InitialInstanceCount": 1}
        for name in ("blue", "green")
    ]
    aws.sagemaker.create_endpoint_config(EndpointConfigName="instances", ProductionVariants=variants)
    aws.sagemaker.create_endpoint(EndpointName="instances", EndpointConfigName="instances")
    description = aws.settled("instances")
    assert [variant["CurrentInstanceCount"] for variant in description["ProductionVariants"]] == [1, 1]

    body = b'{"inputs": "a"}'
    for name in ("blue", "green"):
        response = aws.invoke_raw("instances", body, TargetVariant=name)
        assert response["InvokedProductionVariant"] == name
    drawn = {aws.invoke_raw("instances", body)["InvokedProductionVariant"] for _ in range(30)}
    assert drawn == {"blue", "green"}
    with pytest.raises(ClientError, match="Variant red of endpoint instances not found"):
        aws.invoke_raw("instances", body, TargetVariant="red")

    aws.create_config("instances-serverless", "instances")
    with pytest.raises(ClientError, match="to a serverless configuration"):
        aws.sagemaker.update_endpoint(EndpointName="instances", EndpointConfigName="instances-serverless")
    aws.delete_endpoint("instances")


def test_second_local_aws_in_a_process_is_rejected(aws: Aws) -> None:
    with pytest.raises(LocalAwsError, match="Another local AWS runs in this process"):
        LocalAws(LocalAwsConfig(port=0)).start()
