"""Launches of instances that fail: service quotas, missing capacity, containers that do not start."""

from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.harness import TINY_BERT, Aws

NO_CAPACITY = "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."
INSTANCES = "ml.m5.large for endpoint usage"


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, refuse_gpu_instances=True)


def post(aws: Aws, path: str, document: dict[str, Any]) -> Any:
    response = urllib3.request("POST", f"{aws.server.url}/_embedstack/{path}", json=document)
    assert response.status == 200, response.data
    return response.json()


def set_fault(aws: Aws, kind: str, **options: Any) -> None:
    post(aws, "faults", {"service": "sagemaker", "kind": kind, "rate": 1, "count": 1} | options)


@pytest.fixture(scope="module")
def model(aws: Aws) -> str:
    aws.create_model("tiny", HF_MODEL_ID=TINY_BERT)
    for count in (1, 2):
        aws.create_instance_config(f"instances-{count}", "tiny", count, InstanceType="ml.m5.large")
    aws.create_config("serverless", "tiny")
    return "tiny"


@pytest.fixture
def endpoint(aws: Aws, model: str) -> Iterator[str]:
    """An endpoint with one instance."""
    aws.sagemaker.create_endpoint(EndpointName="one", EndpointConfigName="instances-1")
    assert aws.settled("one")["EndpointStatus"] == "InService"
    yield "one"
    aws.delete_endpoint("one")


@pytest.fixture
def quota(aws: Aws) -> Iterator[str]:
    """A quota of two instances."""
    post(aws, "quotas", {"name": INSTANCES, "value": 2})
    yield INSTANCES
    assert post(aws, "quotas", {"name": INSTANCES, "value": None}) == {"quotas": []}


def test_endpoint_without_capacity_stays_in_creating_and_fails(aws: Aws, model: str) -> None:
    set_fault(aws, "capacity")
    aws.sagemaker.create_endpoint(EndpointName="stuck", EndpointConfigName="instances-1")

    aws.advance(1700)
    creating = aws.sagemaker.describe_endpoint(EndpointName="stuck")
    assert creating["EndpointStatus"] == "Creating"
    assert "ProductionVariants" not in creating
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        aws.sagemaker.delete_endpoint(EndpointName="stuck")
    aws.advance(200)
    failed = aws.settled("stuck")
    assert failed["FailureReason"].startswith(NO_CAPACITY)
    assert "ProductionVariants" not in failed
    aws.delete_endpoint("stuck")


def test_serverless_endpoint_needs_no_instances(aws: Aws, model: str) -> None:
    set_fault(aws, "capacity")
    aws.sagemaker.create_endpoint(EndpointName="none", EndpointConfigName="serverless")
    assert aws.settled("none")["EndpointStatus"] == "InService"
    aws.delete_endpoint("none")
    set_fault(aws, "capacity", rate=0)


def test_update_without_capacity_keeps_the_old_deployment(aws: Aws, endpoint: str) -> None:
    set_fault(aws, "capacity", seconds=0)
    aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName="instances-2")
    description = aws.settled(endpoint)
    assert description["EndpointConfigName"] == "instances-1"
    assert description["FailureReason"].startswith(NO_CAPACITY)
    assert len(aws.invoke(endpoint)) == 1


def test_scaling_out_without_capacity_is_rolled_back(aws: Aws, endpoint: str) -> None:
    set_fault(aws, "capacity", seconds=0)
    aws.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint, DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    )
    description = aws.settled(endpoint)
    assert description["FailureReason"].startswith(NO_CAPACITY)
    assert description["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert description["ProductionVariants"][0]["DesiredInstanceCount"] == 1


def test_quota_counts_the_instances_of_all_endpoints(aws: Aws, endpoint: str, quota: str) -> None:
    sentence = (
        r"The account-level service limit 'ml\.m5\.large for endpoint usage' is 2 Instances, with current utilization "
        r"of 1 Instances and a request delta of 2 Instances\."
    )
    for action in (
        lambda: aws.sagemaker.create_endpoint(EndpointName="two", EndpointConfigName="instances-2"),
        # The new instances run beside the old ones.
        lambda: aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName="instances-2"),
        lambda: aws.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=endpoint,
            DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 3}],
        ),
    ):
        with pytest.raises(ClientError, match=sentence) as refused:
            action()
        assert refused.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    assert aws.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService"


def test_quota_applies_to_its_account_and_region(aws: Aws, model: str) -> None:
    elsewhere = {"name": INSTANCES, "value": 0, "region": "eu-west-1"}
    assert post(aws, "quotas", elsewhere)["quotas"] == [{**elsewhere, "account": "*"}]
    set_fault(aws, "start")
    aws.sagemaker.create_endpoint(EndpointName="here", EndpointConfigName="instances-1")
    assert aws.settled("here")["FailureReason"].startswith("CannotStartContainerError. ")
    aws.delete_endpoint("here")
    assert post(aws, "quotas", {**elsewhere, "value": None}) == {"quotas": []}


@pytest.mark.parametrize("document", [{"name": "instances", "value": 1}, {"name": INSTANCES, "value": -1}, {}, []])
def test_quota_with_invalid_members_is_rejected(aws: Aws, document: Any) -> None:
    response = urllib3.request("POST", f"{aws.server.url}/_embedstack/quotas", json=document)
    assert response.status == 400
    assert "Send" in response.json()["error"]


def test_gpu_instances_are_refused_on_request(aws: Aws, model: str) -> None:
    aws.create_instance_config("gpu", model, 1, InstanceType="ml.g5.xlarge")
    with pytest.raises(ClientError, match="LOCALAWS_REFUSE_GPU_INSTANCES=1") as refused:
        aws.sagemaker.create_endpoint(EndpointName="gpu", EndpointConfigName="gpu")
    assert refused.value.response["Error"]["Code"] == "NotImplementedException"


def test_unknown_fault_names_the_kinds(aws: Aws) -> None:
    fault = {"service": "sagemaker", "kind": "power", "rate": 1}
    response = urllib3.request("POST", f"{aws.server.url}/_embedstack/faults", json=fault)
    assert response.status == 400
    assert "capacity" in response.json()["error"]
    assert "start" in response.json()["error"]
