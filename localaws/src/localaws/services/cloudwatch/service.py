"""CloudWatch of one local AWS: its metrics and its alarms."""

from typing import TYPE_CHECKING

from localaws.services.cloudwatch.alarms import Alarms
from localaws.services.cloudwatch.metric_store import MetricStore

if TYPE_CHECKING:
    from localaws.core.clock import SimulatedTime

__all__ = ["Monitoring"]


class Monitoring:
    """Metrics and alarms on one simulated clock."""

    def __init__(self, time: "SimulatedTime") -> None:
        """Prepare; see :meth:`Alarms.start`."""
        self.time = time
        self.metrics = MetricStore()
        self.alarms = Alarms(self.metrics, time)
