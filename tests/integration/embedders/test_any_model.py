"""Models outside the catalogue, and the prompts of every model, on endpoints of the local AWS."""

import json
import logging
from contextlib import closing

import boto3
import numpy as np
import pytest

from embedstack.embedders import SageMakerEmbedder
from embedstack.errors import ConfigurationError, DimensionMismatch, TextTooLong
from embedstack.factory import load_embedder
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.validate import validate_endpoint
from embedstack_server.compute.encoder import Encoder
from localaws.config import LocalAwsConfig
from localaws.process import daemon
from tests.integration.embedders.conftest import IMAGES
from tests.support.tiny_bert import HIDDEN, POSITIONS, make_tensors, write_model

PLAIN, PROMPTED, E5 = "my-org/plain", "my-org/prompted", "intfloat/e5-small-v2"
CONTAINERS = ("own", "tei")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a model without prompts, one whose default prompt applies to all texts, and one for e5."""
    folder = tmp_path_factory.mktemp("models")
    for seed, (name, config) in enumerate(
        {
            PLAIN: {},
            PROMPTED: {"prompts": {"query": "the ", "document": "far "}, "default_prompt_name": "query"},
            E5: {},
        }.items()
    ):
        write_model(folder / name, make_tensors(seed))
        (folder / name / "config_sentence_transformers.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def aws(tmp_path_factory, models):
    state = tmp_path_factory.mktemp("localaws")
    running = daemon.start(LocalAwsConfig(port=0, models_dir=models), state)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in running.environment().items():
                patch.setenv(name, value)
            patch.chdir(state)  # without ./models and .env: the client has no files of the models
            yield boto3.client("sagemaker")
    finally:
        daemon.stop(state)


def deploy(sagemaker, container, model_id, **environment):
    name = f"{container}-{model_id.partition('/')[2]}{'-'.join(environment).replace('_', '-')}"
    if name not in {one["EndpointName"] for one in sagemaker.list_endpoints()["Endpoints"]}:
        sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn="arn:aws:iam::123456789012:role/any",
            PrimaryContainer={"Image": IMAGES[container], "Environment": {"HF_MODEL_ID": model_id, **environment}},
        )
        variant = {
            "VariantName": "all",
            "ModelName": name,
            "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 5},
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
    return name


def load(endpoint, model_id, **settings):
    return load_embedder(sagemaker_endpoint=endpoint, embedding_model=model_id, embedstack_cache_mb=0, **settings)


def expected(models, model_id, text):
    with closing(Encoder.load(models / model_id, precision="fp32")) as encoder:
        return encoder.encode([text], prompt="").vectors()[0]


@pytest.mark.parametrize("container", CONTAINERS)
def test_unknown_model_embeds(aws, models, container):
    endpoint = deploy(aws, container, PLAIN)
    with load(endpoint, PLAIN) as embedder:
        before = embedder.info.dimensions
        np.testing.assert_allclose(embedder.embed(["the cat"])[0], expected(models, PLAIN, "the cat"), atol=5e-3)
        assert (before, embedder.info.dimensions) == (None, HIDDEN)
        with pytest.raises(TextTooLong, match="EMBEDDING_TRUNCATE"):
            embedder.embed(["cat " * 2 * POSITIONS])
    with load(endpoint, PLAIN, embedding_truncate=True) as embedder:
        assert embedder.embed(["cat " * 2 * POSITIONS]).shape == (1, HIDDEN)
    with (
        load(endpoint, PLAIN, embedding_dimensions=2 * HIDDEN) as embedder,
        pytest.raises(DimensionMismatch, match=f"{HIDDEN} dimensions; my-org/plain has {2 * HIDDEN}"),
    ):
        embedder.embed(["the cat"])


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("settings", "query", "document"),
    [
        ({"embedding_query_prompt": "dog ", "embedding_document_prompt": "sat "}, "dog cat", "sat cat"),
        ({"embedding_query_prompt": "", "embedding_document_prompt": ""}, "cat", "cat"),
    ],
)
def test_configured_prompts_are_applied_once(aws, models, container, settings, query, document):
    # The model server's own default prompt must not be added.
    with load(deploy(aws, container, PROMPTED), PROMPTED, **settings) as embedder:
        np.testing.assert_allclose(embedder.embed_query("cat"), expected(models, PROMPTED, query), atol=5e-3)
        np.testing.assert_allclose(embedder.embed(["cat"])[0], expected(models, PROMPTED, document), atol=5e-3)


@pytest.mark.parametrize("container", CONTAINERS)
def test_prompts_of_the_model_folder_are_applied_once(aws, models, container):
    with load(deploy(aws, container, PROMPTED), PROMPTED, embedstack_models_dir=models) as embedder:
        np.testing.assert_allclose(embedder.embed_query("cat"), expected(models, PROMPTED, "the cat"), atol=5e-3)
        np.testing.assert_allclose(embedder.embed(["cat"])[0], expected(models, PROMPTED, "far cat"), atol=5e-3)


@pytest.mark.parametrize("container", CONTAINERS)
def test_prompts_of_the_catalogue_are_applied_once(aws, models, container):
    # The folder says the length of these weights, since the catalogue has that of the real e5.
    with load(deploy(aws, container, E5), E5, embedstack_models_dir=models) as embedder:
        assert embedder.info.prompts == {"query": "query: ", "document": "passage: "}
        np.testing.assert_allclose(embedder.embed_query("cat"), expected(models, E5, "query: cat"), atol=5e-3)
        np.testing.assert_allclose(embedder.embed(["cat"])[0], expected(models, E5, "passage: cat"), atol=5e-3)


@pytest.mark.parametrize("variable", ["DEFAULT_PROMPT", "DEFAULT_PROMPT_NAME"])
def test_container_that_adds_a_prompt_too_is_rejected(aws, variable):
    endpoint = deploy(aws, "tei", PROMPTED, **{variable: "query"})
    rejected = pytest.raises(ConfigurationError, match=f"{variable} in its container's environment")
    with load(endpoint, PROMPTED, embedding_query_prompt="the ") as embedder, rejected:
        embedder.embed_query("cat")
    with load(endpoint, PROMPTED) as embedder:
        assert embedder.embed_query("cat").shape == (HIDDEN,)


def test_validate_describes_an_unknown_model(aws, caplog):
    from rich.console import Console  # noqa: PLC0415

    endpoint = deploy(aws, "own", PLAIN)
    console = Console(record=True, width=200)
    report = validate_endpoint(console, endpoint)
    assert (report.model_id, report.dimensions) == (PLAIN, HIDDEN)
    output = console.export_text()
    assert "prompts: unknown whether the model needs any; set EMBEDDING_QUERY_PROMPT" in output
    assert "license: unknown" in output
    assert {check.name: check.status for check in report.checks}["dimension"] == "passed"


def test_non_commercial_model_is_loaded_with_a_warning(aws, caplog):
    caplog.set_level(logging.WARNING)
    with load("any", "nvidia/NV-Embed-v2"):
        assert "nvidia/NV-Embed-v2 (cc-by-nc-4.0) forbids commercial use" in caplog.text


def test_embedder_of_an_unknown_model_can_be_constructed(aws, models):
    from embedstack.models import ModelInfo  # noqa: PLC0415

    endpoint = deploy(aws, "tei", PLAIN)
    with SageMakerEmbedder(ModelInfo(PLAIN), endpoint=endpoint, settings=load_settings()) as embedder:
        assert embedder.learn_dimensions() == HIDDEN
