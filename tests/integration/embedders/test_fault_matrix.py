"""Every fault for every backend, one request in ten failing; throttling, which is met most, over the most texts.

The servers are stand-ins that cost little; :mod:`test_faults` asks the local AWS itself the same, of fewer texts.
"""

import dataclasses
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from embedstack.calls.process_local import PerProcess
from embedstack.embedders import BedrockEmbedder, Embedder, Limits, LocalEmbedder, OllamaEmbedder, SageMakerEmbedder
from embedstack.errors import EmbedStackError, EndpointUnavailable
from embedstack.models.model_info import ModelInfo
from embedstack.resilience import Retry, RetryingEmbedder, RetryPolicy
from embedstack.settings.settings import Settings, load_settings
from tests.integration.embedders.stand_in import DIMENSIONS, OLLAMA_ERRORS, faults, stand_in
from tests.support.tiny_bert import HIDDEN, POSITIONS, WORDS, write_model
from tests.support.twins import TWINS

MODEL = ModelInfo("stand-in", DIMENSIONS, 512, "mean")
LIMITS = Limits(max_items=64, concurrency=4)
BROKEN = ["reset", "hang", "truncate", "nan", "count"]
SAGEMAKER = ["throttle", "model", "not-ready", "internal", "unavailable", "dependency", *BROKEN]
BEDROCK = ["throttle", "model", "not-ready", "timeout", "internal", "unavailable", *BROKEN]
# Its answer is one vector, which cannot be one short.
TITAN = [kind for kind in BEDROCK if kind != "count"]
OLLAMA = [*OLLAMA_ERRORS, *BROKEN]


@dataclasses.dataclass(frozen=True)
class Backend:
    """How to make it, whose faults it has and of which kinds, and texts: when it throttles, and otherwise."""

    make: Callable[[Settings], Embedder]
    service: str
    kinds: list[str]
    most: int
    texts: int


def bedrock(model, dimensions=None):
    return lambda settings: BedrockEmbedder(model, dimensions=dimensions, settings=settings, concurrency=4)


BACKENDS = {
    "sagemaker, arrays": Backend(
        lambda settings: SageMakerEmbedder(MODEL, endpoint="own", settings=settings, limits=LIMITS),
        "sagemaker-runtime", SAGEMAKER, 20_000, 2_000,
    ),
    "sagemaker, TEI": Backend(
        lambda settings: SageMakerEmbedder(MODEL, endpoint="tei", settings=settings, limits=LIMITS),
        "sagemaker-runtime", SAGEMAKER, 2_000, 2_000,
    ),
    "bedrock, Cohere v4": Backend(bedrock("cohere.embed-v4:0", 256), "bedrock-runtime", BEDROCK, 5_000, 2_000),
    # A request per text, so fewer of them.
    "bedrock, Titan v2": Backend(bedrock("amazon.titan-embed-text-v2:0", 256), "bedrock-runtime", TITAN, 200, 60),
    "bedrock, Titan v1": Backend(bedrock("amazon.titan-embed-text-v1"), "bedrock-runtime", TITAN, 100, 60),
    "ollama": Backend(
        lambda settings: OllamaEmbedder(MODEL, settings=settings, limits=LIMITS), "", OLLAMA, 20_000, 2_000
    ),
}  # fmt: skip
CASES = [(name, kind) for name, backend in BACKENDS.items() for kind in backend.kinds]


@pytest.fixture(scope="module")
def url():
    with pytest.MonkeyPatch.context() as patch, stand_in() as server:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield server


@pytest.fixture(scope="module")
def make(url):
    def make(name, **options):
        return BACKENDS[name].make(
            load_settings(aws_region="us-east-1", aws_endpoint_url=url, ollama_host=url, **options)
        )

    return make


@pytest.fixture(scope="module")
def expected_vectors(make):
    """What the backends answer without faults, each asked once."""
    cached = {}

    def vectors(name):
        if name not in cached:
            with make(name) as embedder:
                cached[name] = embedder.embed(texts_of(name))
        return cached[name]

    return vectors


def texts_of(name):
    return [f"text number {number}" for number in range(BACKENDS[name].most)]


def patient(embedder):
    return RetryingEmbedder(embedder, Retry(RetryPolicy(initial=0.002)))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_text_returns_once_at_its_position(url, make, expected_vectors, name, kind):
    # Both twins meet every kind, over the backends.
    twin = TWINS[CASES.index((name, kind)) % 2]
    backend = BACKENDS[name]
    texts = texts_of(name)[: backend.most if kind == "throttle" else backend.texts]
    expected = expected_vectors(name)[: len(texts)]
    with patient(make(name)) as embedder, faults(url, backend.service, kind, 0.1, seconds=0.02):
        result = twin.embed(embedder, texts, on_error="collect")
        assert embedder.stats().failures > 0, "there was a fault to survive"
    assert result.failures == ()
    np.testing.assert_array_equal(result.vectors, expected)


@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if "TEI" not in case[0] and "Titan" not in case[0]])
def test_without_retries_lost_texts_are_listed_with_reasons(url, make, expected_vectors, name, kind):
    texts = texts_of(name)[:1_000]
    expected = expected_vectors(name)
    with make(name) as embedder, faults(url, BACKENDS[name].service, kind, 0.1, seconds=0.02):
        embedder.disable_retries()
        result = TWINS[0].embed(embedder, texts, on_error="collect")
    lost = [failure.index for failure in result.failures]
    assert sorted([*result.indices.tolist(), *lost]) == list(range(len(texts)))
    assert all(isinstance(failure.error, EmbedStackError) and failure.error.index == failure.index
               for failure in result.failures)  # fmt: skip
    np.testing.assert_array_equal(result.vectors, expected[result.indices])


@pytest.mark.parametrize("name", ["sagemaker, arrays", "bedrock, Cohere v4", "ollama"])
def test_unresponsive_server_times_out(url, make, expected_vectors, name):
    texts = texts_of(name)[:1_000]
    with patient(make(name, embedding_timeout_seconds=0.5)) as embedder:
        with faults(url, BACKENDS[name].service, "hang", 0.2, seconds=60):
            result = embedder.embed(texts, on_error="collect")
            assert embedder.stats().failures > 0
        with faults(url, BACKENDS[name].service, "hang", 1, seconds=60):
            hand_over = make(name, embedding_timeout_seconds=0.1)
            hand_over.disable_retries()
            with hand_over, pytest.raises(EndpointUnavailable):
                hand_over.embed(texts[:2])
    assert result.failures == ()
    np.testing.assert_array_equal(result.vectors, expected_vectors(name)[: len(texts)])


class FaultyEncoder:
    """A real encoder, one of whose passes in ten goes wrong."""

    def __init__(self, encoder, kind):
        self._encoder = encoder
        self._kind = kind
        self._passes = itertools.count(1)
        self.check_dimensions = encoder.check_dimensions

    def encode(self, texts, **options):
        encoded = self._encoder.encode(texts, **options)
        if next(self._passes) % 10:
            return encoded
        match self._kind:
            case "memory":
                raise RuntimeError("Failed to allocate 4096 bytes of memory")
            case "nan":
                pooled = encoded.pooled.copy()
                pooled[-1, 3] = np.nan
            case _:
                pooled = encoded.pooled[1:]
        return dataclasses.replace(encoded, pooled=pooled)


def faulty(encoder, kind) -> Any:
    return FaultyEncoder(encoder, kind)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
@pytest.mark.parametrize("kind", ["memory", "nan", "count"])
def test_failing_local_model_loses_nothing(tmp_path, kind, twin):
    folder = write_model(tmp_path)
    model = ModelInfo("tiny", HIDDEN, POSITIONS, "mean")
    words = WORDS[4:]
    texts = [
        " ".join(words[number // len(words) ** place % len(words)] for place in range(5)) for number in range(4_000)
    ]
    local = LocalEmbedder(model, folder=folder, settings=load_settings(embedding_local_batch_size=64))
    with patient(local) as embedder:
        expected = embedder.embed(texts)
        local._encoder = PerProcess(partial(faulty, local._encoder.get(), kind))
        result = twin.embed(embedder, texts, on_error="collect")
        assert embedder.stats().failures > 0
    assert result.failures == ()
    np.testing.assert_allclose(result.vectors, expected, atol=5e-3)
