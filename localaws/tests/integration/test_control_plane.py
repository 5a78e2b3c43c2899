"""Actions on models, endpoint configurations and endpoints, with AWS's messages."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.localaws.harness import HUGGINGFACE, MINILM, ROLE, TEI, Aws


@pytest.fixture
def model(aws: Aws) -> Iterator[str]:
    aws.create_model("plain", HF_MODEL_ID=MINILM)
    yield "plain"
    aws.sagemaker.delete_model(ModelName="plain")


def serverless(**changes: Any) -> dict[str, Any]:
    return {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5, **changes}}


def create_config(aws: Aws, *variants: dict[str, Any], **request: Any) -> None:
    named = [{"VariantName": f"v{index}", "ModelName": "plain", **variant} for index, variant in enumerate(variants)]
    aws.sagemaker.create_endpoint_config(EndpointConfigName="refused", ProductionVariants=named, **request)


def test_model_is_described_as_it_was_created(aws: Aws, model: str) -> None:
    description = aws.sagemaker.describe_model(ModelName=model)

    assert description["PrimaryContainer"] == {
        "Image": TEI,
        "Environment": {"HF_MODEL_ID": MINILM},
        "Mode": "SingleModel",
    }
    assert description["ExecutionRoleArn"] == ROLE
    assert description["EnableNetworkIsolation"] is False
    assert "VpcConfig" not in description


def test_model_keeps_network_isolation(aws: Aws) -> None:
    aws.sagemaker.create_model(
        ModelName="isolated", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": TEI}, EnableNetworkIsolation=True
    )
    assert aws.sagemaker.describe_model(ModelName="isolated")["EnableNetworkIsolation"] is True
    aws.sagemaker.delete_model(ModelName="isolated")


def test_config_is_described_as_it_was_created(aws: Aws, model: str) -> None:
    aws.create_config("described", model, ProvisionedConcurrency=2)
    description = aws.sagemaker.describe_endpoint_config(EndpointConfigName="described")
    aws.sagemaker.delete_endpoint_config(EndpointConfigName="described")

    (variant,) = description["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 20, "ProvisionedConcurrency": 2}
    assert variant["InitialVariantWeight"] == 1.0
    assert "DataCaptureConfig" not in description


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda sm: sm.describe_model(ModelName="none"), 'Could not find model "arn:aws:sagemaker:us-east-1:'),
        (lambda sm: sm.delete_model(ModelName="none"), "Could not find model"),
        (
            lambda sm: sm.describe_endpoint_config(EndpointConfigName="none"),
            'Could not find endpoint configuration "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/none".',
        ),
        (lambda sm: sm.delete_endpoint_config(EndpointConfigName="none"), "Could not find endpoint configuration"),
        (
            lambda sm: sm.describe_endpoint(EndpointName="none"),
            'Could not find endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/none".',
        ),
        (lambda sm: sm.delete_endpoint(EndpointName="none"), "Could not find endpoint"),
        (lambda sm: sm.create_endpoint(EndpointName="e", EndpointConfigName="none"), "Could not find endpoint config"),
        (lambda sm: sm.update_endpoint(EndpointName="none", EndpointConfigName="none"), "Could not find endpoint"),
        (
            lambda sm: sm.list_tags(ResourceArn="arn:aws:sagemaker:us-east-1:123456789012:model/none"),
            "Could not find resource",
        ),
    ],
)
def test_missing_resources_are_named(aws: Aws, action: Any, message: str) -> None:
    with pytest.raises(ClientError, match=re.escape(message)) as caught:
        action(aws.sagemaker)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_duplicate_names_are_rejected(aws: Aws, model: str) -> None:
    with pytest.raises(ClientError, match='Cannot create already existing model "arn:'):
        aws.create_model(model, HF_MODEL_ID=MINILM)
    aws.create_config("once", model)
    with pytest.raises(ClientError, match='Cannot create already existing endpoint configuration "arn:'):
        aws.create_config("once", model)
    aws.sagemaker.delete_endpoint_config(EndpointConfigName="once")


@pytest.mark.parametrize("name", ["under_score", "-leading", "trailing-", "a" * 64])
def test_invalid_names_are_rejected(aws: Aws, name: str) -> None:
    with pytest.raises(ClientError, match=f"1 validation error detected: Value '{name}' at 'modelName' failed"):
        aws.create_model(name, HF_MODEL_ID=MINILM)


def test_every_violation_is_reported(aws: Aws) -> None:
    with pytest.raises(ClientError, match=r"2 validation errors detected: .*modelName.*; .*executionRoleArn"):
        aws.sagemaker.create_model(ModelName="a_b", ExecutionRoleArn="a" * 30, PrimaryContainer={"Image": TEI})


def test_model_data_must_exist(aws: Aws) -> None:
    with pytest.raises(ClientError, match=r"Could not find model data at s3://nowhere/model\.tar\.gz\."):
        aws.create_model("dataless", HUGGINGFACE, url="s3://nowhere/model.tar.gz")


@pytest.mark.parametrize(
    ("variants", "request_members", "message"),
    [
        ([{**serverless(), "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}], {}, "either serverless or"),
        ([{}], {}, "must have a ServerlessConfig, or an InstanceType"),
        ([serverless(MemorySizeInMB=1500)], {}, r"Value '1500' at .*memorySizeInMB.*1024, 2048, 3072"),
        ([serverless(MemorySizeInMB=8192)], {}, "Member must have value less than or equal to 6144"),
        ([serverless(MaxConcurrency=201)], {}, "Member must have value less than or equal to 200"),
        ([serverless(ProvisionedConcurrency=6)], {}, "less than or equal to its MaxConcurrency 5"),
        ([serverless(), serverless()], {}, "does not support multiple production variants"),
        ([{"InstanceType": "ml.g4dn.large", "InitialInstanceCount": 1}], {}, r"Value 'ml\.g4dn\.large' at .*enum"),
        ([{**serverless(), "ModelName": "gone"}], {}, 'Could not find model "arn:'),
        (
            [serverless()],
            {
                "DataCaptureConfig": {
                    "InitialSamplingPercentage": 10,
                    "DestinationS3Uri": "s3://x/y",
                    "CaptureOptions": [{"CaptureMode": "Input"}],
                }
            },
            "does not support data capture",
        ),
    ],
)
def test_invalid_variants_are_rejected(
    aws: Aws, model: str, variants: list[dict[str, Any]], request_members: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message) as caught:
        create_config(aws, *variants, **request_members)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_serverless_rejects_uncompressed_models(aws: Aws) -> None:
    source = {"S3DataSource": {"S3Uri": "s3://b/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    aws.sagemaker.create_model(
        ModelName="plain", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": TEI, "ModelDataSource": source}
    )
    with pytest.raises(ClientError, match="does not support uncompressed model data"):
        create_config(aws, serverless())
    aws.sagemaker.delete_model(ModelName="plain")


def test_new_instance_types_are_accepted(aws: Aws, model: str) -> None:
    create_config(aws, {"InstanceType": "ml.g6.xlarge", "InitialInstanceCount": 1})
    aws.sagemaker.delete_endpoint_config(EndpointConfigName="refused")


def test_models_are_listed_in_pages(aws: Aws) -> None:
    for name in ("list-a", "list-b", "other"):
        aws.create_model(name, HF_MODEL_ID=MINILM)
    pages = aws.sagemaker.get_paginator("list_models").paginate(
        NameContains="list", SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 1}
    )
    assert [model["ModelName"] for page in pages for model in page["Models"]] == ["list-a", "list-b"]
    for name in ("list-a", "list-b", "other"):
        aws.sagemaker.delete_model(ModelName=name)


def test_tags_are_replaced_by_key(aws: Aws, model: str) -> None:
    arn = aws.sagemaker.describe_model(ModelName=model)["ModelArn"]
    aws.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "a"}, {"Key": "env", "Value": "dev"}])
    aws.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}])
    aws.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["env"])
    assert aws.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "b"}]


def test_regions_are_separate(aws: Aws, model: str) -> None:
    with pytest.raises(ClientError, match="Could not find model"):
        aws.client("sagemaker", "eu-west-1").describe_model(ModelName=model)
