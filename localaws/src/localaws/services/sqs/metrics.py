"""The CloudWatch metrics of SQS, recorded every minute."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from moto.sqs.models import sqs_backends

from localaws.services.cloudwatch.metric_store import MetricId
from localaws.services.sqs.message_queue import MessageQueue

if TYPE_CHECKING:
    from localaws.services.cloudwatch.metric_store import MetricStore

__all__ = ["QueueMetrics"]

_NAMESPACE = "AWS/SQS"


class QueueMetrics:
    """Records the metrics of queues ("Available CloudWatch metrics for Amazon SQS", SQS developer guide)."""

    def __init__(self, store: "MetricStore") -> None:
        """Record in a store."""
        self._store = store

    def sample(self, moment: datetime) -> None:
        """Record the minute that ends at a moment, with zeros for an empty queue."""
        within = (moment - timedelta(seconds=1)).timestamp()
        for account_id, regions in list(sqs_backends.items()):
            for region, backend in list(regions.items()):
                for queue in list(backend.queues.values()):
                    if isinstance(queue, MessageQueue):
                        self._record(account_id, region, queue, within)

    def _record(self, account_id: str, region: str, queue: MessageQueue, at: float) -> None:
        visible, hidden, delayed = queue.counts()
        samples = [
            ("ApproximateNumberOfMessagesVisible", "Count", visible),
            ("ApproximateNumberOfMessagesNotVisible", "Count", hidden),
            ("ApproximateNumberOfMessagesDelayed", "Count", delayed),
            ("ApproximateAgeOfOldestMessage", "Seconds", queue.oldest_age()),
        ]
        for name, unit, value in samples:
            metric = MetricId.of(account_id, region, _NAMESPACE, name, [("QueueName", queue.name)])
            series = self._store.series(metric, unit)
            with self._store.lock:
                series.period(at).add(float(value))
