"""Every wrapper by both twins, on a clock that only moves when someone waits."""

import asyncio
import threading
import time
from collections import Counter

import numpy as np
import pytest

from embedstack.clock import ManualClock
from embedstack.embedders import FakeEmbedder, Limits, Price
from embedstack.embedders.fake import FAKE_MODEL, fake_vector
from embedstack.errors import (
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    CountMismatch,
    DeadlineExceeded,
    EndpointAsleep,
    EndpointUnavailable,
    InputError,
    ModelFailed,
    NonFiniteVector,
    Throttled,
)
from embedstack.models import ModelInfo
from embedstack.resilience import (
    CircuitBreaker,
    CircuitBreakerEmbedder,
    DeadlineEmbedder,
    FallbackEmbedder,
    RateLimit,
    RateLimitedEmbedder,
    Retry,
    RetryingEmbedder,
    RetryPolicy,
    Waiting,
)
from tests.twins import TWINS

DOWN = EndpointUnavailable("down")


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


@pytest.fixture
def clock():
    return ManualClock()


class Scripted(FakeEmbedder):
    """Raises the given errors one after the other, then answers."""

    def __init__(self, *errors, limits=None, info=FAKE_MODEL):
        self.script = list(errors)
        self.handed_over = False
        super().__init__(info, limits=limits, fault=lambda _: self.script.pop(0) if self.script else None)

    def hand_over_retries(self):
        self.handed_over = True


def state_of(embedder) -> str:
    return str(embedder.breaker.state)


def retrying(inner, clock, policy=None, **options):
    return RetryingEmbedder(inner, Retry(policy, clock=clock, draw=lambda: 1.0, **options))


def test_retry_waits_ever_longer_and_then_succeeds(twin, clock):
    backend = Scripted(DOWN, DOWN, Throttled("too many"))
    with retrying(backend, clock) as embedder:
        np.testing.assert_array_equal(twin.embed(embedder, ["x"])[0], fake_vector("x", 8))
        assert clock.slept == [0.2, 0.4, 0.8]
        assert embedder.stats().retries == 3
        assert embedder.stats().throttles == 1
    assert backend.handed_over, "retries have exactly one owner"


def test_retry_gives_up_and_raises_the_last_error(twin, clock):
    backend = Scripted(*[DOWN] * 10)
    with retrying(backend, clock, RetryPolicy(attempts=3)) as embedder, pytest.raises(EndpointUnavailable):
        twin.embed(embedder, ["x"])
    assert len(backend.requests) == 3


def test_retry_leaves_alone_what_does_not_pass(twin, clock):
    with retrying(Scripted(InputError("bad")), clock) as embedder, pytest.raises(InputError):
        twin.embed(embedder, ["x"])
    assert clock.slept == []


def test_retry_does_what_the_server_asks(twin, clock):
    with retrying(Scripted(Throttled("too many", retry_after=7)), clock) as embedder:
        twin.embed(embedder, ["x"])
    assert clock.slept == [7]


def test_retry_waits_minutes_only_for_an_endpoint_that_sleeps_and_says_so(twin, clock):
    told: list[Waiting] = []
    backend = Scripted(*[EndpointAsleep("asleep")] * 40)
    with retrying(backend, clock, on_wait=told.append) as embedder:
        twin.embed(embedder, ["x"])
    assert clock.now() == 40 * 15
    assert [wait.attempt for wait in told] == list(range(1, 41))
    assert {type(wait.error) for wait in told} == {EndpointAsleep}
    backend.script = [EndpointAsleep("asleep")] * 100
    with pytest.raises(EndpointAsleep):
        twin.embed(embedder, ["x"])


def test_retry_asks_again_for_a_wrong_vector(twin, clock):
    with retrying(Scripted(NonFiniteVector("NaN")), clock) as embedder:
        assert twin.embed(embedder, ["x"]).shape == (1, 8)


def test_retries_have_a_budget_over_all_calls(twin, clock):
    backend = Scripted(*[DOWN] * 1000)
    policy = RetryPolicy(attempts=4, budget_ratio=0, budget_reserve=5)
    with retrying(backend, clock, policy) as embedder:
        for _ in range(10):
            with pytest.raises(EndpointUnavailable):
                twin.embed(embedder, ["x"])
    assert len(backend.requests) == 10 + 5


def test_jitter_is_full():
    clock = ManualClock()
    for _ in range(50):
        with RetryingEmbedder(Scripted(DOWN), Retry(clock=clock)) as embedder:
            embedder.embed(["x"])
    assert min(clock.slept) < 0.05
    assert max(clock.slept) > 0.15


def test_breaker_opens_after_failures_in_a_row_and_probes_once(twin, clock):
    backend = Scripted(*[DOWN] * 6)
    with CircuitBreakerEmbedder(backend, CircuitBreaker(clock=clock)) as embedder:
        for _ in range(5):
            with pytest.raises(EndpointUnavailable):
                twin.embed(embedder, ["x"])
        assert state_of(embedder) == "open"
        with pytest.raises(CircuitOpen) as caught:
            twin.embed(embedder, ["x"])
        assert caught.value.retry_after == 300
        clock.advance(300)
        assert state_of(embedder) == "half-open"
        with pytest.raises(EndpointUnavailable):
            twin.embed(embedder, ["x"])
        assert state_of(embedder) == "open", "the probe failed"
        clock.advance(300)
        twin.embed(embedder, ["x"])
        assert state_of(embedder) == "closed"
    assert len(backend.requests) == 7


@pytest.mark.parametrize("error", [InputError("bad"), Throttled("many"), EndpointAsleep("zzz"), NonFiniteVector("n")])
def test_breaker_does_not_take_a_refusal_for_an_outage(twin, clock, error):
    with CircuitBreakerEmbedder(Scripted(*[error] * 10), CircuitBreaker(clock=clock)) as embedder:
        for _ in range(8):
            with pytest.raises(type(error)):
                twin.embed(embedder, ["x"])
        assert state_of(embedder) == "closed"


def by_threads(embedder, count, note):
    def attempt():
        try:
            note(embedder.embed(["x"]))
        except CircuitOpen as error:
            note(error)

    threads = [threading.Thread(target=attempt) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_tasks(embedder, count, note):
    async def attempt():
        try:
            note(await embedder.aembed(["x"]))
        except CircuitOpen as error:
            note(error)

    async def gather():
        await asyncio.gather(*(attempt() for _ in range(count)))

    asyncio.run(gather())


@pytest.mark.parametrize("at_once", [by_threads, by_tasks])
def test_one_probe_only_of_many_at_once(clock, at_once):
    others_were_refused = threading.Event()
    outcomes: Counter[str] = Counter()

    class Slow(Scripted):
        def embed_batch(self, texts, kind):
            if self.requests:
                others_were_refused.wait(5)
            return super().embed_batch(texts, kind)

    def note(outcome):
        outcomes[type(outcome).__name__] += 1
        if outcomes["CircuitOpen"] == 7:
            others_were_refused.set()

    backend = Slow(DOWN, limits=Limits(concurrency=10))
    with CircuitBreakerEmbedder(backend, CircuitBreaker(failures=1, clock=clock)) as embedder:
        with pytest.raises(EndpointUnavailable):
            embedder.embed(["x"])
        clock.advance(300)
        at_once(embedder, 8, note)
    assert outcomes == {"CircuitOpen": 7, "ndarray": 1}


def test_a_cancelled_probe_lets_the_next_one_through(clock):
    breaker = CircuitBreaker(failures=1, clock=clock)
    with pytest.raises(EndpointUnavailable), breaker.guard():
        raise DOWN
    clock.advance(300)
    with pytest.raises(KeyboardInterrupt), breaker.guard():
        raise KeyboardInterrupt
    with breaker.guard():
        pass
    assert breaker.state == "closed"


def test_rate_limit_by_requests_and_by_texts(twin, clock):
    by_requests = RateLimitedEmbedder(FakeEmbedder(), RateLimit(requests_per_second=2), clock=clock)
    with by_requests:
        for _ in range(6):
            twin.embed(by_requests, ["x"])
    assert clock.now() == pytest.approx(2.0)
    by_texts = RateLimitedEmbedder(FakeEmbedder(), RateLimit(texts_per_second=10), clock=clock)
    with by_texts:
        twin.embed(by_texts, ["x"] * 10)
        twin.embed(by_texts, ["x"] * 30)
    assert clock.now() == pytest.approx(2.0 + 3.0)


def test_rate_limit_stops_at_the_budget(twin):
    class Priced(FakeEmbedder):
        def __init__(self):
            super().__init__()
            self.meters = (type(self.meters[0])(Price(per_request=1)),)

    with RateLimitedEmbedder(Priced(), RateLimit(budget_usd=2)) as embedder:
        twin.embed(embedder, ["x"])
        twin.embed(embedder, ["x"])
        with pytest.raises(BudgetExceeded, match=r"\$2.00 of the budget of \$2.00"):
            twin.embed(embedder, ["x"])


def test_fallback_takes_over(twin):
    first, second = Scripted(*[DOWN] * 3), FakeEmbedder()
    with FallbackEmbedder(first, second) as embedder:
        np.testing.assert_array_equal(twin.embed(embedder, ["x"])[0], fake_vector("x", 8))
        assert second.requests == [["x"]]
        first.script = [InputError("bad")]
        with pytest.raises(InputError):
            twin.embed(embedder, ["x"])
        assert embedder.stats().requests == 1
        assert embedder.stats().failures == 2


@pytest.mark.parametrize(
    "other",
    [
        ModelInfo("another", dimensions=8, max_tokens=512, pooling=None),
        ModelInfo("embedstack/fake", dimensions=4, max_tokens=512, pooling=None),
        ModelInfo("embedstack/fake", dimensions=8, max_tokens=512, pooling=None, normalized=False),
    ],
)
def test_fallback_refuses_another_vector_space(other):
    with pytest.raises(ConfigurationError, match="cannot stand in"):
        FallbackEmbedder(FakeEmbedder(), FakeEmbedder(other))


def test_fallback_accepts_another_model_when_told_to():
    other = ModelInfo("another", dimensions=8, max_tokens=512, pooling=None)
    FallbackEmbedder(FakeEmbedder(), FakeEmbedder(other), allow_other_model=True).close()


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


def test_deadline_does_not_wait_for_a_request_under_way():
    with DeadlineEmbedder(Stuck(), 0.1) as embedder:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            embedder.embed(["x"])
        assert time.monotonic() - started < 0.5


def test_deadline_does_not_wait_for_a_request_under_way_in_a_task():
    async def seconds():
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await embedder.aembed(["x"])
        return time.monotonic() - started  # asyncio.run itself waits for the thread on its way out

    with DeadlineEmbedder(Stuck(), 0.1) as embedder:
        assert asyncio.run(seconds()) < 0.5


@pytest.mark.parametrize(
    "error",
    [DOWN, Throttled("many"), ModelFailed("424", retryable=True), NonFiniteVector("NaN"), CountMismatch("one short")],
    ids=lambda error: type(error).__name__,
)
def test_the_whole_chain_over_many_faults_loses_nothing(twin, clock, error):
    lock = threading.Lock()
    counter = iter(range(10**9))

    def one_in_ten(_):
        with lock:
            return error if next(counter) % 10 == 3 else None

    texts = [str(number) for number in range(20_000)]
    backend = FakeEmbedder(limits=Limits(max_items=32, concurrency=8), fault=one_in_ten)
    chain = CircuitBreakerEmbedder(
        RateLimitedEmbedder(retrying(backend, clock), RateLimit(texts_per_second=1e9), clock=clock)
    )
    with chain:
        found = twin.embed(chain, texts, on_error="collect")
    assert found.failures == ()
    np.testing.assert_array_equal(found.vectors[::997], [fake_vector(text, 8) for text in texts[::997]])
    assert chain.stats().texts == len(texts)
