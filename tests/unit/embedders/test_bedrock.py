"""Which models, lengths and regions are accepted, and what Bedrock's errors become."""

import pytest

from embedstack.aws.bedrock import base_model_id
from embedstack.embedders import BedrockEmbedder
from embedstack.errors import ConfigurationError, TextTooLong
from embedstack.settings.settings import load_settings

TITAN = "amazon.titan-embed-text-v2:0"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"


def test_inference_profile_has_its_base_model():
    assert base_model_id("eu.cohere.embed-v4:0") == "cohere.embed-v4:0"
    assert base_model_id(TITAN) == TITAN


@pytest.mark.parametrize("allowed", ["", "*", "eu-*", "us-east-1,eu-*"])
def test_profile_within_allowed_regions_is_accepted(allowed):
    settings = load_settings(aws_region="eu-west-1" if "us" not in allowed else "us-east-1",
                             aws_allowed_regions=allowed)  # fmt: skip
    BedrockEmbedder("eu.cohere.embed-v4:0", settings=settings)


@pytest.mark.parametrize("profile", ["us.cohere.embed-v4:0", "global.cohere.embed-v4:0"])
def test_profile_outside_allowed_regions_is_rejected(profile):
    settings = load_settings(aws_region="eu-west-1", aws_allowed_regions="eu-*")
    with pytest.raises(ConfigurationError, match=r"may compute anywhere in .*: use cohere.embed-v4:0, or allow"):
        BedrockEmbedder(profile, settings=settings)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (TITAN, {"dimensions": 128}, "256, 512, 1024 dimensions, not 128"),
        ("cohere.embed-english-v3", {"dimensions": 256}, "1024 dimensions, not 256"),
        (TITAN, {"truncate": True}, "cannot truncate"),
        (NOVA, {"dimensions": 512}, "256, 384, 1024, 3072 dimensions, not 512"),
        ("cohere.rerank-v3-5:0", {}, "not a supported Bedrock embedding model"),
        ("BAAI/bge-m3", {}, "not a supported Bedrock embedding model"),
        ("amazon.nova", {}, "not a supported Bedrock embedding model"),
    ],
)
def test_unsupported_bedrock_option_is_rejected(model, options, message):
    with pytest.raises(ConfigurationError, match=message):
        BedrockEmbedder(model, settings=load_settings(aws_region="us-east-1"), **options)


def test_nova_rejects_too_many_characters_before_sending():
    with BedrockEmbedder(NOVA, settings=load_settings(aws_region="us-east-1")) as embedder:
        with pytest.raises(TextTooLong, match=r"Text 0: The text has 8,193 characters; .* takes 8,192") as caught:
            embedder.embed(["x" * 8193])
        assert caught.value.index == 0
