"""How much may be written into an index within a second."""

import time
from collections.abc import Callable

from localaws.services.s3vectors.refusals import Refusal

__all__ = ["WriteRates"]


class WriteRates:
    """A second's allowance of requests and of vectors, filled up as time passes. Not safe for threads."""

    def __init__(self, requests: float, vectors: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with a full allowance.

        Args:
            requests: PutVectors and DeleteVectors a second.
            vectors: Vectors put or deleted a second.
            clock: Seconds from an arbitrary start.
        """
        self._limits = (requests, vectors)
        self._left = (requests, vectors)
        self._clock, self._since = clock, clock()

    def take(self, vectors: int) -> None:
        """Count one request for so many vectors.

        Raises:
            Refusal: There is nothing left of either.
        """
        now = self._clock()
        passed, self._since = now - self._since, now
        requests_left, vectors_left = (
            min(limit, left + limit * passed) for limit, left in zip(self._limits, self._left, strict=True)
        )
        self._left = requests_left, vectors_left
        if requests_left < 1 or vectors_left < vectors:
            raise Refusal("TooManyRequestsException", "Please reduce your request rate.")
        self._left = requests_left - 1, vectors_left - vectors
