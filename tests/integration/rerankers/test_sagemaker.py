"""Reranking with InvokeEndpoint over HTTP: requests, responses that are not valid, errors and the model's identity."""

import json
import math

import pytest

from embedstack.errors import (
    CountMismatch,
    EndpointUnavailable,
    InputError,
    IntegrityError,
    InvalidScores,
    ModelMismatch,
    PayloadTooLarge,
    Throttled,
)
from embedstack.models.model_info import ModelInfo
from embedstack.rerankers import SageMakerReranker, load_reranker
from tests.support.twins import TWINS

QUERY = "abcdef"
TEXTS = [f"text {'abcdef'[: number % 7]} {number}" for number in range(75)]
MODEL = ModelInfo("a/model", kind="reranker")


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


@pytest.fixture
def reranker(runtime):
    stand_in, settings = runtime
    with SageMakerReranker(MODEL, settings=settings) as reranker:
        reranker.disable_retries()
        yield reranker, stand_in


def model_error(status, document):
    """SageMaker's response when a container fails."""
    body = {"Message": "failed", "OriginalStatusCode": status, "OriginalMessage": json.dumps(document)}
    return 424, body, {"x-amzn-errortype": "ModelError"}


def test_texts_are_split_into_requests_of_the_endpoints_limit(twin, reranker):
    reranker, stand_in = reranker
    rankings = twin.rerank(reranker, QUERY, TEXTS)
    expected = [len(set(QUERY) & set(text)) / 32 for text in TEXTS]
    assert [ranking.score for ranking in rankings] == sorted(expected, reverse=True)
    assert all(ranking.score == expected[ranking.index] for ranking in rankings)
    assert max(len(body["texts"]) for body in stand_in.requests) <= 32
    assert all(set(body) == {"query", "texts", "truncate", "raw_scores"} for body in stand_in.requests)
    assert all((body["truncate"], body["raw_scores"]) == (False, False) for body in stand_in.requests)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ([{"index": 0, "score": 0.5}], CountMismatch),
        ([{"index": 0, "score": 0.5}, {"index": 0, "score": 0.5}], InvalidScores),
        ([{"index": 0, "score": 0.5}, {"index": 2, "score": 0.5}], InvalidScores),
        ([{"index": 0, "score": 0.5}, {"index": 1, "score": None}], InvalidScores),
        ([{"index": 0, "score": 0.5}, {"index": 1, "score": math.nan}], InvalidScores),
        ([{"index": 0, "score": 0.5}, {"index": 1, "score": math.inf}], InvalidScores),
        ([{"index": 0, "score": 0.5}, {"index": 1, "score": 1e300}], InvalidScores),
        ([[0.25] * 384, [0.5] * 384], IntegrityError),
        ({"object": "list", "data": []}, IntegrityError),
        (b"[" * 100_000, IntegrityError),
        (b" " * 3_000_000, IntegrityError),
        (b'[{"index": 0, "score": 0.5}, {"ind', EndpointUnavailable),
        (b"", EndpointUnavailable),
    ],
)
def test_response_that_is_not_valid_is_rejected(twin, reranker, response, error):
    reranker, stand_in = reranker
    stand_in.respond = lambda _: (200, response, {})
    with pytest.raises(error):
        twin.rerank(reranker, QUERY, TEXTS[:2])
    assert reranker.stats().requests == 0


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (model_error(413, {"error": "too large", "error_type": "Validation"}), PayloadTooLarge),
        (model_error(422, {"error": "model is not a re-ranker model", "error_type": "Backend"}), InputError),
        (model_error(429, {"error": "overloaded", "error_type": "Overloaded"}), Throttled),
        (model_error(503, {"error": "unhealthy", "error_type": "Unhealthy"}), EndpointUnavailable),
        ((400, {"Message": "Rate exceeded"}, {"x-amzn-errortype": "ThrottlingException"}), Throttled),
    ],
)
def test_errors_of_endpoint_and_container_are_translated(twin, reranker, response, error):
    reranker, stand_in = reranker
    stand_in.respond = lambda _: response
    with pytest.raises(error):
        twin.rerank(reranker, QUERY, ["one"])


def test_too_long_pair_has_its_index_in_the_call(twin, reranker):
    reranker, stand_in = reranker
    texts = [*TEXTS[:40], "long", *TEXTS[40:]]

    def respond(body):
        if "long" in body["texts"]:
            return model_error(
                413, {"error": "too long", "error_type": "Tokenizer", "index": body["texts"].index("long")}
            )
        return stand_in.rerank(body)

    stand_in.respond = respond
    with pytest.raises(PayloadTooLarge) as caught:
        twin.rerank(reranker, QUERY, texts)
    assert caught.value.index == 40


def test_response_that_names_another_model_is_rejected(twin, reranker):
    reranker, stand_in = reranker
    for name in ("a/model", "b/other"):
        attributes = {"X-Amzn-SageMaker-Custom-Attributes": f"embedstack-model={name}"}
        stand_in.respond = lambda body, attributes=attributes: (*stand_in.rerank(body)[:2], attributes)
        if name == "a/model":
            assert len(twin.rerank(reranker, QUERY, ["one"])) == 1
            assert str(reranker.served_model) == name
        else:
            with pytest.raises(ModelMismatch, match=r"serves b/other, but a/model is .* scores .* RERANKER_MODEL"):
                twin.rerank(reranker, QUERY, ["one"])


def test_configured_reranker_retries_and_caches(runtime, twin):
    stand_in, settings = runtime
    failures = [model_error(503, {"error": "unhealthy", "error_type": "Unhealthy"})]
    stand_in.respond = lambda body: failures.pop() if failures else stand_in.rerank(body)
    with load_reranker(settings, reranker_truncate=True) as reranker:
        first = twin.rerank(reranker, QUERY, TEXTS[:10], 3)
        assert twin.rerank(reranker, QUERY, TEXTS[:10], 3) == first
        assert (reranker.stats().retries, reranker.stats().cache_hits) == (1, 10)
    assert [body["truncate"] for body in stand_in.requests] == [True, True]
