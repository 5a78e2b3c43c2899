"""Every call by both twins: isolation of bad texts, streams, prompts, progress, cancellation, statistics."""

import asyncio
import contextlib
import itertools
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from embedstack.calls.call_context import Call
from embedstack.calls.process_local import Lock
from embedstack.embedders import Embedder, FakeEmbedder, Limits, Price
from embedstack.embedders.adaptive_limits import AdaptiveConcurrency, BatchSizer
from embedstack.embedders.fake import FAKE_MODEL, fake_vector
from embedstack.errors import (
    ConfigurationError,
    DeadlineExceeded,
    InputError,
    ModelFailed,
    NonFiniteVector,
    PayloadTooLarge,
    Throttled,
)
from embedstack.models.catalogue import known_model
from embedstack.models.model_info import ModelInfo
from tests.support.twins import TWINS


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


def expected(texts):
    return np.stack([fake_vector(text, FAKE_MODEL.require_dimensions()) for text in texts])


def refuses(*bad, error=InputError):
    return lambda texts: error("refused") if set(bad) & set(texts) else None


def test_every_method_returns_the_same_vectors(twin):
    texts = [f"text {number}" for number in range(100)]
    with FakeEmbedder(limits=Limits(max_items=7, concurrency=3)) as embedder:
        np.testing.assert_array_equal(twin.embed(embedder, texts), expected(texts))
        np.testing.assert_array_equal(twin.embed_documents(embedder, texts), expected(texts))
        np.testing.assert_array_equal(np.stack(twin.embed_stream(embedder, iter(texts))), expected(texts))
        np.testing.assert_array_equal(twin.embed_query(embedder, texts[0]), expected(texts[:1])[0])
        assert twin.embed(embedder, []).shape == (0, 8)
        assert twin.embed_stream(embedder, []) == []


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.integers(0, 30).map(str), min_size=1, max_size=40),
    bad=st.sets(st.integers(0, 30).map(str), max_size=5),
    items=st.integers(1, 9),
)
def test_bisection_lists_exactly_the_bad_texts(texts, bad, items):
    with FakeEmbedder(limits=Limits(max_items=items, concurrency=2), fault=refuses(*bad)) as embedder:
        result = embedder.embed(texts, on_error="collect")
    good = [index for index, text in enumerate(texts) if text not in bad]
    assert result.indices.tolist() == good
    assert [failure.index for failure in result.failures] == [i for i in range(len(texts)) if i not in good]
    assert all(failure.error.index == failure.index for failure in result.failures)
    np.testing.assert_array_equal(result.vectors, expected([texts[index] for index in good]).reshape(-1, 8) if good
                                  else np.empty((0, 8), np.float32))  # fmt: skip


def test_rejected_text_is_raised_with_its_index(twin):
    texts = [str(number) for number in range(20)]
    with (
        FakeEmbedder(limits=Limits(max_items=8), fault=refuses("13")) as embedder,
        pytest.raises(InputError, match="Text 13: refused") as caught,
    ):
        twin.embed(embedder, texts)
    assert caught.value.index == 13


def test_too_large_request_is_split(twin):
    def too_large(texts):
        return PayloadTooLarge("too large") if len(texts) > 3 else None

    texts = [str(number) for number in range(64)]
    with FakeEmbedder(limits=Limits(max_items=32, concurrency=1), fault=too_large) as embedder:
        np.testing.assert_array_equal(twin.embed(embedder, texts), expected(texts))
        embedder.requests.clear()
        twin.embed(embedder, texts)
    assert max(map(len, embedder.requests)) <= 8, "the next call starts with what was learned"


def test_failed_request_lists_exactly_its_texts(twin):
    texts = [str(number) for number in range(20)]
    with FakeEmbedder(limits=Limits(max_items=5), fault=refuses("7", error=ModelFailed)) as embedder:
        result = twin.embed(embedder, texts, on_error="collect")
    assert [failure.index for failure in result.failures] == [5, 6, 7, 8, 9]
    assert [failure.error.index for failure in result.failures] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("bad", ["", None, 3.5, "\ud800"])
def test_invalid_text_is_listed(twin, bad):
    with FakeEmbedder(limits=Limits(max_items=2)) as embedder:
        result = twin.embed(embedder, ["a", bad, "b"], on_error="collect")
        items = twin.embed_stream(embedder, ["a", bad, "b"], on_error="collect")
    assert result.indices.tolist() == [0, 2]
    assert result.failures[0].index == 1
    assert isinstance(items[1], InputError)
    np.testing.assert_array_equal(np.stack([items[0], items[2]]), expected(["a", "b"]))


def test_invalid_vector_is_listed_alone(twin):
    class OneNan(FakeEmbedder):
        def embed_batch(self, texts, kind):
            vectors = super().embed_batch(texts, kind)
            vectors[[index for index, text in enumerate(texts) if text == "b"]] = np.nan
            return vectors

    with OneNan() as embedder:
        result = twin.embed(embedder, ["a", "b", "c"], on_error="collect")
    assert result.indices.tolist() == [0, 2]
    assert isinstance(result.failures[0].error, NonFiniteVector)


def test_stream_read_ahead_is_bounded(twin):
    read = 0

    def texts():
        nonlocal read
        for number in itertools.count():
            read += 1
            yield str(number)

    with FakeEmbedder(limits=Limits(max_items=4, concurrency=2)) as embedder:
        if twin.name == "sync":
            stream = embedder.embed_stream(texts())
            first = next(stream)
            stream.close()
        else:

            async def take_one():
                stream = embedder.aembed_stream(texts())
                result = await anext(stream)
                await stream.aclose()
                return result

            first = asyncio.run(take_one())
    np.testing.assert_array_equal(first, expected(["0"])[0])
    assert read <= 4 * (2 * (2 + 2) + 1) + 1  # two more threads than requests in flight read answers


def test_progress_ends_at_the_total(twin):
    seen = []
    with FakeEmbedder(limits=Limits(max_items=4)) as embedder:
        twin.embed(embedder, ["x"] * 10, on_progress=lambda done, total: seen.append((done, total)))
        twin.embed_stream(embedder, ["x"] * 10, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 10), (8, 10), (10, 10), (4, None), (8, None), (10, None)]


def test_kinds_and_contexts_add_their_prompts(twin):
    model = ModelInfo("m", dimensions=8, max_tokens=9, pooling="mean", prompts={"query": "query: "})
    with FakeEmbedder(model) as embedder:
        twin.embed_query(embedder, "x")
        twin.embed_documents(embedder, ["x"])
        twin.embed_documents(embedder, ["x"], context="code")
        twin.embed_query(embedder, "x", context="business")
    assert embedder.requests == [["query: x"], ["x"], ["Code: x"], ["query: Business Process: x"]]


def test_cancelled_task_stops_sending():
    going = threading.Event()

    class Slow(FakeEmbedder):
        def embed_batch(self, texts, kind):
            going.set()
            time.sleep(0.05)
            return super().embed_batch(texts, kind)

    async def cancel(embedder):
        task = asyncio.create_task(embedder.aembed([str(number) for number in range(100)]))
        await asyncio.to_thread(going.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Slow(limits=Limits(max_items=1, concurrency=2)) as embedder:
        asyncio.run(cancel(embedder))
        time.sleep(0.2)
        assert len(embedder.requests) <= 6


def test_aembed_does_not_block_the_event_loop():
    class Slow(FakeEmbedder):
        def embed_batch(self, texts, kind):
            time.sleep(0.2)
            return super().embed_batch(texts, kind)

    async def both():
        task = asyncio.create_task(embedder.aembed_query("x"))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    with Slow() as embedder:
        assert asyncio.run(both()) > 3


def test_stats_count_requests_tokens_and_cost(twin):
    class Counting(FakeEmbedder):
        def __init__(self):
            Embedder.__init__(self, FAKE_MODEL, Limits(max_items=2), price=Price(per_million_tokens=10, per_request=1))
            self.requests = []
            self._lock = Lock()
            self._fault = refuses("bad", error=Throttled)

        def embed_batch(self, texts, kind):
            self.count_tokens(50)
            return super().embed_batch(texts, kind)

    with Counting() as embedder:
        twin.embed(embedder, ["a", "b", "c"])
        with pytest.raises(Throttled):
            twin.embed(embedder, ["bad"])
        stats = embedder.stats()
    assert (stats.requests, stats.texts, stats.tokens, stats.failures, stats.throttles) == (2, 3, 100, 1, 1)
    assert stats.cost_usd == pytest.approx(2 + 100 * 10 / 1e6)
    assert 0 < stats.latency_p50_ms <= stats.latency_p95_ms <= stats.latency_p99_ms


def test_tokens_are_estimated_if_the_backend_counts_none(twin):
    with FakeEmbedder() as embedder:
        twin.embed(embedder, ["x" * 400])
        assert embedder.stats().tokens == 101


@pytest.mark.parametrize(("length", "items"), [(10, 64), (200, 32), (1000, 16)])
def test_initial_request_size_depends_on_text_length(length, items):
    with FakeEmbedder(limits=Limits(max_items=1000, concurrency=1)) as embedder:
        embedder.embed(["x" * length] * 70)
    assert len(embedder.requests[0]) == items


def test_request_size_adapts_to_latency():
    sizer = BatchSizer(64)
    for _ in range(10):
        sizer.record_latency(5.0)
    slow = sizer.items(10)
    assert slow < 16
    for _ in range(100):
        sizer.record_latency(0.01)
    assert slow < sizer.items(10) <= 64


def test_estimated_tokens_split_requests():
    limits = Limits(max_items=64, max_tokens=100, concurrency=1)
    with FakeEmbedder(limits=limits) as embedder:
        embedder.embed(["x" * 160] * 6)
    assert [len(request) for request in embedder.requests] == [2, 2, 2]


def test_concurrency_halves_when_throttled_and_recovers():
    pace = AdaptiveConcurrency(8)
    for expected_limit in (4, 2, 1, 1):
        with pytest.raises(Throttled), pace.slot():
            raise Throttled("too many")
        assert pace.limit == expected_limit
    for _ in range(60):
        with pace.slot():
            pass
    assert pace.limit == 8


def test_concurrency_settles_at_a_fixed_limit():
    # One that throttles the ninth request at once, asked by someone who would send sixteen.
    pace = AdaptiveConcurrency(16)
    limits, throttled = [], 0
    for _ in range(200):
        count = pace.limit
        limits.append(count)
        with contextlib.ExitStack() as under_way:
            slots = [under_way.enter_context(pace.slot()) for _ in range(count)]
            for slot in slots[:8]:
                slot.free()
            for slot in slots[8:]:
                throttled += 1
                slot.free(throttled=True)
    assert min(limits) == 8
    assert sum(limits) / len(limits) < 9
    assert throttled < 8 + 200 / 4


def test_freed_slot_admits_the_next_request():
    pace = AdaptiveConcurrency(1)
    with pace.slot() as first:
        first.free()
        with pace.slot():
            pass
        first.free()  # once only
    with pace.slot(), pytest.raises(DeadlineExceeded):
        Call(deadline=0).context().run(lambda: pace.slot().__enter__())


def test_concurrent_calls_share_the_concurrency():
    busy = most = 0
    lock = threading.Lock()

    class Watching(FakeEmbedder):
        def embed_batch(self, texts, kind):
            nonlocal busy, most
            with lock:
                busy += 1
                most = max(most, busy)
            time.sleep(0.01)
            with lock:
                busy -= 1
            return super().embed_batch(texts, kind)

    with Watching(limits=Limits(concurrency=2)) as embedder:
        threads = [threading.Thread(target=embedder.embed, args=(["x"],)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 2


def test_shortened_requires_a_matryoshka_model():
    assert known_model("amazon.titan-embed-text-v2:0").shortened(256).dimensions == 256
    with pytest.raises(ConfigurationError, match="384 dimensions, not 128"):
        known_model("sentence-transformers/all-MiniLM-L6-v2").shortened(128)
