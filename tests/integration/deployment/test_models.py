"""Models that no code knows, deployed by the same Terraform as on AWS: an embedding model and a reranker."""

import json
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from embedstack.factory import load_embedder
from embedstack.rerankers import load_reranker
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.checkout import client_settings
from embedstack_ops.validation.post_apply_check import check_endpoint
from embedstack_server.compute.encoder import Encoder
from localaws.config import LocalAwsConfig
from tests.support.reference_models import ReferenceModel
from tests.support.temporary_stack import temporary_stack
from tests.support.tiny_bert import HIDDEN, POSITIONS, WORDS, write_model

EMBEDDER, RERANKER = "our-team/embedder", "our-team/reranker"
VARIABLES = f"""
name        = "alex"
environment = "test"

endpoints = {{
  embedding = {{
    model = {{
      hub_id     = "{EMBEDDER}"
      dimensions = {HIDDEN}
      max_tokens = {POSITIONS}
      prompts    = {{ document = "", query = "the " }}
    }}
    serverless = {{}}
  }}
  reranker = {{
    model      = {{ hub_id = "{RERANKER}", kind = "reranker" }}
    serverless = {{}}
  }}
}}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder of the models' weights, which are random."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / EMBEDDER)
    ReferenceModel.load("cross-bert").write(folder / RERANKER)
    return folder


@pytest.fixture(scope="module")
def stack(models, tmp_path_factory):
    with temporary_stack(tmp_path_factory.mktemp("stack"), LocalAwsConfig(port=0, models_dir=models)) as stack:
        yield stack


@pytest.fixture(scope="module")
def outputs(stack):
    """Terraform's outputs after the apply."""
    return stack.apply(VARIABLES).outputs()


@pytest.fixture
def settings(outputs, monkeypatch):
    """The settings of an application whose .env has the lines of the output ``dotenv``."""
    for name, value in client_settings(outputs).items():
        monkeypatch.setenv(name, value)
    return load_settings()


def refusal(stack, endpoint, **body):
    """Status and message with which the container rejects a request."""
    with pytest.raises(ClientError) as caught:
        stack.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint, ContentType="application/json", Body=json.dumps(body)
        )
    response: dict[str, Any] = dict(caught.value.response)
    return response["OriginalStatusCode"], response["OriginalMessage"]


def test_dotenv_describes_the_models(settings):
    assert settings.sagemaker_endpoint == "alex-embedding-endpoint"
    assert settings.embedding_model == EMBEDDER
    assert (settings.embedding_dimensions, settings.embedding_max_tokens) == (HIDDEN, POSITIONS)
    assert settings.embedding_prompts == {"document": "", "query": "the "}
    assert (settings.reranker_endpoint, settings.reranker_model) == ("alex-reranker-endpoint", RERANKER)


def test_client_applies_the_prompts_of_an_unknown_model(settings, models):
    encoder = Encoder.load(models / EMBEDDER, precision="fp32")
    with load_embedder(settings) as embedder:
        vectors = embedder.embed(["cat"], kind="query")[0], embedder.embed(["cat"], kind="document")[0]
        assert embedder.info.dimensions == HIDDEN
    for vector, text in zip(vectors, ["the cat", "cat"], strict=True):
        expected = encoder.encode([text], prompt="").vectors()[0]
        assert float(vector @ expected) > 0.999
    encoder.close()


def test_endpoint_truncates_nothing_silently(stack, outputs):
    assert outputs["endpoints"]["embedding"]["environment"]["AUTO_TRUNCATE"] == "false"
    status, message = refusal(stack, "alex-embedding-endpoint", inputs=" ".join(WORDS[4:] * 3))
    assert status == 422
    assert f"must have less than {POSITIONS} tokens" in message


def test_client_reranks(settings, outputs):
    texts = ["the dog ran far", "cat on mat", "far"]
    with load_reranker(settings) as reranker:
        rankings = reranker.rerank("cat sat", texts)
    assert sorted(ranking.index for ranking in rankings) == [0, 1, 2]
    scores = [ranking.score for ranking in rankings]
    assert scores == sorted(scores, reverse=True)
    assert np.ptp(scores) > 1e-3
    assert outputs["kinds"] == {"embedding": "embedding", "reranker": "reranker"}


def test_reranker_rejects_a_request_for_vectors(stack, outputs):
    status, message = refusal(stack, outputs["endpoint_names"]["reranker"], inputs="cat")
    assert status == 422
    assert "missing field `texts`" in message


def test_check_after_the_apply_passes_for_both_kinds(outputs):
    checks = {
        key: {check.name: check for check in check_endpoint(endpoint, load_settings())}
        for key, endpoint in outputs["endpoints"].items()
    }
    assert {check.status for found in checks.values() for check in found.values()} == {"passed"}
    assert checks["embedding"]["request"].figure == f"a vector with {HIDDEN} dimensions"
    assert checks["reranker"]["request"].figure == "a score"
