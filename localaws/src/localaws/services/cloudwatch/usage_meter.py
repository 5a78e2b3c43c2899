"""What CloudWatch costs: its metric alarms. Metrics, dashboards and logs are not metered."""

from collections.abc import Iterator
from decimal import Decimal

from moto.cloudwatch.models import cloudwatch_backends

from localaws.metering.lines import cloudwatch_alarms
from localaws.metering.meter import Rate

__all__ = ["alarm_rates"]


def alarm_rates() -> Iterator[Rate]:
    """The metric alarms of all accounts."""
    for account_id, region, backend in cloudwatch_backends.iter_backends():
        count = sum(alarm.rule is None for alarm in list(backend.alarms.values()))
        if count:
            yield Rate(cloudwatch_alarms(account_id, region), Decimal(count), "month")
