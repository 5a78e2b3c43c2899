"""CloudFormation stacks with SageMaker's resources."""

import json
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.harness import ROLE, TEI, TEI_GPU, TINY_BERT
from tests.support.localaws.stacks import Stacks
from tests.support.tiny_bert import HIDDEN


@pytest.fixture(scope="module")
def config():
    return LocalAwsConfig(port=0, stop_grace=5, drain_timeout=5)


@pytest.fixture(scope="module")
def stacks(aws):
    aws.create_model("tiny", TEI, HF_MODEL_ID=TINY_BERT)
    aws.create_model("tiny-2", TEI, HF_MODEL_ID=TINY_BERT)
    aws.create_model("gpu", TEI_GPU, HF_MODEL_ID=TINY_BERT)
    return SageMakerStacks(aws)


class SageMakerStacks(Stacks):
    def left_overs(self) -> list[Any]:
        sagemaker = self.aws.sagemaker
        return [
            *sagemaker.list_endpoints()["Endpoints"],
            *sagemaker.list_endpoint_configs()["EndpointConfigs"],
            *sagemaker.list_inference_components()["InferenceComponents"],
            *self.aws.pids(),
        ]


def template(name: str, *, config: str = "a", model: str = "tiny", most: int = 1, **component: Any) -> dict[str, Any]:
    """Configuration, endpoint and component, as the Terraform module for scaling to zero writes them."""
    variant = {
        "InitialInstanceCount": 1,
        "InstanceType": "ml.c6i.large",
        "ManagedInstanceScaling": {"MaxInstanceCount": most, "MinInstanceCount": 0, "Status": "ENABLED"},
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
        "VariantName": "AllTraffic",
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "EndpointConfig": {
                "Type": "AWS::SageMaker::EndpointConfig",
                "Properties": {
                    "EndpointConfigName": f"{name}-{config}",
                    "ExecutionRoleArn": ROLE,
                    "ProductionVariants": [variant],
                },
            },
            "Endpoint": {
                "Type": "AWS::SageMaker::Endpoint",
                "DependsOn": "EndpointConfig",
                "Properties": {"EndpointConfigName": f"{name}-{config}", "EndpointName": name},
            },
            "InferenceComponent": {
                "Type": "AWS::SageMaker::InferenceComponent",
                "DependsOn": "Endpoint",
                "Properties": {
                    "EndpointName": name,
                    "InferenceComponentName": f"{name}-component",
                    # CloudFormation takes numbers as strings, too.
                    "RuntimeConfig": {"CopyCount": "1"},
                    "Specification": {
                        "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 256, "NumberOfCpuCoresRequired": 1},
                        "ModelName": model,
                    },
                    "VariantName": "AllTraffic",
                    **component,
                },
            },
        },
        "Outputs": {
            "ComponentArn": {"Value": {"Ref": "InferenceComponent"}},
            "Copies": {"Value": {"Fn::GetAtt": ["InferenceComponent", "RuntimeConfig.CurrentCopyCount"]}},
            "Config": {"Value": {"Fn::GetAtt": ["EndpointConfig", "EndpointConfigName"]}},
            "EndpointArn": {"Value": {"Ref": "Endpoint"}},
        },
    }


def test_stack_creates_updates_and_deletes_an_endpoint(stacks):
    aws, sagemaker = stacks.aws, stacks.aws.sagemaker
    stacks.client.create_stack(
        StackName="life", TemplateBody=json.dumps(template("life")), Tags=[{"Key": "team", "Value": "search"}]
    )
    assert stacks.describe("life")["StackStatus"] == "CREATE_IN_PROGRESS"
    assert "Outputs" not in stacks.describe("life")
    created = stacks.settled("life")
    assert created["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in created["Outputs"]}
    component = sagemaker.describe_inference_component(InferenceComponentName="life-component")
    assert component["InferenceComponentStatus"] == "InService"
    assert outputs == {
        "ComponentArn": component["InferenceComponentArn"],
        "Copies": "1",
        "Config": "life-a",
        "EndpointArn": component["EndpointArn"],
    }
    assert sagemaker.list_tags(ResourceArn=outputs["EndpointArn"])["Tags"] == [{"Key": "team", "Value": "search"}]
    assert stacks.events("life") == [
        ("life", "CREATE_IN_PROGRESS"),
        ("EndpointConfig", "CREATE_IN_PROGRESS"),
        ("EndpointConfig", "CREATE_COMPLETE"),
        ("Endpoint", "CREATE_IN_PROGRESS"),
        ("Endpoint", "CREATE_COMPLETE"),
        ("InferenceComponent", "CREATE_IN_PROGRESS"),
        ("InferenceComponent", "CREATE_COMPLETE"),
        ("life", "CREATE_COMPLETE"),
    ]
    resources = stacks.client.describe_stack_resources(StackName="life")["StackResources"]
    assert [entry["ResourceStatus"] for entry in resources] == ["CREATE_COMPLETE"] * 3
    body = b'{"inputs": "a text"}'
    response = aws.invoke_raw("life", body, InferenceComponentName="life-component")
    assert np.array(json.loads(response["Body"])).shape == (1, HIDDEN)

    # Another configuration replaces the old one; another model goes into the component in place.
    changed = template("life", config="b", model="tiny-2", most=2)
    updated = stacks.update("life", changed, Tags=[{"Key": "team", "Value": "vectors"}])
    assert updated["StackStatus"] == "UPDATE_COMPLETE"
    endpoint = sagemaker.describe_endpoint(EndpointName="life")
    assert endpoint["EndpointConfigName"] == "life-b"
    assert endpoint["ProductionVariants"][0]["ManagedInstanceScaling"]["MaxInstanceCount"] == 2
    component = sagemaker.describe_inference_component(InferenceComponentName="life-component")
    assert component["Specification"]["ModelName"] == "tiny-2"
    configs = sagemaker.list_endpoint_configs()["EndpointConfigs"]
    assert [config["EndpointConfigName"] for config in configs] == ["life-b"]
    assert sagemaker.list_tags(ResourceArn=outputs["EndpointArn"])["Tags"] == [{"Key": "team", "Value": "vectors"}]
    aws.invoke_raw("life", body, InferenceComponentName="life-component")
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.update("life", changed)

    deleted = stacks.delete("life")
    assert deleted["StackStatus"] == "DELETE_COMPLETE"
    listed = stacks.client.list_stacks()["StackSummaries"]
    statuses = {entry["StackId"]: (entry["StackName"], entry["StackStatus"]) for entry in listed}
    assert statuses[deleted["StackId"]] == ("life", "DELETE_COMPLETE")
    events = stacks.events(deleted["StackId"])
    assert [name for name, status in events if status == "DELETE_COMPLETE"][-4:] == [
        "InferenceComponent", "Endpoint", "EndpointConfig", "life",
    ]  # fmt: skip
    assert stacks.left_overs() == []
    with pytest.raises(ClientError, match="does not exist"):
        stacks.describe("life")


def test_failed_creation_is_rolled_back(stacks):
    failed = stacks.create("broken", template("broken", model="gpu"))
    assert failed["StackStatus"] == "ROLLBACK_COMPLETE"
    assert ("InferenceComponent", "CREATE_FAILED") in stacks.events("broken")
    reason = stacks.reasons("broken", "CREATE_FAILED")
    assert "built for GPUs" in reason
    assert "HandlerErrorCode: NotStabilized" in reason
    assert "failed to create: [InferenceComponent]" in stacks.reasons("broken", "ROLLBACK_IN_PROGRESS")
    assert stacks.left_overs() == []
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        stacks.update("broken", template("broken"))
    stacks.delete("broken")


def test_failed_creation_stays_with_do_nothing(stacks):
    failed = stacks.create("kept", template("kept", model="nobody"), OnFailure="DO_NOTHING")
    assert failed["StackStatus"] == "CREATE_FAILED"
    assert 'Could not find model "arn:aws:sagemaker' in stacks.reasons("kept", "CREATE_FAILED")
    assert stacks.aws.sagemaker.describe_endpoint(EndpointName="kept")["EndpointStatus"] == "InService"
    stacks.delete("kept")
    assert stacks.left_overs() == []


def test_failed_update_is_rolled_back(stacks):
    stacks.create("changing", template("changing"))
    pids, sagemaker = stacks.aws.pids(), stacks.aws.sagemaker
    for change, reason in (
        ({"config": "b", "model": "gpu"}, "built for GPUs"),
        ({"most": 2}, "Rename changing-a and update the stack again"),
        ({"VariantName": "Other"}, "VariantName cannot be updated"),
        ({"Nonsense": 1}, "extraneous key [Nonsense] is not permitted"),
    ):
        failed = stacks.update("changing", template("changing", **change))
        assert failed["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
        assert reason in stacks.reasons("changing", "UPDATE_FAILED")
        assert sagemaker.describe_endpoint(EndpointName="changing")["EndpointConfigName"] == "changing-a"
        component = sagemaker.describe_inference_component(InferenceComponentName="changing-component")
        assert component["InferenceComponentStatus"] == "InService"
        assert component["Specification"]["ModelName"] == "tiny"
        assert stacks.aws.pids() == pids
        configs = sagemaker.list_endpoint_configs()["EndpointConfigs"]
        assert [config["EndpointConfigName"] for config in configs] == ["changing-a"]
    stacks.delete("changing")


def test_update_creates_and_deletes_resources(stacks):
    whole = template("parts")
    part = {"Resources": {key: whole["Resources"][key] for key in ("EndpointConfig", "Endpoint")}}
    stacks.create("parts", part)
    assert stacks.update("parts", whole)["StackStatus"] == "UPDATE_COMPLETE"
    assert len(stacks.aws.pids()) == 1
    assert stacks.update("parts", part)["StackStatus"] == "UPDATE_COMPLETE"
    assert stacks.aws.pids() == []
    whole["Resources"]["EndpointConfig"]["DeletionPolicy"] = "Retain"
    stacks.update("parts", whole)
    stacks.delete("parts")
    assert [config["EndpointConfigName"] for config in stacks.left_overs()] == ["parts-a"]
    stacks.aws.sagemaker.delete_endpoint_config(EndpointConfigName="parts-a")


def test_stack_can_be_deleted_during_its_creation(stacks):
    name = "hasty"
    stacks.client.create_stack(StackName=name, TemplateBody=json.dumps(template(name)))
    assert stacks.delete(name)["StackStatus"] == "DELETE_COMPLETE"
    assert stacks.left_overs() == []


def test_stack_resolves_names_parameters_and_references(stacks):
    """Generated names, parameters, conditions, and a resource of another service in the same stack."""
    body = {
        "Parameters": {"Image": {"Type": "String"}, "WithTopic": {"Type": "String", "Default": "no"}},
        "Conditions": {"HasTopic": {"Fn::Equals": [{"Ref": "WithTopic"}, "yes"]}},
        "Resources": {
            "Topic": {"Type": "AWS::SNS::Topic", "Condition": "HasTopic", "Properties": {"TopicName": "t-topic"}},
            "Config": {
                "Type": "AWS::SageMaker::EndpointConfig",
                "Properties": {
                    "ProductionVariants": [
                        {
                            "VariantName": "AllTraffic",
                            "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
                            "ServerlessConfig": {"MemorySizeInMB": "2048", "MaxConcurrency": "2"},
                        }
                    ]
                },
            },
            "Model": {
                "Type": "AWS::SageMaker::Model",
                "Properties": {
                    "ExecutionRoleArn": ROLE,
                    "PrimaryContainer": {"Image": {"Ref": "Image"}, "Environment": {"HF_MODEL_ID": TINY_BERT}},
                },
            },
        },
        "Outputs": {"Config": {"Value": {"Fn::Sub": "${Config.EndpointConfigName}/${AWS::Region}"}}},
    }
    image = [{"ParameterKey": "Image", "ParameterValue": TEI}]
    created = stacks.create("t", body, Parameters=image)
    name = created["Outputs"][0]["OutputValue"].partition("/")[0]
    assert name.startswith("t-Config-")
    config = stacks.aws.sagemaker.describe_endpoint_config(EndpointConfigName=name)
    assert config["ProductionVariants"][0]["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
    topic = [{"ParameterKey": "WithTopic", "ParameterValue": "yes"}]
    keep = [{"ParameterKey": "Image", "UsePreviousValue": True}]
    assert stacks.update("t", body, Parameters=keep + topic)["StackStatus"] == "UPDATE_COMPLETE"
    assert [name for name, status in stacks.events("t") if status == "CREATE_COMPLETE"][-1] == "Topic"
    stacks.delete("t")
    assert stacks.left_overs() == []
    assert stacks.aws.client("sns").list_topics()["Topics"] == []


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"A": {"Type": "AWS::SNS::Topic", "DependsOn": "B"}}, "Unresolved resource dependencies"),
        ({"A": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "B"}}}}, "Unresolved resource"),
        (
            {
                "A": {"Type": "AWS::SNS::Topic", "DependsOn": "B"},
                "B": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "A"}}},
            },
            "Circular dependency between resources",
        ),
        ({"A": {"Type": "AWS::Braket::Computer"}}, "does not implement cloudformation: a stack with AWS::Braket"),
    ],
)
def test_create_stack_rejects_invalid_templates(stacks, resources, message):
    with pytest.raises(ClientError, match=message):
        stacks.create("refused", {"Resources": resources})
    with pytest.raises(ClientError, match="does not exist"):
        stacks.describe("refused")
