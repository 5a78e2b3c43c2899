"""Which models, lengths and regions are accepted, and what Bedrock's errors become."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from embedstack.aws.bedrock import base_model_id, translate_bedrock_error
from embedstack.embedders import BedrockEmbedder
from embedstack.errors import ConfigurationError, EndpointUnavailable, InputError, ModelFailed, TextTooLong, Throttled
from embedstack.settings.settings import load_settings

TITAN = "amazon.titan-embed-text-v2:0"


def test_a_profile_is_of_its_model():
    assert base_model_id("eu.cohere.embed-v4:0") == "cohere.embed-v4:0"
    assert base_model_id(TITAN) == TITAN


@pytest.mark.parametrize("allowed", ["", "*", "eu-*", "us-east-1,eu-*"])
def test_a_profile_within_the_allowed_regions_is_accepted(allowed):
    settings = load_settings(aws_region="eu-west-1" if "us" not in allowed else "us-east-1",
                             aws_allowed_regions=allowed)  # fmt: skip
    BedrockEmbedder("eu.cohere.embed-v4:0", settings=settings)


@pytest.mark.parametrize("profile", ["us.cohere.embed-v4:0", "global.cohere.embed-v4:0"])
def test_a_profile_that_leaves_the_allowed_regions_is_refused(profile):
    settings = load_settings(aws_region="eu-west-1", aws_allowed_regions="eu-*")
    with pytest.raises(ConfigurationError, match=r"may compute anywhere in .*: use cohere.embed-v4:0, or allow"):
        BedrockEmbedder(profile, settings=settings)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (TITAN, {"dimensions": 128}, "256, 512, 1024 dimensions, not 128"),
        ("cohere.embed-english-v3", {"dimensions": 256}, "1024 dimensions, not 256"),
        (TITAN, {"truncate": True}, "cannot truncate"),
        ("BAAI/bge-m3", {}, "no embedding model of Bedrock's"),
        ("amazon.nova", {}, "Nothing is recorded"),
    ],
)
def test_what_a_model_cannot_do_is_refused_at_once(model, options, message):
    with pytest.raises(ConfigurationError, match=message):
        BedrockEmbedder(model, settings=load_settings(aws_region="us-east-1"), **options)


@pytest.mark.parametrize(
    ("code", "message", "expected", "said"),
    [
        ("ValidationException", "The provided model identifier is invalid.", ConfigurationError, "llama3-3-70b"),
        (
            "ResourceNotFoundException",
            "This model version has reached the end of its life.",
            ConfigurationError,
            "list",
        ),
        ("ValidationException", "… with on-demand throughput is not supported", ConfigurationError, "us.meta.llama2"),
        ("ValidationException", "Too many input tokens. Max input tokens: 8192", TextTooLong, "8192"),
        ("ValidationException", "Malformed input request", InputError, "Malformed"),
        ("ThrottlingException", "Too many requests", Throttled, ""),
        ("ServiceQuotaExceededException", "quota", Throttled, "Service Quotas"),
        ("ModelErrorException", "x", ModelFailed, "x"),
        ("ModelTimeoutException", "the model took too long", EndpointUnavailable, "too long"),
        ("ModelNotReadyException", "x", EndpointUnavailable, "x"),
    ],
)
def test_errors(code, message, expected, said):
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"RequestId": "r"}}
    found = translate_bedrock_error(ClientError(response, "InvokeModel"), "meta.llama2-70b-chat-v1", "us-east-1")
    assert type(found) is expected
    assert said in str(found)
    assert found.request_id == "r"
