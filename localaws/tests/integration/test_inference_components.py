"""Inference components: life cycle, placement, invocation."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from localaws.services.sagemaker.inference_components.host import COPY_COUNT
from tests.support.localaws.harness import MINILM, ROLE, TEI, TEI_GPU, TINY_BERT, Aws, Load, wait_until
from tests.support.tiny_bert import HIDDEN

ENDPOINT = "components"
#: Two vCPUs, of which a copy takes one: two copies to an instance.
VARIANT: dict[str, Any] = {
    "VariantName": "AllTraffic",
    "InstanceType": "ml.c6i.large",
    "InitialInstanceCount": 1,
    "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 2},
    "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
}
ONE_CORE = {"NumberOfCpuCoresRequired": 1, "MinMemoryRequiredInMb": 256}


@pytest.fixture(scope="module")
def config():
    return LocalAwsConfig(port=0, stop_grace=5, drain_timeout=5)


@pytest.fixture(scope="module")
def components(aws):
    """The endpoint, and the models that its components serve."""
    aws.create_model("tiny", TEI, HF_MODEL_ID=TINY_BERT)
    aws.create_model("gpu", TEI_GPU, HF_MODEL_ID=TINY_BERT)
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName=ENDPOINT, ExecutionRoleArn=ROLE, ProductionVariants=[VARIANT]
    )
    aws.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    assert aws.settled(ENDPOINT)["EndpointStatus"] == "InService"
    return Components(aws)


class Components:
    """Makes, awaits and removes components of the endpoint."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.sagemaker = aws.sagemaker

    def create(self, name: str, copies: int = 1, model: str = "tiny", **needs: float) -> Any:
        self.sagemaker.create_inference_component(
            InferenceComponentName=name,
            EndpointName=ENDPOINT,
            VariantName="AllTraffic",
            Specification={"ModelName": model, "ComputeResourceRequirements": {**ONE_CORE, **needs}},
            RuntimeConfig={"CopyCount": max(copies, 1)},
        )
        created = self.settled(name)
        # A component is created with a copy, and scaled to none afterwards.
        return created if copies else self.scale(name, 0)

    def describe(self, name: str) -> Any:
        return self.sagemaker.describe_inference_component(InferenceComponentName=name)

    def settled(self, name: str) -> Any:
        wait_until(lambda: self.describe(name)["InferenceComponentStatus"] in ("InService", "Failed"))
        return self.describe(name)

    def scale(self, name: str, copies: int) -> Any:
        self.sagemaker.update_inference_component_runtime_config(
            InferenceComponentName=name, DesiredRuntimeConfig={"CopyCount": copies}
        )
        return self.settled(name)

    def delete(self, name: str) -> None:
        self.settled(name)
        self.sagemaker.delete_inference_component(InferenceComponentName=name)
        wait_until(lambda: name not in self.names())

    def names(self, **filters: Any) -> list[str]:
        response = self.sagemaker.list_inference_components(**filters)
        return [component["InferenceComponentName"] for component in response["InferenceComponents"]]

    def instances(self) -> Any:
        (variant,) = self.sagemaker.describe_endpoint(EndpointName=ENDPOINT)["ProductionVariants"]
        assert variant["ManagedInstanceScaling"] == VARIANT["ManagedInstanceScaling"]
        assert variant["RoutingConfig"] == VARIANT["RoutingConfig"]
        return variant["CurrentInstanceCount"]

    def invoke(self, name: str, text: str = "a text") -> np.ndarray:
        body = json.dumps({"inputs": text}).encode()
        return np.array(json.loads(self.aws.invoke_raw(ENDPOINT, body, InferenceComponentName=name)["Body"])[0])

    def count(self, metric: str, name: str) -> Any:
        return _sum(self.aws, metric, [{"Name": "InferenceComponentName", "Value": name}])


def _sum(aws, metric, dimensions):
    now = datetime.now(UTC)
    points = aws.cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=dimensions,
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    return sum(point["Sum"] for point in points)


def test_component_is_created_scaled_and_deleted(components):
    aws = components.aws
    component = components.create("life")
    assert component["InferenceComponentStatus"] == "InService"
    assert component["RuntimeConfig"] == {"DesiredCopyCount": 1, "CurrentCopyCount": 1}
    assert component["Specification"]["ModelName"] == "tiny"
    assert component["EndpointArn"].endswith(f":endpoint/{ENDPOINT}")
    vector = components.invoke("life")
    assert vector.shape == (HIDDEN,)

    assert components.scale("life", 3)["RuntimeConfig"] == {"DesiredCopyCount": 3, "CurrentCopyCount": 3}
    assert components.instances() == 2
    assert len(aws.pids()) == 3
    assert np.allclose(components.invoke("life"), vector, atol=1e-5)

    refused = components.scale("life", 5)
    assert refused["InferenceComponentStatus"] == "InService"
    assert refused["FailureReason"].startswith("There is not enough hardware resources")
    assert refused["RuntimeConfig"] == {"DesiredCopyCount": 3, "CurrentCopyCount": 3}

    assert components.scale("life", 0)["RuntimeConfig"] == {"DesiredCopyCount": 0, "CurrentCopyCount": 0}
    assert (components.instances(), aws.pids()) == (0, [])
    with pytest.raises(ClientError, match="has no capacity to process this request") as caught:
        components.invoke("life")
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert components.count("NoCapacityInvocationFailures", "life") == 1
    assert components.count("Invocations", "life") == 2
    variant = [{"Name": "EndpointName", "Value": ENDPOINT}, {"Name": "VariantName", "Value": "AllTraffic"}]
    assert _sum(aws, "Invocations", variant) >= 2

    assert components.scale("life", 1)["RuntimeConfig"]["CurrentCopyCount"] == 1
    assert np.allclose(components.invoke("life"), vector, atol=1e-5)
    groups = aws.logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/InferenceComponents/life")["logGroups"]
    assert len(groups) == 1
    components.delete("life")
    assert aws.pids() == []
    with pytest.raises(ClientError, match="Could not find inference component"):
        components.describe("life")


def test_scaling_and_replacing_copies_fails_no_request(components):
    aws = components.aws
    aws.create_model("tiny-2", TEI, HF_MODEL_ID=TINY_BERT, LOG_LEVEL="debug")
    components.create("busy")
    with Load(lambda: components.invoke("busy"), threads=2, pause=0.02) as load:
        load.wait_for(5)
        components.scale("busy", 2)
        load.wait_for(5)
        components.sagemaker.update_inference_component(
            InferenceComponentName="busy",
            Specification={"ModelName": "tiny-2", "ComputeResourceRequirements": ONE_CORE},
        )
        assert components.settled("busy")["Specification"]["ModelName"] == "tiny-2"
        load.wait_for(5)
        components.scale("busy", 1)
        components.sagemaker.update_inference_component(
            InferenceComponentName="busy",
            Specification={"ModelName": "gpu", "ComputeResourceRequirements": ONE_CORE},
        )
        kept = components.settled("busy")
        load.wait_for(5)
    assert load.errors == []
    assert kept["InferenceComponentStatus"] == "InService"
    assert kept["Specification"]["ModelName"] == "tiny-2"
    assert "built for GPUs" in kept["FailureReason"]
    components.delete("busy")


def test_killed_copy_is_replaced_while_others_serve(components):
    # Answers of the tiny BERT would take less than what processor time is counted in.
    components.aws.create_model("minilm", TEI, HF_MODEL_ID=MINILM)
    components.create("pair", 2, model="minilm")
    before = components.aws.pids()
    assert len(before) == 2
    idle = {pid: _cpu_ticks(pid) for pid in before}
    with Load(lambda: components.invoke("pair", "a longer text " * 30)) as load:
        load.wait_for(60)
    used = [_cpu_ticks(pid) - idle[pid] for pid in before]
    assert min(used) > 0.2 * max(used)
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: len(components.aws.pids()) == 2 and components.aws.pids() != before)
    assert components.invoke("pair").shape == (384,)
    components.delete("pair")


def _cpu_ticks(pid: int) -> int:
    """Processor time of a process, its own and the kernel's on its behalf (proc(5))."""
    # The process's name ends after 15 bytes, which may be within a character of its path.
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return sum(map(int, stat.rsplit(")", 1)[1].split()[11:13]))


def test_component_that_cannot_start_has_a_failure_reason(components):
    failed = components.create("too-large", MinMemoryRequiredInMb=100_000)
    assert failed["InferenceComponentStatus"] == "Failed"
    assert failed["FailureReason"] == (
        "There is not enough hardware resources on the instances for this endpoint to create a copy of the inference "
        "component."
    )
    broken = components.create("broken", model="gpu")
    assert broken["InferenceComponentStatus"] == "Failed"
    assert "built for GPUs" in broken["FailureReason"]
    assert broken["RuntimeConfig"] == {"DesiredCopyCount": 1, "CurrentCopyCount": 0}
    for name in ("too-large", "broken"):
        components.delete(name)
    assert components.aws.pids() == []


def test_requests_must_name_a_component(components, deploy):
    body = b'{"inputs": "x"}'
    with pytest.raises(ClientError, match="Inference Component Name header is required") as missing:
        components.aws.invoke_raw(ENDPOINT, body)
    assert missing.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="Inference Component nobody of account"):
        components.invoke("nobody")
    deploy("of-its-own")
    with pytest.raises(ClientError, match="Inference Component Name header is not allowed"):
        components.aws.invoke_raw("of-its-own", body, InferenceComponentName="nobody")
    with pytest.raises(ClientError, match="Inference Components are not supported in this Endpoint"):
        components.sagemaker.create_inference_component(
            InferenceComponentName="x",
            EndpointName="of-its-own",
            Specification={"ModelName": "tiny", "ComputeResourceRequirements": ONE_CORE},
            RuntimeConfig={"CopyCount": 1},
        )


def test_components_are_listed_and_tagged(components):
    components.create("b-two", 0)
    components.create("a-one", 0)
    assert components.names(SortBy="Name", SortOrder="Ascending") == ["a-one", "b-two"]
    assert components.names() == ["a-one", "b-two"]
    assert components.names(NameContains="two") == ["b-two"]
    assert components.names(EndpointNameEquals="other") == []
    assert components.names(StatusEquals="Failed") == []
    first = components.sagemaker.list_inference_components(MaxResults=1)
    assert components.names(MaxResults=1, NextToken=first["NextToken"]) == ["b-two"]

    arn = components.describe("a-one")["InferenceComponentArn"]
    components.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "search"}])
    assert components.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "search"}]
    components.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert components.sagemaker.list_tags(ResourceArn=arn)["Tags"] == []
    with pytest.raises(ClientError, match="Cannot create already existing inference component"):
        components.create("a-one")
    for name in ("a-one", "b-two"):
        components.delete(name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ModelName": "tiny"}, "ManagedInstanceScaling is only supported for inference component endpoints"),
        (
            {"ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 2, "MaxInstanceCount": 1}},
            "MinInstance",
        ),
    ],
)
def test_configuration_cannot_mix_models_and_components(components, changes, message):
    with pytest.raises(ClientError, match=message):
        components.sagemaker.create_endpoint_config(
            EndpointConfigName="mixed", ExecutionRoleArn=ROLE, ProductionVariants=[{**VARIANT, **changes}]
        )


def test_configuration_without_a_model_needs_a_role(components):
    with pytest.raises(ClientError, match="ExecutionRoleArn must be specified"):
        components.sagemaker.create_endpoint_config(EndpointConfigName="no-role", ProductionVariants=[VARIANT])


def test_update_to_more_instances_keeps_the_copies(components):
    components.create("kept")
    pids = components.aws.pids()
    larger = {**VARIANT, "ManagedInstanceScaling": {**VARIANT["ManagedInstanceScaling"], "MaxInstanceCount": 3}}
    for name, variant in (("larger", larger), (ENDPOINT, VARIANT)):
        if name != ENDPOINT:
            components.sagemaker.create_endpoint_config(
                EndpointConfigName=name, ExecutionRoleArn=ROLE, ProductionVariants=[variant]
            )
        components.sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=name)
        description = components.aws.settled(ENDPOINT)
        assert description["EndpointConfigName"] == name
        assert description["ProductionVariants"][0]["ManagedInstanceScaling"] == variant["ManagedInstanceScaling"]
    assert components.aws.pids() == pids
    components.delete("kept")


def test_instance_pools_replace_the_instance_type(components):
    pools = [{"InstanceType": "ml.m5.4xlarge", "Priority": 2}, {"InstanceType": VARIANT["InstanceType"], "Priority": 1}]
    pooled = {**VARIANT, "InstancePools": pools}
    with pytest.raises(ClientError, match="InstanceType or InstancePools, not both"):
        components.sagemaker.create_endpoint_config(
            EndpointConfigName="pooled", ExecutionRoleArn=ROLE, ProductionVariants=[pooled]
        )
    del pooled["InstanceType"]
    components.sagemaker.create_endpoint_config(
        EndpointConfigName="pooled", ExecutionRoleArn=ROLE, ProductionVariants=[pooled]
    )
    components.create("pooled")
    components.sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName="pooled")
    (variant,) = components.aws.settled(ENDPOINT)["ProductionVariants"]
    assert variant["InstancePools"] == [
        {"InstanceType": "ml.m5.4xlarge", "CurrentInstanceCount": 0},
        {"InstanceType": VARIANT["InstanceType"], "CurrentInstanceCount": 1},
    ]
    assert components.invoke("pooled").shape == (HIDDEN,)
    components.delete("pooled")
    components.sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    components.aws.settled(ENDPOINT)


def test_update_cannot_remove_a_hosting_variant(components):
    components.create("hosted", 0)
    sagemaker = components.sagemaker
    sagemaker.create_endpoint_config(
        EndpointConfigName="other", ExecutionRoleArn=ROLE, ProductionVariants=[{**VARIANT, "VariantName": "Other"}]
    )
    own = {"VariantName": "AllTraffic", "ModelName": "tiny", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="own-model", ProductionVariants=[own])
    for config, message in (("other", "Cannot remove production variant"), ("own-model", "from models to inference")):
        with pytest.raises(ClientError, match=message):
            sagemaker.update_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config)
    components.delete("hosted")


def test_components_remain_after_their_endpoint(aws):
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName="short-lived", ExecutionRoleArn=ROLE, ProductionVariants=[VARIANT]
    )
    aws.create_model("orphaned", TEI, HF_MODEL_ID=TINY_BERT)
    aws.sagemaker.create_endpoint(EndpointName="short-lived", EndpointConfigName="short-lived")
    aws.settled("short-lived")
    components = Components(aws)
    for name in ("orphan", "unborn"):
        aws.sagemaker.create_inference_component(
            InferenceComponentName=name,
            EndpointName="short-lived",
            VariantName="AllTraffic",
            Specification={"ModelName": "orphaned", "ComputeResourceRequirements": ONE_CORE},
            RuntimeConfig={"CopyCount": 1},
        )
        if name == "orphan":
            components.settled(name)
    aws.delete_endpoint("short-lived")
    components.settled("unborn")
    assert aws.pids() == []
    for name in ("orphan", "unborn"):
        assert components.describe(name)["RuntimeConfig"]["CurrentCopyCount"] == 0
        components.delete(name)


def test_auto_scaling_changes_the_number_of_copies(components):
    components.create("scalable", 0)
    host = components.aws.server.host
    mine = ("123456789012", "us-east-1")
    resource = host.scalable(*mine, "inference-component/scalable", COPY_COUNT)
    assert (resource.current, resource.desired, resource.changing) == (0, 0, False)
    resource.scale(1)
    wait_until(lambda: not resource.changing)
    assert (resource.current, resource.desired) == (1, 1)
    assert host.scalable(*mine, "inference-component/nobody", COPY_COUNT) is None
    components.delete("scalable")
