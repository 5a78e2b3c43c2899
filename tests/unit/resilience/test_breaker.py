"""When the circuit opens, and who probes."""

import asyncio
import threading
from collections import Counter

import pytest

from embedstack.embedders import Limits
from embedstack.errors import (
    BudgetExceeded,
    CircuitOpen,
    EndpointAsleep,
    EndpointUnavailable,
    InputError,
    NonFiniteVector,
    Throttled,
)
from embedstack.resilience import CircuitBreaker, CircuitBreakerEmbedder
from tests.unit.resilience.scripted import DOWN, Scripted


def state_of(embedder) -> str:
    return str(embedder.breaker.state)


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
def test_breaker_ignores_rejected_requests(twin, clock, error):
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
def test_breaker_admits_one_probe_at_a_time(clock, at_once):
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


def test_breaker_admits_a_probe_after_a_cancelled_one(clock):
    breaker = CircuitBreaker(failures=1, clock=clock)
    with pytest.raises(EndpointUnavailable), breaker.guard():
        raise DOWN
    clock.advance(300)
    with pytest.raises(KeyboardInterrupt), breaker.guard():
        raise KeyboardInterrupt
    with breaker.guard():
        pass
    assert breaker.state == "closed"


def test_spent_budget_does_not_close_the_circuit(twin, clock):
    backend = Scripted(*[DOWN] * 5, BudgetExceeded("spent"))
    with CircuitBreakerEmbedder(backend, CircuitBreaker(clock=clock)) as embedder:
        for _ in range(5):
            with pytest.raises(EndpointUnavailable):
                twin.embed(embedder, ["x"])
        clock.advance(300)
        with pytest.raises(BudgetExceeded):
            twin.embed(embedder, ["x"])
        assert state_of(embedder) == "half-open", "no request has shown that the service works"
        twin.embed(embedder, ["x"])
        assert state_of(embedder) == "closed"
