"""Hours in which an endpoint has no requests, and the Terraform that scales it down during them."""

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo

from embedstack_ops.costs.advice.activity import HOUR, Activity

__all__ = ["DAYS_NEEDED", "QuietWindow", "idle_share", "key_of", "quiet_window", "schedules_hcl"]

#: Days of activity that a weekly schedule needs: each weekday twice.
DAYS_NEEDED = 14
_MIN_HOURS = 4
_WEEK_HOURS = 168
_FRIDAY = 4


@dataclass(frozen=True, slots=True)
class QuietWindow:
    """Hours without requests in every observed week.

    Attributes:
        begin: Hour of the day at which it begins.
        end: Hour of the day at which it ends, on the next day if it is smaller.
        weekend: Whether Saturday and Sunday are quiet as a whole.
    """

    begin: int
    end: int
    weekend: bool

    @property
    def hours_per_week(self) -> int:
        """Quiet hours of a week."""
        night = (self.end - self.begin) % 24 or 24
        return _WEEK_HOURS - 5 * (24 - night) if self.weekend else 7 * night

    def __str__(self) -> str:
        nights = f"{self.begin:02}:00 to {self.end:02}:00"
        return f"{nights} and weekends" if self.weekend else nights


def quiet_window(activity: Activity, zone: tzinfo) -> QuietWindow | None:
    """The longest time of day without any request; None if it is shorter than four hours.

    Args:
        activity: At least :data:`DAYS_NEEDED` days.
        zone: The time zone of the schedule.
    """
    weekday_busy: set[int] = set()
    weekend_busy: set[int] = set()
    for start, hour in activity.hours.items():
        if hour.requests:
            moment = datetime.fromtimestamp(start, zone)
            (weekday_busy if moment.weekday() <= _FRIDAY else weekend_busy).add(moment.hour)
    busy = weekday_busy | weekend_busy
    if not busy or len(busy) > 24 - _MIN_HOURS:
        return None
    # The longest run of quiet hours, which may contain midnight.
    runs = [(_run_length(busy, begin), begin) for begin in range(24) if begin not in busy and (begin - 1) % 24 in busy]
    length, begin = max(runs)
    if length < _MIN_HOURS:
        return None
    return QuietWindow(begin, (begin + length) % 24, not weekend_busy)


def schedules_hcl(key: str, window: QuietWindow, timezone: str, *, low: int, usual: int, maximum: int) -> str:
    """The part of ``endpoints`` in a tfvars file that scales an endpoint down in a window.

    Args:
        key: Key of the endpoint in ``endpoints``.
        window: The quiet hours.
        timezone: IANA name of their time zone.
        low: Smallest capacity in the window.
        usual: Smallest capacity outside of it.
        maximum: Largest capacity.
    """
    days = "MON-FRI" if window.weekend else "*"
    # Capacity is raised a quarter of an hour before the demand, since instances take minutes to start.
    before = (window.end - 1) % 24
    evening = f'schedule = "cron(0 {window.begin} ? * {days} *)", timezone = "{timezone}", min = {low}'
    morning = f'schedule = "cron(45 {before} ? * {days} *)", timezone = "{timezone}", min = {usual}'
    return f"""\
endpoints = {{
  {key} = {{
    # …
    autoscaling = {{
      min = {usual}
      max = {maximum}
      schedules = {{
        evening = {{ {evening}, max = {maximum} }}
        morning = {{ {morning}, max = {maximum} }}
      }}
    }}
  }}
}}"""


def key_of(address: str) -> str:
    """The key in ``endpoints`` of a resource's address."""
    keys = re.findall(r'\["([^"]+)"\]', address)
    return keys[0] if keys else "embedding"


def _run_length(busy: set[int], begin: int) -> int:
    return next(length for length in range(1, 25) if (begin + length) % 24 in busy)


def idle_share(activity: Activity) -> float:
    """Share of the hours without a request."""
    hours = range(activity.first, activity.end, HOUR)
    return sum(1 for hour in hours if not activity.requests(hour)) / max(len(hours), 1)
