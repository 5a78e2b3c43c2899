"""A model that is taken for another is refused, by what its responses or its description say."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import boto3
import pytest

from conftest import MINILM
from embedstack.embedders import SageMakerEmbedder
from embedstack.errors import ModelMismatch
from embedstack.factory import load_embedder
from embedstack.models.catalogue import known_model
from embedstack.models.model_info import ModelIdentity, ModelInfo
from embedstack.settings.settings import change_settings
from embedstack_ops.validation.endpoint_description import describe_deployment

ENDPOINTS = ("own", "tei")
OTHER = ModelInfo("example/other-384", 384, 256, "mean")
COMMIT, OTHER_COMMIT = "c" * 40, "d" * 40


def embedder(aws, endpoint, model, **options):
    return SageMakerEmbedder(model, endpoint=endpoint, settings=aws.settings, **options)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_endpoint_with_another_model_is_rejected(aws, endpoint):
    with embedder(aws, endpoint, OTHER) as other:
        for _ in range(2):
            with pytest.raises(
                ModelMismatch, match=f"serves {MINILM}.*, but example/other-384 is configured"
            ) as caught:
                other.embed(["x"])
        assert not caught.value.retryable
        assert other.stats().retries == 0
    with embedder(aws, endpoint, known_model(MINILM)) as right:
        assert right.embed(["x"]).shape == (1, 384)


def test_model_server_responses_name_the_model(aws):
    with embedder(aws, "own", known_model(MINILM)) as own, embedder(aws, "tei", known_model(MINILM)) as tei:
        own.embed(["x"])
        tei.embed(["x"])
    assert own.served_model == ModelIdentity(MINILM)
    assert tei.served_model is None


def test_endpoint_is_described_once(aws, monkeypatch):
    described = []

    def session():
        session = boto3.Session()
        session.events.register("before-call.sagemaker.*", lambda model, **_: described.append(model.name))
        return session

    with embedder(aws, "tei", known_model(MINILM), session=session()) as tei:
        for _ in range(3):
            tei.embed(["x", "y"])
    assert described == ["DescribeEndpoint", "DescribeEndpointConfig", "DescribeModel"]
    described.clear()
    with embedder(aws, "own", known_model(MINILM), session=session()) as own:
        own.embed(["x"])
    assert described == []


def test_model_verification_can_be_disabled(aws):
    with load_embedder(aws.settings, sagemaker_endpoint="tei", sagemaker_verify_model=False) as trusting:
        assert trusting.embed(["x"]).shape == (1, 384)


def deploy(name, environment, tags=(), image=None):
    sagemaker = boto3.client("sagemaker")
    default_image = sagemaker.describe_model(ModelName="own")["PrimaryContainer"]["Image"]
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
        PrimaryContainer={"Image": image or default_image, "Environment": environment},
        Tags=[{"Key": key, "Value": value} for key, value in tags],
    )
    variant: Any = {
        "VariantName": "all",
        "ModelName": name,
        "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5},
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def test_revisions_are_compared(aws):
    deploy("pinned", {"HF_MODEL_ID": MINILM, "HF_MODEL_REVISION": COMMIT})
    settings = change_settings(aws.settings, sagemaker_endpoint="pinned", embedstack_cache_mb=0)
    for revision in (None, COMMIT, COMMIT[:10], "main"):
        with load_embedder(settings, embedding_model_revision=revision) as right:
            right.embed(["x"])
    refused = pytest.raises(ModelMismatch, match=f"{COMMIT}, but .*{OTHER_COMMIT} is configured")
    with load_embedder(settings, embedding_model_revision=OTHER_COMMIT) as other, refused:
        other.embed(["x"])
    assert describe_deployment("pinned", aws.settings).model(aws.settings).revision == COMMIT


def test_variants_with_different_models_are_rejected(aws):
    sagemaker = boto3.client("sagemaker")
    image = sagemaker.describe_model(ModelName="tei")["PrimaryContainer"]["Image"]
    for name, revision in (("one", COMMIT), ("two", OTHER_COMMIT)):
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
            PrimaryContainer={"Image": image, "Environment": {"HF_MODEL_ID": MINILM, "HF_MODEL_REVISION": revision}},
        )
    variants: Any = [
        {"VariantName": name, "ModelName": name, "InstanceType": "ml.c6i.large", "InitialInstanceCount": 1}
        for name in ("one", "two")
    ]
    sagemaker.create_endpoint_config(EndpointConfigName="mixed", ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName="mixed", EndpointConfigName="mixed")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="mixed", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    with pytest.raises(ModelMismatch, match="The variants of mixed serve different models"):
        describe_deployment("mixed", aws.settings)
    pinned = replace(known_model(MINILM), revision=COMMIT)
    with embedder(aws, "mixed", pinned) as either, pytest.raises(ModelMismatch, match=OTHER_COMMIT):
        either.embed(["x"])
    with embedder(aws, "mixed", pinned, target_variant="one") as one:
        assert one.embed(["x"]).shape == (1, 384)
    sagemaker.delete_endpoint(EndpointName="mixed")


@pytest.mark.parametrize(
    ("tags", "identity"),
    [
        ((("embedstack:model-id", MINILM), ("embedstack:model-revision", COMMIT)), ModelIdentity(MINILM, COMMIT)),
        ((("embedstack:model-id", MINILM),), ModelIdentity(MINILM)),
        ((("Team", "search"),), None),
    ],
)
def test_tags_name_the_model_of_artifacts(aws, tags, identity):
    sagemaker = boto3.client("sagemaker")
    arn = sagemaker.describe_model(ModelName="own")["ModelArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags])
    try:
        deployment = describe_deployment("own", aws.settings)
        assert dict(tags).items() <= deployment.tags.items()
        assert deployment.identity == ModelIdentity(MINILM), "the environment goes before"
        deployment.environment.clear()
        assert deployment.identity == identity
    finally:
        sagemaker.delete_tags(ResourceArn=arn, TagKeys=[key for key, _ in tags])


def test_commands_reject_another_model(aws, monkeypatch, tmp_path):
    monkeypatch.setenv("SAGEMAKER_ENDPOINT", "tei")
    monkeypatch.setenv("EMBEDDING_MODEL", MINILM)
    monkeypatch.setenv("EMBEDDING_MODEL_REVISION", COMMIT)

    def run(*command):
        return subprocess.run(
            [sys.executable, "-m", "embedstack_ops", *command],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    invoked = run("invoke", "hello")
    assert invoked.returncode == 0, invoked.stderr
    deploy("moved", {"HF_MODEL_ID": MINILM, "HF_MODEL_REVISION": OTHER_COMMIT})
    monkeypatch.setenv("SAGEMAKER_ENDPOINT", "moved")
    invoked, tested = run("invoke", "hello"), run("validate")
    assert (invoked.returncode, tested.returncode) == (2, 1)
    for output in (invoked.stderr, tested.stdout):
        assert f"serves {MINILM}@{OTHER_COMMIT}" in output.replace("\n", "")
        assert f"{MINILM}@{COMMIT} is configured" in output.replace("\n", "")
