"""Schedule expressions: cron syntax, rates, and time zones with daylight saving time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from embedstack.aws.schedule_expressions import (
    CronExpression,
    ScheduleError,
    parse_schedule,
    time_zone,
)

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")


def runs(expression: str, start: datetime, count: int) -> list[str]:
    moments, moment = [], start
    for _ in range(count):
        following = CronExpression.parse(expression).next_after(moment)
        if following is None:
            break
        moments.append(f"{following:%a %Y-%m-%d %H:%M}")
        moment = following
    return moments


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 10 * * ? *", ["Thu 2026-01-01 10:00", "Fri 2026-01-02 10:00"]),
        ("0 18 ? * MON-FRI *", ["Thu 2026-01-01 18:00", "Fri 2026-01-02 18:00", "Mon 2026-01-05 18:00"]),
        ("0/25 8-9 ? * 2 *", ["Mon 2026-01-05 08:00", "Mon 2026-01-05 08:25", "Mon 2026-01-05 08:50"]),
        ("0 0 ? * FRI-MON *", ["Fri 2026-01-02 00:00", "Sat 2026-01-03 00:00", "Sun 2026-01-04 00:00"]),
        ("0 22-1 1 JAN/6 ? 2026-2027/1", ["Thu 2026-01-01 01:00", "Thu 2026-01-01 22:00", "Thu 2026-01-01 23:00"]),
        ("0 0 29 2 ? *", ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00"]),
        ("0 0 30 2 ? *", []),
        ("0 0 1 1 ? 2025", []),
        ("15 0 12 * * ? *", ["Thu 2026-01-01 12:00"]),
    ],
)
def test_cron_runs_at_the_matching_minutes(expression: str, expected: list[str]) -> None:
    assert runs(expression, NEW_YEAR, len(expected) or 1) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "0 10 * * *",
        "0 10 * * * *",
        "0 10 ? * ? *",
        "0 10 * * MON *",
        "60 10 * * ? *",
        "0 24 * * ? *",
        "0 0 0 * ? *",
        "0 0 * 13 ? *",
        "0 0 ? * 8 *",
        "0 0 ? * FOO *",
        "0 0 * * ? 1969",
        "*/0 0 * * ? *",
        "? 0 * * ? *",
        "0 0 XW * ? *",
        ", 0 * * ? *",
    ],
)
def test_cron_rejects_invalid_expressions(expression: str) -> None:
    with pytest.raises(ScheduleError):
        CronExpression.parse(expression)


@pytest.mark.parametrize("fields", ["L * ?", "LW * ?", "15W * ?", "? * L", "? * 5L", "? * TUE#2"])
def test_cron_extensions_are_not_implemented(fields: str) -> None:
    with pytest.raises(NotImplementedError, match="L, W or #"):
        CronExpression.parse(f"0 0 {fields} *")


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    item = st.one_of(
        number.map(str),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.tuples(number, st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    )
    return st.one_of(st.just("*"), st.lists(item, min_size=1, max_size=3).map(",".join))


def _matches(field: str, value: int, high: int) -> bool:
    """Match one field by brute force, independently of the parser."""
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            return True
        end = int(last) if last else (high if step else int(first))
        if int(first) <= value <= end and (value - int(first)) % int(step or 1) == 0:
            return True
    return False


@settings(max_examples=60, deadline=None)
@given(
    minute=_field(0, 59),
    hour=_field(0, 23),
    day=_field(1, 28),
    month=_field(1, 12),
    offset=st.integers(0, 366 * 24 * 60),
)
def test_cron_agrees_with_brute_force(minute: str, hour: str, day: str, month: str, offset: int) -> None:
    start = NEW_YEAR + timedelta(minutes=offset)
    following = CronExpression.parse(f"{minute} {hour} {day} {month} ? *").next_after(start)
    expected = None
    for ahead in range(500):
        midnight = (start + timedelta(days=ahead)).replace(hour=0, minute=0)
        if not (_matches(day, midnight.day, 31) and _matches(month, midnight.month, 12)):
            continue
        minutes = [
            midnight.replace(hour=h, minute=m)
            for h in range(24)
            if _matches(hour, h, 23)
            for m in range(60)
            if _matches(minute, m, 59)
        ]
        expected = next((moment for moment in minutes if moment > start), None)
        if expected is not None:
            break
    assert following == expected


def due(text: str, zone: ZoneInfo, start: str) -> datetime | None:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return parse_schedule(text, zone, created).next_after(datetime.fromisoformat(start).replace(tzinfo=UTC))


def test_schedule_follows_daylight_saving_time() -> None:
    assert due("cron(0 20 * * ? *)", BERLIN, "2026-03-28") == datetime(2026, 3, 28, 19, tzinfo=UTC)
    assert due("cron(0 20 * * ? *)", BERLIN, "2026-03-29") == datetime(2026, 3, 29, 18, tzinfo=UTC)


def test_schedule_has_no_run_in_a_skipped_hour() -> None:
    assert due("cron(30 2 * * ? *)", BERLIN, "2026-03-28T12:00") == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)


def test_schedule_has_one_run_in_a_repeated_hour() -> None:
    first = due("cron(30 2 * * ? *)", BERLIN, "2026-10-24T12:00")
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert due("cron(30 2 * * ? *)", BERLIN, "2026-10-25T00:30") == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata"]),
    offset=st.integers(0, 366 * 24 * 60),
)
def test_schedule_runs_at_the_local_time(zone: str, offset: int) -> None:
    schedule = parse_schedule("cron(15 2,14 * * ? *)", ZoneInfo(zone), datetime(2026, 1, 1, tzinfo=UTC))
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=offset)
    for _ in range(4):
        following = schedule.next_after(moment)
        assert following is not None
        assert moment < following < moment + timedelta(hours=25)
        local = following.astimezone(ZoneInfo(zone))
        assert (local.hour, local.minute) in {(2, 15), (14, 15)}
        moment = following


def test_rate_counts_from_the_start() -> None:
    assert due("rate(5 minutes)", UTC_ZONE, "2026-01-01T00:04") == datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    assert due("rate(5 minutes)", UTC_ZONE, "2026-01-01T00:05") == datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
    assert due("rate(1 day)", UTC_ZONE, "2025-01-01") == datetime(2026, 1, 2, tzinfo=UTC)


def test_rate_runs_at_the_start_where_it_does() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    schedule = parse_schedule("rate(5 minutes)", UTC_ZONE, start, runs_at_start=True)
    first = schedule.next_after(start - timedelta(microseconds=1))
    assert first == start
    assert schedule.next_after(first) == start + timedelta(minutes=5)


def test_at_runs_once_at_the_local_time() -> None:
    assert due("at(2026-07-01T08:00:00)", BERLIN, "2026-01-01") == datetime(2026, 7, 1, 6, tzinfo=UTC)
    assert due("at(2026-07-01T08:00:00)", BERLIN, "2026-07-01T06:00") is None


@pytest.mark.parametrize(
    "text", ["rate(0 minutes)", "rate(5 weeks)", "at(2026-02-30T00:00:00)", "0 10 * * ? *", "cron()"]
)
def test_schedule_rejects_other_expressions(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse_schedule(text, UTC_ZONE, datetime.now(UTC))


def test_time_zone_rejects_unknown_names() -> None:
    with pytest.raises(ScheduleError, match="Mars/Olympus"):
        time_zone("Mars/Olympus")
