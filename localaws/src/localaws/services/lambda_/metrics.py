"""Lambda's metrics of functions, and metrics that functions print in the embedded metric format."""

import json
from typing import TYPE_CHECKING, Any

from localaws.services.cloudwatch.metric_store import STANDARD_RESOLUTION, MetricId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localaws.core.clock import SimulatedTime
    from localaws.services.cloudwatch.metric_store import Dimensions, MetricStore

__all__ = ["FunctionMetrics"]

_NAMESPACE = "AWS/Lambda"
#: "Types of metrics for Lambda functions" in the Lambda developer guide.
_UNITS = {
    "Invocations": "Count",
    "Errors": "Count",
    "Throttles": "Count",
    "Duration": "Milliseconds",
    "ConcurrentExecutions": "Count",
}
#: Maximum length of lists ("Specification: Embedded metric format", CloudWatch user guide).
_MAX_METRICS = 100


class FunctionMetrics:
    """Records metrics at the simulated time."""

    def __init__(self, store: "MetricStore", time: "SimulatedTime") -> None:
        """Prepare."""
        self._store = store
        self._time = time

    def record(
        self, account_id: str, region: str, function: str, samples: "Iterable[tuple[str, float]]", *, resource: str = ""
    ) -> None:
        """Record samples of AWS/Lambda's metrics.

        Args:
            account_id: The function's account.
            region: The function's region.
            function: The function's name.
            samples: Pairs of metric and value; durations in milliseconds.
            resource: The function's name with the version or alias of the request; empty without these.
        """
        dimensions: list[Dimensions] = [(), (("FunctionName", function),)]
        if resource:
            dimensions.append((("FunctionName", function), ("Resource", resource)))
        for name, value in samples:
            for each in dimensions:
                metric = MetricId.of(account_id, region, _NAMESPACE, name, each)
                self._add(metric, _UNITS[name], [value], STANDARD_RESOLUTION)

    def extract(self, account_id: str, region: str, line: str) -> None:
        """Record the metrics in a line of a log, if there are any.

        The timestamp in the line is from the machine's clock and is ignored.
        """
        if '"_aws"' not in line or not line.startswith("{"):
            return
        try:
            document = json.loads(line)
            directives = document["_aws"]["CloudWatchMetrics"]
            for directive in directives:
                self._extract(account_id, region, document, directive)
        except (ValueError, KeyError, TypeError, AttributeError):
            # CloudWatch ignores metrics in an invalid format.
            return

    def _extract(self, account_id: str, region: str, document: dict[str, Any], directive: dict[str, Any]) -> None:
        dimension_sets = directive.get("Dimensions") or [[]]
        for names in dimension_sets:
            dimensions = [(name, str(document[name])) for name in names]
            for definition in directive["Metrics"][:_MAX_METRICS]:
                metric = MetricId.of(account_id, region, directive["Namespace"], definition["Name"], dimensions)
                value = document[definition["Name"]]
                values = [float(item) for item in (value if isinstance(value, list) else [value])]
                resolution = int(definition.get("StorageResolution", STANDARD_RESOLUTION))
                self._add(metric, definition.get("Unit", "None"), values, resolution)

    def _add(self, metric: MetricId, unit: str, values: list[float], resolution: int) -> None:
        series = self._store.series(metric, unit, resolution)
        now = self._time.now().timestamp()
        with self._store.lock:
            for value in values:
                series.period(now).add(value)
