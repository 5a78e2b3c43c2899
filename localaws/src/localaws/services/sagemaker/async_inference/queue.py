"""A request in the queue, and where its answer goes."""

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

__all__ = ["DEFAULT_TIMEOUT_SECONDS", "DEFAULT_TTL_SECONDS", "AsyncRequest", "RequestQueue"]

#: InvokeEndpointAsync's own defaults (API reference).
DEFAULT_TTL_SECONDS = 21_600
DEFAULT_TIMEOUT_SECONDS = 900


@dataclass(slots=True)
class AsyncRequest:
    """One request.

    Attributes:
        inference_id: Its id.
        headers: What is handed through to the container.
        received: When it came, in simulated time.
        input_location: ``s3://…`` of its body; None when the body came with the call.
        body: The body that came with the call.
        output_location: ``s3://…`` that the answer goes to, or None.
        failure_location: ``s3://…`` that an error goes to, or None.
        ttl: How long it may wait.
        timeout: Seconds that the container may take.
        deaths: How often a container died of it, or with it.
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
    """The requests of one endpoint: those that wait, in order, and those that are worked on, by variant.

    It belongs to the endpoint and not to its instances: they come and go, it stays.
    """

    waiting: deque[AsyncRequest] = field(default_factory=deque)
    processing: dict[int, AsyncRequest] = field(default_factory=dict)
    busy: Counter[str] = field(default_factory=Counter)
    paused_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, request: AsyncRequest) -> None:
        """Let a request wait behind the others."""
        with self.lock:
            self.waiting.append(request)

    def take(self, capacity: dict[str, int]) -> tuple[AsyncRequest, str] | None:
        """The next request, with the variant that is to work on it: the one with the most room.

        Args:
            capacity: How many requests each variant may work on at a time.

        Returns:
            None when nothing waits, or no variant has room.
        """
        with self.lock:
            room = {variant: limit - self.busy[variant] for variant, limit in capacity.items()}
            variant = max(room, key=lambda name: room[name], default="")
            if not self.waiting or room.get(variant, 0) <= 0:
                return None
            request = self.waiting.popleft()
            self.busy[variant] += 1
            self.processing[id(request)] = request
            return request, variant

    def end(self, request: AsyncRequest, variant: str, *, again: bool = False) -> None:
        """A variant is done with a request; ``again`` puts it back to where it was, before all others."""
        with self.lock:
            self.busy[variant] -= 1
            self.processing.pop(id(request), None)
            if again:
                self.waiting.appendleft(request)

    def take_expired(self, now: datetime) -> list[AsyncRequest]:
        """Remove and return the requests that have waited for longer than they may."""
        with self.lock:
            expired = [request for request in self.waiting if now - request.received > request.ttl]
            for request in expired:
                self.waiting.remove(request)
            return expired

    @property
    def size(self) -> int:
        """Requests that are being processed or yet to be processed."""
        return len(self.waiting) + len(self.processing)

    def oldest_age(self, now: datetime) -> float:
        """Seconds since the oldest request came; 0 without any."""
        with self.lock:
            received = [request.received for request in (*self.waiting, *self.processing.values())]
        return max(((now - moment).total_seconds() for moment in received), default=0.0)
