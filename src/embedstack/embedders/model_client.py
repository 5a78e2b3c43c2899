"""What clients of a model share: the model, the limits of a request, threads and counters."""

from typing import TYPE_CHECKING, Self

from embedstack.calls.call_context import Call
from embedstack.embedders.request_runner import READER_THREADS, RequestRunner
from embedstack.embedders.usage import Meter, Price, Stats

if TYPE_CHECKING:
    from embedstack.embedders.batching import Limits
    from embedstack.models.model_info import ModelIdentity, ModelInfo

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
            price: Price of the backend; None for free.
        """
        self.limits = limits
        self.runner = RequestRunner(info, limits, price)
        self.meters: tuple[Meter, ...] = (self.runner.meter,)

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
