"""The validation of alarms, with CloudWatch's messages."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from moto.cloudwatch.exceptions import InvalidParameterCombination, ValidationError

from localaws.services.cloudwatch.alarm_evaluation import COMPARISONS
from localaws.services.cloudwatch.distribution import statistic_of

_ARN = re.compile(r"arn:[a-z-]+:[a-z0-9-]+:(?P<region>[a-z0-9-]*):[^:]*:.+")
_DAY, _WEEK, _HOUR, _MINUTE = 86400, 604800, 3600, 60
_SHORT_PERIODS = (10, 20, 30)
_MISSING_DATA = ("breaching", "notBreaching", "ignore", "missing")
_ACTION_MEMBERS = ("AlarmActions", "OKActions", "InsufficientDataActions")
_MAX_ACTIONS = 5


def check_metric_alarm(request: Mapping[str, Any], region: str) -> None:
    """Check a PutMetricAlarm request.

    Raises:
        ValidationError: A member is missing or has an invalid value.
        InvalidParameterCombination: Members exclude each other.
        NotImplementedError: The request is valid but uses metric math or anomaly detection.
    """
    check_actions(request, region)
    if request.get("Metrics"):
        raise NotImplementedError("PutMetricAlarm with Metrics (metric math)")
    for member in ("ComparisonOperator", "EvaluationPeriods"):
        if request.get(member) is None:
            raise ValidationError(f"The parameter {member} is required.")
    if request["ComparisonOperator"] not in COMPARISONS:
        raise NotImplementedError(f"PutMetricAlarm with {request['ComparisonOperator']} (anomaly detection)")
    if request.get("Threshold") is None:
        raise ValidationError("The parameter Threshold is required.")
    missing = request.get("TreatMissingData")
    if missing is not None and missing not in _MISSING_DATA:
        raise ValidationError(
            f"Option {missing} is not supported. Supported options for parameter TreatMissingData are "
            "breaching, notBreaching, ignore and missing."
        )
    periods, datapoints = int(request["EvaluationPeriods"]), int(request.get("DatapointsToAlarm") or 1)
    if not 1 <= datapoints <= periods:
        raise ValidationError("DatapointsToAlarm must be between 1 and EvaluationPeriods")
    _check_metric(request)


def check_actions(request: Mapping[str, Any], region: str) -> None:
    """Check the actions of a metric or composite alarm.

    Raises:
        ValidationError: An action is not an ARN or is in another region, or there are too many.
    """
    for member in _ACTION_MEMBERS:
        actions: Iterable[str] = request.get(member) or ()
        for arn in actions:
            match = _ARN.fullmatch(arn)
            if match is None:
                raise ValidationError(f"Invalid arn syntax: {arn}")
            if match["region"] not in ("", region):
                raise ValidationError(f"Invalid region {match['region']} specified. Only {region} is supported.")
        if len(list(actions)) > _MAX_ACTIONS:
            raise ValidationError(f"Too many actions: {member} has {len(list(actions))}, the limit is {_MAX_ACTIONS}")


def _check_metric(request: Mapping[str, Any]) -> None:
    for member in ("MetricName", "Namespace", "Period"):
        if request.get(member) is None:
            raise ValidationError(f"The parameter {member} is required.")
    statistic, extended = request.get("Statistic"), request.get("ExtendedStatistic")
    if statistic and extended:
        raise InvalidParameterCombination("The parameters Statistic and ExtendedStatistic are mutually exclusive.")
    if not statistic and not extended:
        raise InvalidParameterCombination("Must specify either Statistic or ExtendedStatistic")
    statistic_of(str(extended or statistic))
    _check_span(int(request["Period"]), int(request["EvaluationPeriods"]))


def _check_span(period: int, evaluation_periods: int) -> None:
    if period not in _SHORT_PERIODS and (period < _MINUTE or period % _MINUTE):
        raise ValidationError("Period must be 10, 20, 30 or a multiple of 60")
    span = period * evaluation_periods
    if period < _HOUR and span > _DAY:
        raise ValidationError(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400) "
            "for alarms using period < 3600"
        )
    if span > _WEEK:
        raise ValidationError(
            "Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= 604800) "
            "for alarms using period >= 3600"
        )
