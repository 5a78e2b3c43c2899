"""S3 Vectors of one local AWS: the buckets of all accounts and regions, and the settings of indexes."""

import threading

from localaws.core.clock import SimulatedTime
from localaws.metering.meter import Meter
from localaws.services.s3vectors.full_text import FullTextSearch
from localaws.services.s3vectors.paging import QueryResults
from localaws.services.s3vectors.records import VectorsBackend
from localaws.services.s3vectors.usage_meter import storage_rates
from localaws.services.s3vectors.write_rates import WriteRates

__all__ = ["S3Vectors"]


class S3Vectors:
    """The state of the service."""

    def __init__(
        self,
        requests_per_second: float = 1000,
        vectors_per_second: float = 2500,
        backends: dict[tuple[str, str], VectorsBackend] | None = None,
        *,
        time: SimulatedTime | None = None,
        meter: Meter | None = None,
    ) -> None:
        """Start with the buckets so far.

        Args:
            requests_per_second: Limit of write requests per index.
            vectors_per_second: Limit of vectors put into an index or deleted from it.
            backends: The buckets by account and region; none by default.
            time: The clock of the backfill of full-text indexes; the machine's by default.
            meter: Counts what is stored and queried; None to count nothing.
        """
        self.meter = meter
        if meter is not None:
            meter.watch(lambda: storage_rates(self.all_backends()))
        self._time = time or SimulatedTime()
        self.query_results = QueryResults()
        self._limits = (requests_per_second, vectors_per_second)
        self._lock = threading.Lock()
        self._backends = {} if backends is None else backends

    def backend(self, account_id: str, region: str) -> VectorsBackend:
        """The buckets of an account in a region."""
        with self._lock:
            key = (account_id, region)
            if key not in self._backends:
                self._backends[key] = VectorsBackend(account_id, region)
            return self._backends[key]

    def all_backends(self) -> list[VectorsBackend]:
        """The buckets of all accounts and regions."""
        with self._lock:
            return list(self._backends.values())

    def write_rates(self) -> WriteRates:
        """The limits of a new index."""
        return WriteRates(*self._limits)

    def full_text(self) -> FullTextSearch:
        """The full-text search of a new index."""
        return FullTextSearch(self._time)
