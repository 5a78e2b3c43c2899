"""Chooses between JSON, which every container returns, and arrays, which are faster to read."""

from typing import Literal

from embedstack.embedders.sagemaker.invocation import JSON
from embedstack.embedders.sagemaker.responses import NPY
from embedstack.errors import (
    ConfigurationError,
    CountMismatch,
    DeadlineExceeded,
    EmbedStackError,
    EndpointAsleep,
    EndpointNotFound,
    InputError,
    ModelFailed,
    ModelMismatch,
    NonFiniteVector,
    PayloadTooLarge,
    Throttled,
)

__all__ = ["ResponseFormat"]

# Failures that say nothing about the requested format.
_UNRELATED = (
    ConfigurationError, DeadlineExceeded, EndpointAsleep, EndpointNotFound, ModelMismatch, PayloadTooLarge, Throttled,
)  # fmt: skip
# Errors that are retried although they are not marked retryable.
_RETRIED = (CountMismatch, NonFiniteVector)
# Consecutive requests that fail for an array and not for JSON, after arrays have worked.
_FAILURES = 3


class ResponseFormat:
    """Learns which format an endpoint returns. Shared by threads; an update that is lost is learned again.

    The first request asks for JSON, the second for an array. If a container fails the second and serves the same
    request as JSON, arrays are not requested again. A container that returned arrays may be replaced at any time; then
    a rejection of the format, or failures that JSON does not have, end the use of arrays.
    """

    def __init__(self, *, arrays: bool = True) -> None:
        """Start with JSON.

        Args:
            arrays: Whether to try arrays.
        """
        self._state: Literal["json", "undecided", "arrays"] = "undecided" if arrays else "json"
        self._has_responded = False
        self._needs_json_once = False
        self._failures = 0

    def choose(self) -> str:
        """The media type to request."""
        if self._state == "json" or self._needs_json_once:
            return JSON
        return NPY if self._state == "arrays" or self._has_responded else JSON

    def record_response(self, accept: str, *, is_array: bool) -> None:
        """Learn from a response with valid vectors."""
        self._has_responded = True
        if self._state == "json":
            return
        if accept == NPY:
            self._state = "arrays" if is_array else "json"
            self._failures = 0
        elif self._needs_json_once:
            self._needs_json_once = False
            self._failures += 1
            if self._failures >= _FAILURES:
                self._state = "json"

    def needs_json(self, error: EmbedStackError) -> bool:
        """Learn from a failed request for an array; returns whether to send it again for JSON.

        If that request succeeds, the format was at fault: call :meth:`disable_arrays`.
        """
        if isinstance(error, _UNRELATED):
            return False
        if self._state == "undecided" and not _lost_container(error):
            return True
        if isinstance(error, _RETRIED) or error.retryable:
            # The failure may be temporary: the retry, which another layer sends, asks for JSON.
            self._needs_json_once = True
            return False
        # An index means that a text is at fault.
        return not (isinstance(error, InputError) and error.index is not None)

    def disable_arrays(self) -> None:
        """Request no more arrays."""
        self._state = "json"


def _lost_container(error: EmbedStackError) -> bool:
    """Whether the container ended or timed out, which SageMaker reports as status 0."""
    return isinstance(error, ModelFailed) and error.original_status == 0
