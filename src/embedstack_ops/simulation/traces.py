"""Traces of requests: when each request arrives and how many tokens it has."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from embedstack.errors import ConfigurationError

__all__ = ["NANOSECONDS", "Int64", "Trace"]

#: Nanoseconds of a second. Times are integers, so that two requests at one moment compare as equal.
NANOSECONDS: Final = 10**9

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in the order of their arrival.

    Attributes:
        arrivals: Nanoseconds since ``start``, ascending.
        tokens: Tokens of each request; None if the trace does not have them.
        durations: Processing time of each request in nanoseconds; None if the trace does not have it.
        start: Time of the beginning of the trace (UTC), for schedules.
        length: Length of the trace in nanoseconds.
        notes: What was assumed in reading the trace, as sentences.
    """

    arrivals: Int64
    tokens: Int64 | None
    durations: Int64 | None
    start: datetime
    length: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the trace.

        Raises:
            ConfigurationError: The trace is empty, not ordered, or has negative times, tokens or durations.
        """
        if len(self.arrivals) == 0:
            raise ConfigurationError("The trace has no requests. Pass a trace with at least one.")
        if self.arrivals[0] < 0 or self.length < 1:
            raise ConfigurationError("The trace has a negative time or no length. Times count from its start.")
        if np.any(np.diff(self.arrivals) < 0):
            raise ConfigurationError("The trace is not ordered by time. Sort it with --sort.")
        for name, values in (("tokens", self.tokens), ("duration", self.durations)):
            if values is not None and np.any(values < 0):
                first = int(np.argmax(values < 0))
                raise ConfigurationError(f"Request {first} of the trace has a negative {name}. Pass 0 or more.")

    def __len__(self) -> int:
        return len(self.arrivals)

    @property
    def seconds(self) -> float:
        """Length of the trace in seconds."""
        return self.length / NANOSECONDS

    @property
    def rate(self) -> float:
        """Mean requests per second."""
        return len(self) / self.seconds

    @classmethod
    def of(
        cls,
        seconds: npt.ArrayLike,
        *,
        tokens: npt.ArrayLike | None = None,
        length: float | None = None,
        start: datetime | None = None,
    ) -> "Trace":
        """A trace of arrival times in seconds since its start.

        Args:
            seconds: Arrival times, ascending.
            tokens: Tokens of each request.
            length: Length of the trace in seconds; None ends it with the last request.
            start: Time of its beginning; None for Monday, 2026-01-05, 00:00 UTC.
        """
        arrivals = np.rint(np.asarray(seconds, float) * NANOSECONDS).astype(np.int64)
        last = int(arrivals[-1]) if len(arrivals) else 0
        return cls(
            arrivals=arrivals,
            tokens=None if tokens is None else np.asarray(tokens, np.int64),
            durations=None,
            start=start or datetime(2026, 1, 5, tzinfo=UTC),
            length=max(last, 1) if length is None else round(length * NANOSECONDS),
        )
