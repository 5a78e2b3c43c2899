"""The SageMaker SDK's resource classes, unmodified, on the local AWS."""

import json
import os
from pathlib import Path

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.9.3-cpu-py310-ubuntu24.04"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def resources(local_aws):
    """Model, configuration and endpoint, made by the SDK and deleted by it."""
    # The SDK makes its clients when it is first used, and they read AWS_ENDPOINT_URL then.
    from sagemaker.core import resources, shapes  # noqa: PLC0415

    model = resources.Model.create(
        model_name="sdk",
        execution_role_arn="arn:aws:iam::123456789012:role/sdk",
        primary_container=shapes.ContainerDefinition(image=IMAGE, environment={"HF_MODEL_ID": MODEL}),
    )
    # On an instance: this SDK writes MemorySizeInMb for MemorySizeInMB, and so cannot make a serverless configuration.
    variant = shapes.ProductionVariant(
        variant_name="AllTraffic", model_name="sdk", instance_type="ml.c5.xlarge", initial_instance_count=1
    )
    config = resources.EndpointConfig.create(endpoint_config_name="sdk", production_variants=[variant])
    endpoint = resources.Endpoint.create(endpoint_name="sdk", endpoint_config_name="sdk")
    endpoint.wait_for_status("InService", poll=1, timeout=60)
    yield resources
    endpoint.delete()
    endpoint.wait_for_delete(poll=1, timeout=60)
    config.delete()
    model.delete()
    assert [found.endpoint_name for found in resources.Endpoint.get_all()] == []


def test_sdk_reads_resources_as_created(resources):
    assert resources.Model.get("sdk").primary_container.image == IMAGE
    (variant,) = resources.EndpointConfig.get("sdk").production_variants
    assert (variant.instance_type, variant.initial_instance_count) == ("ml.c5.xlarge", 1)
    endpoint = resources.Endpoint.get("sdk")
    assert (endpoint.endpoint_status, endpoint.endpoint_config_name) == ("InService", "sdk")
    assert endpoint.endpoint_arn == "arn:aws:sagemaker:us-east-1:123456789012:endpoint/sdk"


def test_sdk_creates_the_default_bucket_that_is_named(resources):
    # Without a name, the SDK asks the STS of its own endpoint_url for the account, whatever AWS_ENDPOINT_URL says.
    from sagemaker.core.helper.session_helper import Session  # noqa: PLC0415

    assert Session(default_bucket="sdk-default").default_bucket() == "sdk-default"
    assert "sdk-default" in [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    boto3.client("s3").delete_bucket(Bucket="sdk-default")


def test_sdk_reads_serverless_configurations(resources):
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    variant = {"VariantName": "AllTraffic", "ModelName": "sdk", "ServerlessConfig": serverless}
    boto3.client("sagemaker").create_endpoint_config(EndpointConfigName="serverless", ProductionVariants=[variant])
    config = resources.EndpointConfig.get("serverless")
    assert config.production_variants[0].serverless_config.max_concurrency == 5
    config.delete()


def test_vectors_are_the_golden_ones(resources):
    texts = json.loads(Path(os.environ["EMBEDSTACK_GOLDEN_TEXTS"]).read_text(encoding="utf-8"))[:8]
    golden = np.load(os.environ["EMBEDSTACK_GOLDEN_VECTORS"])["vectors"][:8]
    body = json.dumps({"inputs": texts, "truncate": True})
    answer = resources.Endpoint.get("sdk").invoke(body=body, content_type="application/json")
    assert (answer.content_type, answer.invoked_production_variant) == ("application/json", "AllTraffic")
    vectors = np.asarray(json.loads(answer.body.read()))
    assert (vectors * golden).sum(axis=1).min() >= 0.9999


def test_missing_resource_raises_the_error_of_the_service(resources):
    with pytest.raises(ClientError, match=r'Could not find endpoint "arn:aws:sagemaker:.+:endpoint/none"'):
        resources.Endpoint.get("none")
