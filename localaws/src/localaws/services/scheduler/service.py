"""The schedules of a local AWS, which invoke their targets on the simulated clock."""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from moto.scheduler.models import Schedule, scheduler_backends

from embedstack.aws.schedule_expressions import parse_schedule, time_zone
from localaws.core.threads import Ticker
from localaws.services.scheduler.deliveries import Deliverer, Delivery

if TYPE_CHECKING:
    from localaws.config import LocalAwsConfig
    from localaws.core.clock import SimulatedTime

__all__ = ["Schedules"]

_logger = logging.getLogger(__name__)

#: Most invocations of one schedule that are made up for after the clock was advanced.
_MAX_CATCH_UP = 100


class _Place(NamedTuple):
    """A schedule with its account, region and group."""

    account_id: str
    region: str
    group: Any
    schedule: Schedule


class Schedules:
    """Invokes targets from :meth:`start` to :meth:`close`. The schedules are in moto's backends."""

    _TICK_SECONDS = 0.1

    def __init__(self, config: "LocalAwsConfig", time: "SimulatedTime", deliveries: list[Delivery]) -> None:
        """Prepare.

        Args:
            config: How clients reach the local AWS.
            time: The clock of schedules.
            deliveries: The invocations that failed and are retried, so far.
        """
        self.time = time
        #: Held while schedules run and change.
        self.lock = threading.RLock()
        self._deliveries = deliveries
        self._deliverer = Deliverer(config)
        self._clock = Ticker("schedule-clock", self._TICK_SECONDS, self.run_due)

    def serve_on(self, port: int) -> None:
        """Set the port at which targets are reached."""
        self._deliverer.port = port

    def start(self) -> None:
        """Start the clock of schedules."""
        self._clock.start()

    def close(self) -> None:
        """Stop invoking targets."""
        self._clock.close()

    def plan(self, schedule: Schedule, *, is_new: bool) -> None:
        """Plan the next invocation of a created or updated schedule.

        A new rate runs at once or at its start date: "If you do not provide a StartDate for a rate-based schedule, your
        schedule starts invoking the target immediately" (EventBridge Scheduler user guide, "Schedule types").
        """
        now = self.time.now()
        if is_new:
            vars(schedule)["created"] = now
        _set_due(schedule, _next_after(schedule, now - timedelta(microseconds=1) if is_new else now))

    def run_due(self) -> None:
        """Invoke the targets of the schedules that are due, in order, and retry failed invocations."""
        with self.lock:
            now = self.time.now()
            for place in list(_places()):
                self._deliveries.extend(_take_due(place, now))
            for delivery in sorted(self._deliveries, key=lambda delivery: delivery.due):
                if self._clock.closed:
                    return
                if delivery.due <= now and self._deliverer.attempt(delivery, now):
                    self._deliveries.remove(delivery)


def _places() -> Iterator[_Place]:
    for account_id, region, backend in scheduler_backends.iter_backends():
        for group in list(backend.schedule_groups.values()):
            for schedule in list(group.schedules.values()):
                yield _Place(account_id, region, group, schedule)


def _take_due(place: _Place, now: datetime) -> list[Delivery]:
    """The invocations of a schedule that are due, and plan the next one."""
    schedule = place.schedule
    moments: deque[datetime] = deque(maxlen=_MAX_CATCH_UP)
    count = 0
    due = vars(schedule).get("due")
    while due is not None and due <= now:
        moments.append(due)
        count += 1
        due = _next_after(schedule, due)
    _set_due(schedule, due)
    if count > len(moments):
        _logger.warning(
            "schedule %s: %d of %d missed invocations are skipped", schedule.name, count - len(moments), count
        )
    if count and due is None and schedule.action_after_completion == "DELETE":
        place.group.schedules.pop(schedule.name, None)
    if schedule.state != "ENABLED":
        return []
    return [
        Delivery(place.account_id, place.region, schedule.arn, dict(schedule.target), moment, moment)
        for moment in moments
    ]


def _set_due(schedule: Schedule, due: datetime | None) -> None:
    vars(schedule)["due"] = due


def _next_after(schedule: Schedule, moment: datetime) -> datetime | None:
    """The next invocation of a schedule within its start and end date, which a one-time schedule ignores."""
    start, end = _moment(schedule.start_date), _moment(schedule.end_date)
    is_once = schedule.schedule_expression.startswith("at(")
    if start is not None and not is_once:
        moment = max(moment, start - timedelta(microseconds=1))
    zone = time_zone(schedule.schedule_expression_timezone)
    created = start or vars(schedule)["created"]
    due = parse_schedule(schedule.schedule_expression, zone, created, runs_at_start=True).next_after(moment)
    if due is None or (end is not None and not is_once and due > end):
        return None
    return due


def _moment(value: Any) -> datetime | None:
    """A date of a request: seconds since the epoch."""
    return None if value is None else datetime.fromtimestamp(float(value), UTC)
