"""Retries of temporary failures, with backoff, full jitter, the service's Retry-After, and a budget."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import tenacity

from embedstack.calls.call_context import Call
from embedstack.calls.clock import Clock, SystemClock
from embedstack.calls.process_local import Lock
from embedstack.embedders.middleware import EmbedderMiddleware
from embedstack.errors import (
    CircuitOpen,
    CountMismatch,
    EmbedStackError,
    EndpointAsleep,
    InvalidScores,
    NonFiniteVector,
)

if TYPE_CHECKING:
    from embedstack.embedders.base import Embedder

__all__ = ["Retry", "RetryEvent", "RetryPolicy", "RetryingEmbedder"]

_Result = TypeVar("_Result")
_Response = TypeVar("_Response")


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """A wait before another attempt, for a callback.

    Attributes:
        error: The reason.
        seconds: Length of the wait.
        attempt: Number of the failed attempt, from 1.
    """

    error: EmbedStackError
    seconds: float
    attempt: int


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to retry. Durations are in seconds.

    Attributes:
        attempts: Total number of attempts.
        initial: Longest first wait; doubles with each attempt. The wait itself is drawn between 0 and that
            ("full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
        maximum: Longest wait, even if the service requests a longer one.
        asleep_for: Total wait for an endpoint that is scaled to zero; it wakes up within minutes.
        asleep_interval: Wait between two attempts at such an endpoint.
        budget_ratio: Retries per first attempt, over all calls, so that an outage does not cause a flood of retries.
        budget_reserve: Additional retries.
    """

    attempts: int = 6
    initial: float = 0.2
    maximum: float = 20.0
    asleep_for: float = 900.0
    asleep_interval: float = 15.0
    budget_ratio: float = 0.5
    budget_reserve: int = 50


class Retry:
    """Applies a policy to any operation. Shared by threads."""

    def __init__(
        self,
        policy: RetryPolicy | None = None,
        *,
        clock: Clock | None = None,
        on_wait: Callable[[RetryEvent], None] | None = None,
        draw: Callable[[], float] | None = None,
    ) -> None:
        """Prepare.

        Args:
            policy: When to retry.
            clock: Measures time and waits.
            on_wait: Called before each wait, including those for an endpoint that is scaled to zero.
            draw: Returns the jitter, 0 to 1; defaults to ``random.random``.
        """
        self.policy = policy or RetryPolicy()
        self._clock = clock or SystemClock()
        self._on_wait = on_wait
        self._draw = draw
        self._allowance = float(self.policy.budget_reserve)
        self._lock = Lock()

    def call(self, operation: Callable[[], _Result], on_retry: Callable[[], None] = lambda: None) -> _Result:
        """Run an operation until it succeeds, fails permanently, or the policy gives up.

        Raises:
            EmbedStackError: The last error of the operation.
            DeadlineExceeded: The call's deadline passes before the next attempt.
        """
        with self._lock:
            self._allowance = min(self._allowance + self.policy.budget_ratio, 1000 + self.policy.budget_reserve)
        started = self._clock.now()

        def before_sleep(state: tenacity.RetryCallState) -> None:
            on_retry()
            error = _error_of(state)
            seconds = state.next_action.sleep if state.next_action else 0.0
            if self._on_wait is not None:
                self._on_wait(RetryEvent(error, seconds, state.attempt_number))

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_temporary),
            stop=lambda state: self._gives_up(state, started),
            wait=self._wait,
            sleep=lambda seconds: Call.current().pause(seconds, self._clock),
            before_sleep=before_sleep,
            reraise=True,
        )
        return retrying(operation)

    def _gives_up(self, state: tenacity.RetryCallState, started: float) -> bool:
        if isinstance(_error_of(state), EndpointAsleep):
            return self._clock.now() - started >= self.policy.asleep_for
        if state.attempt_number >= self.policy.attempts:
            return True
        with self._lock:
            if self._allowance < 1:
                return True
            self._allowance -= 1
        return False

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = _error_of(state)
        if isinstance(error, EndpointAsleep):
            seconds = self.policy.asleep_interval
        else:
            longest = min(self.policy.maximum, self.policy.initial * 2.0 ** (state.attempt_number - 1))
            seconds = longest * (self._draw or random.random)()
        if error.retry_after is None:
            return seconds
        # The policy bounds the service's Retry-After: a wrong header could stop a caller for years, and 0 or a date in
        # the past would cause no pause at all.
        return max(seconds, min(error.retry_after, self.policy.maximum))


class RetryingEmbedder(EmbedderMiddleware):
    """Retries requests. The backend's own retries are disabled, since retries have exactly one owner."""

    def __init__(self, inner: "Embedder", retry: Retry | None = None) -> None:
        super().__init__(inner)
        self._retry = retry or Retry()
        inner.disable_retries()

    def dispatch(self, texts: Sequence[str], call_next: "Callable[[Embedder], _Response]") -> _Response:
        """Send one request, with retries."""
        dispatch = super().dispatch
        return self._retry.call(lambda: dispatch(texts, call_next), on_retry=lambda: self.meters[0].count("retries"))


def _is_temporary(error: BaseException) -> bool:
    # A wrong vector or score may be the fault of one instance or temporary; an open circuit has its own retry_after.
    if isinstance(error, (CountMismatch, InvalidScores, NonFiniteVector)):
        return True
    return isinstance(error, EmbedStackError) and error.retryable and not isinstance(error, CircuitOpen)


def _error_of(state: tenacity.RetryCallState) -> EmbedStackError:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, EmbedStackError)  # noqa: S101 - _is_temporary rejects all others
    return error
