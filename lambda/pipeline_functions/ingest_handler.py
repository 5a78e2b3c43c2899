"""Processes the messages of one invocation of the ingest function."""

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
from pipeline_functions.messages import DocumentMessage, read_message
from pipeline_functions.queues import describe_failure
from pipeline_functions.telemetry import document_tag, log_failure, redacted

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools import Logger, Metrics
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    from embedstack.documents.s3_objects import S3Object
    from pipeline_functions.ingest_services import IngestServices

__all__ = ["IngestHandler", "Outcome", "RecordFailed"]

# Time reserved at the end of an invocation to finish a request and enqueue a continuation: seconds, or a share of a
# short invocation.
_RESERVE_SECONDS = 5.0
_RESERVE_SHARE = 0.1
#: Errors of the document itself. A retry cannot succeed.
_PERMANENT_ERRORS = (InputError, RecordRefused)

#: Errors after which the ingestion is created again: its collection, secret or database may have changed.
_STALE_ERRORS = (CollectionReplaced, ConfigurationError, StoreUnavailable)


class RecordFailed(Exception):  # not an EmbedStackError: it only makes Powertools report the record as failed
    """A message has to be retried."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of processing an S3 object.

    Attributes:
        source: The object's key.
        done: ``ingested``; ``continued`` if another invocation continues; ``removed`` if the object was deleted from
            S3; ``ignored`` if the object is a folder marker; ``refused`` if the document cannot be ingested.
        chunks: Number of chunks processed.
        embedded: Number of these chunks that were embedded.
        unchanged: Number of these chunks that were stored already.
        next_chunk: Position of the chunk at which another invocation continues.
        reason: Why the document was refused.
        notes: Remarks on the document, such as the number of pages without text.
    """

    source: str
    done: Literal["ingested", "continued", "removed", "ignored", "refused"]
    chunks: int = 0
    embedded: int = 0
    unchanged: int = 0
    next_chunk: int | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()


class IngestHandler:
    """Handles the messages of one invocation."""

    def __init__(
        self, services: "IngestServices", seconds_left: "Callable[[], float]", logger: "Logger", metrics: "Metrics"
    ) -> None:
        """Start an invocation.

        Args:
            services: Clients that are shared between invocations.
            seconds_left: Returns the invocation's remaining time in seconds.
            logger: Receives one line per document.
            metrics: Receives the counts.
        """
        self._services = services
        self._seconds_left = seconds_left
        self._logger = logger
        self._metrics = metrics
        self._reserve = min(_RESERVE_SECONDS, _RESERVE_SHARE * seconds_left())
        self._has_started = False
        self._outcomes: dict[DocumentMessage, Outcome] = {}

    def handle_record(self, record: "SQSRecord") -> None:
        """Process an SQS message. Documents that cannot be ingested are sent to the DLQ without a retry.

        Raises:
            RecordFailed: The message has to be retried.
        """
        body, receives = record.body, int(record.attributes.approximate_receive_count)
        queues = self._services.queues
        try:
            self._handle_body(body)
        except Exception as error:  # noqa: BLE001 - one failed message must not fail the others
            log_failure(self._logger, "A message failed", error, message_id=record.message_id, receives=receives)
            self._metrics.add_metric("Failed", MetricUnit.Count, 1)
            if isinstance(error, _STALE_ERRORS):
                self._services.reopen()
            if not (queues.has_dlq and queues.is_last_receive(receives) and self._try_send_to_dlq(body, error)):
                queues.delay(record.receipt_handle, receives)
                raise RecordFailed(type(error).__name__) from None

    def handle_direct_event(self, message: DocumentMessage) -> Outcome:
        """Process a message of a direct invocation. Its caller receives the outcome, so nothing goes to the DLQ.

        Raises:
            EmbedStackError: The document cannot be processed now.
            RecordFailed: The function failed; its log has the reason.
        """
        try:
            return self._process(message)
        except _PERMANENT_ERRORS as error:
            return Outcome(message.key, "refused", reason=describe_failure(error))
        except Exception as error:  # noqa: BLE001 - other libraries' errors are replaced below
            log_failure(self._logger, "A document failed", error)
            self._metrics.add_metric("Failed", MetricUnit.Count, 1)
            if isinstance(error, EmbedStackError):
                raise redacted(error) from None
            # Lambda logs the exception, and another library's message may quote content.
            raise RecordFailed(type(error).__name__) from None

    def _process(self, message: DocumentMessage) -> Outcome:
        # All messages were sent before this invocation started, so the object is processed once for equal messages.
        if message not in self._outcomes:
            self._outcomes[message] = self._process_until_current(message)
        return self._outcomes[message]

    def _handle_body(self, body: str) -> None:
        try:
            messages = read_message(body)
        except InputError as error:
            self._refuse(body, error, source="-")
            return
        for message in messages:
            # The first document is always started, so that every invocation makes progress.
            if self._has_started and message not in self._outcomes and self._is_late():
                self._enqueue(message)
                continue
            self._has_started = True
            try:
                self._process(message)
            except _PERMANENT_ERRORS as error:
                self._refuse(message.from_start().to_json(), error, source=message.key)

    def _process_until_current(self, message: DocumentMessage) -> Outcome:
        reconcile = False
        while True:
            started = time.monotonic()
            # Waits for a database or a listing end before the function times out.
            call = Call.current().until(self._seconds_left() - self._reserve, SystemClock())
            outcome, version = call.context().run(self._process_once, message, reconcile)
            self._report(outcome, 1000 * (time.monotonic() - started))
            # A concurrent invocation may have stored newer content and be done already. The last one to finish has to
            # check that the stored version is the object's current content.
            if outcome.done == "continued" or self._services.s3_reader.version(message.bucket, message.key) == version:
                return outcome
            message, reconcile = message.from_start(), True
            if self._is_late():
                # The version tells the next invocation that other content was stored.
                self._enqueue(message if version is None else replace(message, next_chunk=1, version=version))
                return outcome

    def _process_once(self, message: DocumentMessage, reconcile: bool) -> tuple[Outcome, str | None]:
        with self._services.s3_reader.open(message.bucket, message.key) as s3_object:
            reconcile = reconcile or message.version not in (None, s3_object and s3_object.version)
            if s3_object is None:
                removed = self._services.ingestion.remove(message.key, reconcile_concurrent_versions=reconcile)
                return Outcome(message.key, "removed", chunks=removed), None
            if s3_object.size == 0 and message.key.endswith("/"):
                return Outcome(message.key, "ignored"), s3_object.version
            return self._ingest(message, s3_object, reconcile), s3_object.version

    def _is_late(self) -> bool:
        """Whether too little time is left for another document: interrupting the reader would refuse the document."""
        return self._seconds_left() < self._services.limits.max_seconds + 2 * self._reserve

    def _ingest(self, message: DocumentMessage, s3_object: "S3Object", reconcile: bool) -> Outcome:
        # next_chunk refers to the content of the message's version. Other content is read from its start; its stored
        # chunks are not embedded again.
        first_chunk = message.next_chunk if message.version == s3_object.version else 0
        deadline = time.monotonic() + self._seconds_left() - self._reserve
        ingested = self._services.ingestion.ingest(
            message.key,
            s3_object.content,
            metadata=s3_object.metadata,
            notes=s3_object.notes,
            deadline=deadline,
            first_chunk=first_chunk,
            reconcile_concurrent_versions=reconcile,
        )
        counts = (ingested.chunks, ingested.embedded, ingested.unchanged)
        if ingested.next_chunk is None:
            return Outcome(message.key, "ingested", *counts, notes=ingested.notes)
        if self._services.queues.can_continue:
            continuation = DocumentMessage(message.bucket, message.key, ingested.next_chunk, s3_object.version)
            self._services.queues.enqueue_continuation(continuation)
        return Outcome(message.key, "continued", *counts, next_chunk=ingested.next_chunk)

    def _enqueue(self, message: DocumentMessage) -> None:
        """Enqueue a document for another invocation as a new message, which does not count as a retry."""
        if not self._services.queues.can_continue:
            raise DeadlineExceeded("The function's time limit was reached before this document was processed.")
        self._services.queues.enqueue_continuation(message)
        self._metrics.add_metric("HandedOn", MetricUnit.Count, 1)

    def _refuse(self, body: str, error: InputError | RecordRefused, source: str) -> None:
        """Send a document that cannot be ingested to the DLQ.

        Raises:
            InputError, RecordRefused: There is no DLQ.
            ServiceUnavailable, ConfigurationError: The DLQ rejected the message.
        """
        if not self._services.queues.has_dlq:
            raise error
        self._services.queues.send_to_dlq(body, describe_failure(error), source)
        self._metrics.add_metric("Refused", MetricUnit.Count, 1)
        self._logger.warning(
            "A document was rejected",
            document=document_tag(source),
            error=type(error).__name__,
            reason=getattr(error, "reason", None),
        )

    def _try_send_to_dlq(self, body: str, error: Exception) -> bool:
        """Send a message to the DLQ with its reason, before SQS moves it without one. False if that fails."""
        try:
            keys = [message.key for message in read_message(body)]
            self._services.queues.send_to_dlq(body, describe_failure(error), source=", ".join(keys) or "-")
        except Exception as dlq_error:  # noqa: BLE001 - the message is still in the queue, and SQS moves it
            log_failure(self._logger, "A message could not be sent to the DLQ", dlq_error)
            return False
        return True

    def _report(self, outcome: Outcome, milliseconds: float) -> None:
        self._logger.info(
            "A document was processed",
            document=document_tag(outcome.source),
            done=outcome.done,
            chunks=outcome.chunks,
            embedded=outcome.embedded,
            unchanged=outcome.unchanged,
            notes=len(outcome.notes),  # not their texts, which may contain names of attached files
            milliseconds=round(milliseconds),
        )
        counts = {
            "Documents": outcome.done == "ingested",
            "Removed": outcome.done == "removed",
            "Continued": outcome.done == "continued",
            "Chunks": outcome.chunks if outcome.done in ("ingested", "continued") else 0,
            "Embedded": outcome.embedded,
            "Unchanged": outcome.unchanged,
            "Noted": bool(outcome.notes),
        }
        for name, count in counts.items():
            if count:
                self._metrics.add_metric(name, MetricUnit.Count, int(count))
        if outcome.done in ("ingested", "continued"):
            self._metrics.add_metric("IngestLatency", MetricUnit.Milliseconds, milliseconds)
