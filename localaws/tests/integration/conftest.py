"""A real local AWS over HTTP, with real model servers: of a tiny BERT, or of all-MiniLM-L6-v2 where a test wants it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localaws import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws
from tests.support.localaws.harness import TEI, TINY_BERT, Aws
from tests.support.localaws.lambda_harness import ECHO, Lambda
from tests.support.localaws.vector_calls import ARN, BUCKET, INDEX, create
from tests.support.tiny_bert import write_model


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of models that holds TINY_BERT; all-MiniLM's package is found besides."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / TINY_BERT)
    return folder


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    """A module overrides this for other limits."""
    return LocalAwsConfig(port=0, stop_grace=5)


@pytest.fixture(scope="module")
def aws(config: LocalAwsConfig, models_dir: Path) -> Iterator[Aws]:
    with LocalAws(replace(config, models_dir=models_dir)) as server:
        yield Aws(server)


@pytest.fixture
def deploy(aws: Aws, request: pytest.FixtureRequest) -> Iterator[Callable[..., dict[str, Any]]]:
    """Deploys a serverless endpoint under a name, waits until it settled, and deletes it after the test."""
    with contextlib.ExitStack() as stack:

        def deploy(name: str, image: str = TEI, *, serverless: dict[str, int] | None = None, **model: Any) -> Any:
            if not model:
                model = {"HF_MODEL_ID": TINY_BERT}
            aws.create_model(name, image, **model)
            stack.callback(aws.sagemaker.delete_model, ModelName=name)
            aws.create_config(name, name, **(serverless or {}))
            stack.callback(aws.sagemaker.delete_endpoint_config, EndpointConfigName=name)
            aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
            stack.callback(aws.delete_endpoint, name)
            return aws.settled(name)

        yield deploy


@pytest.fixture
def deploy_instances(aws: Aws) -> Iterator[Callable[..., dict[str, Any]]]:
    """Deploys a model on instances under a name, waits until it settled, and deletes it after the test."""
    with contextlib.ExitStack() as stack:

        def deploy(name: str, instances: int, **variant: Any) -> Any:
            aws.create_model(name, HF_MODEL_ID=TINY_BERT)
            stack.callback(aws.sagemaker.delete_model, ModelName=name)
            aws.create_instance_config(name, name, instances, **variant)
            stack.callback(aws.sagemaker.delete_endpoint_config, EndpointConfigName=name)
            aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
            stack.callback(aws.delete_endpoint, name)
            return aws.settled(name)

        yield deploy


@pytest.fixture(scope="module")
def vectors(aws: Aws) -> Any:
    """A client of S3 Vectors, and a bucket."""
    # The service is to refuse what botocore would.
    client = aws.client("s3vectors", parameter_validation=False)
    assert client.create_vector_bucket(vectorBucketName=BUCKET)["vectorBucketArn"] == ARN
    return client


@pytest.fixture
def index(vectors: Any) -> Iterator[Any]:
    """An empty index of four dimensions, of which ``text`` cannot be filtered by."""
    create(vectors, "texts", metadataConfiguration={"nonFilterableMetadataKeys": ["text"]})
    yield vectors
    vectors.delete_index(**INDEX)


@pytest.fixture(scope="module")
def functions(aws: Aws) -> Lambda:
    return Lambda(aws)


@pytest.fixture
def done(functions: Lambda, request: pytest.FixtureRequest) -> str:
    """The queue that the collecting function reports to."""
    return functions.queue(f"done-{abs(hash(request.node.name))}")[0]


@pytest.fixture(scope="module")
def echo(functions: Lambda) -> str:
    functions.create("echo", ECHO, Environment={"Variables": {"GREETING": "hello"}})
    return "echo"
