"""Autoscaling of an inference component's copies: out under load, to zero, and back by a failed request."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.harness import ROLE, TINY_BERT, Aws, wait_until

TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "inference-component/copies",
    "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
}
#: Two vCPUs, of which a copy takes one: two copies to an instance.
VARIANT: dict[str, Any] = {
    "VariantName": "AllTraffic",
    "InstanceType": "ml.c6i.large",
    "InitialInstanceCount": 1,
    "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 2},
}


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, drain_timeout=5, clock_speed=0)


@pytest.fixture
def component(aws: Aws) -> Callable[[], bytes]:
    """Invokes a component with one copy on an endpoint that scales to zero."""
    aws.create_model("tiny", HF_MODEL_ID=TINY_BERT)
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName="asleep", ExecutionRoleArn=ROLE, ProductionVariants=[VARIANT]
    )
    aws.sagemaker.create_endpoint(EndpointName="asleep", EndpointConfigName="asleep")
    aws.settled("asleep")
    needs = {"NumberOfCpuCoresRequired": 1, "MinMemoryRequiredInMb": 256}
    aws.sagemaker.create_inference_component(
        InferenceComponentName="copies",
        EndpointName="asleep",
        VariantName="AllTraffic",
        Specification={"ModelName": "tiny", "ComputeResourceRequirements": needs},
        RuntimeConfig={"CopyCount": 1},
    )
    wait_until(lambda: copies_of(aws) == ("InService", 1))

    def invoke() -> bytes:
        response = aws.runtime.invoke_endpoint(
            EndpointName="asleep",
            InferenceComponentName="copies",
            Body=b'{"inputs": "a text"}',
            ContentType="application/json",
        )
        return bytes(response["Body"].read())

    return invoke


def copies_of(aws: Aws) -> tuple[str, int]:
    described = aws.sagemaker.describe_inference_component(InferenceComponentName="copies")
    return described["InferenceComponentStatus"], described["RuntimeConfig"]["CurrentCopyCount"]


def test_copies_scale_to_zero_and_back_with_the_load(aws: Aws, component: Callable[[], bytes]) -> None:
    scaling = aws.client("application-autoscaling")
    scaling.register_scalable_target(**TARGET, MinCapacity=0, MaxCapacity=3)
    metric = {"PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"}
    scaling.put_scaling_policy(
        **TARGET,
        PolicyName="load",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 10, "PredefinedMetricSpecification": metric},
    )
    aws.wake_by(TARGET, "NoCapacityInvocationFailures", "Sum", InferenceComponentName="copies")

    def wait_for(copies: int) -> None:
        def settled() -> bool:
            activities = scaling.describe_scaling_activities(**TARGET)["ScalingActivities"]
            open_ones = [activity for activity in activities if activity["StatusCode"] in ("Pending", "InProgress")]
            return copies_of(aws) == ("InService", copies) and not open_ones

        wait_until(settled)

    for _ in range(3):
        for _ in range(25):
            component()
        aws.advance(60)
    wait_for(3)

    aws.advance(16 * 60)
    wait_for(0)
    assert aws.pids() == []
    with pytest.raises(ClientError, match="no capacity"):
        component()

    aws.advance(60)
    wait_for(1)
    assert component()
    latest = scaling.describe_scaling_activities(**TARGET)["ScalingActivities"][0]
    assert latest["Description"] == "Setting desired copy count to 1."
    assert latest["Cause"] == "monitor alarm wake in state ALARM triggered policy wake"
