"""A call ends in time."""

import asyncio
import time

import pytest

from embedstack.embedders import FakeEmbedder
from embedstack.errors import DeadlineExceeded
from embedstack.resilience import DeadlineEmbedder
from tests.unit.resilience.scripted import DOWN, Scripted, retrying


def test_deadline_includes_waits_between_attempts(twin, clock):
    backend = Scripted(*[DOWN] * 20)
    with DeadlineEmbedder(retrying(backend, clock), 1.0, clock=clock) as embedder:
        with pytest.raises(DeadlineExceeded):
            twin.embed(embedder, ["x"])
        assert clock.now() <= 1.0
        assert len(backend.requests) == 3
        backend.script = []
        twin.embed(embedder, ["x"])  # every call has its own


class Stuck(FakeEmbedder):
    """Takes its time."""

    def embed_batch(self, texts, kind):
        time.sleep(0.6)
        return super().embed_batch(texts, kind)


def test_deadline_does_not_wait_for_a_request_in_flight():
    with DeadlineEmbedder(Stuck(), 0.1) as embedder:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            embedder.embed(["x"])
        assert time.monotonic() - started < 0.5


def test_deadline_does_not_wait_for_a_request_in_flight_async():
    async def seconds():
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await embedder.aembed(["x"])
        return time.monotonic() - started  # asyncio.run itself waits for the thread on its way out

    with DeadlineEmbedder(Stuck(), 0.1) as embedder:
        assert asyncio.run(seconds()) < 0.5
