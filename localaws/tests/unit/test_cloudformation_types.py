"""Resource types match the schemas that CloudFormation publishes, as contained in cfn-lint."""

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from localaws.services.cloudformation.resource_types import RESOURCE_TYPES
from localaws.services.cloudformation.s3vectors_types import S3VECTORS_TYPES

# An ARN instead of the endpoint's name is not implemented.
LEFT_OUT = {"AWS::SageMaker::InferenceComponent": {"EndpointArn"}}


def published(type_name):
    return PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", type_name).schema


def names(pointers):
    """Top-level properties."""
    paths = (pointer.removeprefix("/properties/") for pointer in pointers)
    return {name for name in paths if "/" not in name}


@pytest.mark.parametrize("type_name", RESOURCE_TYPES)
def test_resource_type_has_the_properties_of_the_schema(type_name):
    kind, schema = RESOURCE_TYPES[type_name], published(type_name)
    read_only = names(schema.get("readOnlyProperties", []))
    assert kind.properties == schema["properties"].keys() - read_only - LEFT_OUT.get(type_name, set())
    # Newer schemas of S3 Vectors' index name a part of a property: other parts can be changed in place.
    create_only = {path.partition("/")[0] for path in kind.create_only}
    assert create_only == {path.split("/")[2] for path in schema.get("createOnlyProperties", [])}
    assert kind.taggable == ("Tags" in kind.properties)


@pytest.mark.parametrize("type_name", S3VECTORS_TYPES)
def test_s3vectors_type_matches_the_schema(type_name):
    kind, schema = S3VECTORS_TYPES[type_name], published(type_name)
    assert set(kind.required) == set(schema.get("required", []))
    assert names(schema["primaryIdentifier"]) == {kind.arn}
    assert kind.attribute_names == {kind.arn} | names(schema.get("readOnlyProperties", []))
    assert kind.tag_with_stack == schema["tagging"]["cloudFormationSystemTags"]
