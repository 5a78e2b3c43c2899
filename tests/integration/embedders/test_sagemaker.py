"""What only a SageMaker endpoint can do, over HTTP against the local AWS."""

from typing import Any

import boto3
import numpy as np
import pytest

from conftest import MINILM
from embedstack.embedders import LocalEmbedder, SageMakerEmbedder, SpannedText
from embedstack.errors import (
    ConfigurationError,
    DimensionMismatch,
    EndpointNotFound,
    InputError,
)
from embedstack.factory import load_embedder
from embedstack.models.catalogue import known_model
from embedstack.settings.settings import change_settings, load_settings

ENDPOINTS = ("own", "tei", "toolkit")


def embedder(aws, endpoint, **options):
    return SageMakerEmbedder(known_model(MINILM), endpoint=endpoint, settings=aws.settings, **options)


def test_containers_return_equal_vectors(aws):
    texts = ["A cat sleeps on the sofa.", "Snow delayed the train to Naples."]
    vectors = [
        embedder(aws, "tei").embed(texts),
        embedder(aws, "own").embed(texts),
        embedder(aws, "toolkit", client_pooling="mean").embed(texts),
    ]
    for other in vectors[1:]:
        assert (vectors[0] * other).sum(axis=1).min() > 0.999


def test_arrays_are_requested_only_if_supported(aws):
    asked = []
    for endpoint in ("tei", "own"):
        result = embedder(aws, endpoint)
        client = result._invoker._client._client
        client.meta.events.register("provide-client-params.*", lambda params, **_: asked.append(params["Accept"]))
        rows = [result.embed(["x"]) for _ in range(3)]
        np.testing.assert_allclose(rows[0], rows[2], atol=5e-3)
    json, npy = "application/json", "application/x-npy"
    assert asked == [json, npy, json, json, npy, npy]


def test_token_vectors_are_rejected_with_a_remedy(aws):
    with pytest.raises(DimensionMismatch, match='client_pooling="mean"'):
        embedder(aws, "toolkit").embed(["one", "two words"])


def test_truncation_reaches_every_container(aws):
    long = "word " * 1000
    for endpoint, options in (("tei", {}), ("own", {}), ("toolkit", {"client_pooling": "mean"})):
        assert embedder(aws, endpoint, truncate=True, **options).embed([long]).shape == (1, 384)


def test_target_variant_is_passed_on(aws):
    assert embedder(aws, "tei", target_variant="all").embed(["x"]).shape == (1, 384)
    with pytest.raises(EndpointNotFound):
        embedder(aws, "tei", target_variant="other").embed(["x"])


def test_inference_component_is_passed_on(aws):
    # The endpoint has none and says so, which proves that it was asked for one.
    with pytest.raises(ConfigurationError, match="has no inference components"):
        embedder(aws, "tei", inference_component="c").embed(["x"])


def test_missing_endpoint_is_named(aws):
    with pytest.raises(EndpointNotFound, match="'nowhere'"):
        embedder(aws, "nowhere").embed(["x"])


def test_wrong_dimension_is_rejected(aws):
    with pytest.raises(DimensionMismatch, match="384 dimensions; BAAI/bge-m3 has 1024"):
        SageMakerEmbedder(known_model("BAAI/bge-m3"), endpoint="tei", settings=aws.settings).embed(["x"])


def test_custom_session_is_used(aws):
    session = boto3.Session("mine", "x", region_name="us-east-1")
    result = embedder(aws, "tei", session=session)
    signed = []
    result._invoker._client._client.meta.events.register(
        "before-send.*", lambda request, **_: signed.append(request.headers)
    )
    result.embed(["x"])
    assert b"Credential=mine/" in bytes(signed[0]["Authorization"])


@pytest.mark.parametrize("allowed", ["eu-*", "eu-west-1,eu-central-1"])
def test_disallowed_region_is_rejected(aws, allowed):
    settings = load_settings(aws_allowed_regions=allowed)
    with pytest.raises(ConfigurationError, match="AWS_REGION is us-east-1"):
        SageMakerEmbedder(known_model(MINILM), endpoint="tei", settings=settings)


def test_bad_text_does_not_disable_arrays(aws):
    result = embedder(aws, "own")
    asked = []
    client = result._invoker._client._client
    client.meta.events.register("provide-client-params.*", lambda params, **_: asked.append(params["Accept"]))
    result.embed(["x"])
    with pytest.raises(InputError):
        result.embed(["word " * 1000])
    for _ in range(2):
        result.embed(["x"])
    assert asked[-1] == "application/x-npy"


SPANNED = [
    SpannedText("Ada was born in London. She wrote a program.", ((0, 23), (24, 44))),
    SpannedText("Snow delayed the train.", ((0, 23),)),
]


def test_model_server_pools_spans(aws):
    with LocalEmbedder(known_model(MINILM)) as local:
        expected = list(local.embed_spans(SPANNED))
    with load_embedder(aws.settings, sagemaker_endpoint="own") as result:
        vectors = list(result.embed_spans(SPANNED * 40))
        assert result.stats().requests < 80
    assert [part.shape for part in vectors[:2]] == [(2, 384), (1, 384)]
    for index, part in enumerate(vectors):
        np.testing.assert_allclose(part, expected[index % 2], atol=5e-3)
    prompted = embedder(aws, "own", prompts={"document": "passage: "})
    shifted = [
        SpannedText("passage: " + text, tuple((start + 9, end + 9) for start, end in spans)) for text, spans in SPANNED
    ]
    for part, same in zip(prompted.embed_spans(SPANNED), embedder(aws, "own").embed_spans(shifted), strict=True):
        np.testing.assert_allclose(part, same, atol=5e-3)


@pytest.mark.parametrize("endpoint", ["tei", "toolkit"])
def test_other_containers_do_not_pool_spans(aws, endpoint):
    with pytest.raises(ConfigurationError, match=f"Endpoint {endpoint} cannot pool parts of a text"):
        list(embedder(aws, endpoint).embed_spans(SPANNED))


def test_text_with_spans_is_never_truncated(aws):
    long = SpannedText("word " * 1000, ((0, 4),))
    with pytest.raises(InputError, match="256"):
        list(embedder(aws, "own", truncate=True).embed_spans([long]))


def test_credentials_of_another_account_send_no_text(aws):
    settings = change_settings(aws.settings, aws_account_id="999999999999", sagemaker_endpoint="tei")
    with pytest.raises(ConfigurationError, match="credentials belong to account 123456789012"):
        load_embedder(settings).embed(["x"])
    assert load_embedder(change_settings(settings, aws_account_id="123456789012")).embed(["x"]).shape == (1, 384)


def test_asynchronous_endpoint_is_a_backend(aws):
    sagemaker, s3 = boto3.client("sagemaker"), boto3.client("s3")
    s3.create_bucket(Bucket="async-responses")
    variant: Any = {"VariantName": "all", "ModelName": "own", "InstanceType": "ml.c5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName="async",
        ProductionVariants=[variant],
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": "s3://async-responses/out"}},
    )
    sagemaker.create_endpoint(EndpointName="async", EndpointConfigName="async")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="async", WaiterConfig={"Delay": 1})
    settings = change_settings(aws.settings, sagemaker_endpoint="async")
    with pytest.raises(ConfigurationError, match="EMBEDDING_BACKEND=sagemaker-async"):
        load_embedder(settings).embed(["x"])
    texts = [f"Text {number}." for number in range(50)]
    with load_embedder(change_settings(settings, embedding_backend="sagemaker-async")) as asynchronous:
        vectors = asynchronous.embed(texts)
    np.testing.assert_allclose(vectors, embedder(aws, "own").embed(texts), atol=5e-3)
    assert s3.list_objects_v2(Bucket="async-responses")["KeyCount"] == 0
    sagemaker.delete_endpoint(EndpointName="async")
