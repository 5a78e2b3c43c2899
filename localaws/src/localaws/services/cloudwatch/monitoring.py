"""CloudWatch of one local AWS: its metrics, and its alarms."""

from typing import TYPE_CHECKING

from localaws.services.cloudwatch.alarm_evaluator import AlarmEvaluator
from localaws.services.cloudwatch.metric_store import MetricStore

if TYPE_CHECKING:
    from localaws.core.clock import SimulatedTime


class Monitoring:
    """Metrics and alarms, which go by the same time."""

    def __init__(self, time: "SimulatedTime") -> None:
        """Prepare; see :meth:`AlarmEvaluator.start`."""
        self.time = time
        self.metrics = MetricStore()
        self.alarms = AlarmEvaluator(self.metrics, time)
