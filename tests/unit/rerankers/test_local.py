"""Reranking in this process with a small cross-encoder whose scores are known."""

import numpy as np
import pytest

from embedstack.errors import ConfigurationError, InputError, TextTooLong
from embedstack.models.model_info import ModelInfo
from embedstack.rerankers import LocalReranker, load_reranker
from embedstack.settings.settings import load_settings
from tests.support.reference_models import PAIRS, ReferenceModel

MODEL = ModelInfo("tests/cross-bert", kind="reranker")
QUERY = "cat sat"
TEXTS = [text for _, text in PAIRS]


@pytest.fixture(scope="module")
def reference():
    return ReferenceModel.load("cross-bert")


@pytest.fixture(scope="module")
def folder(reference, tmp_path_factory):
    """The model's folder in a folder of models."""
    models = tmp_path_factory.mktemp("models")
    reference.write(models / MODEL.model_id)
    return models


@pytest.fixture
def settings(folder):
    return load_settings(embedstack_models_dir=folder, reranker_model=MODEL.model_id, reranker_backend="local")


@pytest.mark.parametrize("raw", [False, True])
def test_local_scores_equal_the_reference(twin, settings, reference, raw):
    with LocalReranker(MODEL, settings=settings, truncate=True, raw_scores=raw) as reranker:
        scores = np.concatenate([twin.score(reranker, query, [text]) for query, text in PAIRS])
    logits = reference.outputs["right"].ravel()
    expected = logits if raw else reference.outputs["scores"].ravel()
    np.testing.assert_allclose(scores, expected, atol=0.1)  # bfloat16 where the processor has it


def test_configured_local_reranker_orders_texts(twin, settings):
    with load_reranker(settings, reranker_truncate=True) as reranker:
        rankings = twin.rerank(reranker, QUERY, TEXTS)
        scores = twin.score(reranker, QUERY, TEXTS)
        assert reranker.stats().tokens > 0
    assert [ranking.score for ranking in rankings] == sorted(scores.tolist(), reverse=True)
    assert len({ranking.index for ranking in rankings}) == len(TEXTS)


def test_too_long_pair_is_rejected_with_its_index(twin, settings):
    with LocalReranker(MODEL, settings=settings) as reranker, pytest.raises(TextTooLong) as caught:
        twin.rerank(reranker, QUERY, ["cat", "the cat sat on the mat " * 100])
    assert caught.value.index == 1


def test_embedding_model_is_rejected(settings, minilm_folder):
    with (
        LocalReranker(MODEL, folder=minilm_folder, settings=settings) as reranker,
        pytest.raises(ConfigurationError),
    ):
        reranker.rerank(QUERY, ["cat"])


def test_blank_query_is_rejected_before_the_model_is_loaded(twin, settings):
    with LocalReranker(MODEL, settings=settings) as reranker, pytest.raises(InputError):
        twin.rerank(reranker, " ", ["cat"])
