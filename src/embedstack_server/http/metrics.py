"""Metrics of the model server in Prometheus' text format, version 0.0.4.

The event loop counts requests and renders the metrics, so that neither needs a lock. The scheduler counts batches
under the lock that it holds anyway. No label has a value from a request.

Source of the format: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format.
"""

from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from embedstack_server.compute.scheduler import Workload

__all__ = ["METRICS_TYPE", "ServerMetrics", "Snapshot"]

#: Media type of the metrics.
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Upper bounds of the latency histogram's buckets, in seconds. SageMaker's invocation timeout is 60 s.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Snapshot(NamedTuple):
    """The server's present state.

    Attributes:
        ready: Whether the server computes requests.
        requests: Requests in progress.
        body_bytes: Bytes of their bodies.
        model: Labels that describe the model; empty until it is loaded.
        workload: The model's batches; None until it is loaded.
    """

    ready: bool
    requests: int
    body_bytes: int
    model: "Mapping[str, str]"
    workload: "Workload | None"


class ServerMetrics:
    """Counts of the requests since the server's start. To be used by one thread."""

    def __init__(self) -> None:
        """Start counting."""
        self._requests: Counter[int] = Counter({200: 0})
        self._errors: Counter[str] = Counter()
        self._abandoned = 0
        self._buckets = [0] * (len(_BUCKETS) + 1)
        self._seconds = 0.0

    def count_response(self, status: int, seconds: float) -> None:
        """Count a response, and the latency of a successful one.

        Args:
            status: HTTP status.
            seconds: Time from the complete request to its response.
        """
        self._requests[status] += 1
        if status == 200:
            self._buckets[bisect_left(_BUCKETS, seconds)] += 1
            self._seconds += seconds

    def count_error(self, error_type: str) -> None:
        """Count a rejected or failed request by the ``error_type`` of its response."""
        self._errors[error_type] += 1

    def count_abandoned(self) -> None:
        """Count a request whose client closed the connection before the response."""
        self._abandoned += 1

    def render(self, snapshot: Snapshot) -> bytes:
        """All metrics in the text format."""
        lines = [
            *_metric("ready", "gauge", "1 if the server computes requests.", [({}, int(snapshot.ready))]),
            *_metric(
                "requests_total", "counter", "Responses of /invocations by HTTP status.",
                [({"status": str(status)}, count) for status, count in sorted(self._requests.items())],
            ),
            *_metric(
                "errors_total", "counter", "Rejected and failed requests by error type.",
                [({"type": name}, count) for name, count in sorted(self._errors.items())],
            ),
            *_metric(
                "abandoned_requests_total", "counter", "Requests whose client did not wait for the response.",
                [({}, self._abandoned)],
            ),
            *self._latency(),
            *_metric("requests_in_progress", "gauge", "Requests in progress.", [({}, snapshot.requests)]),
            *_metric(
                "request_bytes_in_progress", "gauge", "Bytes of the bodies of requests in progress.",
                [({}, snapshot.body_bytes)],
            ),
        ]  # fmt: skip
        if snapshot.workload is not None:
            lines += _metric("model_info", "gauge", "The model; the value is 1.", [(snapshot.model, 1)])
            lines += _workload(snapshot.workload)
        return ("\n".join(lines) + "\n").encode()

    def _latency(self) -> "Iterable[str]":
        """The latency histogram, whose buckets are cumulative."""
        name = "embedstack_request_duration_seconds"
        yield f"# HELP {name} Time from the complete request to its response, of successful requests."
        yield f"# TYPE {name} histogram"
        bounds = [*map(str, _BUCKETS), "+Inf"]
        for bound, count in zip(bounds, accumulate(self._buckets), strict=True):
            yield f"{name}_bucket{_labels({'le': bound})} {count}"
        yield f"{name}_sum {self._seconds}"
        yield f"{name}_count {sum(self._buckets)}"


def _workload(workload: "Workload") -> "Iterable[str]":
    for name, kind, explanation, value in (
        ("queue_requests", "gauge", "Requests with texts that wait for a batch.", workload.waiting_calls),
        ("queue_texts", "gauge", "Texts that wait for a batch.", workload.waiting_texts),
        ("queue_tokens", "gauge", "Tokens of texts that wait for a batch.", workload.waiting_tokens),
        ("running_batches", "gauge", "Batches that are being computed.", workload.running_batches),
        ("batches_total", "counter", "Batches that were started.", workload.batches),
        ("texts_total", "counter", "Texts in started batches; pairs, for a reranker.", workload.texts),
        ("tokens_total", "counter", "Tokens in started batches, without padding.", workload.tokens),
        ("batch_capacity_tokens_total", "counter", "Tokens that fit into started batches.", workload.capacity_tokens),
    ):
        yield from _metric(name, kind, explanation, [({}, value)])


def _metric(
    name: str, kind: str, explanation: str, samples: "Iterable[tuple[Mapping[str, str], int]]"
) -> "Iterable[str]":
    """The lines of one metric."""
    yield f"# HELP embedstack_{name} {explanation}"
    yield f"# TYPE embedstack_{name} {kind}"
    for labels, value in samples:
        yield f"embedstack_{name}{_labels(labels)} {value}"


def _labels(labels: "Mapping[str, str]") -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
