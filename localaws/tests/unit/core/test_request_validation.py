"""Validation of requests against API models."""

from typing import Any

import pytest
from botocore.session import Session

from localaws.core.request_validation import check_request


def check(operation: str, **request: Any) -> str | None:
    model = Session().get_service_model("sagemaker").operation_model(operation)
    assert model.input_shape is not None
    return check_request(model.input_shape, request)


def test_check_request_accepts_a_valid_request() -> None:
    assert check("DescribeEndpoint", EndpointName="alex-embedding-endpoint") is None


@pytest.mark.parametrize(
    ("name", "constraint"),
    [
        ("a b", r"Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"),
        ("a" * 64, "Member must have length less than or equal to 63"),
    ],
)
def test_check_request_names_value_path_and_constraint(name: str, constraint: str) -> None:
    message = check("DescribeEndpoint", EndpointName=name)
    assert message is not None
    assert f"Value '{name}' at 'endpointName' failed to satisfy constraint: {constraint}" in message


def test_check_request_reports_a_missing_member_as_null() -> None:
    message = check("CreateEndpoint", EndpointName="e")
    assert message == (
        "1 validation error detected: Value null at 'endpointConfigName' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_check_request_counts_list_members_from_one() -> None:
    variants = [
        {"VariantName": "a", "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}},
        {"VariantName": "b", "ServerlessConfig": {"MemorySizeInMB": 512, "MaxConcurrency": 0}},
    ]
    message = check("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=variants)
    assert message is not None
    assert message.startswith("2 validation errors detected: ")
    assert "at 'productionVariants.2.member.serverlessConfig.memorySizeInMB'" in message
    assert "at 'productionVariants.2.member.serverlessConfig.maxConcurrency'" in message


def test_check_request_checks_maps() -> None:
    container = {"Image": "i", "Environment": {"BAD-KEY": "v"}}
    message = check("CreateModel", ModelName="m", PrimaryContainer=container)
    assert message is not None
    assert "'primaryContainer.environment.BAD-KEY.key'" in message


def test_check_request_accepts_letters_of_any_language_in_tags() -> None:
    assert (
        check("AddTags", ResourceArn="arn:aws:sagemaker:r:123456789012:model/m", Tags=[{"Key": "é", "Value": "v"}])
        is None
    )
