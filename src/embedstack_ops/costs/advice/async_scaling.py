"""What scaling out an asynchronous endpoint buys when a backlog arrives."""

from dataclasses import dataclass

__all__ = ["BacklogDrain", "drain_backlog"]

# Three datapoints of a minute, before which no target tracking policy acts.
_DECISION_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class BacklogDrain:
    """The time until a backlog is processed.

    Attributes:
        one_instance: Seconds with the running instance alone.
        scaled_out: Seconds when the endpoint scales out to its maximum.
        starts: Instances that are started for it.
    """

    one_instance: float
    scaled_out: float
    starts: int

    @property
    def is_worth_it(self) -> bool:
        """Whether scaling out saves more than a tenth of the time."""
        return self.starts > 0 and self.scaled_out < 0.9 * self.one_instance


def drain_backlog(
    requests: int, seconds: float, concurrency: int, maximum: int, *, start_seconds: float = 300.0
) -> BacklogDrain:
    """Compare one running instance with scaling out to the maximum.

    Args:
        requests: Requests that arrive at once.
        seconds: Duration of a request.
        concurrency: Requests that an instance processes at a time.
        maximum: Largest number of instances.
        start_seconds: Time from the decision until a new instance serves.
    """
    rate = concurrency / seconds
    alone = requests / rate
    capacity_at = _DECISION_SECONDS + start_seconds
    if alone <= _DECISION_SECONDS or maximum <= 1:
        return BacklogDrain(alone, alone, 0)
    left = requests - rate * capacity_at
    scaled = alone if left <= 0 else capacity_at + left / (rate * maximum)
    return BacklogDrain(alone, scaled, maximum - 1)
