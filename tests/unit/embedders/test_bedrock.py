"""Which models, lengths and regions are accepted, and what Bedrock's errors become."""

import pytest

from embedstack.aws.bedrock import base_model_id
from embedstack.embedders import BedrockEmbedder
from embedstack.errors import ConfigurationError
from embedstack.settings.settings import load_settings

TITAN = "amazon.titan-embed-text-v2:0"


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
        ("BAAI/bge-m3", {}, "not a supported Bedrock embedding model"),
        ("amazon.nova", {}, "not a supported Bedrock embedding model"),
    ],
)
def test_unsupported_bedrock_option_is_rejected(model, options, message):
    with pytest.raises(ConfigurationError, match=message):
        BedrockEmbedder(model, settings=load_settings(aws_region="us-east-1"), **options)
