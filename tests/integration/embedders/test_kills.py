"""A model process or a client that is killed in the middle: nothing wrong is kept, and the next run completes."""

import base64
import contextlib
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from conftest import MINILM
from embedstack.cache.cached_embedder import CachedEmbedder, SqliteCache
from embedstack.embedders import Limits, SageMakerEmbedder
from embedstack.models.catalogue import known_model
from embedstack.models.model_info import ModelInfo
from embedstack.resilience import Retry, RetryingEmbedder, RetryPolicy
from embedstack.settings.settings import load_settings
from tests.integration.embedders.stand_in import DIMENSIONS, stand_in
from tests.support.twins import TWINS

ENDPOINTS = ("own",)
TEXTS = [f"text number {number}" for number in range(200)]
KEY = base64.b64encode(bytes(range(32))).decode()


def cached(embedder, file, key=None):
    return CachedEmbedder(embedder, SqliteCache(file, key=key))


class Killing(SageMakerEmbedder):
    """Halts the endpoint's model process before its fifth request and kills it a moment later, with that one inside."""

    def __init__(self, aws):
        super().__init__(
            known_model(MINILM), endpoint="own", settings=aws.settings, limits=Limits(max_items=8, concurrency=4)
        )
        self._containers = aws.state / "containers"
        self._lock = threading.Lock()
        self._sent = 0

    def embed_batch(self, texts, kind):
        with self._lock:
            self._sent += 1
            if self._sent == 5:
                self._signal(signal.SIGSTOP)
                threading.Timer(1, self._signal, [signal.SIGKILL]).start()
        return super().embed_batch(texts, kind)

    def _signal(self, number):
        for file in self._containers.glob("*.json"):
            # The file of one that was killed before stays until the local AWS notices.
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(file.stem), number)


@pytest.fixture(scope="module")
def expected(aws):
    with SageMakerEmbedder(known_model(MINILM), endpoint="own", settings=aws.settings) as embedder:
        return embedder.embed(TEXTS)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
def test_client_survives_a_killed_endpoint(aws, expected, tmp_path, twin):
    with cached(RetryingEmbedder(Killing(aws), Retry(RetryPolicy(initial=0.05))), tmp_path / "cache.db") as embedder:
        vectors = twin.embed(embedder, TEXTS)
        assert embedder.stats().failures > 0
    np.testing.assert_allclose(vectors, expected, atol=5e-3)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
def test_unanswered_texts_of_a_killed_endpoint_are_not_cached(aws, expected, tmp_path, twin):
    killing = Killing(aws)
    killing.disable_retries()
    with cached(killing, tmp_path / "cache.db") as embedder:
        result = twin.embed(embedder, TEXTS, on_error="collect")
    lost = [failure.index for failure in result.failures]
    assert lost
    assert sorted([*result.indices.tolist(), *lost]) == list(range(len(TEXTS)))
    np.testing.assert_allclose(result.vectors, expected[result.indices], atol=5e-3)

    again = SageMakerEmbedder(known_model(MINILM), endpoint="own", settings=aws.settings)
    with cached(again, tmp_path / "cache.db") as embedder:
        np.testing.assert_allclose(twin.embed(embedder, TEXTS), expected, atol=5e-3)
        assert embedder.stats().texts == len(lost), "only what was lost is embedded again"


MANY = 20_000
_CLIENT = f"""
import sys
from pathlib import Path
from embedstack.cache.cached_embedder import CachedEmbedder, SqliteCache
from embedstack.embedders import SageMakerEmbedder
from embedstack.models.model_info import ModelInfo
from embedstack.settings.settings import load_settings
file, url, key = sys.argv[1:]
settings = load_settings(aws_region="us-east-1", aws_endpoint_url=url)
backend = SageMakerEmbedder(ModelInfo("stand-in", {DIMENSIONS}, 512, "mean"), endpoint="own", settings=settings)
embedder = CachedEmbedder(backend, SqliteCache(Path(file), key=key or None))
for number, _ in enumerate(embedder.embed_stream(str(number) for number in range({MANY}))):
    if number == 0:
        print("has begun", flush=True)
"""


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
def test_killed_client_leaves_only_valid_cached_vectors(tmp_path, monkeypatch, key):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    file = tmp_path / "cache.db"
    texts = [str(number) for number in range(MANY)]
    with stand_in() as url:
        command = [sys.executable, "-c", _CLIENT, file, url, key or ""]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "has begun\n"
            client.kill()
        assert client.returncode == -signal.SIGKILL

        settings = load_settings(aws_region="us-east-1", aws_endpoint_url=url)
        backend = SageMakerEmbedder(ModelInfo("stand-in", DIMENSIONS, 512, "mean"), endpoint="own", settings=settings)
        with backend, cached(backend, file, key) as embedder:
            expected = backend.embed(texts)
            before = backend.stats().texts
            result = np.stack(list(embedder.embed_stream(iter(texts))))
            stats = embedder.stats()
    np.testing.assert_array_equal(result, expected)
    assert 0 < stats.cache_hits < MANY
    assert stats.texts - before == MANY - stats.cache_hits, "the second run embeds only what the first did not keep"
