"""The meter of one local AWS: counts requests as they end, and what runs by the simulated time that passes."""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple

from localaws.metering.usage import HOUR, Usage, UsageLine, UsageRecords, hours_of_month

if TYPE_CHECKING:
    from localaws.core.clock import SimulatedTime

__all__ = ["Meter", "Rate"]

_MICROSECONDS_OF_HOUR = 3_600_000_000


class Rate(NamedTuple):
    """Usage per time of something that runs.

    Attributes:
        line: The line.
        quantity: The quantity per period.
        period: An hour, or a calendar month.
    """

    line: UsageLine
    quantity: Decimal
    period: Literal["hour", "month"] = "hour"


class Meter:
    """Usage of all accounts. Safe for threads."""

    def __init__(self, time: "SimulatedTime", records: UsageRecords, delay: float = 0.0) -> None:
        """Start with the usage so far.

        Args:
            time: The clock.
            records: The usage.
            delay: Seconds after which usage is reported. AWS takes hours.
        """
        self.time = time
        self._records = records
        self._delay = timedelta(seconds=delay)
        self._lock = threading.RLock()
        self._sources: list[Callable[[], Iterable[Rate]]] = []
        self._rates: list[Rate] = []
        self._sampled = time.now()
        time.before_advance(self.sample)

    def watch(self, source: Callable[[], Iterable[Rate]]) -> None:
        """Count what a service runs.

        Args:
            source: Returns what runs now.
        """
        self._sources.append(source)

    def add(self, line: UsageLine, quantity: Decimal | int) -> None:
        """Count a request."""
        now = self.time.now()
        with self._lock:
            self._records.add(line, Decimal(quantity), now)

    def sample(self) -> None:
        """Count what has run since the last sample. Called often, and before the clock is advanced."""
        rates = [rate for source in self._sources for rate in source()]
        with self._lock:
            now = self.time.now()
            start, self._sampled = self._sampled, now
            while start < now:
                hour = start.replace(minute=0, second=0, microsecond=0)
                end = min(hour + HOUR, now)
                share = Decimal((end - start) // timedelta(microseconds=1)) / _MICROSECONDS_OF_HOUR
                for rate in self._rates:
                    part = share if rate.period == "hour" else share / hours_of_month(hour)
                    self._records.add(rate.line, rate.quantity * part, hour)
                start = end
            self._rates = rates

    def reported_until(self) -> datetime:
        """The moment up to which usage is reported."""
        return self.time.now() - self._delay

    def usage(self, account_id: str, start: datetime, end: datetime) -> list[Usage]:
        """An account's reported usage in the hours from ``start`` to before ``end``, UTC."""
        self.sample()
        with self._lock:
            return list(self._records.usage(account_id, start, min(end, self.reported_until())))

    def accounts(self) -> set[str]:
        """The accounts that have usage."""
        self.sample()
        with self._lock:
            return {line.account_id for lines in self._records.hours.values() for line in lines}
