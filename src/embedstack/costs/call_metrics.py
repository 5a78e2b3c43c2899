"""Metrics of calls in CloudWatch: in Lambda as log lines in its embedded metric format, elsewhere by PutMetricData.

Each combination of a metric and a dimension value is a custom metric, which CloudWatch charges by the month. So there
are five metrics with one dimension, the endpoint or Bedrock model.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from embedstack.calls.process_local import PerProcess
from embedstack.calls.rare_warnings import RareWarnings
from embedstack.costs.money import to_dollars

if TYPE_CHECKING:
    import boto3

    from embedstack.aws.clients import AwsClient
    from embedstack.costs.records import CallRecord
    from embedstack.settings.settings import Settings

__all__ = ["NAMESPACE", "CallMetrics", "open_call_metrics"]

_logger = logging.getLogger(__name__)

NAMESPACE = "EmbedStack"
_DIMENSION = "Endpoint"
_UNITS = {
    "EmbeddingRequestLatency": "Milliseconds",
    "EmbeddingBatchSize": "Count",
    "CostPerEmbedding": "None",
    "EmbeddingTokens": "Count",
    "EmbeddingErrors": "Count",
}
#: Seconds between two requests.
PERIOD_SECONDS = 60.0
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
_MAX_DATUMS = 1000


@dataclass(slots=True)
class _Statistics:
    count: int = 0
    total: float = 0.0
    least: float = field(default=float("inf"))
    most: float = field(default=float("-inf"))

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.least, self.most = min(self.least, value), max(self.most, value)


def _values(record: "CallRecord") -> dict[str, float]:
    """The values of a call by metric. CostPerEmbedding is in US dollars, and missing if the price is unknown."""
    if record.is_error:
        return {"EmbeddingErrors": 1.0}
    if record.cache_hits:
        return {}
    values = {
        "EmbeddingRequestLatency": record.milliseconds,
        "EmbeddingBatchSize": float(record.texts),
        "EmbeddingTokens": float(record.tokens + record.output_tokens),
        "EmbeddingErrors": 0.0,
    }
    if record.cost is not None and not record.is_shared and record.texts:
        values["CostPerEmbedding"] = float(to_dollars(record.cost)) / record.texts
    return values


class CallMetrics:
    """Publishes metrics. A failure is counted and logged, and never raised."""

    def __init__(self, client: "AwsClient | None") -> None:
        """Prepare.

        Args:
            client: A client of ``cloudwatch``; None to print each call in the embedded metric format.
        """
        self._client = client
        self._process = PerProcess(_Pending)

    def add(self, record: "CallRecord") -> None:
        """Add a call."""
        values = _values(record)
        if not values:
            return
        name = record.endpoint or record.model
        if self._client is None:
            print(_embedded(name, values, record.at))
            return
        self._process.get().add(name, values, self.flush)

    def flush(self) -> None:
        """Send what is pending."""
        process = self._process.get()
        datums = process.take()
        if self._client is None:
            return
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - only if metrics are on

        try:
            for start in range(0, len(datums), _MAX_DATUMS):
                self._client.call(partial(_put, datums[start : start + _MAX_DATUMS]))
        except (BotoCoreError, ClientError) as error:
            process.fail(error)

    @property
    def failures(self) -> int:
        """Requests of this process that failed."""
        return self._process.get().failures


class _Pending:
    """Statistics of one process, and the thread that sends them."""

    def __init__(self) -> None:
        self.failures = 0
        self._lock = threading.Lock()
        self._statistics: dict[tuple[str, str], _Statistics] = {}
        self._thread: threading.Thread | None = None
        self._warnings = RareWarnings(_logger)

    def add(self, endpoint: str, values: dict[str, float], flush: Callable[[], None]) -> None:
        with self._lock:
            for name, value in values.items():
                self._statistics.setdefault((endpoint, name), _Statistics()).add(value)
            if self._thread is None:
                self._thread = threading.Thread(target=_repeat, args=(flush,), name="call-metrics", daemon=True)
                self._thread.start()

    def take(self) -> list[dict[str, Any]]:
        with self._lock:
            statistics, self._statistics = self._statistics, {}
        return [
            {
                "MetricName": name,
                "Dimensions": [{"Name": _DIMENSION, "Value": endpoint}],
                "Unit": _UNITS[name],
                "StatisticValues": {
                    "SampleCount": each.count,
                    "Sum": each.total,
                    "Minimum": each.least,
                    "Maximum": each.most,
                },
            }
            for (endpoint, name), each in statistics.items()
        ]

    def fail(self, error: Exception) -> None:
        self.failures += 1
        self._warnings.log("send", "Metrics of calls could not be sent to CloudWatch (%s).", type(error).__name__)


def _put(datums: list[dict[str, Any]], cloudwatch: Any) -> None:
    cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=datums)


def _repeat(flush: Callable[[], None]) -> None:
    while True:
        time.sleep(PERIOD_SECONDS)
        flush()


def _embedded(endpoint: str, values: dict[str, float], at: float) -> str:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    metrics = [{"Name": name, "Unit": _UNITS[name]} for name in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": [[_DIMENSION]], "Metrics": metrics}
    return json.dumps(
        {"_aws": {"Timestamp": int(at * 1000), "CloudWatchMetrics": [directive]}, _DIMENSION: endpoint, **values}
    )


def open_call_metrics(settings: "Settings", session: "boto3.Session | None" = None) -> CallMetrics | None:
    """The metrics of the setting CLOUDWATCH_METRICS_ENABLED; None if it is off.

    Args:
        settings: The settings.
        session: A custom boto3 session.
    """
    if not settings.cloudwatch_metrics_enabled:
        return None
    if os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
        return CallMetrics(None)
    from embedstack.aws.clients import AwsClient  # noqa: PLC0415 - only if metrics are on

    return CallMetrics(AwsClient("cloudwatch", settings, max_connections=1, session=session))
