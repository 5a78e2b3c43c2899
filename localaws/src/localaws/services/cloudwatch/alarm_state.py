"""What state an alarm's datapoints mean: M of N, missing data, and the reason as CloudWatch words it."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

#: By CloudWatch's name: whether a value breaches, and how a reason says so.
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
#: How many periods more than it evaluates an alarm looks at, for datapoints that stand in for missing ones. The one
#: example in the user guide is a range of 5 for 3 ("Configuring how CloudWatch alarms treat missing data").
EXTRA_PERIODS = 2

_TREATED = {"breaching": "Breaching", "notBreaching": "NonBreaching", "missing": "Missing", "ignore": "Ignored"}
_REASON_TIME = "%d/%m/%y %H:%M:%S"


@dataclass(frozen=True, slots=True)
class Reading:
    """The statistic of one period."""

    start: datetime
    value: float
    samples: float | None = None
    """How many samples it was computed from; None of a metric math expression."""


@dataclass(frozen=True, slots=True)
class Condition:
    """When an alarm goes off."""

    comparison: str
    """CloudWatch's name of the operator."""
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    treat_missing_data: str = "missing"

    def breaches(self, value: float) -> bool:
        """Whether a value is a breach."""
        return COMPARISONS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an evaluation says."""

    state: str
    reason: str
    readings: tuple[Reading, ...]
    """The datapoints that it went by, the latest first."""


def evaluate(condition: Condition, periods: Sequence[Reading | None]) -> Verdict | None:
    """What state an alarm should be in.

    The rules and their tables are in the CloudWatch user guide: "Configuring how CloudWatch alarms treat missing data"
    and "Avoiding premature transitions to alarm state".

    Args:
        condition: When the alarm goes off.
        periods: The evaluation range: per period the reading, or None where there is none; the latest first.

    Returns:
        The state with its reason; None where the state it has is to be kept.
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
        unknown = condition.evaluation_periods
        was = "datapoint was" if unknown == 1 else "datapoints were"
        return None if ignore else Verdict("INSUFFICIENT_DATA", f"Insufficient Data: {unknown} {was} unknown.", ())
    if breaching == len(readings):
        # Only breaches, too few of them: it alarms once the oldest is old enough, so that a late good datapoint counts.
        if ignore:
            return None
        if real[len(readings) - 1][0] + 1 >= condition.datapoints_to_alarm:
            return Verdict("ALARM", _crossing(condition, "ALARM", readings), readings)
    return _crossed(condition, breaching, readings)


def _crossed(condition: Condition, breaching: int, readings: tuple[Reading, ...]) -> Verdict:
    state = "ALARM" if breaching >= condition.datapoints_to_alarm else "OK"
    return Verdict(state, _crossing(condition, state, readings), readings)


def _filled(condition: Condition, breaching: int, readings: tuple[Reading, ...], missing: int) -> Verdict:
    state = "ALARM" if breaching >= condition.datapoints_to_alarm else "OK"
    received = "no" if not readings else str(len(readings))
    reason = (
        f"Threshold Crossed: {received} {'datapoint was' if len(readings) == 1 else 'datapoints were'} received for "
        f"{_counted(condition.evaluation_periods, 'period')} and {missing} missing "
        f"{'datapoint was' if missing == 1 else 'datapoints were'} "
        f"treated as [{_TREATED[condition.treat_missing_data]}]."
    )
    return Verdict(state, reason, readings)


def _crossing(condition: Condition, state: str, readings: tuple[Reading, ...]) -> str:
    matching = [reading for reading in readings if condition.breaches(reading.value) == (state == "ALARM")]
    listed = ", ".join(f"{reading.value} ({reading.start.strftime(_REASON_TIME)})" for reading in matching)
    needed, way = condition.datapoints_to_alarm, "OK -> ALARM"
    if state == "OK":
        needed, way = condition.evaluation_periods - needed + 1, "ALARM -> OK"
    return (
        f"Threshold Crossed: {len(matching)} out of the last {len(readings)} datapoints [{listed}] "
        f"{'was' if len(matching) == 1 else 'were'} {'not ' if state == 'OK' else ''}"
        f"{COMPARISONS[condition.comparison][1]} the threshold ({condition.threshold}) "
        f"(minimum {_counted(needed, 'datapoint')} for {way} transition)."
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
