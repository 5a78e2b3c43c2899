"""Sends events to SNS and CloudWatch, and the figures of each check to CloudWatch."""

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import create_client
from embedstack.aws.errors import translate_error
from embedstack.errors import EmbedStackError
from embedstack.health.states import State

if TYPE_CHECKING:
    from embedstack.health.records import Event, Record
    from embedstack.settings.settings import Settings

__all__ = ["METRICS_NAMESPACE", "Notifier"]

_logger = logging.getLogger(__name__)

METRICS_NAMESPACE = "EmbedStack"
#: CloudWatch's limit for one PutMetricData.
_METRICS_PER_REQUEST = 1000
# SNS subjects are ASCII.
_SUBJECT_CHARACTERS = 100
_HEALTHY = frozenset({State.HEALTHY, State.ASLEEP, State.STARTING})


class Notifier:
    """Sends to the receivers that the settings name."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._clients: dict[str, Any] = {}

    def deliver(self, events: Iterable["Event"]) -> int:
        """Send events to the receivers that have not got them yet, oldest first.

        Args:
            events: The events; a receiver that got one is removed from its ``pending``.

        Returns:
            The number of events that a receiver did not get.
        """
        undelivered = 0
        send = {"sns": self._publish, "cloudwatch": self._count}
        unreachable: set[str] = set()
        for event in sorted(events, key=lambda one: one.at):
            for receiver in list(event.pending):
                # A receiver that does not respond would take its timeout for each event.
                if receiver not in unreachable and self._attempt(send[receiver], event):
                    event.pending.remove(receiver)
                elif receiver in event.pending:
                    unreachable.add(receiver)
            undelivered += bool(event.pending)
        return undelivered

    def publish_figures(self, records: Mapping[str, "Record"], at: float) -> bool:
        """Send the figures of a check to CloudWatch: health and latency by target, and the number of unhealthy ones.

        Returns:
            Whether CloudWatch got them, or is not configured.
        """
        if not self._settings.health_metrics:
            return True
        monitored = {name: record for name, record in records.items() if not record.acknowledged}
        unhealthy = sum(record.state not in _HEALTHY for record in monitored.values())
        figures = [_figure("UnhealthyTargets", unhealthy, "Count", {"Monitor": self._settings.health_monitor}, at)]
        for name, record in monitored.items():
            dimensions = {"Target": name}
            figures.append(_figure("TargetHealthy", float(record.state in _HEALTHY), "Count", dimensions, at))
            if record.milliseconds is not None:
                figures.append(_figure("ProbeLatency", record.milliseconds, "Milliseconds", dimensions, at))
            figures.append(_figure("ProbeFailedShare", 100 * record.failed_share(), "Percent", dimensions, at))
            figures.append(_figure("ProbeThrottledShare", 100 * record.throttled_share(), "Percent", dimensions, at))
        return self._attempt(self._put, figures)

    def _attempt(self, send: Any, *arguments: Any) -> bool:
        try:
            send(*arguments)
        except (BotoCoreError, ClientError, EmbedStackError) as error:
            _logger.warning("A health notification was not sent: %s", translate_error(error, "sns"))
            return False
        return True

    def _publish(self, event: "Event") -> None:
        topic_arn = self._settings.health_topic_arn
        if topic_arn is None:
            return
        subject = f"{event.kind}: {event.target}".encode("ascii", "replace").decode()[:_SUBJECT_CHARACTERS]
        self._client("sns").publish(TopicArn=topic_arn, Subject=subject, Message=_message(event))

    def _count(self, event: "Event") -> None:
        if self._settings.health_metrics:
            self._put([_figure("HealthEvents", 1, "Count", {"Target": event.target, "Kind": event.kind}, event.at)])

    def _put(self, figures: list[dict[str, Any]]) -> None:
        for start in range(0, len(figures), _METRICS_PER_REQUEST):
            self._client("cloudwatch").put_metric_data(
                Namespace=METRICS_NAMESPACE, MetricData=figures[start : start + _METRICS_PER_REQUEST]
            )

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = create_client(
                service, self._settings, attempts=2, connect_timeout=3, read_timeout=10
            )
        return self._clients[service]


def _figure(name: str, value: float, unit: str, dimensions: Mapping[str, str], at: float) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Value": value,
        "Unit": unit,
        "Timestamp": datetime.fromtimestamp(at, UTC),
        "Dimensions": [{"Name": key, "Value": dimension} for key, dimension in dimensions.items()],
    }


def _message(event: "Event") -> str:
    lines = {
        "Target": event.target,
        "Event": event.kind,
        "State": event.state,
        "Time": datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "Reason": event.reason,
        "Duration": None if event.seconds is None else f"{event.seconds / 60:.0f} minutes",
        "Id": event.id,
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)
