"""CloudFormation templates: the order of resources, and the types of properties."""

from typing import Any

import pytest
from moto.cloudformation.exceptions import ValidationError
from moto.core.utils import get_service_model

from localaws.services.cloudformation.dependencies import in_dependency_order
from localaws.services.cloudformation.property_types import InvalidProperty, typed


def _after(**properties: Any) -> dict[str, Any]:
    return {"Z": {"Type": "T"}, "A": {"Type": "T", "Properties": properties}}


@pytest.mark.parametrize(
    "reference",
    [
        {"Ref": "Z"},
        {"Fn::GetAtt": ["Z", "Name"]},
        {"Fn::GetAtt": "Z.Name"},
        {"Fn::Sub": "x-${Z}"},
        {"Fn::Sub": "x-${Z.Name}"},
        {"Fn::Sub": ["${local}", {"local": {"Ref": "Z"}}]},
        {"Fn::Join": ["-", ["a", {"Ref": "Z"}]]},
    ],
)
def test_dependency_order_follows_references(reference: Any) -> None:
    assert in_dependency_order(_after(Deep=[{"er": reference}]), parameters=()) == ["Z", "A"]


def test_dependency_order_follows_depends_on() -> None:
    chain = {"C": {"DependsOn": ["A", "B"]}, "B": {"DependsOn": "A"}, "A": {}}
    assert in_dependency_order(chain, parameters=()) == ["A", "B", "C"]


@pytest.mark.parametrize("reference", [{"Ref": "Nobody"}, {"Fn::Sub": "${Nobody.Arn}"}])
def test_dependency_order_rejects_unresolved_references(reference: Any) -> None:
    with pytest.raises(ValidationError, match=r"Unresolved resource dependencies \[Nobody\]"):
        in_dependency_order(_after(Name=reference), parameters=("AWS::Region",))


def test_dependency_order_ignores_parameters_and_literals() -> None:
    properties = {"Region": {"Ref": "AWS::Region"}, "Text": {"Fn::Sub": "${!Literal} ${Size}"}}
    assert set(in_dependency_order(_after(**properties), parameters=("AWS::Region", "Size"))) == {"A", "Z"}


def _component() -> Any:
    return get_service_model("sagemaker").operation_model("CreateInferenceComponent").input_shape


def test_typed_converts_strings_to_the_type_of_the_api() -> None:
    properties = {
        "InferenceComponentName": 7,
        "RuntimeConfig": {"CopyCount": "2"},
        "Specification": {
            "ComputeResourceRequirements": {"NumberOfCpuCoresRequired": "0.5", "MinMemoryRequiredInMb": 128},
            "Container": {"Environment": {"NORMALIZE": True}},
            "DataCacheConfig": {"EnableCaching": "true"},
        },
    }
    assert typed(_component(), properties, "#") == {
        "InferenceComponentName": "7",
        "RuntimeConfig": {"CopyCount": 2},
        "Specification": {
            "ComputeResourceRequirements": {"NumberOfCpuCoresRequired": 0.5, "MinMemoryRequiredInMb": 128},
            "Container": {"Environment": {"NORMALIZE": "true"}},
            "DataCacheConfig": {"EnableCaching": True},
        },
    }


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"RuntimeConfig": {"CopyCount": "many"}}, "#/RuntimeConfig/CopyCount: expected type: Integer, found: String"),
        ({"RuntimeConfig": {"Copies": 1}}, r"#/RuntimeConfig: extraneous key \[Copies\] is not permitted"),
        ({"RuntimeConfig": [1]}, "#/RuntimeConfig: expected type: JSONObject, found: JSONArray"),
        ({"Tags": {"a": "b"}}, "#/Tags: expected type: JSONArray, found: JSONObject"),
        ({"EndpointName": {"a": "b"}}, "#/EndpointName: expected type: String, found: JSONObject"),
    ],
)
def test_typed_rejects_other_types(properties: Any, message: str) -> None:
    with pytest.raises(InvalidProperty, match=message):
        typed(_component(), properties, "#")
