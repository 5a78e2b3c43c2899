"""Searches a collection by meaning.

A function URL or API Gateway, which check who asks, calls it over HTTP; or it is invoked directly.
"""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from embedstack.errors import EmbedStackError
from handling.answers import answer, described, failed, is_callers_fault, status_of
from handling.requests import SearchQuery, is_http, read_request
from handling.searching import SearchServices
from handling.telemetry import create_telemetry, log_failure, without_quotes

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["handler"]

# Kept back to say that the time was up.
_RESERVE_SECONDS = 0.5


class SearchFailed(Exception):
    """The function failed; its log says why."""


logger, metrics, traced = create_telemetry("embedstack-search")
services = SearchServices()


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics(capture_cold_start_metric=True)
@traced
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer ``{"query", "k", "filter", "threshold", "mode"}`` with ``{"hits", "model", "collection"}``.

    What the caller has to change is answered, too: over HTTP with a status of 400 to 405, to a direct invocation with
    ``{"error", "error_type", "status"}``.

    Raises:
        EmbedStackError, SearchFailed: A direct invocation failed; over HTTP that is a status of 429 or more.
    """
    seconds = context.get_remaining_time_in_millis() / 1000 - _RESERVE_SECONDS
    try:
        document = _search(read_request(event), seconds)
        return answer(document) if is_http(event) else document
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told no more than may be
        status = status_of(error)
        if is_callers_fault(status):
            metrics.add_metric("Refused", MetricUnit.Count, 1)
            logger.warning("A search was refused", error=type(error).__name__, status=status)
            # An exception would be one of the function's own in its metrics, and what it says in its log.
            return failed(error) if is_http(event) else {**described(error, status), "status": status}
        metrics.add_metric("Failed", MetricUnit.Count, 1)
        log_failure(logger, "A search failed", error, status=status)
        if is_http(event):
            return failed(error)
        if isinstance(error, EmbedStackError):
            raise without_quotes(error) from None
        # What Lambda logs of an exception would be another library's sentence.
        raise SearchFailed(type(error).__name__) from None


def _search(query: SearchQuery, seconds: float) -> dict[str, Any]:
    started = time.monotonic()
    hits = services.search(query, seconds)
    milliseconds = 1000 * (time.monotonic() - started)
    logger.info("A search was answered", hits=len(hits), k=query.k, mode=query.mode, milliseconds=round(milliseconds))
    metrics.add_metric("Searches", MetricUnit.Count, 1)
    metrics.add_metric("Hits", MetricUnit.Count, len(hits))
    metrics.add_metric("SearchLatency", MetricUnit.Milliseconds, milliseconds)
    return {"hits": [asdict(hit) for hit in hits], "model": services.model_id, "collection": services.collection_name}
