"""How far a stream reads ahead, with and without a cache: live sources, early ends, errors of the source."""

import asyncio
import contextlib
import itertools
import queue
import threading
import time

import numpy as np
import pytest

from embedstack.cache.cached_embedder import CachedEmbedder, MemoryCache, SqliteCache
from embedstack.embedders import FakeEmbedder, Limits
from embedstack.embedders.fake import FAKE_MODEL, fake_vector
from embedstack.errors import EmbedStackError, InputError, ModelFailed
from embedstack.resilience import DeadlineEmbedder
from tests.support.twins import TWINS

LIMITS = Limits(max_items=8, concurrency=4)
# Two more threads than requests read answers, and as many batches again wait.
LOOK_AHEAD = 2 * (4 + 2) * 8


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


@pytest.fixture(params=["bare", "memory", "file", "deadline"])
def wrap(request, tmp_path):
    def wrap(backend):
        match request.param:
            case "bare":
                return backend
            case "memory":
                return CachedEmbedder(backend)
            case "file":
                return CachedEmbedder(backend, MemoryCache(), SqliteCache(tmp_path / "cache.db"))
            case _:
                return DeadlineEmbedder(CachedEmbedder(backend), 60)

    return wrap


class Gated(FakeEmbedder):
    """Answers when it is told to."""

    def __init__(self, **options):
        super().__init__(limits=LIMITS, **options)
        self.gate = threading.Event()

    def embed_batch(self, texts, kind):
        assert self.gate.wait(30)
        return super().embed_batch(texts, kind)


def expected(texts):
    return np.stack([fake_vector(text, FAKE_MODEL.require_dimensions()) for text in texts])


def counted(numbers=None):
    """An endless source, and how much of it was read."""
    read = []

    def texts():
        for number in numbers or itertools.count():
            read.append(number)
            yield str(number)

    return texts(), read


def take(twin, embedder, texts, count):
    """The first vectors of a stream that is then closed."""
    if twin.name == "sync":
        with contextlib.closing(embedder.embed_stream(texts)) as stream:
            return list(itertools.islice(stream, count))

    async def take_some():
        async with contextlib.aclosing(embedder.aembed_stream(texts)) as stream:
            return [vector async for _, vector in _azip(range(count), stream)]

    return asyncio.run(take_some())


async def _azip(numbers, stream):
    for number in numbers:
        yield number, await anext(stream)


def test_stream_without_hits_reads_only_as_far_as_needed(twin, wrap):
    backend = Gated()
    texts, read = counted()
    threading.Timer(0.3, backend.gate.set).start()
    with wrap(backend) as embedder:
        (vector,) = take(twin, embedder, texts, 1)
    np.testing.assert_array_equal(vector, fake_vector("0", 8))
    # A block that is looked up, and what the async twin has read beside.
    assert len(read) <= LOOK_AHEAD + 2 * 24


@pytest.mark.parametrize("step", [1, 2, 10])
def test_cache_hits_do_not_extend_the_first_read_ahead(twin, step):
    backend = Gated()
    backend.gate.set()
    with CachedEmbedder(backend) as embedder:
        embedder.embed([str(number) for number in range(10_000) if step == 1 or number % step])
        backend.gate.clear()
        if step > 1:
            threading.Timer(0.3, backend.gate.set).start()
        texts, read = counted()
        (vector,) = take(twin, embedder, texts, 1)
    np.testing.assert_array_equal(vector, fake_vector("0", 8))
    assert len(read) <= (LOOK_AHEAD if step > 1 else 0) + 3 * 24


def test_read_ahead_of_a_long_mixed_stream_is_bounded(twin, wrap):
    # Every tenth text is new; the rest come again and again.
    texts = [str(number if number % 10 == 0 else number % 50) for number in range(5000)]
    ahead = []
    done = 0

    def source():
        for number, text in enumerate(texts):
            ahead.append(number - done)
            yield text

    with wrap(FakeEmbedder(limits=LIMITS)) as embedder:

        def count(finished, total):
            nonlocal done
            done = finished

        vectors = twin.embed_stream(embedder, source(), on_progress=count)
    np.testing.assert_array_equal(np.stack(vectors), expected(texts))
    assert max(ahead) <= 4 * LOOK_AHEAD + 64


def test_async_stream_yields_before_the_next_text(wrap):
    """A conversation: the source gives its next text only when it has the vector of the last."""

    async def converse():
        answered: asyncio.Queue[None] = asyncio.Queue()

        async def source():
            for number in range(10):
                yield str(number)
                await answered.get()

        vectors = []
        with wrap(FakeEmbedder(limits=LIMITS)) as embedder:
            async with asyncio.timeout(30), contextlib.aclosing(embedder.aembed_stream(source())) as stream:
                async for vector in stream:
                    vectors.append(vector)
                    answered.put_nowait(None)
        return vectors

    vectors = asyncio.run(converse())
    np.testing.assert_array_equal(np.stack(vectors), expected([str(number) for number in range(10)]))


def test_sync_stream_yields_with_the_next_text(wrap):
    """A source that blocks for a while is answered one text later."""
    seen: queue.SimpleQueue[int] = queue.SimpleQueue()

    def source():
        for number in range(4):
            time.sleep(0.15)
            seen.put(number)
            yield str(number)

    with wrap(FakeEmbedder(limits=LIMITS)) as embedder:
        lags = [seen.qsize() - given for given, _ in enumerate(embedder.embed_stream(source()), 1)]
    assert len(lags) == 4
    assert max(lags) <= 1


def test_texts_that_arrive_during_a_request_share_one(wrap):
    class Watched(Gated):
        under_way = threading.Event()

        def embed_batch(self, texts, kind):
            self.under_way.set()
            return super().embed_batch(texts, kind)

    async def run():
        backend = Watched()

        async def source():
            yield "0"
            await asyncio.to_thread(backend.under_way.wait)
            for number in range(1, 6):
                yield str(number)
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)  # time for the cache to look up the last of them
            backend.gate.set()
            await asyncio.sleep(0.3)
            yield "6"

        with wrap(backend) as embedder:
            vectors = [vector async for vector in embedder.aembed_stream(source())]
        return vectors, backend.requests

    vectors, requests = asyncio.run(run())
    np.testing.assert_array_equal(np.stack(vectors), expected([str(number) for number in range(7)]))
    assert requests == [["0"], ["1", "2", "3", "4", "5"], ["6"]]


def stream_until_error(twin, embedder, texts):
    """The vectors of a stream before its error, and the error."""
    got = []

    async def run():
        async for vector in embedder.aembed_stream(texts):
            got.append(vector)  # noqa: PERF401 - what came before an error counts

    try:
        if twin.name == "sync":
            for vector in embedder.embed_stream(texts):
                got.append(vector)  # noqa: PERF402 - as above
        else:
            asyncio.run(run())
    except (OSError, EmbedStackError) as error:
        return np.stack(got), error
    pytest.fail("the stream ended without an error")


def test_source_error_follows_the_vectors_before_it(twin, wrap):
    def source():
        for number in range(30):
            yield str(number)
        raise OSError("the disk is gone")

    with wrap(FakeEmbedder(limits=LIMITS)) as embedder:
        got, error = stream_until_error(twin, embedder, source())
    assert str(error) == "the disk is gone"
    np.testing.assert_array_equal(got, expected([str(number) for number in range(30)]))


def test_rejected_text_follows_the_vectors_before_it(twin, wrap):
    texts = [*(str(number) for number in range(19)), "", "more"]
    with wrap(FakeEmbedder(limits=LIMITS)) as embedder:
        got, error = stream_until_error(twin, embedder, texts)
    assert isinstance(error, InputError)
    assert error.index == 19
    np.testing.assert_array_equal(got, expected(texts[:19]))


def test_collected_errors_keep_their_positions(twin, wrap):
    texts = [str(number) if number % 7 else "" for number in range(100)]

    def fault(batch):
        return ModelFailed("broken") if "50" in batch else None

    with wrap(FakeEmbedder(limits=LIMITS, fault=fault)) as embedder:
        items = twin.embed_stream(embedder, iter(texts), on_error="collect")
    assert len(items) == len(texts)
    failed = [index for index, item in enumerate(items) if isinstance(item, EmbedStackError)]
    assert all(items[index].index == index for index in failed)
    assert {index for index in range(100) if not texts[index]} < set(failed)
    assert 50 in failed
    for index in set(range(100)) - set(failed):
        np.testing.assert_array_equal(items[index], fake_vector(texts[index], 8))


def test_closed_stream_stops_reading_and_sending(twin, wrap):
    class Busy(FakeEmbedder):
        under_way = 0
        lock = threading.Lock()

        def embed_batch(self, texts, kind):
            with self.lock:
                self.under_way += 1
            try:
                return super().embed_batch(texts, kind)
            finally:
                with self.lock:
                    self.under_way -= 1

    backend = Busy(limits=LIMITS)
    texts, read = counted()
    with wrap(backend) as embedder:
        take(twin, embedder, texts, 3)
        # Requests that were under way end; nothing follows them.
        deadline = time.monotonic() + 10
        while backend.under_way:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        after = len(read), len(backend.requests)
        time.sleep(0.1)
        assert len(read) == after[0]
        # One that a thread had taken up already may still begin.
        assert len(backend.requests) <= after[1] + LIMITS.concurrency + 2


def test_closed_async_stream_ends_a_waiting_source(wrap):
    ended = []

    async def run():
        async def source():
            try:
                yield "0"
                await asyncio.sleep(3600)
            finally:
                ended.append(True)

        with wrap(FakeEmbedder(limits=LIMITS)) as embedder:
            async with asyncio.timeout(30), contextlib.aclosing(embedder.aembed_stream(source())) as stream:
                await anext(stream)
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(run()) == []
    assert ended == [True]


def test_stream_embeds_each_text_once(twin):
    backend = FakeEmbedder(limits=LIMITS)
    texts = [str(number % 40) for number in range(2000)]
    with CachedEmbedder(backend) as embedder:
        vectors = twin.embed_stream(embedder, iter(texts))
        assert embedder.stats().cache_hits == 2000 - 40
    np.testing.assert_array_equal(np.stack(vectors), expected(texts))
    assert sorted(text for request in backend.requests for text in request) == sorted(set(texts))


def test_slow_consumer_keeps_the_backend_busy():
    class Slow(FakeEmbedder):
        most = busy = 0
        lock = threading.Lock()

        def embed_batch(self, texts, kind):
            with self.lock:
                self.busy += 1
                self.most = max(self.most, self.busy)
            time.sleep(0.02)
            with self.lock:
                self.busy -= 1
            return super().embed_batch(texts, kind)

    with Slow(limits=LIMITS) as embedder:
        for number, _ in enumerate(embedder.embed_stream(str(number) for number in range(400))):
            if number == 200:
                embedder.most = 0
            time.sleep(0.0005)
    assert embedder.most >= 2


@pytest.mark.parametrize("is_cached", [False, True], ids=["bare", "cached"])
def test_call_can_be_cancelled_twice(is_cached):
    """As at the end of asyncio.run(), while a cancelled task still cleans up."""

    async def main(turns):
        backend = FakeEmbedder(limits=Limits(max_items=1))
        embedder = CachedEmbedder(backend, MemoryCache()) if is_cached else backend
        task = asyncio.create_task(embedder.aembed(["a", "b", "c"]))
        await asyncio.sleep(0)
        for _ in range(turns):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    for turns in range(1, 8):
        asyncio.run(main(turns))
