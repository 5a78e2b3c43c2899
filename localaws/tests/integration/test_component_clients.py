"""The library and the operators' commands on an endpoint of inference components."""

import os
import subprocess
import sys
from typing import Any

import pytest

from embedstack.embedders import SageMakerEmbedder
from embedstack.errors import ConfigurationError, EndpointAsleep
from embedstack.models.catalogue import known_model
from embedstack.settings.settings import load_settings
from embedstack_ops.validation.endpoint_description import describe_deployment
from tests.support.localaws.harness import MINILM, ROLE, TEI, wait_until

ENDPOINT = "search"
VARIANT: dict[str, Any] = {
    "VariantName": "AllTraffic",
    "InstanceType": "ml.c6i.xlarge",
    "InitialInstanceCount": 1,
    "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 1},
}


def _create_component(aws, name, **specification):
    needs = {"MinMemoryRequiredInMb": 256, "NumberOfCpuCoresRequired": 1}
    aws.sagemaker.create_inference_component(
        InferenceComponentName=name,
        EndpointName=ENDPOINT,
        VariantName="AllTraffic",
        Specification={**specification, "ComputeResourceRequirements": needs},
        RuntimeConfig={"CopyCount": 1},
    )
    _in_service(aws, name)


def _in_service(aws, name):
    describe = aws.sagemaker.describe_inference_component
    wait_until(lambda: describe(InferenceComponentName=name)["InferenceComponentStatus"] == "InService")


@pytest.fixture(scope="module")
def endpoint(aws):
    aws.create_model("minilm", TEI, HF_MODEL_ID=MINILM)
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName=ENDPOINT, ExecutionRoleArn=ROLE, ProductionVariants=[VARIANT]
    )
    aws.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    aws.settled(ENDPOINT)
    _create_component(aws, "awake", ModelName="minilm")
    return aws


@pytest.fixture
def settings(endpoint, monkeypatch):
    for name, value in endpoint.server.environment().items():
        monkeypatch.setenv(name, value)
    return load_settings(sagemaker_endpoint=ENDPOINT)


@pytest.fixture
def asleep(endpoint):
    """A second component, with a container of its own and no copy of it."""
    container = {"Image": TEI, "Environment": {"HF_MODEL_ID": MINILM, "DTYPE": "float16"}}
    _create_component(endpoint, "asleep", Container=container)
    endpoint.sagemaker.update_inference_component_runtime_config(
        InferenceComponentName="asleep", DesiredRuntimeConfig={"CopyCount": 0}
    )
    _in_service(endpoint, "asleep")
    yield "asleep"
    endpoint.sagemaker.delete_inference_component(InferenceComponentName="asleep")
    names = endpoint.sagemaker.list_inference_components
    wait_until(lambda: len(names()["InferenceComponents"]) == 1)


def test_client_finds_the_only_component(settings):
    deployment = describe_deployment(ENDPOINT, settings)
    assert (deployment.component, deployment.status, deployment.config) == ("awake", "InService", ENDPOINT)
    assert (deployment.model_name, deployment.image, deployment.model_id) == ("minilm", TEI, MINILM)


def test_client_needs_a_name_among_several_components(settings, asleep):
    with pytest.raises(ConfigurationError, match=r"has several inference components: asleep, awake"):
        describe_deployment(ENDPOINT, settings)
    deployment = describe_deployment(ENDPOINT, settings, asleep)
    assert (deployment.component, deployment.image, deployment.model_id, deployment.precision) == (
        asleep,
        TEI,
        MINILM,
        "reduced",
    )
    configured = settings.model_copy(update={"sagemaker_inference_component": asleep})
    assert describe_deployment(ENDPOINT, configured).component == asleep


def test_requests_name_the_configured_component(settings):
    model = known_model(MINILM)
    configured = settings.model_copy(update={"sagemaker_inference_component": "awake"})
    assert SageMakerEmbedder(model, settings=configured).embed(["a text"]).shape == (1, 384)
    assert SageMakerEmbedder(model, settings=settings, inference_component="awake").embed(["a text"]).any()
    with pytest.raises(ConfigurationError, match="SAGEMAKER_INFERENCE_COMPONENT"):
        SageMakerEmbedder(model, settings=settings).embed(["a text"])
    with pytest.raises(ConfigurationError, match="has no such inference component"):
        SageMakerEmbedder(model, settings=settings, inference_component="nobody").embed(["a text"])


def test_component_without_copies_is_scaled_to_zero(settings, asleep):
    embedder = SageMakerEmbedder(known_model(MINILM), settings=settings, inference_component=asleep)
    embedder.disable_retries()
    with pytest.raises(EndpointAsleep):
        embedder.embed(["a text"])


def test_configured_component_must_be_on_the_endpoint(settings):
    configured = settings.model_copy(update={"sagemaker_inference_component": "awake"})
    assert configured.component_of(None) == configured.component_of(ENDPOINT) == "awake"
    assert configured.component_of("another") is None


def test_commands_find_the_component(settings):
    del settings
    for command in (
        ["invoke", "--endpoint", ENDPOINT, "a text"],
        ["invoke", "--endpoint", ENDPOINT, "--component", "awake", "--model", MINILM, "a text"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "embedstack_ops", *command],
            capture_output=True, text=True, check=False, timeout=60, env=os.environ,
        )  # fmt: skip
        assert "384 dimensions" in done.stdout, done.stderr
