"""Counts requests, and what they cost."""

import threading
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from embedstack.calls.process_local import renew_after_fork
from embedstack.costs.money import to_dollars, to_picodollars
from embedstack.costs.tariffs import FreeTariff, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Meter", "Price", "Stats"]

# Only the latest latencies are kept, so that the statistics of a long run stay small.
_LATENCIES_KEPT = 4096


@dataclass(frozen=True)
class Price(FreeTariff):
    """A price that the application states, in US dollars: the sum of three parts. Failed requests cost nothing.

    Attributes:
        per_million_tokens: Per million tokens, as Bedrock charges.
        per_second: Per second of request time, as a serverless endpoint charges (GB-seconds times its GB).
        per_request: Per request.
    """

    per_million_tokens: float = 0.0
    per_second: float = 0.0
    per_request: float = 0.0

    def cost(self, usage: Usage) -> int | None:
        """Cost of a request in picodollars."""
        tokens = usage.tokens + usage.output_tokens
        return to_picodollars(
            Decimal(str(self.per_request))
            + Decimal(str(self.per_second)) * Decimal(str(usage.milliseconds)) / 1000
            + Decimal(str(self.per_million_tokens)) * tokens / 10**6
        )


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters of an embedder.

    Attributes:
        requests: Requests with a valid response.
        failures: Requests that failed.
        texts: Texts of the successful requests.
        tokens: Tokens of these texts: the backend's count, or an estimate from their bytes.
        cache_hits: Texts whose vector came from a cache.
        retries: Requests that were sent again.
        throttles: Requests that were throttled.
        latency_p50_ms: Median latency of a request in milliseconds; 0 before the first.
        latency_p95_ms: 95th percentile of the latency in milliseconds.
        latency_p99_ms: 99th percentile of the latency in milliseconds.
        cost_usd: Cost in US dollars, as far as the price is known; without instance-hours.
    """

    requests: int = 0
    failures: int = 0
    texts: int = 0
    tokens: int = 0
    cache_hits: int = 0
    retries: int = 0
    throttles: int = 0
    latency_p50_ms: float = 0.0
    latency_p95_ms: float = 0.0
    latency_p99_ms: float = 0.0
    cost_usd: float = 0.0


class Meter:
    """Counts for one backend. Middleware around it counts into the same meter."""

    def __init__(self) -> None:
        renew_after_fork(self)
        self.after_fork()

    def after_fork(self) -> None:
        """Start at zero: each process counts its own requests."""
        self._lock = threading.Lock()
        self._latencies: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        self._counts = dict.fromkeys(
            ("requests", "failures", "texts", "tokens", "cache_hits", "retries", "throttles"), 0
        )
        self._cost = 0

    def __reduce__(self) -> "tuple[type[Meter], tuple[()]]":
        return Meter, ()

    def record_request(self, *, texts: int, tokens: int, seconds: float, cost: int | None = 0) -> None:
        """Count a request with a valid response.

        Args:
            texts: Its texts.
            tokens: Their tokens.
            seconds: Its duration.
            cost: Its cost in picodollars; None if the price is unknown.
        """
        with self._lock:
            self._counts["requests"] += 1
            self._counts["texts"] += texts
            self._counts["tokens"] += tokens
            self._latencies.append(seconds * 1000)
            self._cost += cost or 0

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter of :class:`Stats`."""
        with self._lock:
            self._counts[name] += number

    @property
    def cost_usd(self) -> float:
        """Cost so far, in US dollars."""
        return float(to_dollars(self._cost))

    @staticmethod
    def summarize(meters: "Iterable[Meter]") -> Stats:
        """The sum of several meters, with the percentiles of all their latencies."""
        counts: dict[str, int] = {}
        latencies: list[float] = []
        cost = 0
        for meter in meters:
            with meter._lock:  # noqa: SLF001 - a meter of the same class
                latencies.extend(meter._latencies)  # noqa: SLF001
                cost += meter._cost  # noqa: SLF001
                for name, number in meter._counts.items():  # noqa: SLF001
                    counts[name] = counts.get(name, 0) + number
        p50, p95, p99 = (float(value) for value in np.percentile(latencies or [0.0], [50, 95, 99]))
        return Stats(
            **counts, latency_p50_ms=p50, latency_p95_ms=p95, latency_p99_ms=p99, cost_usd=float(to_dollars(cost))
        )
