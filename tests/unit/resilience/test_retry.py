"""What is sent again, when, and how often."""

import numpy as np
import pytest

from embedstack.calls.clock import ManualClock
from embedstack.embedders.fake import fake_vector
from embedstack.errors import (
    DeadlineExceeded,
    EndpointAsleep,
    EndpointUnavailable,
    InputError,
    NonFiniteVector,
    Throttled,
)
from embedstack.resilience import DeadlineEmbedder, Retry, RetryEvent, RetryingEmbedder, RetryPolicy
from tests.unit.resilience.scripted import DOWN, Scripted, retrying


def test_retry_backs_off_and_succeeds(twin, clock):
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


def test_retry_does_not_repeat_permanent_errors(twin, clock):
    with retrying(Scripted(InputError("bad")), clock) as embedder, pytest.raises(InputError):
        twin.embed(embedder, ["x"])
    assert clock.slept == []


def test_retry_respects_retry_after(twin, clock):
    with retrying(Scripted(Throttled("too many", retry_after=7)), clock) as embedder:
        twin.embed(embedder, ["x"])
    assert clock.slept == [7]


@pytest.mark.parametrize(
    ("hint", "waits"),
    [(999_999_999, 20), (1e300, 20), (20.5, 20), (0, 0.2), (0.01, 0.2), (-5, 0.2), (float("nan"), 0.2)],
)
def test_retry_bounds_retry_after(twin, clock, hint, waits):
    with retrying(Scripted(Throttled("too many", retry_after=hint)), clock) as embedder:
        twin.embed(embedder, ["x"])
    assert clock.slept == [waits]


def test_retry_does_not_wait_beyond_the_deadline(twin, clock):
    backend = Scripted(Throttled("too many", retry_after=999_999_999))
    embedder = DeadlineEmbedder(retrying(backend, clock), seconds=10, clock=clock)
    with embedder, pytest.raises(DeadlineExceeded):
        twin.embed(embedder, ["x"])
    assert clock.slept == []


def test_retry_waits_minutes_for_a_scaled_to_zero_endpoint_only(twin, clock):
    events: list[RetryEvent] = []
    backend = Scripted(*[EndpointAsleep("asleep")] * 40)
    with retrying(backend, clock, on_wait=events.append) as embedder:
        twin.embed(embedder, ["x"])
    assert clock.now() == 40 * 15
    assert [wait.attempt for wait in events] == list(range(1, 41))
    assert {type(wait.error) for wait in events} == {EndpointAsleep}
    backend.script = [EndpointAsleep("asleep")] * 100
    with pytest.raises(EndpointAsleep):
        twin.embed(embedder, ["x"])


def test_retry_repeats_invalid_vectors(twin, clock):
    with retrying(Scripted(NonFiniteVector("NaN")), clock) as embedder:
        assert twin.embed(embedder, ["x"]).shape == (1, 8)


def test_retry_budget_covers_all_calls(twin, clock):
    backend = Scripted(*[DOWN] * 1000)
    policy = RetryPolicy(attempts=4, budget_ratio=0, budget_reserve=5)
    with retrying(backend, clock, policy) as embedder:
        for _ in range(10):
            with pytest.raises(EndpointUnavailable):
                twin.embed(embedder, ["x"])
    assert len(backend.requests) == 10 + 5


def test_retry_jitter_is_full():
    clock = ManualClock()
    for _ in range(50):
        with RetryingEmbedder(Scripted(DOWN), Retry(clock=clock)) as embedder:
            embedder.embed(["x"])
    assert min(clock.slept) < 0.05
    assert max(clock.slept) > 0.15
