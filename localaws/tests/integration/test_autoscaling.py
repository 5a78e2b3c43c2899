"""Application Auto Scaling over HTTP, with real instances: load, off-hours, and a queue that wakes its endpoint.

The local AWS's time stands still unless a test moves it on, so that what happens in a minute is the test's to say.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.harness import MINILM, Aws, stalled, wait_until

INSTANCES = "sagemaker:variant:DesiredInstanceCount"


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0)


class Scaling:
    """One scalable target by boto3."""

    def __init__(self, aws: Aws, endpoint: str, dimension: str = INSTANCES) -> None:
        self.aws = aws
        self.endpoint = endpoint
        self.client = aws.client("application-autoscaling")
        self.target = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{endpoint}/variant/AllTraffic",
            "ScalableDimension": dimension,
        }

    def register(self, low: int, high: int, **more: Any) -> str:
        response = self.client.register_scalable_target(**self.target, MinCapacity=low, MaxCapacity=high, **more)
        return str(response["ScalableTargetARN"])

    def track(self, name: str, value: float, metric: str, **more: Any) -> dict[str, Any]:
        settings = {"TargetValue": value, "PredefinedMetricSpecification": {"PredefinedMetricType": metric}, **more}
        return dict(
            self.client.put_scaling_policy(
                **self.target,
                PolicyName=name,
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration=settings,
            )
        )

    def schedule(self, name: str, expression: str, low: int, high: int, **more: Any) -> None:
        self.client.put_scheduled_action(
            **self.target,
            ScheduledActionName=name,
            Schedule=expression,
            ScalableTargetAction={"MinCapacity": low, "MaxCapacity": high},
            **more,
        )

    def activities(self, **more: Any) -> list[dict[str, Any]]:
        """The target's activities, the latest first."""
        return list(self.client.describe_scaling_activities(**self.target, **more)["ScalingActivities"])

    def wait_for(self, instances: int) -> None:
        """Until so many run, and Application Auto Scaling has seen it."""

        def settled() -> bool:
            variant = self.aws.variant(self.endpoint)
            statuses = {activity["StatusCode"] for activity in self.activities()}
            return variant["CurrentInstanceCount"] == instances and not statuses & {"Pending", "InProgress"}

        wait_until(settled)
        self.aws.settled(self.endpoint)


def at_hour(moment: datetime) -> str:
    return f"cron({moment.minute} {moment.hour} * * ? *)"


def test_target_tracking_scales_out_under_load_and_in_when_idle(aws: Aws, deploy_instances: Callable[..., Any]) -> None:
    deploy_instances("loaded", 1)
    scaling = Scaling(aws, "loaded")
    scaling.register(1, 4)
    scaling.track("load", 20, "SageMakerVariantInvocationsPerInstance", ScaleInCooldown=60, ScaleOutCooldown=60)
    for _ in range(3):
        for _ in range(50):
            aws.invoke("loaded")
        aws.advance(60)
    scaling.wait_for(3)
    (out,) = scaling.activities()
    assert out["Description"] == "Setting desired instance count to 3."
    assert out["Cause"].startswith("monitor alarm TargetTracking-endpoint/loaded/variant/AllTraffic-AlarmHigh-")
    assert out["Cause"].endswith("in state ALARM triggered policy load")
    assert out["StatusCode"] == "Successful"
    assert len(aws.pids()) == 3

    aws.advance(16 * 60)
    scaling.wait_for(1)
    assert "-AlarmLow-" in scaling.activities()[0]["Cause"]
    assert aws.invoke("loaded")


def load_is_sampled(aws: Aws, endpoint: str) -> bool:
    """Whether the ten seconds that are running have a sample of how many requests are in flight."""
    began = aws.now().replace(second=aws.now().second // 10 * 10, microsecond=0)
    points = aws.cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="ConcurrentRequestsPerModel",
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}],
        StartTime=began,
        EndTime=began + timedelta(seconds=10),
        Period=10,
        Statistics=["Average"],
    )["Datapoints"]
    return bool(points)


def test_concurrency_metric_scales_out_within_half_a_minute(aws: Aws, deploy_instances: Callable[..., Any]) -> None:
    deploy_instances("piled", 1)
    scaling = Scaling(aws, "piled")
    scaling.register(1, 2)
    scaling.track("piles", 2, "SageMakerVariantConcurrentRequestsPerModelHighResolution")
    (pid,) = aws.pids()
    with ThreadPoolExecutor(4) as pool, stalled(pid):
        answers = [pool.submit(aws.invoke, "piled") for _ in range(4)]
        began = aws.now()
        while not scaling.activities() and aws.now() < began + timedelta(minutes=2):
            aws.advance(10)
            wait_until(lambda: load_is_sampled(aws, "piled"))
        scaling.wait_for(2)
    assert all(response.result() for response in answers)
    assert scaling.activities()[0]["StartTime"] <= began + timedelta(seconds=60)


def test_scheduled_actions_and_registration_set_the_range(aws: Aws, deploy_instances: Callable[..., Any]) -> None:
    deploy_instances("hours", 1)
    scaling = Scaling(aws, "hours")
    scaling.register(1, 3)
    morning = (aws.now() + timedelta(hours=1)).replace(second=0, microsecond=0)
    evening = morning + timedelta(hours=10)
    scaling.schedule("morning", at_hour(morning), 2, 3)
    scaling.schedule("evening", at_hour(evening), 1, 1)
    aws.advance(3600)
    scaling.wait_for(2)
    causes = [(activity["Cause"], activity["Description"]) for activity in scaling.activities()]
    assert causes == [
        ("minimum capacity was set to 2", "Setting desired instance count to 2."),
        ("scheduled action name morning was triggered", "Setting min capacity to 2 and max capacity to 3"),
    ]
    aws.advance(10 * 3600)
    scaling.wait_for(1)
    (target,) = scaling.client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 1)

    scaling.register(2, 2)
    assert scaling.activities()[0]["Cause"] == "minimum capacity was set to 2"
    scaling.wait_for(2)
    aws.delete_endpoint("hours")
    wait_until(lambda: not scaling.client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"])


@pytest.fixture
def queued(aws: Aws) -> Iterator[Scaling]:
    """An asynchronous endpoint with one instance, that is scaled to zero and back."""
    aws.s3.create_bucket(Bucket="queue")
    aws.create_model("asleep", HF_MODEL_ID=MINILM)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "asleep",
        "InstanceType": "ml.c6i.large",
        "InitialInstanceCount": 1,
    }
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName="asleep",
        ProductionVariants=[variant],
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": "s3://queue/out"}},
    )
    aws.sagemaker.create_endpoint(EndpointName="asleep", EndpointConfigName="asleep")
    aws.settled("asleep")
    scaling = Scaling(aws, "asleep")
    scaling.register(0, 2)
    tracked = {
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": "EndpointName", "Value": "asleep"}],
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Statistic": "Average",
    }
    scaling.client.put_scaling_policy(
        **scaling.target,
        PolicyName="queue",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 5.0, "CustomizedMetricSpecification": tracked},
    )
    aws.wake_by(scaling.target, "HasBacklogWithoutCapacity", "Maximum", EndpointName="asleep")
    yield scaling
    aws.delete_endpoint("asleep")


def test_async_endpoint_scales_from_zero_and_back(aws: Aws, queued: Scaling) -> None:
    aws.advance(16 * 60)
    queued.wait_for(0)
    assert aws.pids() == []

    texts = [f"text number {index}" for index in range(10)]
    locations = []
    for index, text in enumerate(texts):
        aws.s3.put_object(Bucket="queue", Key=f"in/{index}", Body=json.dumps({"inputs": text}).encode())
        called = aws.runtime.invoke_endpoint_async(
            EndpointName="asleep", InputLocation=f"s3://queue/in/{index}", ContentType="application/json"
        )
        locations.append(called["OutputLocation"].removeprefix("s3://queue/"))
    aws.advance(60)
    wait_until(lambda: len(aws.s3.list_objects_v2(Bucket="queue", Prefix="out/").get("Contents", [])) == 10)
    queued.wait_for(1)
    assert queued.activities()[0]["Cause"] == "monitor alarm wake in state ALARM triggered policy wake"
    vectors = np.array([json.loads(aws.s3.get_object(Bucket="queue", Key=key)["Body"].read())[0] for key in locations])
    assert vectors.shape == (10, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert np.linalg.matrix_rank(vectors) == 10

    aws.advance(17 * 60)
    queued.wait_for(0)
    assert aws.pids() == []


def test_targets_are_described_tagged_and_deregistered(aws: Aws, deploy_instances: Callable[..., Any]) -> None:
    deploy_instances("described", 1)
    scaling, client = Scaling(aws, "described"), aws.client("application-autoscaling")
    arn = scaling.register(1, 2, Tags={"team": "search"}, SuspendedState={"ScheduledScalingSuspended": True})
    (target,) = client.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[scaling.target["ResourceId"]]
    )["ScalableTargets"]
    assert target["RoleARN"] == (
        "arn:aws:iam::123456789012:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    )
    assert target["SuspendedState"] == {
        "DynamicScalingInSuspended": False,
        "DynamicScalingOutSuspended": False,
        "ScheduledScalingSuspended": True,
    }
    client.tag_resource(ResourceARN=arn, Tags={"stage": "dev"})
    client.untag_resource(ResourceARN=arn, TagKeys=["team"])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"stage": "dev"}

    policy = scaling.track("load", 10, "SageMakerVariantInvocationsPerInstance")
    names = [alarm["AlarmName"] for alarm in policy["Alarms"]]
    high, low = (aws.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0] for name in names)
    assert (high["Threshold"], high["EvaluationPeriods"], high["Period"], high["Statistic"]) == (10, 3, 60, "Sum")
    assert (low["Threshold"], low["EvaluationPeriods"], low["ComparisonOperator"]) == (9, 15, "LessThanThreshold")
    assert high["AlarmActions"] == [policy["PolicyARN"]]
    precise = scaling.track("precise", 5, "SageMakerVariantConcurrentRequestsPerModelHighResolution")
    high = aws.cloudwatch.describe_alarms(AlarmNames=[precise["Alarms"][0]["AlarmName"]])["MetricAlarms"][0]
    assert (high["Period"], high["EvaluationPeriods"]) == (10, 3)
    pages = client.get_paginator("describe_scaling_policies").paginate(
        ServiceNamespace="sagemaker", PaginationConfig={"PageSize": 1}
    )
    assert [policy["PolicyName"] for page in pages for policy in page["ScalingPolicies"]] == ["load", "precise"]

    scaling.schedule("night", "cron(0 20 * * ? *)", 1, 1, Timezone="Europe/Berlin")
    (action,) = client.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"]
    assert (action["Schedule"], action["Timezone"]) == ("cron(0 20 * * ? *)", "Europe/Berlin")
    assert action["ScalableTargetAction"] == {"MinCapacity": 1, "MaxCapacity": 1}

    client.delete_scaling_policy(**scaling.target, PolicyName="precise")
    client.deregister_scalable_target(**scaling.target)
    assert client.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    assert client.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"] == []
    left = aws.cloudwatch.describe_alarms(AlarmNamePrefix="TargetTracking-endpoint/described")["MetricAlarms"]
    assert left == []


def test_invalid_requests_are_rejected_with_aws_messages(aws: Aws, deploy_instances: Callable[..., Any]) -> None:
    deploy_instances("refused", 1)
    scaling, missing = Scaling(aws, "refused"), Scaling(aws, "missing")
    named = "service namespace: sagemaker, resource ID: endpoint/refused/variant/AllTraffic, scalable dimension: "

    def refusal(call: Callable[[], Any]) -> str:
        with pytest.raises(ClientError) as caught:
            call()
        return f"{caught.value.response['Error']['Code']}: {caught.value.response['Error']['Message']}"

    assert "Could not find endpoint" in refusal(lambda: missing.register(1, 2))
    assert refusal(lambda: scaling.register(0, 2)) == "ValidationException: Minimum capacity cannot be less than 1"
    assert "Maximum capacity cannot be less than minimum capacity" in refusal(lambda: scaling.register(3, 2))
    wrong = Scaling(aws, "refused", "sagemaker:inference-component:DesiredCopyCount")
    assert "Unsupported service namespace" in refusal(lambda: wrong.register(1, 2))
    none = f"ObjectNotFoundException: No scalable target registered for {named}{INSTANCES}"
    assert refusal(lambda: scaling.schedule("s", "rate(1 hour)", 1, 1)) == none
    assert refusal(lambda: scaling.track("p", 1, "SageMakerVariantInvocationsPerInstance")) == none
    assert "No scalable target found" in refusal(lambda: scaling.client.deregister_scalable_target(**scaling.target))

    scaling.register(1, 2)
    assert "Schedule expressions must have" in refusal(lambda: scaling.schedule("s", "0 8 * * ? *", 1, 1))
    assert "Invalid timezone" in refusal(lambda: scaling.schedule("s", "cron(0 8 * * ? *)", 1, 1, Timezone="CEST"))
    copies = "SageMakerInferenceComponentInvocationsPerCopy"
    assert "is not supported for scalable dimension" in refusal(lambda: scaling.track("p", 1, copies))
    scaling.track("p", 1, "SageMakerVariantInvocationsPerInstance")
    duplicate = refusal(lambda: scaling.track("q", 2, "SageMakerVariantInvocationsPerInstance"))
    assert duplicate.endswith("Only one TargetTrackingScaling policy for a given metric specification is allowed.")
    missing_policy = refusal(lambda: scaling.client.delete_scaling_policy(**scaling.target, PolicyName="r"))
    assert missing_policy == f"ObjectNotFoundException: No scaling policy found for {named}{INSTANCES}, policy name: r"
    deploy_instances("burstable", 1, InstanceType="ml.t2.medium")
    burstable = Scaling(aws, "burstable")
    assert "You cannot register a variant with ml.t2.medium" in refusal(lambda: burstable.register(1, 2))
    token = refusal(lambda: scaling.activities(NextToken="nonsense"))
    assert token.startswith("InvalidNextTokenException")


def test_provisioned_concurrency_is_scaled(aws: Aws, deploy: Callable[..., Any]) -> None:
    deploy("warm", serverless={"MaxConcurrency": 8, "ProvisionedConcurrency": 1})
    scaling = Scaling(aws, "warm", "sagemaker:variant:DesiredProvisionedConcurrency")
    scaling.register(2, 6)

    def provisioned() -> int:
        return int(aws.variant("warm")["CurrentServerlessConfig"]["ProvisionedConcurrency"])

    wait_until(lambda: provisioned() == 2)
    assert scaling.track("use", 0.7, "SageMakerVariantProvisionedConcurrencyUtilization")["Alarms"]
