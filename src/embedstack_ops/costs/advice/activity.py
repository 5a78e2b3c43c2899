"""What an endpoint did in each hour, from the ledger or from CloudWatch."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedstack.costs.ledger import Ledger

__all__ = ["HOUR", "Activity", "Hour", "activity_from_cloudwatch", "activity_from_ledger"]

#: Seconds of an hour.
HOUR = 3600


@dataclass(frozen=True, slots=True)
class Hour:
    """Sums of an hour. Texts, cache hits and tokens are 0 where the source does not count them."""

    requests: int = 0
    milliseconds: float = 0.0
    texts: int = 0
    cost: int = 0
    cache_hits: int = 0
    tokens: int = 0
    tokens_saved: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """What an endpoint or Bedrock model did.

    Attributes:
        endpoint: Name of the endpoint, or id of the Bedrock model.
        backend: Name of the backend, such as ``bedrock``; ``sagemaker`` from CloudWatch.
        kind: What it was called for; empty if the source does not tell.
        hours: Sums by start of the hour in seconds since the epoch. An hour without an entry had no request.
        first: Start of the first hour with a request. Before it, nothing is known.
        end: End of the last complete hour.
    """

    endpoint: str
    backend: str
    kind: str
    hours: Mapping[int, Hour]
    first: int
    end: int

    @property
    def days(self) -> float:
        """Days that the activity covers."""
        return max(self.end - self.first, 0) / (24 * HOUR)

    @property
    def total(self) -> Hour:
        """The sums of all hours."""
        hours = self.hours.values()
        return Hour(
            sum(hour.requests for hour in hours),
            sum(hour.milliseconds for hour in hours),
            sum(hour.texts for hour in hours),
            sum(hour.cost for hour in hours),
            sum(hour.cache_hits for hour in hours),
            sum(hour.tokens for hour in hours),
            sum(hour.tokens_saved for hour in hours),
        )

    def requests(self, hour: int) -> int:
        """Requests of the hour that starts at a time."""
        return self.hours[hour].requests if hour in self.hours else 0


def activity_from_ledger(ledger: "Ledger", start: float, end: float) -> list[Activity]:
    """The activity of each endpoint and kind of call that the ledger knows."""
    end = end // HOUR * HOUR
    groups: dict[tuple[str, str, str], dict[int, Hour]] = {}
    for total in ledger.totals(start, end, ("backend", "endpoint", "model", "kind", "hour")):
        name = (total.group["endpoint"] or total.group["model"] or "", total.group["backend"] or "")
        moment = int(datetime.fromisoformat(str(total.group["hour"])).timestamp())
        hour = Hour(
            total.calls, total.milliseconds, total.texts, total.cost, total.cache_hits, total.tokens, total.tokens_saved
        )
        groups.setdefault((*name, total.group["kind"] or ""), {})[moment] = hour
    return [
        Activity(endpoint, backend, kind, hours, min(hours), int(end))
        for (endpoint, backend, kind), hours in sorted(groups.items())
    ]


def activity_from_cloudwatch(client: Any, endpoint: str, variant: str, start: float, end: float) -> Activity | None:
    """The activity of an endpoint's variant; None if CloudWatch has no datapoint, which is not the same as no request.

    Args:
        client: A boto3 client of CloudWatch.
        endpoint: Name of the endpoint.
        variant: Name of the variant. Without it, Invocations has no datapoints at all.
        start: Seconds since the epoch.
        end: Seconds since the epoch.
    """
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]

    def series(metric: str, statistic: str) -> dict[int, float]:
        points: dict[int, float] = {}
        # 1,440 datapoints a request, at most.
        for begin in range(int(start // HOUR * HOUR), int(end), 1_440 * HOUR):
            response = client.get_metric_statistics(
                Namespace="AWS/SageMaker", MetricName=metric, Dimensions=dimensions, Period=HOUR,
                Statistics=[statistic], StartTime=datetime.fromtimestamp(begin, UTC),
                EndTime=datetime.fromtimestamp(min(begin + 1_440 * HOUR, end), UTC),
            )  # fmt: skip
            points |= {int(point["Timestamp"].timestamp()): point[statistic] for point in response["Datapoints"]}
        return points

    invocations = series("Invocations", "Sum")
    if not invocations:
        return None
    # ModelLatency is in microseconds; its Sum is that of all requests of the hour.
    latencies = series("ModelLatency", "Sum")
    hours = {at: Hour(int(count), latencies.get(at, 0.0) / 1000) for at, count in invocations.items()}
    return Activity(endpoint, "sagemaker", "", hours, min(hours), int(end // HOUR * HOUR))
