"""The evaluation of metric alarms: datapoints, M out of N, missing data, and the reason in CloudWatch's words."""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from localaws.services.cloudwatch.distribution import percent_of, statistic_of
from localaws.services.cloudwatch.metric_store import MetricId, MetricStore

__all__ = [
    "COMPARISONS",
    "AlarmReadings",
    "Condition",
    "Evaluation",
    "Reading",
    "condition_of",
    "evaluate",
    "has_low_samples",
]

#: The comparison and its wording in reasons, by CloudWatch's name of the operator.
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
#: Periods that an alarm reads beyond its evaluation periods, to replace missing datapoints. The only example in the
#: user guide is a range of 5 for 3 periods ("Configuring how CloudWatch alarms treat missing data").
_EXTRA_PERIODS = 2

_TREATED = {"breaching": "Breaching", "notBreaching": "NonBreaching", "missing": "Missing", "ignore": "Ignored"}
_REASON_TIME = "%d/%m/%y %H:%M:%S"


@dataclass(frozen=True, slots=True)
class Reading:
    """The statistic of one period, and the number of samples that it was computed from."""

    start: datetime
    value: float
    samples: float


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition of a metric alarm; ``comparison`` is CloudWatch's name of the operator."""

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    treat_missing_data: str = "missing"

    def breaches(self, value: float) -> bool:
        """Whether a value breaches the threshold."""
        return COMPARISONS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of an evaluation, with the datapoints used, latest first."""

    state: str
    reason: str
    readings: tuple[Reading, ...]


class AlarmReadings:
    """Reads the datapoints of alarms from the metric store."""

    def __init__(self, store: MetricStore) -> None:
        """Read from a store."""
        self._store = store

    def before(self, account_id: str, region: str, alarm: Any, moment: datetime) -> list[Reading | None]:
        """The evaluation range that ends at a moment: one entry per period, latest first.

        Periods end at the moment and not at the hour: an alarm with a period of 5 minutes reads minutes 1 to 5, then
        minutes 2 to 6 (CloudWatch user guide, "Alarm evaluation").
        """
        period = timedelta(seconds=int(alarm.period))
        count = int(alarm.evaluation_periods) + _EXTRA_PERIODS
        starts = [moment - period * age for age in range(1, count + 1)]
        dimensions = [(dimension.name, dimension.value) for dimension in alarm.dimensions]
        metric = MetricId.of(account_id, region, alarm.namespace, alarm.metric_name, dimensions)
        compute = statistic_of(alarm.extended_statistic or alarm.statistic)
        readings = {}
        for point in self._store.datapoints(metric, starts[-1], moment, int(alarm.period), alarm.unit):
            value = compute(point.samples)
            if value is not None:
                readings[point.start] = Reading(point.start, value, point.samples.count)
        return [readings.get(start) for start in starts]


def condition_of(alarm: Any) -> Condition:
    """The condition of one of moto's alarms."""
    periods = int(alarm.evaluation_periods)
    return Condition(
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        evaluation_periods=periods,
        datapoints_to_alarm=int(alarm.datapoints_to_alarm or periods),
        treat_missing_data=alarm.treat_missing_data or "missing",
    )


def has_low_samples(alarm: Any, readings: Iterable[Reading]) -> bool:
    """Whether a percentile alarm that ignores low sample counts has such a count.

    Fewer than 10 / (1 - p) samples for a percentile above the median, and 10 / p below it, are a low sample count
    (CloudWatch user guide, "Percentile-based alarms and low data samples").
    """
    percent = percent_of(alarm.extended_statistic or "")
    if percent is None or alarm.evaluate_low_sample_count_percentile != "ignore":
        return False
    share = max(percent, 100 - percent) / 100
    minimum = 10 / (1 - share) if share < 1 else float("inf")
    return any(reading.samples < minimum - 1e-6 for reading in readings)


def evaluate(condition: Condition, periods: Sequence[Reading | None]) -> Evaluation | None:
    """Evaluate an alarm.

    The rules and their tables are in the CloudWatch user guide: "Configuring how CloudWatch alarms treat missing data"
    and "Avoiding premature transitions to alarm state".

    Args:
        condition: The alarm's condition.
        periods: The evaluation range: the reading of each period, None without data; latest first.

    Returns:
        The state with its reason; None if the alarm keeps its state.
    """
    real = [(age, reading) for age, reading in enumerate(periods) if reading is not None]
    readings = tuple(reading for _, reading in real)[: condition.evaluation_periods]
    missing = max(0, condition.evaluation_periods - len(readings))
    breaching = sum(condition.breaches(reading.value) for reading in readings)
    if not missing or breaching >= condition.datapoints_to_alarm:
        return _crossed(condition, breaching, readings)
    match condition.treat_missing_data:
        case "breaching":
            return _filled(condition, breaching + missing, readings, missing)
        case "notBreaching":
            return _filled(condition, breaching, readings, missing)
    ignore = condition.treat_missing_data == "ignore"
    if not readings:
        if ignore:
            return None
        were = "datapoint was" if condition.evaluation_periods == 1 else "datapoints were"
        reason = f"Insufficient Data: {condition.evaluation_periods} {were} unknown."
        return Evaluation("INSUFFICIENT_DATA", reason, ())
    if breaching == len(readings):
        # Only breaching datapoints, but too few: alarm once the oldest is old enough, so that late data still counts.
        if ignore:
            return None
        if real[len(readings) - 1][0] + 1 >= condition.datapoints_to_alarm:
            return Evaluation("ALARM", _crossing(condition, "ALARM", readings), readings)
    return _crossed(condition, breaching, readings)


def _crossed(condition: Condition, breaching: int, readings: tuple[Reading, ...]) -> Evaluation:
    state = "ALARM" if breaching >= condition.datapoints_to_alarm else "OK"
    return Evaluation(state, _crossing(condition, state, readings), readings)


def _filled(condition: Condition, breaching: int, readings: tuple[Reading, ...], missing: int) -> Evaluation:
    state = "ALARM" if breaching >= condition.datapoints_to_alarm else "OK"
    received = "no" if not readings else str(len(readings))
    reason = (
        f"Threshold Crossed: {received} {'datapoint was' if len(readings) == 1 else 'datapoints were'} received for "
        f"{_counted(condition.evaluation_periods, 'period')} and {missing} missing "
        f"{'datapoint was' if missing == 1 else 'datapoints were'} "
        f"treated as [{_TREATED[condition.treat_missing_data]}]."
    )
    return Evaluation(state, reason, readings)


def _crossing(condition: Condition, state: str, readings: tuple[Reading, ...]) -> str:
    matching = [reading for reading in readings if condition.breaches(reading.value) == (state == "ALARM")]
    listed = ", ".join(f"{reading.value} ({reading.start.strftime(_REASON_TIME)})" for reading in matching)
    minimum, transition = condition.datapoints_to_alarm, "OK -> ALARM"
    if state == "OK":
        minimum, transition = condition.evaluation_periods - minimum + 1, "ALARM -> OK"
    return (
        f"Threshold Crossed: {len(matching)} out of the last {len(readings)} datapoints [{listed}] "
        f"{'was' if len(matching) == 1 else 'were'} {'not ' if state == 'OK' else ''}"
        f"{COMPARISONS[condition.comparison][1]} the threshold ({condition.threshold}) "
        f"(minimum {_counted(minimum, 'datapoint')} for {transition} transition)."
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
