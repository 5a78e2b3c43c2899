"""Every error that embedstack raises.

    EmbedStackError
    ├── ConfigurationError            a setting, a file or a tool is missing or wrong
    │   └── NotPicklable              an object that holds credentials or connections was pickled or copied
    ├── InputError                    the caller's text cannot be embedded as it is
    │   ├── TextTooLong               more tokens than the model reads, and truncation is off
    │   ├── PayloadTooLarge           more bytes or items than one request may carry
    │   └── DocumentRefused           a file that no text can be read from
    ├── EndpointError                 the endpoint did not answer with vectors
    │   ├── EndpointNotFound          no endpoint of that name in this account and region
    │   ├── EndpointAsleep            scaled to zero; it wakes in minutes
    │   ├── Throttled                 too many requests at once
    │   ├── ModelFailed               the container answered with an error
    │   └── EndpointUnavailable       the service or the network failed
    ├── IntegrityError                a response came back that cannot be right
    │   ├── DimensionMismatch
    │   ├── NonFiniteVector
    │   ├── CountMismatch
    │   └── ModelMismatch             another model answers than the configured one
    ├── CircuitOpen                   calls are held back after repeated failures
    ├── DeadlineExceeded              the time that the caller allowed is up
    ├── BudgetExceeded                the configured spending limit is reached
    └── StoreError                    a vector store refused or lost a write
        ├── CollectionMismatch        a collection was opened for other vectors than it holds
        ├── CollectionNotFound        no collection of that name
        ├── CollectionReplaced        another collection has taken the name since this one was opened
        ├── FilterRefused             a filter that is not one
        ├── RecordRefused             a record that the store cannot hold
        ├── ReplacementIncomplete     records are missing in what would take the collection's place
        └── StoreUnavailable          the store did not answer in time

Each message names the input and the remedy. Texts and vectors are never part of a message.
"""

import copy
import math
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
    "ModelFailed",
    "ModelMismatch",
    "NonFiniteVector",
    "NotPicklable",
    "PayloadTooLarge",
    "RecordRefused",
    "ReplacementIncomplete",
    "StoreError",
    "StoreUnavailable",
    "TextTooLong",
    "Throttled",
]


#: Why a document was refused: no text in it; larger than a limit; binary where text was expected; in no encoding that
#: was tried; behind a password; damaged; of a kind that is not read; or its reading took too much time or memory.
RefusalReason = Literal[
    "empty", "too_large", "not_text", "undecodable", "encrypted", "corrupt", "unsupported", "too_complex"
]


class EmbedStackError(Exception):
    """The root of the tree.

    Attributes:
        retryable: Whether the same call may succeed later without a change.
        request_id: The service's request id, for a support case; None where there was no request.
        index: Position of the failing text in the caller's list; None where the error concerns no one text.
        retry_after: Seconds after which the service asked to be called again, 0 or more; None where it did not say.
    """

    retryable: bool
    retryable_by_default: ClassVar[bool] = False
    # The message without a position, so that one that is placed anew does not name two.
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
        """This error as that of the text at a position: a copy, since a request's error may be of many texts."""
        error = copy.copy(self)
        error.unplaced = self.unplaced or self.args[0]
        error.args = (f"Text {index}: {error.unplaced}",)
        error.index = index
        return error

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} [request {self.request_id}]" if self.request_id else message


class ConfigurationError(EmbedStackError):
    """A setting, a file or a tool is missing or wrong."""


class NotPicklable(ConfigurationError, TypeError):
    """An object cannot be pickled or copied without its credentials; build another one from the same settings."""


class InputError(EmbedStackError):
    """The caller's text cannot be embedded as it is."""


class TextTooLong(InputError):
    """A text has more tokens than the model reads, and truncation is off."""


class PayloadTooLarge(InputError):
    """A request carries more bytes or items than its receiver accepts."""


class DocumentRefused(InputError):
    """No text can be read from a file; the message names the file and what to do, and holds nothing of its content.

    Attributes:
        reason: Why, as one word for a count or a filter.
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
    """The endpoint did not answer with vectors."""


class EndpointNotFound(EndpointError):
    """No endpoint of that name is in service in this account and region."""


class EndpointAsleep(EndpointError):
    """The endpoint is scaled to zero; it wakes in minutes."""

    retryable_by_default = True


class Throttled(EndpointError):
    """More requests at once than the endpoint takes."""

    retryable_by_default = True


class ModelFailed(EndpointError):
    """The container answered with an error.

    Attributes:
        original_status: The container's own HTTP status; None where it gave none.
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
    """A response came back that cannot be right: of another form, number, length or value than was asked for."""


class DimensionMismatch(IntegrityError):
    """A vector has another length than the model's."""


class NonFiniteVector(IntegrityError):
    """A vector holds NaN or infinity."""


class CountMismatch(IntegrityError):
    """The number of vectors differs from the number of texts."""


class ModelMismatch(IntegrityError):
    """Another model, or another revision of it, answers than the configured one; their vectors cannot be compared."""


class CircuitOpen(EmbedStackError):
    """Calls are held back after repeated failures."""

    retryable_by_default = True


class DeadlineExceeded(EmbedStackError):
    """The time that the caller allowed is up."""


class BudgetExceeded(EmbedStackError):
    """The configured spending limit is reached."""


class StoreError(EmbedStackError):
    """A vector store refused or lost a write."""


class CollectionMismatch(StoreError):
    """A collection was opened for vectors of another model, dimension or context than it holds."""


class CollectionNotFound(StoreError):
    """The store has no collection of that name."""


class CollectionReplaced(StoreError):
    """Another collection has taken the name since this one was opened; its vectors may be another model's."""


class FilterRefused(StoreError):
    """A filter is not in the language that the stores understand."""


class RecordRefused(StoreError):
    """A record cannot be held by the store as it is."""


class ReplacementIncomplete(StoreError):
    """Records are missing in what would take the collection's place; copying them makes the switch possible."""

    retryable_by_default = True


class StoreUnavailable(StoreError):
    """The store did not answer in time, or the connection to it broke again and again."""

    retryable_by_default = True
