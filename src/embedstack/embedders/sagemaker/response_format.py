"""Whether an endpoint is asked for JSON, which every container answers, or for arrays, which are faster to read."""

from typing import Literal

from embedstack.embedders.sagemaker.responses import JSON, NPY
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

# Failures that say nothing about the format that was asked for.
_UNRELATED = (
    ConfigurationError, DeadlineExceeded, EndpointAsleep, EndpointNotFound, ModelMismatch, PayloadTooLarge, Throttled,
)  # fmt: skip
# Errors that are retried although they are not marked so.
_RETRIED = (CountMismatch, NonFiniteVector)
# Requests in a row that fail for an array and not for JSON, after arrays had worked.
_FAILURES = 3


class ResponseFormat:
    """Learns what an endpoint answers. Shared by threads: what one of them misses, the next request learns.

    The first request is for JSON, the second for an array. A container that fails it, and answers the same request as
    JSON, is never asked for an array again. One that has answered arrays may be replaced by another container at any
    time: a refusal of the format ends arrays then, and so do failures that JSON does not have.
    """

    def __init__(self, *, arrays: bool = True) -> None:
        """Start with JSON.

        Args:
            arrays: Whether to find out about arrays.
        """
        self._state: Literal["json", "undecided", "arrays"] = "undecided" if arrays else "json"
        self._has_answered = False
        self._asks_json_once = False
        self._failures = 0

    def choose(self) -> str:
        """The media type to ask for."""
        if self._state == "json" or self._asks_json_once:
            return JSON
        return NPY if self._state == "arrays" or self._has_answered else JSON

    def record_response(self, accept: str, *, is_array: bool) -> None:
        """Learn from a response with right vectors."""
        self._has_answered = True
        if self._state == "json":
            return
        if accept == NPY:
            self._state = "arrays" if is_array else "json"
            self._failures = 0
        elif self._asks_json_once:
            self._asks_json_once = False
            self._failures += 1
            if self._failures >= _FAILURES:
                self._state = "json"

    def needs_json(self, error: EmbedStackError) -> bool:
        """Learn from the failure of a request for an array: whether to send it for JSON at once.

        Only an answer to that tells whether the format was at fault; :meth:`refuse_arrays` is to be called with it.
        """
        if isinstance(error, _UNRELATED):
            return False
        if self._state == "undecided" and not _lost_container(error):
            return True
        if isinstance(error, _RETRIED) or error.retryable:
            # A moment may be at fault: the retry, which is not this one's to do, asks for JSON.
            self._asks_json_once = True
            return False
        # With an index, a text is at fault.
        return not (isinstance(error, InputError) and error.index is not None)

    def refuse_arrays(self) -> None:
        """Never ask for an array again."""
        self._state = "json"


def _lost_container(error: EmbedStackError) -> bool:
    """Whether the container ended or gave no answer in time, which SageMaker tells as status 0."""
    return isinstance(error, ModelFailed) and error.original_status == 0
