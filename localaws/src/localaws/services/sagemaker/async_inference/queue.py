"""The queue of an asynchronous endpoint, and its requests."""

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

__all__ = ["DEFAULT_TIMEOUT_SECONDS", "DEFAULT_TTL_SECONDS", "AsyncRequest", "RequestQueue"]

#: Defaults of InvokeEndpointAsync (API reference).
DEFAULT_TTL_SECONDS = 21_600
DEFAULT_TIMEOUT_SECONDS = 900


@dataclass(slots=True)
class AsyncRequest:
    """One asynchronous request.

    Attributes:
        inference_id: Its id.
        headers: Headers for the container.
        received: Time of the call, on the local AWS's clock.
        input_location: ``s3://…`` of its body; None if the call contained the body.
        body: The body in the call.
        output_location: ``s3://…`` of the response, or None.
        failure_location: ``s3://…`` of a failure, or None.
        ttl: Longest time in the queue.
        timeout: Seconds that the container has.
        deaths: Number of containers that died while processing it.
    """

    inference_id: str
    headers: dict[str, str]
    received: datetime
    input_location: str | None = None
    body: bytes = b""
    output_location: str | None = None
    failure_location: str | None = None
    ttl: timedelta = timedelta(seconds=DEFAULT_TTL_SECONDS)
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    deaths: int = 0


@dataclass(slots=True)
class RequestQueue:
    """The requests of one endpoint: the waiting ones in order, and those in progress by variant.

    It belongs to the endpoint and outlives its instances.
    """

    waiting: deque[AsyncRequest] = field(default_factory=deque)
    processing: dict[int, AsyncRequest] = field(default_factory=dict)
    busy: Counter[str] = field(default_factory=Counter)
    paused_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, request: AsyncRequest) -> None:
        """Add a request at the end."""
        with self.lock:
            self.waiting.append(request)

    def take(self, capacity: dict[str, int]) -> tuple[AsyncRequest, str] | None:
        """Take the next request, for the variant with the most free capacity.

        Args:
            capacity: Maximum number of concurrent requests per variant.

        Returns:
            The request and the variant; None if no request waits or no variant has free capacity.
        """
        with self.lock:
            free = {variant: limit - self.busy[variant] for variant, limit in capacity.items()}
            variant = max(free, key=lambda name: free[name], default="")
            if not self.waiting or free.get(variant, 0) <= 0:
                return None
            request = self.waiting.popleft()
            self.busy[variant] += 1
            self.processing[id(request)] = request
            return request, variant

    def end(self, request: AsyncRequest, variant: str, *, requeue: bool = False) -> None:
        """End the processing of a request; ``requeue`` puts it back in front of all others."""
        with self.lock:
            self.busy[variant] -= 1
            self.processing.pop(id(request), None)
            if requeue:
                self.waiting.appendleft(request)

    def take_expired(self, now: datetime) -> list[AsyncRequest]:
        """Remove and return the requests that have waited for longer than their TTL."""
        with self.lock:
            expired = [request for request in self.waiting if now - request.received > request.ttl]
            for request in expired:
                self.waiting.remove(request)
            return expired

    def __getstate__(self) -> tuple[deque[AsyncRequest]]:
        """What is kept when the local AWS stops: requests in progress wait again, before the others."""
        return (deque([*self.processing.values(), *self.waiting]),)

    def __setstate__(self, state: tuple[deque[AsyncRequest]]) -> None:
        """Continue with the requests of another local AWS."""
        self.__init__(*state)  # type: ignore[misc]

    @property
    def size(self) -> int:
        """Number of requests, waiting and in progress."""
        return len(self.waiting) + len(self.processing)

    def oldest_age(self, now: datetime) -> float:
        """Seconds since the oldest request was received; 0 without requests."""
        with self.lock:
            received = [request.received for request in (*self.waiting, *self.processing.values())]
        return max(((now - moment).total_seconds() for moment in received), default=0.0)
