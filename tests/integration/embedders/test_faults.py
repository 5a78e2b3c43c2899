"""Every fault of the local AWS: each text comes back once, in its place, right; or it is listed with its reason."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest

from conftest import MINILM
from embedstack.embedders import BedrockEmbedder, Limits, SageMakerEmbedder
from embedstack.errors import EmbedStackError
from embedstack.models.catalogue import known_model
from embedstack.resilience import Retry, RetryingEmbedder, RetryPolicy
from localaws.faults.injector import FAULTS_PATH
from tests.integration.embedders.stand_in import faults
from tests.support.twins import TWINS

ENDPOINTS = ("own",)
TEXTS = [f"text number {number}" for number in range(120)]
SMALL = Limits(max_items=4, concurrency=4)
BACKENDS = {
    "sagemaker-runtime": lambda aws: SageMakerEmbedder(
        known_model(MINILM), endpoint="own", settings=aws.settings, limits=SMALL
    ),
    "bedrock-runtime": lambda aws: BedrockEmbedder(
        "cohere.embed-v4:0", dimensions=256, settings=aws.settings, concurrency=4
    ),
}
FAULTS = ["throttle", "model", "not-ready", "internal", "unavailable", "reset", "hang", "truncate", "nan", "count"]


@pytest.fixture(scope="module")
def expected(aws):
    result = {}
    for service, make in BACKENDS.items():
        with make(aws) as embedder:
            result[service] = embedder.embed(TEXTS)
    return result


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("service", BACKENDS)
def test_nothing_is_lost_when_requests_fail(aws, expected, service, kind, twin):
    retry = Retry(RetryPolicy(initial=0.01))
    rate = 0.1 if service == "sagemaker-runtime" else 0.4  # fewer requests, since each takes more texts
    with (
        RetryingEmbedder(BACKENDS[service](aws), retry) as embedder,
        faults(aws.settings.aws_endpoint_url, service, kind, rate),
    ):
        result = twin.embed(embedder, TEXTS, on_error="collect")
        assert embedder.stats().failures > 0, "there was a fault to survive"
    assert result.failures == ()
    np.testing.assert_allclose(result.vectors, expected[service], atol=5e-3)


@pytest.mark.parametrize("kind", FAULTS)
def test_without_retries_every_lost_text_is_listed(aws, expected, kind):
    service = "sagemaker-runtime"
    with BACKENDS[service](aws) as embedder, faults(aws.settings.aws_endpoint_url, service, kind, 0.3):
        embedder.disable_retries()
        result = embedder.embed(TEXTS, on_error="collect")
    lost = [failure.index for failure in result.failures]
    assert sorted([*result.indices.tolist(), *lost]) == list(range(len(TEXTS)))
    assert lost
    assert all(isinstance(failure.error, EmbedStackError) and failure.error.index == failure.index
               for failure in result.failures)  # fmt: skip
    np.testing.assert_allclose(result.vectors, expected[service][result.indices], atol=5e-3)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            {"service": "bedrock-runtime", "kind": "dependency", "rate": 1},
            "Unknown kind 'dependency' of fault of bedrock-runtime",
        ),
        (
            {"service": "sagemaker-runtime", "kind": "timeout", "rate": 1},
            "Unknown kind 'timeout' of fault of sagemaker-runtime",
        ),
        ({"service": "sagemaker-runtime", "kind": "model", "rate": "x"}, "could not convert"),
    ],
)
def test_unknown_fault_is_rejected(aws, fault, message):
    request = urllib.request.Request(aws.settings.aws_endpoint_url + FAULTS_PATH, json.dumps(fault).encode())
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as response:
        assert response.code == 400
        assert message in response.read().decode()
