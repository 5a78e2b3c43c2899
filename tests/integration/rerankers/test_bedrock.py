"""Reranking with Bedrock's models on the local AWS."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError

from embedstack.errors import ConfigurationError, InputError
from embedstack.rerankers import BedrockReranker, FakeReranker
from embedstack.settings.settings import change_settings
from tests.support.twins import TWINS

COHERE, AMAZON = "cohere.rerank-v3-5:0", "amazon.rerank-v1:0"
QUERY = "When is the invoice due?"
TEXTS = ["The cat sleeps.", "An invoice is due in May.", "The invoice", "When it rains"]


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


@pytest.fixture
def settings(aws):
    return change_settings(aws.settings, aws_region="us-west-2")


@pytest.mark.parametrize("model", [COHERE, AMAZON])
def test_bedrock_model_ranks_texts(twin, settings, model):
    with BedrockReranker(model, settings=settings) as reranker, FakeReranker() as expected:
        assert twin.rerank(reranker, QUERY, TEXTS) == expected.rerank(QUERY, TEXTS)
        assert reranker.stats().requests == 1


def test_many_documents_take_few_requests(twin, settings):
    texts = [f"{'invoice ' * (number % 2)}number {number}" for number in range(1001)]
    with BedrockReranker(COHERE, settings=settings) as reranker:
        assert len(twin.rerank(reranker, QUERY, texts)) == 1001
        assert reranker.stats().requests == 2


def test_model_that_the_region_does_not_offer_is_a_configuration_error(aws):
    with (
        BedrockReranker(AMAZON, settings=change_settings(aws.settings, aws_region="us-east-1")) as reranker,
        pytest.raises(ConfigurationError, match=r"Bedrock has no model amazon\.rerank-v1:0 in us-east-1"),
    ):
        reranker.rerank(QUERY, TEXTS)


@pytest.mark.parametrize(
    ("model", "body", "problem"),
    [
        (COHERE, {"query": "q", "documents": ["a"]}, "required key \\[api_version\\] not found"),
        (COHERE, {"query": "q", "documents": ["a"], "api_version": 1}, "1 is not greater or equal to 2"),
        (COHERE, {"query": "", "documents": ["a"], "api_version": 2}, "#/query"),
        (COHERE, {"query": "q", "documents": [], "api_version": 2}, "#/documents"),
        (COHERE, {"query": "q", "documents": ["a"] * 1001, "api_version": 2}, "#/documents"),
        (AMAZON, {"query": "q", "documents": ["a"], "api_version": 2}, "extraneous key \\[api_version\\]"),
        (AMAZON, {"query": "q", "documents": ["a"], "top_n": 0}, "#/top_n"),
        (AMAZON, {"query": "q", "documents": ["a", ""]}, "#/documents"),
    ],
)
def test_local_bedrock_rejects_what_bedrock_rejects(settings, model, body, problem):
    client = boto3.client("bedrock-runtime", region_name="us-west-2", endpoint_url=settings.aws_endpoint_url)
    with pytest.raises(ClientError, match=problem) as caught:
        client.invoke_model(modelId=model, body=json.dumps(body))
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_local_bedrock_returns_only_top_n(settings):
    client = boto3.client("bedrock-runtime", region_name="us-west-2", endpoint_url=settings.aws_endpoint_url)
    body = {"query": QUERY, "documents": TEXTS, "top_n": 2, "api_version": 2}
    response = json.loads(client.invoke_model(modelId=COHERE, body=json.dumps(body))["body"].read())
    assert [result["index"] for result in response["results"]] == [1, 2]
    assert response["meta"]["billed_units"] == {"search_units": 1}


def test_empty_text_is_rejected_before_any_request(twin, settings):
    with BedrockReranker(COHERE, settings=settings) as reranker, pytest.raises(InputError, match="Text 1"):
        twin.rerank(reranker, QUERY, ["a", ""])
    assert reranker.stats().requests == reranker.stats().failures == 0
