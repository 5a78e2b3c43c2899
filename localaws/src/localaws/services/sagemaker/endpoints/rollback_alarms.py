"""The CloudWatch alarms that a deployment is watched by."""

from collections.abc import Iterable

from moto.cloudwatch.models import cloudwatch_backends

__all__ = ["first_missing", "in_alarm"]


def first_missing(account_id: str, region: str, names: Iterable[str]) -> str | None:
    """The first of these alarms that does not exist, or None."""
    known = cloudwatch_backends[account_id][region].alarms
    return next((name for name in names if name not in known), None)


def in_alarm(account_id: str, region: str, names: Iterable[str]) -> list[str]:
    """Those of these alarms that are in state ALARM; one that was deleted meanwhile is not."""
    known = cloudwatch_backends[account_id][region].alarms
    return [name for name in names if name in known and known[name].state_value == "ALARM"]
