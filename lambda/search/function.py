"""Semantic search in a collection.

Called over HTTP by a function URL or API Gateway, which authenticate the caller, or invoked directly.
"""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from embedstack.errors import EmbedStackError
from pipeline_functions.http_responses import (
    error_body,
    error_response,
    http_status,
    is_client_error,
    success_response,
)
from pipeline_functions.search_requests import SearchQuery, is_http, read_request
from pipeline_functions.search_services import SearchServices
from pipeline_functions.telemetry import create_telemetry, log_failure, redacted

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["handler"]

# Time reserved to respond after a timeout.
_RESERVE_SECONDS = 0.5


class SearchFailed(Exception):
    """The function failed; its log has the reason."""


logger, metrics, traced = create_telemetry("embedstack-search")
services = SearchServices()


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics(capture_cold_start_metric=True)
@traced
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Search for a request's ``query``, and return ``{"hits", "model", "collection"}``.

    Optional members of a request are ``k``, ``filter``, ``threshold``, ``mode``, ``rerank`` and ``candidates``.

    Client errors do not raise: HTTP callers receive a status of 400 to 405, direct callers
    ``{"error", "error_type", "status"}``.

    Raises:
        EmbedStackError, SearchFailed: A direct invocation failed. HTTP callers receive a status of 429 or more instead.
    """
    seconds = context.get_remaining_time_in_millis() / 1000 - _RESERVE_SECONDS
    try:
        result = _search(read_request(event), seconds)
        return success_response(result) if is_http(event) else result
    except Exception as error:  # noqa: BLE001 - an unhandled error would expose its message to the caller
        status = http_status(error)
        if is_client_error(status):
            metrics.add_metric("Refused", MetricUnit.Count, 1)
            logger.warning("A search was rejected", error=type(error).__name__, status=status)
            # Raising would count as a function error in Lambda's metrics and log the message.
            return error_response(error) if is_http(event) else {**error_body(error, status), "status": status}
        metrics.add_metric("Failed", MetricUnit.Count, 1)
        log_failure(logger, "A search failed", error, status=status)
        if is_http(event):
            return error_response(error)
        if isinstance(error, EmbedStackError):
            raise redacted(error) from None
        # Lambda logs the exception, and another library's message may quote content.
        raise SearchFailed(type(error).__name__) from None


def _search(query: SearchQuery, seconds: float) -> dict[str, Any]:
    started = time.monotonic()
    hits = services.search(query, seconds)
    milliseconds = 1000 * (time.monotonic() - started)
    logger.info("A search succeeded", hits=len(hits), k=query.k, mode=query.mode, milliseconds=round(milliseconds))
    metrics.add_metric("Searches", MetricUnit.Count, 1)
    metrics.add_metric("Hits", MetricUnit.Count, len(hits))
    metrics.add_metric("SearchLatency", MetricUnit.Milliseconds, milliseconds)
    return {"hits": [asdict(hit) for hit in hits], "model": services.model_id, "collection": services.collection_name}
