"""UpdateEndpoint with deployment guardrails: steps, alarms, rollback."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.harness import TINY_BERT, Aws, Load, wait_until

DeployInstances = Callable[..., dict[str, Any]]
ALARM = "too-many-errors"


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    """Time stands still but for what a test advances it by."""
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0)


@pytest.fixture(autouse=True)
def alarm(aws: Aws) -> Iterator[None]:
    aws.cloudwatch.put_metric_alarm(
        AlarmName=ALARM,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    set_alarm(aws, "OK")
    yield
    aws.cloudwatch.delete_alarms(AlarmNames=[ALARM])


def set_alarm(aws: Aws, state: str) -> None:
    aws.cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="a test says so")


def canary(percent: int = 50, *, alarms: tuple[str, ...] = (ALARM,), **policy: int) -> dict[str, Any]:
    routing = {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": percent},
        "WaitIntervalInSeconds": 600,
    }
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **policy},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]},
    }


def update(aws: Aws, name: str, config: str, deployment: dict[str, Any]) -> None:
    aws.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, DeploymentConfig=deployment)


def stage(aws: Aws, name: str) -> tuple[str, str]:
    """VariantStatus of the pending deployment: status and message."""
    pending = aws.sagemaker.describe_endpoint(EndpointName=name).get("PendingDeploymentSummary")
    if pending is None:
        return ("", "")
    (status,) = pending["ProductionVariants"][0]["VariantStatus"]
    return (status["Status"], status["StatusMessage"])


def wait_for_baking(aws: Aws, name: str, text: str) -> None:
    def baking() -> bool:
        status, message = stage(aws, name)
        return status == "Baking" and text in message

    wait_until(baking)


@pytest.fixture
def updated(aws: Aws, deploy_instances: DeployInstances) -> Iterator[str]:
    """An endpoint of two instances with another configuration, on three, to move to."""
    deploy_instances("moved", 2)
    aws.create_instance_config("moved-2", "moved", 3)
    yield "moved"
    aws.sagemaker.delete_endpoint_config(EndpointConfigName="moved-2")


def served_by(aws: Aws, name: str) -> set[str]:
    """Configurations whose deployments answered fifty requests."""
    endpoint = aws.server.host.endpoint("123456789012", "us-east-1", name)
    assert endpoint is not None
    routed = [endpoint.route() for _ in range(50)]
    return {deployment.config_name for deployment in routed if deployment is not None}


def test_canary_shifts_in_two_steps(aws: Aws, updated: str) -> None:
    policy = canary(50, TerminationWaitInSeconds=300)
    with Load(lambda: aws.invoke(updated), threads=2, pause=0.02) as load:
        load.wait_for(5)
        update(aws, updated, "moved-2", policy)
        wait_for_baking(aws, updated, "Baking for 600 seconds (WaitIntervalInSeconds)")
        assert "canary capacity of 2 instance(s)." in stage(aws, updated)[1]
        description = aws.sagemaker.describe_endpoint(EndpointName=updated)
        assert description["EndpointConfigName"] == "moved"
        assert description["ProductionVariants"][0]["CurrentInstanceCount"] == 2
        (pending,) = description["PendingDeploymentSummary"]["ProductionVariants"]
        assert (pending["CurrentInstanceCount"], pending["DesiredInstanceCount"]) == (2, 3)
        assert pending["InstanceType"] == "ml.c6i.large"
        assert served_by(aws, updated) == {"moved", "moved-2"}
        load.wait_for(20)

        aws.advance(601)
        wait_for_baking(aws, updated, "Baking for 300 seconds (TerminationWaitInSeconds)")
        assert served_by(aws, updated) == {"moved-2"}
        assert len(aws.pids()) == 5
        load.wait_for(10)

        aws.advance(301)
        description = aws.settled(updated)
        load.wait_for(10)

    assert load.errors == []
    assert description["EndpointConfigName"] == "moved-2"
    assert description["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    assert description["LastDeploymentConfig"] == policy
    assert "PendingDeploymentSummary" not in description
    assert len(aws.pids()) == 3


@pytest.mark.parametrize("after", ["the first step", "the last step"])
def test_alarm_rolls_back_under_load(aws: Aws, updated: str, after: str) -> None:
    pids = aws.pids()
    with Load(lambda: aws.invoke(updated), threads=2, pause=0.02) as load:
        update(aws, updated, "moved-2", canary(30, TerminationWaitInSeconds=300))
        wait_for_baking(aws, updated, "(WaitIntervalInSeconds)")
        if after == "the last step":
            aws.advance(601)
            wait_for_baking(aws, updated, "(TerminationWaitInSeconds)")
        load.wait_for(10)
        set_alarm(aws, "ALARM")
        description = aws.settled(updated)
        load.wait_for(10)

    assert load.errors == []
    assert description["EndpointStatus"] == "InService"
    assert description["EndpointConfigName"] == "moved"
    assert ALARM in description["FailureReason"]
    assert aws.pids() == pids
    assert served_by(aws, updated) == {"moved"}


def test_linear_update_times_out(aws: Aws, updated: str) -> None:
    routing = {
        "Type": "LINEAR",
        "LinearStepSize": {"Type": "INSTANCE_COUNT", "Value": 1},
        "WaitIntervalInSeconds": 400,
    }
    policy = {"TrafficRoutingConfiguration": routing, "MaximumExecutionTimeoutInSeconds": 600}
    update(aws, updated, "moved-2", {"BlueGreenUpdatePolicy": policy})
    wait_for_baking(aws, updated, "linear capacity of 1 instance(s)")
    aws.advance(401)
    wait_for_baking(aws, updated, "linear capacity of 2 instance(s)")
    aws.advance(300)
    description = aws.settled(updated)
    assert description["EndpointConfigName"] == "moved"
    assert "longer than 600 seconds" in description["FailureReason"]


def test_rolling_update_replaces_instances_in_batches(aws: Aws, deploy_instances: DeployInstances) -> None:
    deploy_instances("rolling", 2)
    aws.create_instance_config("rolling-2", "rolling", 2)
    policy = {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
            "WaitIntervalInSeconds": 100,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": ALARM}]},
    }
    with Load(lambda: aws.invoke("rolling"), threads=1, pause=0.02) as load:
        # The second batch runs beside the one old instance that is left; an alarm brings the other back.
        update(aws, "rolling", "rolling-2", policy)
        wait_for_baking(aws, "rolling", "batch capacity of 1 instance(s)")
        aws.advance(101)
        wait_for_baking(aws, "rolling", "batch capacity of 2 instance(s)")
        assert aws.variant("rolling")["CurrentInstanceCount"] == 1
        set_alarm(aws, "ALARM")
        description = aws.settled("rolling")
        assert description["EndpointConfigName"] == "rolling"
        assert description["ProductionVariants"][0]["CurrentInstanceCount"] == 2
        set_alarm(aws, "OK")

        update(aws, "rolling", "rolling-2", policy)
        wait_for_baking(aws, "rolling", "batch capacity of 1 instance(s)")
        aws.advance(101)
        wait_for_baking(aws, "rolling", "batch capacity of 2 instance(s)")
        aws.advance(101)
        description = aws.settled("rolling")
        load.wait_for(5)

    assert load.errors == []
    assert description["EndpointConfigName"] == "rolling-2"
    assert len(aws.pids()) == 2
    aws.sagemaker.delete_endpoint_config(EndpointConfigName="rolling-2")


def test_bad_green_model_rolls_back_under_load(aws: Aws, updated: str) -> None:
    aws.create_model("bad", HF_MODEL_ID="org/absent")
    aws.create_instance_config("bad", "bad", 2)
    with Load(lambda: aws.invoke(updated), threads=2, pause=0.02) as load:
        load.wait_for(5)
        update(aws, updated, "bad", canary())
        description = aws.settled(updated)
        load.wait_for(5)

    assert load.errors == []
    assert description["EndpointConfigName"] == "moved"
    assert "org/absent is not on this machine" in description["FailureReason"]
    aws.sagemaker.delete_endpoint_config(EndpointConfigName="bad")
    aws.sagemaker.delete_model(ModelName="bad")


def test_update_retains_the_deployment_config_of_creation(aws: Aws) -> None:
    aws.create_model("kept", HF_MODEL_ID=TINY_BERT)
    aws.create_instance_config("kept", "kept", 1)
    policy = canary(10)
    aws.sagemaker.create_endpoint(EndpointName="kept", EndpointConfigName="kept", DeploymentConfig=policy)
    assert aws.settled("kept")["LastDeploymentConfig"] == policy

    aws.sagemaker.update_endpoint(EndpointName="kept", EndpointConfigName="kept", RetainDeploymentConfig=True)
    wait_for_baking(aws, "kept", "canary capacity of 1 instance(s)")
    aws.advance(601)
    assert aws.settled("kept")["LastDeploymentConfig"] == policy
    # Not retained: all at once, and no policy is left.
    aws.sagemaker.update_endpoint(EndpointName="kept", EndpointConfigName="kept")
    assert "LastDeploymentConfig" not in aws.settled("kept")
    aws.delete_endpoint("kept")


@pytest.mark.parametrize(
    ("deployment", "message"),
    [
        (canary(alarms=("absent",)), 'Could not find CloudWatch alarm "absent"'),
        (canary(60), "CanarySize for production variant AllTraffic must be at most 50%"),
        (
            {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "CANARY", "WaitIntervalInSeconds": 0}}},
            "CanarySize must be specified when the traffic routing type is CANARY",
        ),
        (
            {
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 2},
                    "WaitIntervalInSeconds": 0,
                }
            },
            "MaximumBatchSize for production variant AllTraffic must be between 5% and 50% of its instances, not 100%",
        ),
        (
            {
                **canary(),
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50},
                    "WaitIntervalInSeconds": 0,
                },
            },
            "Only one update policy",
        ),
    ],
)
def test_invalid_deployment_configs_are_rejected(
    aws: Aws, standing: str, deployment: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message) as caught:
        update(aws, standing, standing, deployment)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


@pytest.fixture(scope="module")
def standing(aws: Aws) -> Iterator[str]:
    """An endpoint of two instances that no test changes."""
    aws.create_model("standing", HF_MODEL_ID=TINY_BERT)
    aws.create_instance_config("standing", "standing", 2)
    aws.sagemaker.create_endpoint(EndpointName="standing", EndpointConfigName="standing")
    aws.settled("standing")
    yield "standing"
    aws.delete_endpoint("standing")
