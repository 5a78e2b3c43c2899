"""CloudWatch of one local AWS: its metrics and its alarms."""

from typing import TYPE_CHECKING

from localaws.services.cloudwatch.alarm_history import AlarmHistory
from localaws.services.cloudwatch.alarms import Alarms
from localaws.services.cloudwatch.metric_store import MetricStore

if TYPE_CHECKING:
    from localaws.core.clock import SimulatedTime

__all__ = ["Monitoring"]


class Monitoring:
    """Metrics and alarms on one simulated clock."""

    def __init__(
        self, time: "SimulatedTime", metrics: MetricStore | None = None, history: AlarmHistory | None = None
    ) -> None:
        """Prepare; see :meth:`Alarms.start`.

        Args:
            time: The clock.
            metrics: The metrics so far; none by default.
            history: The history of alarms so far; none by default.
        """
        self.time = time
        self.metrics = metrics or MetricStore()
        self.alarms = Alarms(self.metrics, time, history)
