"""What one invocation of the ingest function does with the documents that it is told of."""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from aws_lambda_powertools.metrics import MetricUnit

from embedstack.calls.call_context import Call
from embedstack.calls.clock import SystemClock
from embedstack.errors import (
    CollectionReplaced,
    ConfigurationError,
    DeadlineExceeded,
    EmbedStackError,
    InputError,
    RecordRefused,
    StoreUnavailable,
)
from handling.messages import DocumentMessage, read_message
from handling.queues import describe_failure
from handling.telemetry import document_tag, log_failure, without_quotes

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools import Logger, Metrics
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    from handling.objects import StoredDocument
    from handling.services import Services

__all__ = ["Intake", "Outcome", "RecordFailed"]

# Kept back at the end of an invocation, to finish a request and to send a document on: seconds, and a part of the
# invocation's time where that is short.
_RESERVE_SECONDS = 5.0
_RESERVE_SHARE = 0.1
#: The document is at fault, and is as it is however often it is read.
_FAULTS = (InputError, RecordRefused)

#: What the ingestion was put together from is not what there is any more.
_OUTDATED = (CollectionReplaced, ConfigurationError, StoreUnavailable)


class RecordFailed(Exception):  # not of the product's tree: it tells Powertools to report the record, and no one else
    """A message has to come again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a document.

    Attributes:
        source: Its key.
        done: ``ingested``; ``continued``, where another invocation goes on; ``removed``, where it is gone from S3;
            ``ignored``, where the object stands for a folder; ``refused``, where the document is at fault.
        chunks: How many were looked at.
        embedded: How many of them got a vector.
        unchanged: How many had one.
        next_chunk: Where another invocation goes on.
        reason: Why it was refused.
    """

    source: str
    done: Literal["ingested", "continued", "removed", "ignored", "refused"]
    chunks: int = 0
    embedded: int = 0
    unchanged: int = 0
    next_chunk: int | None = None
    reason: str | None = None


class Intake:
    """One invocation."""

    def __init__(
        self, services: "Services", seconds_left: "Callable[[], float]", logger: "Logger", metrics: "Metrics"
    ) -> None:
        """Begin it.

        Args:
            services: What outlives it.
            seconds_left: How long it may go on.
            logger: For a line per document.
            metrics: For what was done.
        """
        self._services = services
        self._seconds_left = seconds_left
        self._logger = logger
        self._metrics = metrics
        self._reserve = min(_RESERVE_SECONDS, _RESERVE_SHARE * seconds_left())
        self._has_begun = False
        self._done: dict[DocumentMessage, Outcome] = {}

    def take_record(self, record: "SQSRecord") -> None:
        """Do what a message of the queue says. Documents that are at fault go to the dead-letter queue at once.

        Raises:
            RecordFailed: The message has to come again.
        """
        body, receives = record.body, int(record.attributes.approximate_receive_count)
        queues = self._services.queues
        try:
            self._take_body(body)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is of this message and of no other
            log_failure(self._logger, "A message failed", error, message_id=record.message_id, receives=receives)
            self._metrics.add_metric("Failed", MetricUnit.Count, 1)
            if isinstance(error, _OUTDATED):
                self._services.reopen()
            if not (queues.has_dead_letters and queues.is_last_attempt(receives) and self._bury(body, error)):
                queues.delay(record.receipt_handle, receives)
                raise RecordFailed(type(error).__name__) from None

    def take_directly(self, message: DocumentMessage) -> Outcome:
        """Do what somebody asks for who waits for the answer, and so learns what is at fault.

        Raises:
            EmbedStackError: It cannot be done now.
            RecordFailed: The function failed; its log says why.
        """
        try:
            return self._take(message)
        except _FAULTS as error:
            return Outcome(message.key, "refused", reason=describe_failure(error))
        except Exception as error:  # noqa: BLE001 - as above
            log_failure(self._logger, "A document failed", error)
            self._metrics.add_metric("Failed", MetricUnit.Count, 1)
            if isinstance(error, EmbedStackError):
                raise without_quotes(error) from None
            # What Lambda logs of an exception would be another library's sentence.
            raise RecordFailed(type(error).__name__) from None

    def _take(self, message: DocumentMessage) -> Outcome:
        # Every message was there before this invocation began: one look at a document answers all of them.
        if message not in self._done:
            self._done[message] = self._look_at(message)
        return self._done[message]

    def _take_body(self, body: str) -> None:
        try:
            messages = read_message(body)
        except InputError as error:
            self._refuse(body, error, source="-")
            return
        for message in messages:
            # The first document is begun in any case: whatever is handed on is nearer to its turn.
            if self._has_begun and message not in self._done and self._is_late():
                self._hand_on(message)
                continue
            self._has_begun = True
            try:
                self._take(message)
            except _FAULTS as error:
                self._refuse(message.from_start().to_json(), error, source=message.key)

    def _look_at(self, message: DocumentMessage) -> Outcome:
        again = False
        while True:
            started = time.monotonic()
            # What waits deep inside, for a database or a listing, ends before the function does.
            call = Call.current().until(self._seconds_left() - self._reserve, SystemClock())
            outcome, etag = call.context().run(self._look_once, message, again)
            self._record(outcome, 1000 * (time.monotonic() - started))
            # Another invocation may have looked at a newer content and be done already: who ends last has to see that
            # what it left is what there is.
            if outcome.done == "continued" or self._services.documents.etag(message.bucket, message.key) == etag:
                return outcome
            message, again = message.from_start(), True
            if self._is_late():
                # Whoever takes it sees by the etag that another content was stored.
                self._hand_on(message if etag is None else replace(message, next_chunk=1, etag=etag))
                return outcome

    def _look_once(self, message: DocumentMessage, again: bool) -> tuple[Outcome, str | None]:
        with self._services.documents.open(message.bucket, message.key) as document:
            again = again or message.etag not in (None, document and document.etag)
            if document is None:
                return Outcome(
                    message.key, "removed", chunks=self._services.ingestion.remove(message.key, again=again)
                ), None
            if document.size == 0 and message.key.endswith("/"):
                return Outcome(message.key, "ignored"), document.etag
            return self._ingest(message, document, again), document.etag

    def _is_late(self) -> bool:
        """Whether nothing more is to be begun: reading a document cannot be broken off without refusing it."""
        return self._seconds_left() < self._services.limits.max_seconds + 2 * self._reserve

    def _ingest(self, message: DocumentMessage, document: "StoredDocument", again: bool) -> Outcome:
        # The count of chunks is of one content. Another one is read from its start; what is stored of it is not
        # embedded again.
        first_chunk = message.next_chunk if message.etag == document.etag else 0
        deadline = time.monotonic() + self._seconds_left() - self._reserve
        ingested = self._services.ingestion.ingest(
            message.key, document.content, deadline=deadline, first_chunk=first_chunk, again=again
        )
        counts = (ingested.chunks, ingested.embedded, ingested.unchanged)
        if ingested.next_chunk is None:
            return Outcome(message.key, "ingested", *counts)
        if self._services.queues.can_continue:
            rest = DocumentMessage(message.bucket, message.key, ingested.next_chunk, document.etag)
            self._services.queues.send_on(rest)
        return Outcome(message.key, "continued", *counts, next_chunk=ingested.next_chunk)

    def _hand_on(self, message: DocumentMessage) -> None:
        """Leave a document to another invocation, by a message of its own: no attempt of it has failed."""
        if not self._services.queues.can_continue:
            raise DeadlineExceeded("The function's time was up before this document's turn.")
        self._services.queues.send_on(message)
        self._metrics.add_metric("HandedOn", MetricUnit.Count, 1)

    def _refuse(self, body: str, error: InputError | RecordRefused, source: str) -> None:
        """Put a document that is at fault aside.

        Raises:
            InputError, RecordRefused: There is nowhere to put it.
            QueueUnavailable: It was not taken there.
        """
        if not self._services.queues.has_dead_letters:
            raise error
        self._services.queues.bury(body, describe_failure(error), source)
        self._metrics.add_metric("Refused", MetricUnit.Count, 1)
        self._logger.warning(
            "A document was refused",
            document=document_tag(source),
            error=type(error).__name__,
            reason=getattr(error, "reason", None),
        )

    def _bury(self, body: str, error: Exception) -> bool:
        """Put a message aside with its reason before SQS does so without; False where that fails too."""
        try:
            keys = [message.key for message in read_message(body)]
            self._services.queues.bury(body, describe_failure(error), source=", ".join(keys) or "-")
        except Exception as second:  # noqa: BLE001 - SQS has the message still, and moves it
            log_failure(self._logger, "A message could not be put aside", second)
            return False
        return True

    def _record(self, outcome: Outcome, milliseconds: float) -> None:
        self._logger.info(
            "A document was looked at",
            document=document_tag(outcome.source),
            done=outcome.done,
            chunks=outcome.chunks,
            embedded=outcome.embedded,
            unchanged=outcome.unchanged,
            milliseconds=round(milliseconds),
        )
        counts = {
            "Documents": outcome.done == "ingested",
            "Removed": outcome.done == "removed",
            "Continued": outcome.done == "continued",
            "Chunks": outcome.chunks if outcome.done in ("ingested", "continued") else 0,
            "Embedded": outcome.embedded,
            "Unchanged": outcome.unchanged,
        }
        for name, count in counts.items():
            if count:
                self._metrics.add_metric(name, MetricUnit.Count, int(count))
        if outcome.done in ("ingested", "continued"):
            self._metrics.add_metric("IngestLatency", MetricUnit.Milliseconds, milliseconds)
