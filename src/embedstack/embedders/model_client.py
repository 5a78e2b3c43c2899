"""What clients of a model share: the model, the limits of a request, threads and counters."""

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from embedstack.calls.call_context import Call
from embedstack.costs.accounting import Accountant, Service, connect_accountant, fixed
from embedstack.costs.tariffs import FREE, Unpriced
from embedstack.embedders.request_runner import READER_THREADS, RequestRunner
from embedstack.embedders.usage import Meter, Price, Stats

if TYPE_CHECKING:
    import boto3

    from embedstack.embedders.batching import Limits
    from embedstack.models.model_info import ModelIdentity, ModelInfo
    from embedstack.settings.settings import Settings

__all__ = ["ModelClient"]


class ModelClient:
    """Sends texts to a model. The base of embedders and rerankers.

    Attributes:
        limits: Limits of one request.
        runner: Runs the backend's requests; middleware uses that of the client it wraps.
        meters: Counters of the backends behind :meth:`stats`.
    """

    def __init__(self, info: "ModelInfo", limits: "Limits", *, price: Price | None = None) -> None:
        """Prepare. No request is sent.

        Args:
            info: The model that is called.
            limits: Limits of one request.
            price: A stated price, which takes precedence over the price book.
        """
        self.limits = limits
        self._price = price
        service = Service(type(self).__name__, "", info.model_id, fixed(price or FREE))
        self.runner = RequestRunner(info, limits, Accountant(service))
        self.meters: tuple[Meter, ...] = (self.runner.meter,)

    @property
    def service(self) -> Service:
        """What is called and how it is charged; a backend overrides it."""
        reason = f"{type(self).__name__} has no price. Pass price=Price(…); Price() is free."
        return replace(self.runner.accountant.service, tariff=fixed(Unpriced(reason)))

    def account(self, settings: "Settings", session: "boto3.Session | None" = None) -> None:
        """Record requests in the ledger, and admit them by budgets, as far as the settings have them.

        Args:
            settings: COSTS_LEDGER, CLOUDWATCH_METRICS_ENABLED and the budgets.
            session: A custom boto3 session, for metrics.

        Raises:
            ConfigurationError: A budget is set without a ledger, or packages for the ledger are missing.
        """
        service = self.service if self._price is None else replace(self.service, tariff=fixed(self._price))
        self.runner.accountant = connect_accountant(service, settings, session) or self.runner.accountant

    @property
    def served_model(self) -> "ModelIdentity | None":
        """The model that the backend's responses name; None if they name none."""
        return None

    def stats(self) -> Stats:
        """Counters of this process; a forked child and a copy start at zero."""
        return Meter.summarize(self.meters)

    def close(self) -> None:
        """Release threads and connections after the requests in flight. Later calls open new ones."""
        self.runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def disable_retries(self) -> None:
        """Send every request once from now on: middleware retries, and retries have exactly one owner."""

    # What a backend calls while it sends a request.

    def count_tokens(self, tokens: int) -> None:
        """Record the tokens that the service counted for this request."""
        self.runner.count_tokens(tokens)

    def release_slot(self) -> None:
        """Let the next request start, since the response of this one has arrived and only has to be read.

        Reading 32 vectors of JSON takes milliseconds, in which the service would be idle.
        """
        self.runner.release_slot()

    # What middleware overrides, or calls on the client that it wraps.

    def start_call(self) -> Call:
        """The call that a method of this client runs in; middleware may give it a deadline."""
        return Call.current()

    @property
    def look_ahead(self) -> int:
        """Batches of a call that are read at most before the first of them has its response."""
        # Twice the requests in flight, so that a slow first batch does not idle the other threads.
        return 2 * (self.limits.concurrency + READER_THREADS)
