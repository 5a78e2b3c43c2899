"""Accounts for the requests of one backend: asks the budget guard before, and records after."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from embedstack.calls.process_local import Lock
from embedstack.calls.rare_warnings import RareWarnings
from embedstack.costs.attribution import current_attribution
from embedstack.costs.call_metrics import open_call_metrics
from embedstack.costs.ledger import open_ledger
from embedstack.costs.records import CallRecord, RecordKind
from embedstack.costs.tariffs import FREE, Tariff, Unpriced, Usage

if TYPE_CHECKING:
    import boto3

    from embedstack.costs.attribution import Attribution
    from embedstack.costs.budget import Admission, BudgetGuard
    from embedstack.costs.call_metrics import CallMetrics
    from embedstack.costs.ledger import Ledger
    from embedstack.errors import EmbedStackError
    from embedstack.settings.settings import Settings

__all__ = ["Accountant", "Charge", "Service", "connect_accountant", "fixed"]

_logger = logging.getLogger(__name__)


def fixed(tariff: Tariff) -> Callable[[], Tariff]:
    """A function that returns a tariff, for :class:`Service`."""
    return partial(_same, tariff)


def _same(tariff: Tariff) -> Tariff:
    return tariff


_FREE = fixed(FREE)


@dataclass(frozen=True, slots=True)
class Service:
    """What a client calls.

    Attributes:
        backend: ``sagemaker``, ``sagemaker-async``, ``bedrock``, ``ollama``, ``local``, ``fake`` or another name.
        endpoint: Name of the endpoint or id of the Bedrock model; empty for neither.
        model: The model.
        tariff: Returns how its requests are charged. It is called before the first request, and may call AWS.
    """

    backend: str
    endpoint: str
    model: str
    tariff: Callable[[], Tariff] = _FREE


class Accountant:
    """Accounts for the requests of one backend. Safe for threads.

    A failure of the accounting never fails a call: it is counted and logged. Only a spent budget does.
    """

    def __init__(
        self,
        service: Service,
        *,
        ledger: "Ledger | None" = None,
        guard: "BudgetGuard | None" = None,
        metrics: "CallMetrics | None" = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            service: What is called.
            ledger: Records the calls; None for none.
            guard: Admits the calls; None for all.
            metrics: Publishes metrics of the calls; None for none.
            now: Seconds since the epoch.
        """
        self.service = service
        self._ledger, self._guard, self._metrics, self._now = ledger, guard, metrics, now
        self._tariff: Tariff | None = None
        self._lock = Lock()
        self._warnings = RareWarnings(_logger)
        self.failures = 0

    @property
    def needs_estimates(self) -> bool:
        """Whether requests have to be admitted, by an estimate of their tokens."""
        return self._guard is not None

    @property
    def is_recording(self) -> bool:
        """Whether calls are recorded."""
        return self._ledger is not None or self._metrics is not None

    def tariff(self) -> Tariff:
        """How requests are charged."""
        if self._tariff is None:
            with self._lock:
                if self._tariff is None:
                    self._tariff = self.service.tariff()
                    if isinstance(self._tariff, Unpriced):
                        _logger.warning("Calls are recorded without a cost: %s", self._tariff.reason)
        return self._tariff

    def begin(
        self, kind: RecordKind, texts: int, *, tokens: int = 0, output_tokens: int = 0, request_bytes: int = 0
    ) -> "Charge":
        """Begin a request.

        Args:
            kind: What the model is called for.
            texts: Texts of the request.
            tokens: Estimated input tokens, for the guard.
            output_tokens: Maximum of generated tokens, for the guard.
            request_bytes: Bytes of the texts.

        Raises:
            BudgetExceeded: A budget is spent.
            UnknownPrice: The price is unknown, and the policy of a budget refuses such requests.
        """
        attribution = current_attribution()
        admission = None
        if self._guard is not None:
            tariff = self.tariff()
            # The duration is unknown: the guard learns how much longer than a millisecond requests take.
            estimate = tariff.cost(Usage(texts, tokens, output_tokens, milliseconds=1))
            reason = tariff.reason if isinstance(tariff, Unpriced) else "this request"
            admission = self._guard.admit(estimate, attribution, product=reason)
        return Charge(self, kind, texts, request_bytes, attribution, admission)

    def record_hits(self, kind: RecordKind, hits: int, tokens_saved: int) -> None:
        """Record the texts of one call that a cache answered."""
        if hits:
            self.record(
                CallRecord(
                    at=self._now(), backend=self.service.backend, endpoint=self.service.endpoint,
                    model=self.service.model, kind=kind, cost=0, attribution=current_attribution(), cache_hits=hits,
                    tokens_saved=tokens_saved,
                )
            )  # fmt: skip

    def record(self, record: CallRecord) -> None:
        """Record a call."""
        try:
            if self._ledger is not None:
                self._ledger.record(record)
            if self._metrics is not None:
                self._metrics.add(record)
        except Exception as error:  # noqa: BLE001 - the caller has paid for the response
            self.failures += 1
            self._warnings.log("record", "%d calls could not be recorded (%s).", self.failures, type(error).__name__)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now()


class Charge:
    """A request in flight. Exactly one of the methods is called when it has ended."""

    __slots__ = ("_accountant", "_admission", "_attribution", "_kind", "_request_bytes", "_started", "_texts")

    def __init__(
        self,
        accountant: Accountant,
        kind: RecordKind,
        texts: int,
        request_bytes: int,
        attribution: "Attribution",
        admission: "Admission | None",
    ) -> None:
        self._accountant = accountant
        self._kind, self._texts, self._request_bytes = kind, texts, request_bytes
        self._attribution = attribution
        self._admission = admission
        self._started = time.perf_counter()

    def succeed(self, tokens: int, *, output_tokens: int = 0, response_bytes: int = 0) -> tuple[float, int | None]:
        """The request has a valid response.

        Args:
            tokens: Its input tokens.
            output_tokens: Its generated tokens.
            response_bytes: Bytes of the response, where known.

        Returns:
            Its duration in seconds, and its cost in picodollars.
        """
        seconds = time.perf_counter() - self._started
        usage = Usage(self._texts, tokens, output_tokens, seconds * 1000)
        cost = self._accountant.tariff().cost(usage)
        self._record(usage, cost, response_bytes=response_bytes)
        return seconds, cost

    def fail(self, error: "EmbedStackError", tokens: int = 0) -> None:
        """The request failed.

        Args:
            error: The error.
            tokens: Estimated input tokens, which AWS charges if it sent a response that is not valid.
        """
        usage = Usage(self._texts, tokens, milliseconds=(time.perf_counter() - self._started) * 1000)
        self._record(usage, self._accountant.tariff().failure_cost(error, usage), is_error=True)

    def abandon(self) -> None:
        """The request was interrupted: if it costs anything, its cost is unknown."""
        usage = Usage(milliseconds=(time.perf_counter() - self._started) * 1000)
        is_free = self._accountant.tariff().cost(Usage(1, 1, 1, 1)) == 0
        self._record(usage, 0 if is_free else None, is_error=True)

    def _record(self, usage: Usage, cost: int | None, *, response_bytes: int = 0, is_error: bool = False) -> None:
        accountant = self._accountant
        if accountant.is_recording:
            service = accountant.service
            accountant.record(
                CallRecord(
                    at=accountant.now(), backend=service.backend, endpoint=service.endpoint, model=service.model,
                    kind=self._kind, texts=0 if is_error else self._texts, tokens=usage.tokens,
                    output_tokens=usage.output_tokens, milliseconds=usage.milliseconds,
                    request_bytes=self._request_bytes, response_bytes=response_bytes, cost=cost,
                    is_shared=accountant.tariff().is_shared, attribution=self._attribution, is_error=is_error,
                )
            )  # fmt: skip
        if self._admission is not None:
            if is_error and cost == 0:
                self._admission.release()
            else:
                self._admission.settle(cost)


def connect_accountant(
    service: Service, settings: "Settings", session: "boto3.Session | None" = None
) -> Accountant | None:
    """The accountant of the settings COSTS_LEDGER, CLOUDWATCH_METRICS_ENABLED and of the budgets; None without them.

    Args:
        service: What is called.
        settings: The settings.
        session: A custom boto3 session, for metrics.

    Raises:
        ConfigurationError: A budget is set without a ledger, or packages for the ledger are missing.
    """
    from embedstack.costs.budget import open_guard  # noqa: PLC0415 - imports boto3

    ledger = open_ledger(settings)
    guard = open_guard(settings, ledger)
    metrics = open_call_metrics(settings, session)
    if ledger is None and metrics is None:
        return None
    return Accountant(service, ledger=ledger, guard=guard, metrics=metrics)
