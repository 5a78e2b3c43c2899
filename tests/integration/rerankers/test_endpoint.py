"""Reranking with cross-encoders on endpoints of the local AWS: this project's model server, and TEI."""

from collections.abc import Iterator

import numpy as np
import pytest

from embedstack.embedders import Limits
from embedstack.errors import InputError, ModelMismatch
from embedstack.models.model_info import ModelInfo
from embedstack.rerankers import SageMakerReranker, load_reranker
from embedstack.settings.settings import Settings, load_settings
from localaws.config import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws
from tests.support.localaws.harness import OWN_IMAGE, TEI, Aws
from tests.support.reference_models import PAIRS, ReferenceModel
from tests.support.tiny_bert import write_model
from tests.support.twins import TWINS

MODEL = ModelInfo("tests/cross-bert", kind="reranker")
EMBEDDING_MODEL = "tests/tiny-bert"
QUERY = "cat sat"
TEXTS = [text for query, text in PAIRS if query == QUERY]


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


@pytest.fixture(scope="module")
def reference() -> ReferenceModel:
    return ReferenceModel.load("cross-bert")


@pytest.fixture(scope="module")
def settings(reference, tmp_path_factory) -> Iterator[Settings]:
    """A local AWS with endpoints of a small cross-encoder, and one of an embedding model."""
    models = tmp_path_factory.mktemp("models")
    reference.write(models / MODEL.model_id)
    write_model(models / EMBEDDING_MODEL)
    endpoints = {
        "own": (OWN_IMAGE, MODEL.model_id), "tei": (TEI, MODEL.model_id), "embedding": (OWN_IMAGE, EMBEDDING_MODEL)
    }  # fmt: skip
    with LocalAws(LocalAwsConfig(port=0, models_dir=models)) as server, pytest.MonkeyPatch.context() as patch:
        aws = Aws(server)
        for name, (image, model_id) in endpoints.items():
            aws.create_model(name, image, HF_MODEL_ID=model_id)
            aws.create_config(name, name)
            aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        for name in endpoints:
            assert aws.settled(name)["EndpointStatus"] == "InService"
        patch.setenv("AWS_ACCESS_KEY_ID", "local")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "local")
        yield load_settings(aws_endpoint_url=server.url, aws_region="us-east-1")


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("endpoint", ["own", "tei"])
def test_scores_of_an_endpoint_equal_the_reference(twin, settings, reference, endpoint, raw):
    with SageMakerReranker(MODEL, endpoint=endpoint, settings=settings, truncate=True, raw_scores=raw) as reranker:
        scores = np.concatenate([twin.score(reranker, query, [text]) for query, text in PAIRS])
    expected = reference.outputs["right"] if raw else 1 / (1 + np.exp(-reference.outputs["right"]))
    np.testing.assert_allclose(scores, expected.ravel(), atol=0.1)  # bfloat16 where the processor has it


@pytest.mark.parametrize("endpoint", ["own", "tei"])
def test_score_does_not_depend_on_the_batch(twin, settings, endpoint):
    texts = TEXTS * 15
    with SageMakerReranker(MODEL, endpoint=endpoint, settings=settings) as many:
        expected = twin.rerank(many, QUERY, texts)
        assert sorted(ranking.index for ranking in expected) == list(range(len(texts)))
    with SageMakerReranker(MODEL, endpoint=endpoint, settings=settings, limits=Limits(max_items=3)) as few:
        scores = twin.score(few, QUERY, texts)
    assert [ranking.score for ranking in expected] == pytest.approx(sorted(scores.tolist(), reverse=True), abs=0.02)


@pytest.mark.parametrize("endpoint", ["own", "tei"])
def test_too_long_pair_is_rejected_or_truncated(twin, settings, endpoint):
    texts = ["the cat", "the cat sat on the mat " * 100, "the dog"]
    options = {"reranker_endpoint": endpoint, "reranker_model": MODEL.model_id, "embedstack_cache_mb": 0}
    with load_reranker(settings, **options) as reranker, pytest.raises(InputError):
        twin.rerank(reranker, QUERY, texts)
    with load_reranker(settings, **options, reranker_truncate=True) as reranker:
        assert len(twin.rerank(reranker, QUERY, texts)) == 3


def test_endpoint_of_an_embedding_model_rejects_the_request(twin, settings):
    model = ModelInfo(EMBEDDING_MODEL, kind="reranker")
    with SageMakerReranker(model, endpoint="embedding", settings=settings) as reranker, pytest.raises(InputError):
        twin.rerank(reranker, QUERY, TEXTS)


@pytest.mark.parametrize("endpoint", ["own", "tei"])
def test_endpoint_of_another_reranker_is_rejected(twin, settings, endpoint):
    with (
        SageMakerReranker(ModelInfo("tests/other", kind="reranker"), endpoint=endpoint, settings=settings) as reranker,
        pytest.raises(ModelMismatch, match=f"serves {MODEL.model_id}, but tests/other is configured"),
    ):
        twin.rerank(reranker, QUERY, TEXTS)
