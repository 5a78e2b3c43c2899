"""The times at which scheduled actions run."""

from collections.abc import Iterator
from datetime import datetime

from embedstack.aws.schedule_expressions import ScheduleError, parse_schedule, time_zone
from embedstack.errors import ConfigurationError
from embedstack_ops.simulation.configurations import Schedule

__all__ = ["moments"]


def moments(schedule: Schedule, start: datetime, end: datetime) -> Iterator[datetime]:
    """The times in UTC of a scheduled action, after a start and up to an end.

    Raises:
        ConfigurationError: The expression or the time zone is invalid.
    """
    try:
        expression = parse_schedule(schedule.expression, time_zone(schedule.timezone), start)
    except (ScheduleError, NotImplementedError) as error:
        raise ConfigurationError(
            f"The schedule {schedule.expression!r} cannot be simulated{f': {error}' if str(error) else ''}. "
            "Use cron(minute hour day month weekday year), rate(1 day) or at(2027-01-31T08:00:00)."
        ) from error
    moment = expression.next_after(start)
    while moment is not None and moment <= end:
        yield moment
        moment = expression.next_after(moment)
