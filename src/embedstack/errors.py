"""Every error that embedstack raises.

    EmbedStackError
    ├── ConfigurationError            a setting, a file, a tool or a permission is missing or wrong
    │   ├── NotPicklable              an object with credentials or connections was pickled or copied
    │   └── UnknownPrice              the price book has no price of the product in the region
    ├── InputError                    the text cannot be embedded
    │   ├── TextTooLong               more tokens than the model reads, and truncation is off
    │   ├── PayloadTooLarge           more bytes or items than one request may contain
    │   └── DocumentRefused           no text can be read from the file
    ├── EndpointError                 the endpoint, or SageMaker or Bedrock, did not serve the request
    │   ├── EndpointNotFound          no endpoint of this name in this account and region
    │   ├── EndpointAsleep            scaled to zero; it wakes up within minutes
    │   ├── Throttled                 too many requests
    │   ├── ModelFailed               the container returned an error
    │   └── EndpointUnavailable       the service or the network failed
    ├── IntegrityError                the response is not valid
    │   ├── DimensionMismatch         a vector has another length than the model's
    │   ├── NonFiniteVector           a vector contains NaN or infinity, or has the wrong norm
    │   ├── CountMismatch             the number of vectors or scores differs from the number of texts
    │   ├── InvalidScores             a reranker's scores are not finite, or not those of the texts
    │   └── ModelMismatch             the endpoint serves another model than the configured one
    ├── ServiceUnavailable            S3, SQS, KMS or another AWS service failed or throttled the request
    ├── CircuitOpen                   no requests are sent after repeated failures
    ├── DeadlineExceeded              the call's deadline has passed
    ├── BudgetExceeded                the configured budget is spent
    └── StoreError                    the vector store rejected or failed an operation
        ├── CollectionMismatch        the collection has vectors of another model, length or context
        ├── CollectionNotFound        no collection of this name
        ├── CollectionReplaced        the collection was replaced since it was opened
        ├── FilterRefused             the filter is not valid
        ├── RecordRefused             the store cannot hold the record
        ├── ReplacementIncomplete     records are missing in the collection that would replace another one
        └── StoreUnavailable          the store did not respond in time

Each message names the input and the remedy. Messages never contain texts or vectors.
"""

import copy
import math
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal, Self

__all__ = [
    "BudgetExceeded",
    "CircuitOpen",
    "CollectionMismatch",
    "CollectionNotFound",
    "CollectionReplaced",
    "ConfigurationError",
    "CountMismatch",
    "DeadlineExceeded",
    "DimensionMismatch",
    "DocumentRefused",
    "EmbedStackError",
    "EndpointAsleep",
    "EndpointError",
    "EndpointNotFound",
    "EndpointUnavailable",
    "FilterRefused",
    "InputError",
    "IntegrityError",
    "InvalidScores",
    "ModelFailed",
    "ModelMismatch",
    "NonFiniteVector",
    "NotPicklable",
    "PayloadTooLarge",
    "RecordRefused",
    "ReplacementIncomplete",
    "ServiceUnavailable",
    "StoreError",
    "StoreUnavailable",
    "TextTooLong",
    "Throttled",
    "UnknownPrice",
]


#: Why a document was rejected: no text; larger than a limit; binary instead of text; unknown encoding;
#: password-protected; damaged; unsupported format; or reading it took too much time or memory.
RefusalReason = Literal[
    "empty", "too_large", "not_text", "undecodable", "encrypted", "corrupt", "unsupported", "too_complex"
]


class EmbedStackError(Exception):
    """The root of the tree.

    Attributes:
        retryable: Whether the same call may succeed later without a change.
        request_id: The service's request id, for support cases; None without a request.
        index: Position of the failing text in the caller's list; None if the error is not about a single text.
        retry_after: Seconds that the service asks to wait, 0 or more; None if it does not say.
    """

    retryable: bool
    retryable_by_default: ClassVar[bool] = False
    # The message without a position, so that a second call of at() does not add another one.
    unplaced: str | None = None

    def __init__(
        self,
        message: str,
        *,
        retryable: bool | None = None,
        request_id: str | None = None,
        index: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retryable = self.retryable_by_default if retryable is None else retryable
        self.request_id = request_id
        self.index = index
        self.retry_after = retry_after if retry_after is not None and 0 <= retry_after < math.inf else None

    def at(self, index: int) -> Self:
        """A copy of this error for the text at a position, since the error of a request may concern many texts."""
        error = copy.copy(self)
        error.unplaced = self.unplaced or self.args[0]
        error.args = (f"Text {index}: {error.unplaced}",)
        error.index = index
        return error

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} [request {self.request_id}]" if self.request_id else message


class ConfigurationError(EmbedStackError):
    """A setting, a file, a tool or a permission is missing or wrong."""


class NotPicklable(ConfigurationError, TypeError):
    """An object cannot be pickled or copied with its credentials. Create another one from the same settings."""


class UnknownPrice(ConfigurationError):
    """The price book has no price of the product in the region. An unknown price is never zero."""


class InputError(EmbedStackError):
    """The text cannot be embedded."""


class TextTooLong(InputError):
    """A text has more tokens than the model reads, and truncation is off."""


class PayloadTooLarge(InputError):
    """A request contains more bytes or items than the service accepts."""


class DocumentRefused(InputError):
    """No text can be read from a file. The message names the file and the remedy, and does not quote the content.

    Attributes:
        reason: The reason as one word, for counts and filters.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: RefusalReason = "corrupt",
        retryable: bool | None = None,
        request_id: str | None = None,
        index: int | None = None,
    ) -> None:
        super().__init__(message, retryable=retryable, request_id=request_id, index=index)
        self.reason = reason


class EndpointError(EmbedStackError):
    """The endpoint, or another AWS service, did not serve the request."""


class EndpointNotFound(EndpointError):
    """No endpoint of this name is in service in this account and region."""


class EndpointAsleep(EndpointError):
    """The endpoint is scaled to zero. It wakes up within minutes."""

    retryable_by_default = True


class Throttled(EndpointError):
    """The service throttled the request."""

    retryable_by_default = True


class ModelFailed(EndpointError):
    """The container returned an error.

    Attributes:
        original_status: HTTP status of the container; None if it is unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        original_status: int | None = None,
        retryable: bool | None = None,
        request_id: str | None = None,
        index: int | None = None,
    ) -> None:
        super().__init__(message, retryable=retryable, request_id=request_id, index=index)
        self.original_status = original_status


class EndpointUnavailable(EndpointError):
    """The service or the network failed."""

    retryable_by_default = True


class IntegrityError(EmbedStackError):
    """A response is not valid: its form, or the number, length or values of its vectors or scores."""


class DimensionMismatch(IntegrityError):
    """A vector has another length than the model's."""


class NonFiniteVector(IntegrityError):
    """A vector contains NaN or infinity, or does not have unit length."""


class CountMismatch(IntegrityError):
    """The number of vectors or scores differs from the number of texts."""


class InvalidScores(IntegrityError):
    """A reranker's scores contain NaN or infinity, or their indices are not those of the texts."""


class ModelMismatch(IntegrityError):
    """The endpoint serves another model or revision than the configured one; their vectors cannot be compared."""


class ServiceUnavailable(EmbedStackError):
    """S3, SQS, KMS or another AWS service, not the endpoint or the store, failed or throttled the request."""

    retryable_by_default = True


class CircuitOpen(EmbedStackError):
    """No requests are sent after repeated failures."""

    retryable_by_default = True


class DeadlineExceeded(EmbedStackError):
    """The call's deadline has passed."""


class BudgetExceeded(EmbedStackError):
    """The configured budget is spent. No request was sent, and sending it again is useless before the reset.

    Attributes:
        budget: Which budget, such as ``the monthly budget``; None for the limit of a single process.
        limit: Its limit in US dollars.
        spend: What is spent of it, in US dollars.
        resets_at: When it starts again; None if it does not.
    """

    def __init__(
        self,
        message: str,
        *,
        budget: str | None = None,
        limit: Decimal | None = None,
        spend: Decimal | None = None,
        resets_at: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.budget = budget
        self.limit = limit
        self.spend = spend
        self.resets_at = resets_at


class StoreError(EmbedStackError):
    """The vector store rejected or failed an operation."""


class CollectionMismatch(StoreError):
    """The collection has vectors of another model, length or context than it was opened for."""


class CollectionNotFound(StoreError):
    """The store has no collection of this name."""


class CollectionReplaced(StoreError):
    """The collection was replaced since it was opened; the new one may have vectors of another model."""


class FilterRefused(StoreError):
    """The filter is not valid."""


class RecordRefused(StoreError):
    """The store cannot hold the record."""


class ReplacementIncomplete(StoreError):
    """Records are missing in the collection that would replace another one; copy them first."""

    retryable_by_default = True


class StoreUnavailable(StoreError):
    """The store did not respond in time, or the connection failed repeatedly."""

    retryable_by_default = True
