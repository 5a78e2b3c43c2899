"""Several instances of a variant: routing, scaling, replacement."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from localaws.services.sagemaker.endpoints.scaling import CapacityRefused
from tests.support.localaws.harness import TINY_BERT, Aws, Load, stalled, wait_until, without_weights
from tests.support.tiny_bert import HIDDEN

DeployInstances = Callable[..., dict[str, Any]]
ACCOUNT, REGION = "123456789012", "us-east-1"
INSTANCES = "sagemaker:variant:DesiredInstanceCount"
CONCURRENCY = "sagemaker:variant:DesiredProvisionedConcurrency"


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, restart_backoff=0.1)


def scale(aws: Aws, name: str, instances: int) -> None:
    change = {"VariantName": "AllTraffic", "DesiredInstanceCount": instances}
    aws.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=[change])


def metric(aws: Aws, name: str, metric_name: str, namespace: str = "AWS/SageMaker") -> dict[str, Any]:
    now = datetime.now(UTC)
    points = aws.cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=metric_name,
        Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "AllTraffic"}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=5),
        Period=3600,
        Statistics=["Sum", "Maximum", "SampleCount"],
    )["Datapoints"]
    return dict(points[0]) if points else {}


def test_three_instances_share_requests_by_load(aws: Aws, deploy_instances: DeployInstances) -> None:
    description = deploy_instances("shared", 3)
    (variant,) = description["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (3, 3)
    pids = aws.pids()
    assert len(pids) == 3

    # Two instances stand still and get one request each; whatever comes then goes to the third.
    with ThreadPoolExecutor(3) as pool, stalled(pids[0]), stalled(pids[1]):
        while load_of(aws, "shared", *pids[:2]) < 2:
            before = load_of(aws, "shared", *pids[:2])
            request = pool.submit(aws.invoke, "shared")
            wait_until(lambda: request.done() or load_of(aws, "shared", *pids[:2]) > before)  # noqa: B023
        for _ in range(10):
            assert len(aws.invoke("shared")[0]) == HIDDEN
        assert load_of(aws, "shared", *pids[:2]) == 2
    # Every instance reports once a minute: how many reports there are is how many instances there are.
    aws.advance(60)
    hosts = "/aws/sagemaker/Endpoints"
    wait_until(lambda: metric(aws, "shared", "MemoryUtilization", hosts).get("SampleCount", 1) % 3 == 0)
    assert 0 < metric(aws, "shared", "MemoryUtilization", hosts)["Maximum"] < 100
    assert metric(aws, "shared", "CPUUtilization", hosts)["Maximum"] > 0
    invocations = metric(aws, "shared", "Invocations")["Sum"]
    assert metric(aws, "shared", "InvocationsPerInstance")["Sum"] == pytest.approx(invocations / 3)


def load_of(aws: Aws, name: str, *pids: int) -> int:
    """Requests in flight on these instances of an endpoint's only variant."""
    endpoint = aws.server.host.endpoint(ACCOUNT, REGION, name)
    assert endpoint is not None
    assert endpoint.traffic.current is not None
    fleet = endpoint.traffic.current.variants[0].group
    return sum(load for pid, load in zip(fleet.pids, fleet.loads, strict=True) if pid in pids)


def test_scaling_under_load_fails_no_request(aws: Aws, deploy_instances: DeployInstances) -> None:
    deploy_instances("elastic", 1)
    with Load(lambda: aws.invoke("elastic"), threads=2, pause=0.02) as load:
        load.wait_for(10)
        scale(aws, "elastic", 3)
        updating = aws.sagemaker.describe_endpoint(EndpointName="elastic")
        assert updating["EndpointStatus"] == "Updating"
        (variant,) = updating["ProductionVariants"]
        assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 3)
        assert variant["VariantStatus"][0]["StatusMessage"] == "Scaling out desired instance count to 3."
        assert "PendingDeploymentSummary" not in updating
        with pytest.raises(ClientError, match='Cannot update in-progress endpoint "arn:'):
            scale(aws, "elastic", 2)
        (variant,) = aws.settled("elastic")["ProductionVariants"]
        assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (3, 3)
        assert len(aws.pids()) == 3
        load.wait_for(20)
        scale(aws, "elastic", 1)
        assert aws.settled("elastic")["ProductionVariants"][0]["CurrentInstanceCount"] == 1
        load.wait_for(10)

    assert load.errors == []
    assert len(aws.pids()) == 1


def test_killed_instance_is_replaced_while_the_other_serves(aws: Aws, deploy_instances: DeployInstances) -> None:
    deploy_instances("pair", 2)
    victim, survivor = aws.pids()
    threads = 4
    with Load(lambda: aws.invoke("pair", ["some text"] * 4), threads=threads) as load:
        load.wait_for(10)
        os.kill(victim, signal.SIGKILL)
        load.wait_for(20)
        wait_until(lambda: len(aws.pids()) == 2 and victim not in aws.pids())
        load.wait_for(10)

    # Only what was in flight on the killed one is lost.
    assert len(load.errors) <= threads
    assert {error.response["Error"]["Code"] for error in load.errors if isinstance(error, ClientError)} <= {
        "ModelError"
    }
    assert survivor in aws.pids()
    assert aws.variant("pair")["CurrentInstanceCount"] == 2


def test_failed_scaling_keeps_the_old_instance_count(
    aws: Aws, deploy_instances: DeployInstances, models_dir: Path
) -> None:
    deploy_instances("stuck", 1)
    with without_weights(models_dir):
        scale(aws, "stuck", 2)
        description = aws.settled("stuck")

    assert description["EndpointStatus"] == "InService"
    assert "did not pass the ping health check" in description["FailureReason"]
    (variant,) = description["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 1)
    assert "VariantStatus" not in variant
    assert len(aws.invoke("stuck")[0]) == HIDDEN
    scale(aws, "stuck", 2)
    assert "FailureReason" not in aws.settled("stuck")
    assert len(aws.pids()) == 2


def test_weights_shift_traffic(aws: Aws) -> None:
    aws.create_model("weighted", HF_MODEL_ID=TINY_BERT)
    variants = [
        {"VariantName": name, "ModelName": "weighted", "InstanceType": "ml.c6i.large", "InitialInstanceCount": 1}
        for name in ("a", "b")
    ]
    aws.sagemaker.create_endpoint_config(EndpointConfigName="weighted", ProductionVariants=variants)
    aws.sagemaker.create_endpoint(EndpointName="weighted", EndpointConfigName="weighted")
    aws.settled("weighted")
    aws.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="weighted", DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 0}]
    )
    body = b'{"inputs": "a"}'
    answered = Counter(aws.invoke_raw("weighted", body)["InvokedProductionVariant"] for _ in range(20))
    assert answered == {"b": 20}
    assert [variant["CurrentWeight"] for variant in aws.settled("weighted")["ProductionVariants"]] == [0, 1]

    # An update that retains the properties keeps weights and counts, and one that does not goes by the configuration.
    aws.sagemaker.update_endpoint(
        EndpointName="weighted",
        EndpointConfigName="weighted",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredInstanceCount"}],
    )
    assert [variant["CurrentWeight"] for variant in aws.settled("weighted")["ProductionVariants"]] == [0, 1]
    aws.delete_endpoint("weighted")


def test_update_retains_instance_counts_and_weights(aws: Aws, deploy_instances: DeployInstances) -> None:
    deploy_instances("retained", 1)
    scale(aws, "retained", 2)
    aws.settled("retained")
    aws.sagemaker.update_endpoint(
        EndpointName="retained", EndpointConfigName="retained", RetainAllVariantProperties=True
    )
    assert aws.settled("retained")["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    aws.sagemaker.update_endpoint(EndpointName="retained", EndpointConfigName="retained")
    assert aws.settled("retained")["ProductionVariants"][0]["CurrentInstanceCount"] == 1


def test_invalid_capacity_changes_are_rejected(aws: Aws, deploy_instances: DeployInstances) -> None:
    deploy_instances("sane", 1)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"VariantName": "other", "DesiredWeight": 1}, r'name\(s\) "other" is/are not present within endpoint conf'),
        ({"VariantName": "AllTraffic", "DesiredInstanceCount": 0}, "must be greater than or equal to 1"),
        ({"VariantName": "AllTraffic", "ServerlessUpdateConfig": {"MaxConcurrency": 5}}, "is not serverless"),
    ]
    for change, message in changes:
        with pytest.raises(ClientError, match=message) as caught:
            aws.sagemaker.update_endpoint_weights_and_capacities(
                EndpointName="sane", DesiredWeightsAndCapacities=[change]
            )
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        assert aws.sagemaker.describe_endpoint(EndpointName="sane")["EndpointStatus"] == "InService"


def test_serverless_concurrency_changes_immediately(aws: Aws, deploy: Callable[..., dict[str, Any]]) -> None:
    deploy("concurrent", serverless={"MaxConcurrency": 4, "ProvisionedConcurrency": 2})
    aws.invoke("concurrent")
    assert metric(aws, "concurrent", "ServerlessProvisionedConcurrencyUtilization")["Maximum"] == 0.5

    def change(**serverless: int) -> None:
        change = {"VariantName": "AllTraffic", "ServerlessUpdateConfig": serverless}
        aws.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="concurrent", DesiredWeightsAndCapacities=[change]
        )

    change(MaxConcurrency=8)
    current = aws.settled("concurrent")["ProductionVariants"][0]["CurrentServerlessConfig"]
    assert current == {"MemorySizeInMB": 2048, "MaxConcurrency": 8, "ProvisionedConcurrency": 2}
    with pytest.raises(ClientError, match="less than or equal to its MaxConcurrency 8"):
        change(ProvisionedConcurrency=9)

    resource = aws.server.host.scalable(ACCOUNT, REGION, "endpoint/concurrent/variant/AllTraffic", CONCURRENCY)
    assert resource is not None
    resource.scale(5)
    assert (resource.current, resource.desired) == (5, 5)


def test_variant_is_a_scalable_resource(aws: Aws, deploy_instances: DeployInstances) -> None:
    deploy_instances("scalable", 1)
    host = aws.server.host
    assert host.scalable(ACCOUNT, REGION, "endpoint/scalable/variant/other", INSTANCES) is None
    assert host.scalable(ACCOUNT, "eu-west-1", "endpoint/scalable/variant/AllTraffic", INSTANCES) is None
    assert host.scalable(ACCOUNT, REGION, "endpoint/scalable/variant/AllTraffic", CONCURRENCY) is None
    assert host.scalable(ACCOUNT, REGION, "inference-component/x", "sagemaker:inference-component:x") is None
    resource = host.scalable(ACCOUNT, REGION, "endpoint/scalable/variant/AllTraffic", INSTANCES)
    assert resource is not None
    assert (resource.current, resource.desired, resource.changing) == (1, 1, False)

    resource.scale(2)
    assert (resource.current, resource.desired, resource.changing) == (1, 2, True)
    with pytest.raises(CapacityRefused, match="in-progress"):
        resource.scale(3)
    wait_until(lambda: not resource.changing)
    assert resource.current == 2
    with pytest.raises(CapacityRefused, match="greater than or equal to 1"):
        resource.scale(0)


def test_autoscaled_variant_keeps_its_instance_type(
    aws: Aws, deploy_instances: DeployInstances, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_instances("typed", 1)
    aws.create_instance_config("typed-2", "typed", 1, InstanceType="ml.c6i.xlarge")
    monkeypatch.setattr(
        aws.server.host,
        "is_scalable_target",
        lambda account, region, resource: (
            (account, region, resource) == (ACCOUNT, REGION, "endpoint/typed/variant/AllTraffic")
        ),
    )
    with pytest.raises(ClientError, match=r'"\[AllTraffic\]" must be deregistered as scalable targets'):
        aws.sagemaker.update_endpoint(EndpointName="typed", EndpointConfigName="typed-2")
    aws.sagemaker.update_endpoint(EndpointName="typed", EndpointConfigName="typed")
    aws.settled("typed")
    aws.sagemaker.delete_endpoint_config(EndpointConfigName="typed-2")


def test_random_routing_is_the_default(aws: Aws) -> None:
    aws.create_model("random", HF_MODEL_ID=TINY_BERT)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "random",
        "InstanceType": "ml.c6i.large",
        "InitialInstanceCount": 2,
    }
    aws.sagemaker.create_endpoint_config(EndpointConfigName="random", ProductionVariants=[variant])
    aws.sagemaker.create_endpoint(EndpointName="random", EndpointConfigName="random")
    assert "RoutingConfig" not in aws.settled("random")["ProductionVariants"][0]
    # By load a stalled instance would get one request; at random it gets about every second one.
    stuck = aws.pids()[0]
    with ThreadPoolExecutor(20) as pool:
        with stalled(stuck):
            requests = [pool.submit(aws.invoke, "random") for _ in range(20)]
            wait_until(lambda: load_of(aws, "random", stuck) > 1)
        assert all(len(request.result()[0]) == HIDDEN for request in requests)
    aws.delete_endpoint("random")
