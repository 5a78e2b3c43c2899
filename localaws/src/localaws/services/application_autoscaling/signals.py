"""What alarms tell policies."""

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
    """An alarm in a state that a policy is the action of.

    Attributes:
        policy_arn: The policy.
        alarm: The alarm's name.
        state: Its state.
        threshold: Its threshold.
        values: The datapoints that it was evaluated by, the latest first; at least one.
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
        """By how much the metric is above the threshold, by a step scaling policy's MetricAggregationType."""
        return float(_AGGREGATIONS[aggregation or "Average"](self.values)) - self.threshold

    @classmethod
    def of(cls, action: "AlarmAction", store: "MetricStore") -> "Signal | None":
        """Read the datapoints behind an alarm's action; None without any, for then there is nothing to go by."""
        periods = AlarmReadings(store).before(action.account_id, action.region, action.alarm, action.at)
        recent = periods[: int(action.alarm.evaluation_periods)]
        values = tuple(reading.value for reading in recent if reading is not None)
        if not values and action.value is not None:
            values = (action.value,)
        if not values:
            return None
        return cls(action.action_arn, action.alarm.name, action.state, float(action.alarm.threshold), values)
