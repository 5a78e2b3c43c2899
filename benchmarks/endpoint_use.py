"""What an endpoint did meanwhile: sums of its metrics, and when there was a request in its model server."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import boto3

__all__ = ["Interval", "covered", "requests", "total", "variant"]

# The model server's line for each request, where the container's LOG_LEVEL is debug.
_REQUEST = re.compile(r"POST /invocations \d+ \d+ bytes (?P<milliseconds>[0-9.]+) ms")


class Interval(NamedTuple):
    """From when to when, in seconds since 1970."""

    start: float
    end: float


def total(namespace: str, metric: str, since: datetime, **dimensions: str) -> float:
    """The sum of a metric since a moment."""
    session: Any = boto3.Session()
    answer = session.client("cloudwatch").get_metric_statistics(
        Namespace=namespace, MetricName=metric, StartTime=since - timedelta(minutes=1),
        EndTime=datetime.now(UTC) + timedelta(minutes=2), Period=3600, Statistics=["Sum"],
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
    )  # fmt: skip
    return sum(float(point["Sum"]) for point in answer["Datapoints"])


def variant(endpoint: str) -> str:
    """The endpoint's only variant."""
    session: Any = boto3.Session()
    described = session.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    return str(described["ProductionVariants"][0]["VariantName"])


def requests(endpoint: str, since: datetime) -> list[Interval]:
    """When requests were in the endpoint's model servers, from reading their bodies until their answers were ready.

    CloudWatch stamps a line of a container's log when it comes, which is when the answer is ready. Of a model server
    that was killed, the requests that were in it then are missing.
    """
    session: Any = boto3.Session()
    pages = session.client("logs").get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/sagemaker/Endpoints/{endpoint}", startTime=int(since.timestamp() * 1000),
        filterPattern='"POST /invocations"',
    )  # fmt: skip
    found = []
    for event in (event for page in pages for event in page["events"]):
        if line := _REQUEST.search(event["message"]):
            end = event["timestamp"] / 1000
            found.append(Interval(end - float(line["milliseconds"]) / 1000, end))
    return sorted(found)


def covered(intervals: Iterable[Interval]) -> float:
    """Seconds in which there was at least one of them."""
    seconds, until = 0.0, float("-inf")
    for start, end in sorted(intervals):
        seconds += max(0.0, end - max(start, until))
        until = max(until, end)
    return seconds
