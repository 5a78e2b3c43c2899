"""What a month will cost, and when that cannot be said."""

from datetime import UTC, date, datetime, timedelta

from embedstack.costs.budget_limits import Month
from embedstack.costs.forecast import forecast

FIRST = date(2026, 11, 1)
MONTH = Month.at(datetime(2026, 12, 15, tzinfo=UTC).timestamp(), UTC)


def spend(days: int, amount_of, *, start: date = FIRST) -> dict[date, int]:
    dates = [start + timedelta(days=number) for number in range(days)]
    return {day: amount_of(day) for day in dates}


def at(day: int, hour: int = 0) -> float:
    return datetime(2026, 12, day, hour, tzinfo=UTC).timestamp()


def test_forecast_of_steady_spend_is_exact_both_ways():
    history = spend(44, lambda _: 1000)  # through 14 December
    result = forecast(history, MONTH, at(15))
    assert (result.linear, result.weekday, result.reason) == (31_000, 31_000, "")


def test_forecast_by_weekday_knows_weekends_and_linear_does_not():
    history = spend(48, lambda day: 1000 if day.weekday() < 5 else 0)  # through Friday, 18 December
    result = forecast(history, MONTH, at(19))
    assert result.weekday == 23 * 1000, "December 2026 has 23 working days"
    assert result.linear == round(14_000 + 13 * 20_000 / 28)


def test_forecast_adds_the_rest_of_today():
    history = {**spend(44, lambda _: 1000), date(2026, 12, 15): 400}
    assert forecast(history, MONTH, at(15, 12)).linear == 14_000 + 400 + 500 + 16_000


def test_forecast_needs_more_than_four_days():
    history = spend(5, lambda _: 1000, start=date(2026, 12, 1))  # the first day is incomplete
    result = forecast(history, MONTH, at(6))
    assert (result.linear, result.weekday) == (None, None)
    assert result.reason == "not enough data: 4 complete days of spend, and 5 are needed"
    assert forecast({}, MONTH, at(6)).reason == "not enough data: nothing was spent"


def test_forecast_by_weekday_needs_two_weeks():
    result = forecast(spend(8, lambda _: 1000, start=date(2026, 12, 1)), MONTH, at(9))
    assert result.linear == 31_000
    assert result.weekday is None
    assert result.best == 31_000
    assert "14 are needed" in result.reason


def test_forecast_after_a_gap_says_so():
    history = spend(40, lambda _: 1000)  # through 10 December
    result = forecast(history, MONTH, at(15))
    assert result.best is None
    assert result.reason == "not enough data: nothing was spent in the last 3 complete days"
