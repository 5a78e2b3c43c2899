"""The limits of writes into an index per second."""

import time
from collections.abc import Callable

from localaws.services.s3vectors.errors import S3VectorsError

__all__ = ["WriteRates"]


class WriteRates:
    """Two token buckets, of requests and of vectors. Not safe for threads."""

    def __init__(self, requests: float, vectors: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with full buckets.

        Args:
            requests: PutVectors and DeleteVectors requests per second.
            vectors: Vectors put or deleted per second.
            clock: Seconds from an arbitrary start.
        """
        self._limits = (requests, vectors)
        self._remaining = (requests, vectors)
        self._clock, self._updated = clock, clock()

    def __reduce__(self) -> tuple[type["WriteRates"], tuple[float, float]]:
        """A copy has full buckets: the clock of another process does not continue this one's."""
        return WriteRates, self._limits

    def take(self, vectors: int) -> None:
        """Count one request for a number of vectors.

        Raises:
            S3VectorsError: A limit is exceeded.
        """
        now = self._clock()
        passed, self._updated = now - self._updated, now
        requests_left, vectors_left = (
            min(limit, left + limit * passed) for limit, left in zip(self._limits, self._remaining, strict=True)
        )
        self._remaining = requests_left, vectors_left
        if requests_left < 1 or vectors_left < vectors:
            raise S3VectorsError("TooManyRequestsException", "Please reduce your request rate.")
        self._remaining = requests_left - 1, vectors_left - vectors
