"""Every fault over HTTP: each text comes back once, in its place, right; or it is listed with its reason."""

import json
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest

from embedstack.embedders import BedrockEmbedder, Limits, SageMakerEmbedder
from embedstack.errors import EmbedStackError
from embedstack.models import known_model
from embedstack.resilience import Retry, RetryingEmbedder, RetryPolicy
from tests.conftest import MINILM
from tests.twins import TWINS

TEXTS = [f"text number {number}" for number in range(300)]
SMALL = Limits(max_items=8, concurrency=4)
BACKENDS = {
    "sagemaker-runtime": lambda aws: SageMakerEmbedder(
        known_model(MINILM), endpoint="own", settings=aws.settings, limits=SMALL
    ),
    "bedrock-runtime": lambda aws: BedrockEmbedder("cohere.embed-english-v3", settings=aws.settings, concurrency=4),
}
FAULTS = [
    "throttle", "model", "internal", "unavailable", "dependency", "reset", "hang", "truncate", "nan", "count",
]  # fmt: skip


@contextmanager
def faults(aws, service, kind, rate):
    def ask(share):
        body = json.dumps({"service": service, "kind": kind, "rate": share, "seed": 4}).encode()
        urllib.request.urlopen(f"{aws.settings.aws_endpoint_url}/_embedstack/faults", body).close()

    ask(rate)
    try:
        yield
    finally:
        ask(0)


@pytest.fixture(scope="module")
def wanted(aws):
    found = {}
    for service, make in BACKENDS.items():
        with make(aws) as embedder:
            found[service] = embedder.embed(TEXTS)
    return found


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("service", BACKENDS)
def test_nothing_is_lost_when_one_request_in_ten_fails(aws, wanted, service, kind, twin):
    retry = Retry(RetryPolicy(initial=0.01))
    rate = 0.1 if service == "sagemaker-runtime" else 0.4  # fewer requests, since each takes more texts
    with RetryingEmbedder(BACKENDS[service](aws), retry) as embedder, faults(aws, service, kind, rate):
        found = twin.embed(embedder, TEXTS, on_error="collect")
        assert embedder.stats().failures > 0, "there was a fault to survive"
    assert found.failures == ()
    np.testing.assert_allclose(found.vectors, wanted[service], atol=5e-3)


@pytest.mark.parametrize("kind", FAULTS)
def test_without_retries_every_loss_is_listed(aws, wanted, kind):
    service = "sagemaker-runtime"
    with BACKENDS[service](aws) as embedder, faults(aws, service, kind, 0.3):
        embedder.hand_over_retries()
        found = embedder.embed(TEXTS, on_error="collect")
    lost = [failure.index for failure in found.failures]
    assert sorted([*found.indices.tolist(), *lost]) == list(range(len(TEXTS)))
    assert lost
    assert all(isinstance(failure.error, EmbedStackError) and failure.error.index == failure.index
               for failure in found.failures)  # fmt: skip
    np.testing.assert_allclose(found.vectors, wanted[service][found.indices], atol=5e-3)
