"""Costs of instances, divided among calls and idle time; Cost Explorer's verdicts; the hours of a month."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from embedstack.costs.cost_explorer import BEDROCK, SAGEMAKER, Bill, compare
from embedstack.costs.cost_shares import divide_cost, spread_idle
from embedstack.costs.periods import Period
from embedstack.errors import ConfigurationError

HOUR = Decimal("1.408")
DAY = date(2026, 11, 28)


def dollars(*amounts: str) -> list[Decimal]:
    return [Decimal(amount) for amount in amounts]


def test_divide_cost_charges_busy_time_and_leaves_the_rest_idle():
    busy_seconds = 1440  # 40 % of an hour
    busy = {key: round(share * busy_seconds * 10**6) for key, share in (("a", 0.5), ("b", 0.3), ("c", 0.2))}
    shares, idle = divide_cost(HOUR, 3600, busy)
    assert list(shares.values()) == dollars("0.2816", "0.16896", "0.11264")
    assert idle == Decimal("0.8448")
    assert sum(shares.values()) + idle == HOUR
    assert list(spread_idle(shares, idle).values()) == dollars("0.704", "0.4224", "0.2816")


def test_divide_cost_of_concurrent_calls_charges_no_more_than_the_cost():
    shares, idle = divide_cost(HOUR, 3600, {"a": 3 * 3600 * 10**6, "b": 3600 * 10**6})
    assert (shares["a"], shares["b"], idle) == (HOUR * 3 / 4, HOUR / 4, Decimal(0))


def test_divide_cost_without_calls_is_idle():
    assert divide_cost(HOUR, 3600, {}) == ({}, HOUR)
    assert spread_idle({}, HOUR) == {}


def verdict(bill: Bill, estimate: str, after: timedelta) -> str:
    end = datetime(2026, 11, 29, tzinfo=UTC)
    (comparison,) = compare([bill], {(DAY, bill.service): Decimal(estimate)}, end + after)
    return comparison.verdict


@pytest.mark.parametrize(
    ("after", "expected"),
    [(-1, "incomplete"), (1, "too early"), (47, "too early"), (48, "differs")],
)
def test_compare_judges_a_day_after_48_hours(after, expected):
    bill = Bill(DAY, SAGEMAKER, tagged=Decimal(5))
    assert verdict(bill, "50", timedelta(hours=after)) == expected


def test_compare_tolerates_rounding():
    assert verdict(Bill(DAY, SAGEMAKER, tagged=Decimal("5.1")), "5", timedelta(days=3)) == "agrees"
    assert verdict(Bill(DAY, SAGEMAKER, tagged=Decimal("0.009")), "0", timedelta(days=3)) == "agrees"


def test_compare_counts_bedrock_by_usage_type():
    usage = {"USE1-TitanEmbeddingV2-Text-input-tokens": Decimal("0.345"), "USE1-Nova": Decimal("0.071")}
    bill = Bill(DAY, BEDROCK, untagged=Decimal("0.416"), usage=usage)
    (comparison,) = compare([bill], {(DAY, BEDROCK): Decimal("0.416")}, datetime(2026, 12, 3, tzinfo=UTC))
    assert (comparison.billed, comparison.untagged, comparison.difference) == (*dollars("0.416", "0.416"), 0)
    assert comparison.verdict == "agrees"


@pytest.mark.parametrize(("month", "hours"), [(2, 672), (4, 720), (12, 744)])
def test_period_of_a_month_has_the_hours_of_the_calendar(month, hours):
    first = date(2026, month, 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    period = Period.days(first, last)
    assert (period.hours, period.months()) == (Decimal(hours), Decimal(1))


def test_two_instances_cost_1488_hours_of_december():
    hours = 2 * Period.days(date(2026, 12, 1), date(2026, 12, 31)).hours
    assert hours * Decimal("0.204") == Decimal("303.552")


def test_period_that_ends_before_it_begins_is_refused():
    with pytest.raises(ConfigurationError, match="Swap the two dates"):
        Period.days(date(2026, 12, 2), date(2026, 12, 1))
