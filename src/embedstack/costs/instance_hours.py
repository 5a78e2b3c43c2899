"""Instance-hours of SageMaker endpoints: how many instances ran, when, and at which price."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from embedstack.aws.clients import create_client
from embedstack.costs.periods import HOUR_SECONDS, Period

if TYPE_CHECKING:
    from embedstack.costs.price_book import Price, PriceBook
    from embedstack.settings.settings import Settings

__all__ = ["InstanceFleet", "InstanceHours", "price_hours", "read_fleets", "read_instance_hours"]

_NAMESPACE: Final = "/aws/sagemaker/Endpoints"
#: Each instance publishes a value with this period, unless the endpoint configuration sets another one.
_PUBLISH_SECONDS: Final = 60
#: CloudWatch's limit for a request.
_QUERIES_PER_REQUEST: Final = 500


@dataclass(frozen=True, slots=True)
class InstanceFleet:
    """The instances of a variant of an endpoint.

    Attributes:
        endpoint: Name of the endpoint.
        variant: Name of the production variant.
        instance_type: Such as ``ml.m5.xlarge``.
        component: SageMaker's component in the price: ``hosting`` or ``async``.
        instances: Instances now.
        created: When the endpoint was created.
        modified: When the endpoint was last updated; earlier, it may have had another instance type.
        publish_seconds: Interval of the instances' metrics.
    """

    endpoint: str
    variant: str
    instance_type: str
    component: str
    instances: int
    created: datetime
    modified: datetime
    publish_seconds: int = _PUBLISH_SECONDS

    @property
    def product(self) -> str:
        """Key in the price book."""
        return f"sagemaker/{self.component}/{self.instance_type}"


@dataclass(frozen=True, slots=True)
class InstanceHours:
    """What the instances of a variant ran and cost.

    Attributes:
        fleet: The instances.
        seconds: Instance-seconds by hour; an hour is its first second since the epoch.
        price: Price of an hour; None if it is unknown.
        is_estimate: The price is not settled, the metrics are missing, or the type may have changed in the period.
        is_measured: The hours are CloudWatch's; otherwise today's number of instances since the creation.
    """

    fleet: InstanceFleet
    seconds: dict[int, int]
    price: "Price | None"
    is_estimate: bool
    is_measured: bool

    @property
    def hours(self) -> Decimal:
        """Instance-hours."""
        return Decimal(sum(self.seconds.values())) / HOUR_SECONDS

    def cost(self, hour: int) -> Decimal:
        """US dollars of one hour; 0 if the price is unknown."""
        amount = self.price.amount if self.price is not None else Decimal(0)
        return amount * self.seconds.get(hour, 0) / HOUR_SECONDS


def read_fleets(settings: "Settings", endpoints: Sequence[str] | None = None) -> list[InstanceFleet]:
    """The instances of real-time and asynchronous endpoints; serverless variants have none.

    Args:
        settings: Region and address of AWS.
        endpoints: Names of the endpoints, of which some may have been deleted; None for all of the region.
    """
    client = create_client("sagemaker", settings)
    if endpoints is None:
        pages = client.get_paginator("list_endpoints").paginate()
        endpoints = [summary["EndpointName"] for page in pages for summary in page["Endpoints"]]
    return [fleet for name in sorted(set(endpoints)) for fleet in _fleets_of(client, name)]


def _fleets_of(client: Any, name: str) -> list[InstanceFleet]:
    try:
        endpoint = client.describe_endpoint(EndpointName=name)
        config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    except client.exceptions.ClientError as error:
        if "Could not find" in error.response["Error"]["Message"]:
            return []
        raise
    counts = {each["VariantName"]: each.get("CurrentInstanceCount", 0) for each in endpoint["ProductionVariants"]}
    return [
        InstanceFleet(
            endpoint=name,
            variant=variant["VariantName"],
            instance_type=variant["InstanceType"],
            component="async" if "AsyncInferenceConfig" in config else "hosting",
            instances=counts.get(variant["VariantName"], 0),
            created=endpoint["CreationTime"].astimezone(UTC),
            modified=endpoint["LastModifiedTime"].astimezone(UTC),
            publish_seconds=config.get("MetricsConfig", {}).get("MetricPublishFrequencyInSeconds", _PUBLISH_SECONDS),
        )
        for variant in config["ProductionVariants"]
        if "InstanceType" in variant
    ]


def read_instance_hours(settings: "Settings", fleets: Sequence[InstanceFleet], period: Period) -> list[dict[int, int]]:
    """Instance-seconds of each fleet by hour, from CloudWatch, which keeps hourly values for 455 days.

    Every instance publishes one value of CPUUtilization per interval, so that their number is the number of instances
    times the number of intervals.
    """
    client = create_client("cloudwatch", settings)
    seconds: list[dict[int, int]] = []
    for first in range(0, len(fleets), _QUERIES_PER_REQUEST):
        seconds += _read_samples(client, fleets[first : first + _QUERIES_PER_REQUEST], period)
    return seconds


def _read_samples(client: Any, fleets: Sequence[InstanceFleet], period: Period) -> list[dict[int, int]]:
    queries = [
        {
            "Id": f"fleet{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": _NAMESPACE,
                    "MetricName": "CPUUtilization",
                    "Dimensions": [
                        {"Name": "EndpointName", "Value": fleet.endpoint},
                        {"Name": "VariantName", "Value": fleet.variant},
                    ],
                },
                "Period": HOUR_SECONDS,
                "Stat": "SampleCount",
            },
        }
        for number, fleet in enumerate(fleets)
    ]
    seconds: list[dict[int, int]] = [{} for _ in fleets]
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=period.start, EndTime=period.end
    )
    for page in pages:
        for result in page["MetricDataResults"]:
            number = int(result["Id"].removeprefix("fleet"))
            for moment, samples in zip(result["Timestamps"], result["Values"], strict=True):
                hour = int(moment.timestamp()) // HOUR_SECONDS * HOUR_SECONDS
                seconds[number][hour] = round(samples) * fleets[number].publish_seconds
    return seconds


def price_hours(
    fleets: Sequence[InstanceFleet],
    measured: Iterable[dict[int, int]],
    book: "PriceBook",
    region: str,
    period: Period,
) -> list[InstanceHours]:
    """Instance-hours with their prices.

    Without any metric of a fleet, today's number of instances since the endpoint's creation is an estimate: no data is
    not the same as no instances.
    """
    lines = []
    for fleet, samples in zip(fleets, measured, strict=True):
        price = book.find(region, fleet.product)
        seconds = samples or _estimated_seconds(fleet, period)
        is_estimate = price is None or not price.settled or not samples or fleet.modified > period.start > fleet.created
        if seconds:
            lines.append(InstanceHours(fleet, seconds, price, is_estimate, is_measured=bool(samples)))
    return lines


def _estimated_seconds(fleet: InstanceFleet, period: Period) -> dict[int, int]:
    start, end = max(period.start, fleet.created).timestamp(), period.end.timestamp()
    seconds = {}
    hour = int(start // HOUR_SECONDS * HOUR_SECONDS)
    while hour < end and fleet.instances:
        seconds[hour] = fleet.instances * round(min(end, hour + HOUR_SECONDS) - max(start, hour))
        hour += HOUR_SECONDS
    return seconds
