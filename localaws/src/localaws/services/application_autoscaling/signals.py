"""Alarms as input of scaling policies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from localaws.services.cloudwatch.alarm_evaluation import AlarmReadings

if TYPE_CHECKING:
    from localaws.services.cloudwatch.alarm_actions import AlarmAction
    from localaws.services.cloudwatch.metric_store import MetricStore

__all__ = ["Signal"]

_AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {"Minimum": min, "Maximum": max, "Average": mean}


@dataclass(frozen=True, slots=True)
class Signal:
    """An alarm that invokes a policy.

    Attributes:
        policy_arn: The policy.
        alarm: The alarm's name.
        state: The alarm's state.
        threshold: The alarm's threshold.
        values: The datapoints of the evaluation, latest first; at least one.
    """

    policy_arn: str
    alarm: str
    state: str
    threshold: float
    values: tuple[float, ...]

    @property
    def cause(self) -> str:
        """The first half of a scaling activity's Cause."""
        return f"monitor alarm {self.alarm} in state {self.state} triggered policy"

    def breach(self, aggregation: str | None) -> float:
        """The metric minus the threshold, with a step scaling policy's MetricAggregationType."""
        return float(_AGGREGATIONS[aggregation or "Average"](self.values)) - self.threshold

    @classmethod
    def of(cls, action: "AlarmAction", store: "MetricStore") -> "Signal | None":
        """Build a signal from an alarm's action; None if the alarm has no datapoints, since a policy needs one."""
        periods = AlarmReadings(store).before(action.account_id, action.region, action.alarm, action.at)
        recent = periods[: int(action.alarm.evaluation_periods)]
        values = tuple(reading.value for reading in recent if reading is not None)
        if not values and action.value is not None:
            values = (action.value,)
        if not values:
            return None
        return cls(action.action_arn, action.alarm.name, action.state, float(action.alarm.threshold), values)
