"""Use of an endpoint: sums of its metrics, and the times of its requests."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import boto3

__all__ = ["Interval", "covered", "requests", "total", "variant"]

# The model server's log line of a request, with LOG_LEVEL=debug.
_REQUEST = re.compile(r"POST /invocations \d+ \d+ bytes (?P<milliseconds>[0-9.]+) ms")


class Interval(NamedTuple):
    """Start and end, in seconds since the epoch."""

    start: float
    end: float


def total(namespace: str, metric: str, since: datetime, **dimensions: str) -> float:
    """The sum of a metric since a time."""
    session: Any = boto3.Session()
    response = session.client("cloudwatch").get_metric_statistics(
        Namespace=namespace, MetricName=metric, StartTime=since - timedelta(minutes=1),
        EndTime=datetime.now(UTC) + timedelta(minutes=2), Period=3600, Statistics=["Sum"],
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
    )  # fmt: skip
    return sum(float(point["Sum"]) for point in response["Datapoints"])


def variant(endpoint: str) -> str:
    """The endpoint's only variant."""
    session: Any = boto3.Session()
    description = session.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    return str(description["ProductionVariants"][0]["VariantName"])


def requests(endpoint: str, since: datetime) -> list[Interval]:
    """The times of the requests in the endpoint's model servers, from reading the body to the response.

    A log line's timestamp is the time of the response. Requests of a killed model server are missing.
    """
    session: Any = boto3.Session()
    pages = session.client("logs").get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/sagemaker/Endpoints/{endpoint}", startTime=int(since.timestamp() * 1000),
        filterPattern='"POST /invocations"',
    )  # fmt: skip
    intervals = []
    for event in (event for page in pages for event in page["events"]):
        if line := _REQUEST.search(event["message"]):
            end = event["timestamp"] / 1000
            intervals.append(Interval(end - float(line["milliseconds"]) / 1000, end))
    return sorted(intervals)


def covered(intervals: Iterable[Interval]) -> float:
    """Seconds covered by at least one interval."""
    seconds, until = 0.0, float("-inf")
    for start, end in sorted(intervals):
        seconds += max(0.0, end - max(start, until))
        until = max(until, end)
    return seconds
