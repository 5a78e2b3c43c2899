"""The configured reranker, and what is missing in a configuration."""

import pytest

from embedstack.errors import ConfigurationError
from embedstack.rerankers import BedrockReranker, load_reranker
from embedstack.settings.settings import load_settings


def test_load_reranker_composes_cache_and_retries():
    with load_reranker(reranker_backend="fake", embedding_deadline_seconds=60) as reranker:
        for _ in range(2):
            assert reranker.rerank("red apple", ["sky", "red apple"], 1) == [(1, 1.0)]
        assert (reranker.stats().requests, reranker.stats().cache_hits) == (1, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "Set RERANKER_MODEL"),
        ({"reranker_model": "a/b"}, "set RERANKER_ENDPOINT"),
        ({"reranker_backend": "local"}, "Set RERANKER_MODEL"),
        ({"reranker_backend": "local", "reranker_model": "a/b"}, "a/b is not on this machine"),
        ({"reranker_backend": "ollama"}, "Unknown backend 'ollama' in RERANKER_BACKEND"),
        ({"reranker_backend": "fake", "reranker_fallbacks": "fake, other"}, "Unknown backend 'other'"),
        ({"reranker_backend": "fake", "reranker_fallbacks": "bedrock"}, "cannot be a fallback"),
        ({"reranker_backend": "bedrock", "bedrock_rerank_model_id": "cohere.embed-v4:0"}, "not a supported Bedrock"),
    ],
)
def test_incomplete_configuration_is_rejected(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        load_reranker(aws_region="us-west-2", **settings)


def test_settings_say_whether_a_reranker_is_configured():
    assert not load_settings().has_reranker
    assert load_settings(reranker_endpoint="x").has_reranker
    assert load_settings(reranker_backend="bedrock").has_reranker


def test_bedrock_profile_outside_allowed_regions_is_rejected():
    settings = load_settings(aws_region="eu-central-1", aws_allowed_regions="eu-*")
    with pytest.raises(ConfigurationError, match="may compute anywhere"):
        BedrockReranker("us.cohere.rerank-v3-5:0", settings=settings)
